"""Explicit places and Argo CD's own spellings, in generated documents: the named scalars change, and not a byte else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.plan import OutcomeKind
from tests.usecases.test_planner import APP, Registry, declaration, digest, only, plan

OLD, NEW = digest("1.0.0"), digest("1.1.0")
REGISTRY = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"]])
# What stands at a place before and after, by format and pin.
TEXTS = {
    ("reference", "VersionAndDigest"): (f"{APP}:1.0.0", f"{APP}:1.1.0@{NEW}"),
    ("reference", "Digest"): (f"{APP}@{OLD}", f"{APP}@{NEW}"),
    ("reference", "Version"): (f"{APP}:1.0.0", f"{APP}:1.1.0"),
    ("reference", "TagAndDigest"): (f"{APP}:1.0.0", f"{APP}:env-dev@{NEW}"),
    ("tag", "VersionAndDigest"): ("1.0.0", "1.1.0"),
    ("tag", "Version"): ("1.0.0", "1.1.0"),
    ("digest", "VersionAndDigest"): (OLD, NEW),
    ("digest", "Digest"): (OLD, NEW),
    ("digest", "Version"): (OLD, NEW),
    ("digest", "TagAndDigest"): (OLD, NEW),
    ("version", "VersionAndDigest"): ("1.0.0", "1.1.0"),
    ("version", "Digest"): ("1.0.0", "1.1.0"),
    ("version", "Version"): ("1.0.0", "1.1.0"),
    ("version", "TagAndDigest"): ("1.0.0", "1.1.0"),
}
QUOTES = st.sampled_from(["", "'", '"'])
ENDS = st.sampled_from(["\n", "\r\n"])
COMMENTS = st.sampled_from(["", " # 1.0.0, é", "   # {{ not a template }}"])
HEADS = st.sampled_from(["", "\ufeff", "# head: 1.0.0\n", "---\n"])
TAILS = st.sampled_from(["", "\n", "\n\n# tail", "\n---\nother: 1.0.0\n", "\n...\n"])


def planned(text: str, **spec: str):
    files = {"envs/dev/cv.yaml": declaration(**spec), "envs/dev/odd.yaml": text.encode()}
    return plan(files, REGISTRY)


def check(text_before: str, text_after: str, **spec: str) -> None:
    """The plan makes the one text of the other, and a second run finds nothing to do."""
    result = planned(text_before, **spec)
    assert only(result).kind in {OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY}, only(result).message
    assert [(file.path, file.after.decode()) for file in result.files] == [("envs/dev/odd.yaml", text_after)]
    assert only(planned(text_after, **spec)).kind is OutcomeKind.CURRENT


@pytest.mark.parametrize(("form", "pin"), TEXTS)
@given(data=st.data())
def test_a_place_of_every_format_under_every_pin(form: str, pin: str, data: st.DataObject) -> None:
    quote, end, comment, head, tail = (data.draw(each) for each in (QUOTES, ENDS, COMMENTS, HEADS, TAILS))
    flow = data.draw(st.booleans())

    def text(value: str) -> str:
        scalar = f"{quote}{value}{quote}"
        inner = f"  a/b~c: [x, {{v: {scalar}}}]" if flow else f"  a/b~c:\n  - x\n  - v: {scalar}{comment}"
        return f"{head}top:\n{inner}{tail}".replace("\n", end)

    pointer = "/top/a~1b~0c/1/v"
    check(*map(text, TEXTS[form, pin]), pin=pin, places=f"[{{file: odd.yaml, pointer: {pointer}, format: {form}}}]")


@pytest.mark.parametrize("pin", ["Digest", "TagAndDigest"])
def test_a_tag_alone_is_written_only_beside_its_digest(pin: str) -> None:
    tag = "{file: odd.yaml, pointer: /tag, format: tag}"
    both = f"[{tag}, {{file: odd.yaml, pointer: /digest, format: digest}}]"
    before = f"tag: 1.0.0\ndigest: {OLD}\n"
    refused = planned(before, pin=pin, places=f"[{tag}]")
    assert (only(refused).reason, refused.files) == ("PlaceTagMoves", ())
    check(before, f"tag: env-dev\ndigest: {NEW}\n", pin=pin, places=both)


@pytest.mark.parametrize("free", ["", "''", "~", "TODO", f"{APP}", f"{APP}@{OLD}"])
def test_a_reference_is_written_where_nothing_stands(free: str) -> None:
    places = "[{file: odd.yaml, pointer: /v, format: reference}]"
    (file,) = planned(f"v: {free}\n", places=places).files
    assert file.after.decode().strip("v: '\n") == f"{APP}:1.1.0@{NEW}"


def test_a_version_that_reads_as_a_number_gets_quotes() -> None:
    registry = Registry(app=[["1.0.0"], ["1.10", "env-dev"]])
    places = "[{file: odd.yaml, pointer: /v, format: version}]"
    files = {
        "envs/dev/cv.yaml": declaration(places=places, versionSyntax=r"'\d\.\d+'"),
        "envs/dev/odd.yaml": b"v: 1.0.0",
    }
    assert [file.after for file in plan(files, registry).files] == [b'v: "1.10"']


def test_one_place_of_the_third_document() -> None:
    def text(value: str) -> str:
        return f"a: {{v: {APP}:1.0.0}}\n---\n---\na:\n  v: {value}\n"

    places = "[{file: odd.yaml, pointer: /a/v, document: 2, format: reference}]"
    check(text(f"{APP}:1.0.0"), text(f"{APP}:1.1.0@{NEW}"), places=places)


# Argo CD

PREFIXES = st.sampled_from(["", "web.", "global.web-2.", "a.b.c_"])
KEYS = ("repository", "tag", "digest")


@given(
    prefixes=st.lists(PREFIXES, min_size=1, max_size=3, unique=True),
    with_digest=st.booleans(),
    quote=QUOTES,
    end=ENDS,
    comment=COMMENTS,
    flow=st.booleans(),
    several=st.booleans(),
    seed=st.integers(0, 1 << 16),
)
def test_parameters_of_an_application(
    prefixes: list[str], with_digest: bool, quote: str, end: str, comment: str, flow: bool, several: bool, seed: int
) -> None:
    """Whatever stands between the parameters of one image, and in whatever order they stand."""

    def text(tag: str, value: str) -> str:
        values = {"repository": APP, "tag": tag, "digest": value}
        named = [
            (f"{prefix}image.{key}", values[key])
            for prefix in prefixes
            for key in KEYS
            if key != "digest" or with_digest
        ]
        named += [("replicas", "3"), ("web.imageTag", "1.0.0"), ("other.image.tag", "1.0.0"), ("image.pullPolicy", "x")]
        random.Random(seed).shuffle(named)
        gap = "        " if several else "      "
        lines = ["apiVersion: argoproj.io/v1alpha1", "kind: Application", "metadata: {name: app}", "spec:"]
        lines += ["  sources:", "    - chart: x", "    - helm:"] if several else ["  source:", "    helm:"]
        lines.append(f"{gap}parameters:")
        for name, content in named:
            scalar = f"{quote}{content}{quote}"
            if flow:
                lines.append(f"{gap}- {{name: {name}, value: {scalar or chr(34) * 2}, forceString: true}}{comment}")
            else:
                lines += [f"{gap}- name: {name}{comment}", f"{gap}  value: {scalar}", f"{gap}  forceString: true"]
        return end.join([*lines, ""])

    if with_digest:
        check(text("1.0.0", OLD), text("1.1.0", NEW))
    else:
        check(text("1.0.0", ""), text(f"1.1.0@{NEW}", ""))


RENAMED = st.sampled_from(["", "web=", "docker.io/library/nginx="])


@given(renames=st.lists(RENAMED, min_size=1, max_size=3, unique=True), quote=QUOTES, end=ENDS, comment=COMMENTS)
def test_kustomize_images_of_an_application(renames: list[str], quote: str, end: str, comment: str) -> None:
    def text(reference: str) -> str:
        lines = ["apiVersion: argoproj.io/v1alpha1", "kind: Application", "metadata: {name: app}"]
        lines += ["spec:", "  source:", "    kustomize:", "      images:", "      - redis:7.2"]
        lines += [f"      - {quote}{rename}{reference}{quote}{comment}" for rename in renames]
        return end.join([*lines, f"      - other={APP}-cron:1.0.0", "      commonLabels: {v: 1.0.0}", ""])

    check(text(f"{APP}:1.0.0"), text(f"{APP}:1.1.0@{NEW}"))


def test_parameters_that_do_not_belong_together_are_left_alone() -> None:
    text = f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
spec: {{source: {{helm: {{parameters: [
  {{name: a.image.repository, value: {APP}}}, {{name: b.image.tag, value: 1.0.0}},
  {{name: image.repository, value: other}}, {{name: image.tag, value: 1.0.0}}]}}}}}}
"""
    result = planned(text)
    assert (only(result).reason, result.files) == ("MatchedNothing", ())
