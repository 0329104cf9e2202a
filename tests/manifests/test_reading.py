import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gitcd.manifests.core_schema import scalar
from gitcd.manifests.files import read_plain
from gitcd.manifests.reading import ReadResult, read_declarations, read_hold, read_layout, render_hold
from gitcd.model.hold import Hold, Reject
from gitcd.model.reference import Repository

EXAMPLE = Path(__file__).parents[2] / "examples" / "config-repo"
DIGEST = "sha256:" + "a" * 64

GOOD = """\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {name: tiles, namespace: maps}
spec:
  imageRepo: registry.example.com/maps/tiles
  tag: env-prod
"""


def read(text: str | bytes) -> ReadResult:
    return read_declarations("envs/prod/cv.yaml", text.encode() if isinstance(text, str) else text)


def messages(result: ReadResult) -> str:
    return "\n".join(map(str, result.problems))


def test_a_declaration_is_read_with_its_origin():
    (declaration,) = read(f"# first\n---\nkind: Service\n---\n{GOOD}").declarations
    assert declaration.metadata.name == "tiles"
    assert declaration.spec.repository == Repository("registry.example.com", "maps/tiles")
    assert str(declaration.origin) == "envs/prod/cv.yaml:5"


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        (GOOD, True),
        (f"# a comment\n{GOOD}", True),
        (f"---\n{GOOD}", True),
        (f"{GOOD}---\nkind: Service\n", False),
        (f"kind: Service\n...\n---\n{GOOD}", False),
        (f"kind: Service\n...\n{GOOD}", False),
        (f"{GOOD}---\n{GOOD}", False),
        (f"{GOOD}  color: red\n", False),
        ("kind: List\nitems:\n- " + GOOD.replace("\n", "\n  ") + "\n- {kind: Service}\n", False),
        ("kind: Service\n", False),
    ],
)
def test_a_declaration_is_alone_where_its_file_holds_nothing_else(text, alone):
    assert read(text).alone is alone


def test_every_declaration_of_the_example_is_read():
    found = 0
    for path in EXAMPLE.rglob("*.yaml"):
        result = read_declarations(str(path), path.read_bytes())
        assert result.problems == ()
        found += len(result.declarations)
    assert found > 10
    layout, problems = read_layout("gitcd.yaml", (EXAMPLE / "gitcd.yaml").read_bytes())
    assert problems == ()
    assert layout
    assert {"dev", "prod"} <= {environment.name for environment in layout.environments}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind: Deployment\n",
        "{{- if .Values.x }}\nkind: Deployment\n{{- end }}\n",
        "kind: CustomResourceDefinition\nspec: {names: {kind: ContainerVersion}}\n",
        "apiVersion: fleet.example.org/v1\nkind: ContainerVersion\n",
        "apiVersion: gitcd.io/v1\nkind: ConfigRepository\n",
        "- kind: ContainerVersion\n",
        "ContainerVersion\n",
        "kind: ConfigMap\ndata:\n  a: !Ref ContainerVersion\n  a: b\n",
        "kind: List\nitems: [kind, {kind: Pod}]\n# ContainerVersion\n",
    ],
)
def test_other_documents_are_passed_over(text):
    assert read(text) == ReadResult()


def test_what_cannot_be_parsed_hides_no_declaration_beside_it():
    result = read(f"kind: [\n---\n{GOOD}---\n{{{{ broken\n---\n# ContainerVersion\nkind: [\n---\n{GOOD}")
    assert len(result.declarations) == 2
    (problem,) = result.problems
    assert (problem.path, problem.line) == ("envs/prod/cv.yaml", 14)
    assert "not YAML" in problem.message


def test_a_tab_that_indents_is_named():
    (problem,) = read("# a comment\nkind: ContainerVersion\nmetadata:\n\tname: app\n").problems
    assert (problem.line, problem.remedy) == (4, "indent by spaces: a tab stands there")
    (problem,) = read("kind: ContainerVersion\nmetadata: @app\n").problems
    assert (problem.line, problem.remedy) == (2, "")


def test_items_of_a_list_are_read_each_for_itself():
    items = "".join("- " + GOOD.replace("\n", "\n  ").rstrip(" ") for _ in range(3))
    text = f"kind: List\napiVersion: v1\nitems:\n{items}".replace("env-prod", "1.10", 1)
    result = read(text)
    assert [declaration.origin.line for declaration in result.declarations] == [10, 16]
    (problem,) = result.problems
    assert str(problem) == (
        "envs/prod/cv.yaml:9:5: maps/tiles: spec.tag: text is wanted, not the number 1.1\n  Put quotes around the value"
    )


def test_F51_all_problems_of_all_declarations_come_at_once():
    bad = GOOD.replace("tag:", "tga:").replace("name: tiles", "name: Tiles")
    result = read(f"{bad}---\n{GOOD}---\n{bad}")
    assert len(result.declarations) == 1
    assert [(problem.line, problem.column, problem.pointer) for problem in result.problems] == [
        (3, 12, "metadata.name"),
        (6, 3, "spec.tga"),
        (4, 1, "spec.tag"),
        (17, 12, "metadata.name"),
        (20, 3, "spec.tga"),
        (18, 1, "spec.tag"),
    ]
    assert {problem.subject for problem in result.problems} == {"maps/Tiles"}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            "apiVersion: custom.k8s.io/v2\nkind: ContainerVersion",
            "'custom.k8s.io/v2' is not a version that is read here",
        ),
        ("apiVersion: gitcd.io/v2\nkind: ContainerVersion", "'gitcd.io/v2' is not a version"),
        ("apiVersion: gitcd.oi/v1\nkind: ContainerVersion", "Did you mean gitcd.io/v1?"),
        ("apiVersion: 1\nkind: ContainerVersion", "Write apiVersion: gitcd.io/v1"),
        ("kind: ContainerVersion", "apiVersion: is missing"),
        ("apiVersion: gitcd.io/v1\nkind: ContainerVersoin", "wanted: kind: ContainerVersion"),
        ("apiVersion: gitcd.io/v1", "wanted: kind: ContainerVersion"),
    ],
)
def test_what_is_nearly_a_declaration_is_never_passed_over(head, expected):
    result = read(head + "\nmetadata: {name: tiles}\n")
    assert result.declarations == ()
    assert expected in messages(result)
    assert "default/tiles" in messages(result)


def test_duplicate_keys_are_refused_where_they_stand():
    result = read(GOOD + "  tag: env-dev\n")
    assert result.declarations == ()
    assert str(result.problems[0]) == "envs/prod/cv.yaml:7:3: maps/tiles: the key 'tag' stands here a second time"


def test_anchors_aliases_and_merge_keys_work():
    text = GOOD.replace("imageRepo: ", "imageRepo: &repo ") + "  <<: [{suspend: true}, {suspend: false, pin: Digest}]\n"
    (declaration,) = read(text + "  version_alias: 1\n".replace("version_alias: 1", "environment: prod")).declarations
    assert declaration.spec.suspend is True
    assert declaration.spec.pin == "Digest"
    text = GOOD + "  paths: [&p envs/prod, *p]\n"
    assert read(text).declarations[0].spec.paths == ("envs/prod", "envs/prod")


def test_an_alias_of_what_is_not_complete_is_refused():
    assert "before this alias" in messages(read(GOOD + "  paths: &p [*p]\n"))


@pytest.mark.parametrize("status", ["{conditions: [{type: Verified}]}", "[1]", "held", "{resolved: {digest: x}}"])
def test_T31_a_poisoned_status_and_annotations_change_nothing(status):
    clean = read(GOOD).declarations[0]
    poisoned = GOOD.replace("namespace: maps}", "namespace: maps, annotations: {a: b}, labels: {x: y}, generation: 7}")
    (declaration,) = read(f"{poisoned}status: {status}\n").declarations
    assert declaration == clean


def test_unknown_metadata_is_refused():
    assert "Did you mean namespace?" in messages(read(GOOD.replace("namespace:", "namepsace:")))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_do_not_matter(newline, bom):
    result = read(bom + GOOD.replace("\n", newline))
    assert len(result.declarations) == 1
    assert result.declarations[0].origin.line == 1


def test_other_encodings_are_refused():
    assert "not UTF-8" in messages(read(GOOD.encode() + b"# \xe4\n"))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!Ref", "!!timestamp", "!!set"])
def test_T19_tags_are_refused_and_construct_nothing(tag, tmp_path):
    marker = tmp_path / "ran"
    result = read(GOOD.replace("env-prod", f"{tag} ['touch {marker}']"))
    assert result.declarations == ()
    assert "is refused" in messages(result)
    assert not marker.exists()


def test_T19_merge_keys_cannot_multiply():
    many = ", ".join(f"k{number}: 1" for number in range(1000))
    started = time.thread_time()
    result = read(f"kind: ContainerVersion\na: &a {{{many}}}\nb: {{<<: [{'*a, ' * 20}]}}\n")
    assert time.thread_time() - started < 1
    assert "merge keys copy more than" in messages(result)


LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'lol'] * 9)}]\n" for n in range(60))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x: " + "[" * 500_000, "nested more than 64 levels"),
        ("? " * 500_000, "nested more than 64 levels"),
        ("\n".join("  " * depth + "x:" for depth in range(400)), "nested more than 64 levels"),
        ("x: [" + "a," * 500_000 + "]", "more than 150000 values"),
        ("".join(f"k{number}:\n" for number in range(100_000)), "more than 150000 values"),
        ("#" + "x" * (1 << 20), "at most 1048576 are read"),
        (LAUGHS, "more than 150000 values"),
        ("x: " + "9" * 900_000, "is missing"),
        ("x: '" + "y" * 900_000, "not YAML"),
        ("x: y\n" * 200_000, ""),
        ("---\n" * 200_000, "is missing"),
        ("x: &" + "a" * 900_000, ""),
    ],
    ids=range(12),
)
def test_T18_hostile_files_are_done_with_in_a_second(body, expected):
    started = time.thread_time()
    result = read(f"kind: ContainerVersion\n{body}\n")
    assert time.thread_time() - started < 1
    assert result.declarations == ()
    assert expected in messages(result)
    assert 1 <= len(result.problems) <= 150
    assert len(messages(result)) < 50_000


def test_nesting_up_to_the_cap_is_read():
    nested = "[" * 60 + "]" * 60
    assert read(f"{GOOD}status: {nested}\n").problems == ()


def test_thousands_of_declarations_are_read_in_seconds():
    data = [GOOD.replace("tiles", f"tiles{number}").encode() for number in range(1000)]
    started = time.thread_time()
    assert sum(len(read_declarations("x.yaml", each).declarations) for each in data) == 1000
    assert time.thread_time() - started < 2  # about 0.1 s on a quiet machine


WORDS = (
    "~ null Null NULL nULL true True TRUE tRUE false yes on off Yes y 0 -0 +1 017 0o17 0x1F 1e3 1.5 .5 5. -1.5E+3 "
    ".inf -.INF .nan 12e4567 1:30 2026-12-20 2026-12-20T18:00:00Z 1.10 0123 a:b"
)
PLAIN = st.one_of(st.sampled_from(WORDS.split(" ")), st.text("0123456789abcdefxo+-.eE", min_size=1, max_size=8))


# Numbers that ruamel reads beyond the core schema: binary ones, underscores, signs before a base.
RUAMEL_ONLY = re.compile(r"_|^[-+]?0b|^[-+]0[xo]")


@settings(max_examples=300, deadline=None)
@given(PLAIN.filter(lambda text: not RUAMEL_ONLY.search(text)))
def test_plain_scalars_follow_yaml_1_2(text):
    try:
        judged = YAML(typ="safe", pure=True).load(f"x: {text}")
    except (ValueError, OverflowError, YAMLError):
        return
    if not isinstance(judged, dict) or "x" not in judged:
        return
    wanted = judged["x"]
    found = scalar(text)
    if not isinstance(wanted, str | int | float | bool | None):
        wanted = text  # a date, which the core schema does not know
    if isinstance(wanted, float) or isinstance(found, float):
        assert str(float(found)) == str(float(wanted))
    else:
        assert (type(found), found) == (type(wanted), wanted)


def test_quoted_and_block_scalars_are_text():
    value, problems = read_plain("x.yaml", b"a: '5'\nb: \"true\"\nc: |\n  1\nd: !!str 7\ne: ! 8\n")
    assert value == {"a": "5", "b": "true", "c": "1\n", "d": "7", "e": "8"}
    assert problems == ()


@pytest.mark.parametrize("text", ["yes", "on", "2026-12-20", "1:30", "0o9", "1_000", "NaN"])
def test_words_that_only_yaml_1_1_knows_stay_text(text):
    assert scalar(text) == text


def test_layout_problems_have_places():
    layout, problems = read_layout(
        "gitcd.yaml",
        b"environments:\n- name: dev\n  path: envs/dev/\n  freeze: [{from: 2026-12-20, until: 2027-02-30}]\n",
    )
    assert layout is None
    (problem,) = problems
    assert (problem.where, problem.pointer) == ("gitcd.yaml:4:31", "environments[0].freeze[0].until")
    assert re.search(r"day (30 must be in|is out of) range", problem.message)  # Python 3.14 says it better


def test_scopes_are_normal_folders():
    layout, _ = read_layout("gitcd.yaml", b"environments: [{name: dev, paths: [./a/b/, c]}, {name: all, path: .}]")
    assert layout
    assert [environment.scopes for environment in layout.environments] == [("a/b", "c"), (".",)]


@pytest.mark.parametrize(
    "data",
    [b"a: b\n---\nc: d\n", b"- x\n", b"a: [", b"reject: x", b"freeze: yes", b"\xff", b"freeze: true\nfreeze: false\n"],
)
def test_a_faulty_hold_file_is_no_hold(data):
    held, problems = read_hold(".gitcd/holds/prod/maps.tiles.yaml", data)
    assert held is None
    assert problems


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
moments = st.sampled_from(["", "2026-12-20", "2026-12-20T18:00:00Z"])
rejects = st.builds(Reject, digest=st.just(DIGEST), version=lines, reason=lines, by=lines, time=moments)
holds = st.builds(
    Hold, reject=st.lists(rejects, max_size=3).map(tuple), freeze=st.booleans(), until=moments, reason=lines, by=lines
)


@settings(max_examples=200, deadline=None)
@given(holds)
def test_a_hold_is_read_as_it_was_written(hold):
    data = render_hold(hold)
    assert read_hold("x.yaml", data) == (hold, ())
    assert render_hold(hold) == data
    assert isinstance(yaml.safe_load(data), dict)


def test_a_hold_file_is_easy_to_read():
    hold = Hold(reject=(Reject(DIGEST, "1.10", "crashes on start", "ann", "2026-12-20T18:00:00Z"),), until="2027-01-01")
    assert render_hold(hold).decode() == (
        f'reject:\n  - digest: {DIGEST}\n    version: "1.10"\n    reason: crashes on start\n    by: ann\n'
        '    time: "2026-12-20T18:00:00Z"\nuntil: "2027-01-01"\n'
    )


NASTY = [
    b"---\n",
    b"\x00",
    b"\xff",
    b"\xc2\x85",
    b"\r",
    b"\t",
    b"{",
    b"]",
    b"&a ",
    b"*a ",
    b"<<: ",
    b"!!map ",
    b"? ",
    b"%YAML 1.3\n",
    b"...\n",
    b"'",
    b"|\n",
    b": ",
    b"- ",
    b"~",
    b"\xef\xbb\xbf",
    b"0x",
    b"kind: List\nitems: [ContainerVersion]\n",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(NASTY), st.integers(0, 20)), min_size=1, max_size=4)
)
def test_whatever_is_done_to_a_file_ends_in_declarations_or_problems(edits):
    data = GOOD.encode()
    for at, piece, cut in edits:
        data = data[:at] + piece + data[at + cut :]
    result = read(data)
    assert all(problem.path == "envs/prod/cv.yaml" and problem.line >= 1 for problem in result.problems)
    read_layout("gitcd.yaml", data)
    read_hold("x.yaml", data)


def test_a_branch_for_each_environment_is_refused_with_the_reason():
    layout, (problem,) = read_layout("gitcd.yaml", b"environments: [{name: dev, path: dev, branch: dev}]")
    assert layout is None
    assert problem.pointer == "environments[0].branch"
    assert "all environments live on one branch" in problem.remedy
