"""Properties of find and write over generated manifests (trust, properties 1 to 5, 8 and 9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from gitcd import manifests
from gitcd.manifests import EditRefused
from gitcd.model.site import Form, SiteEdit
from tests.support.sites import REPO, load11, load12, set_images

DIGEST = st.sampled_from(["", "sha256:" + "d" * 64, "sha256:" + "e" * 64])
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True) | st.sampled_from(
    ["1.10", "0123", "12e4567", "on", "null", "1_0", "12:30".replace(":", "_"), "true", "y", "1e3"]
)
PLAIN_TAG = TAG.map(lambda tag: f"v{tag}")


@dataclass(frozen=True)
class Manifest:
    """A generated file: its lines with `{}` where images go, and how it is stored."""

    text: str
    end: str
    bom: bool
    last: bool

    def data(self) -> bytes:
        text = self.text if self.last else self.text.rstrip("\n")
        return (("\ufeff" if self.bom else "") + text.replace("\n", self.end)).encode()


DECOYS = [
    "# image: r.example/a/b:decoy \U0001f600",
    "x-note: 'r.example/a/b:decoy'",
    "x-block: |\n  image: r.example/a/b:decoy\n\n  # text\n",
    "x-folded: >-\n  image: r.example/a/b:decoy\n  --- not a marker",
    "x-images: {{image2: r.example/a/b:decoy, 'caf\u00e9 \U0001f600': \"r.example/a/b:decoy\"}}",
    "x-multi: r.example/a/b:decoy\n  second line",
    'x-quoted: "a \\\n  b \\x41 r.example/a/b:decoy"',
    "",
]
SPELLINGS = ["{}", "'{}'", '"{}"', "{}  # why \u00e9", "&img{n} {}", "!!str {}", "!!str '{}'"]
CONTAINERS = [
    "      - name: c{n}\n        image: {image}",
    "      - image: {image}\n        name: c{n}",
    "      - {{name: c{n}, image: {flow} }}",
    '      - {{"name":"c{n}","image":{json}}}',
    "      -   name: c{n}\n\n          # \U0001f600\n          image:   {image}",
]


@st.composite
def deployments(draw: st.DrawFn) -> str:
    lines = [draw(st.sampled_from(["---", "--- # doc", "---\n# r.example/a/b:decoy"]))]
    lines += ["apiVersion: apps/v1", "kind: Deployment", "metadata: {name: x, labels: {cvapp: x}}"]
    lines += [
        each.replace("{{", "{").replace("}}", "}")
        for each in draw(st.lists(st.sampled_from(DECOYS), max_size=3, unique=True))
    ]
    lines += ["spec:", "  template:", "    spec:", "      containers:"]
    for number in range(draw(st.integers(1, 3))):
        tag = draw(st.sampled_from(["", ":v1", ":1.10", "@sha256:" + "a" * 64, ":v1@sha256:" + "a" * 64]))
        spelling = draw(st.sampled_from(SPELLINGS)).replace("{n}", str(number))
        image = f"{REPO}{tag}"
        shape = draw(st.sampled_from(CONTAINERS))
        quoted = f"'{image}'"
        lines.append(
            shape.format(n=number, image=spelling.replace("{}", image), flow=quoted, json=f'"{image}"'),
        )
    return "\n".join(lines) + "\n"


@st.composite
def kustomizations(draw: st.DrawFn) -> str:
    keys = {"newTag": st.sampled_from(["v1", "'v1'", '"1.10"', "1.10"]), "digest": st.just("sha256:" + "a" * 64)}
    lines = ["---", "apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    lines.append("images:" + draw(st.sampled_from(["", "  # r.example/a/b:decoy"])))
    indent = draw(st.sampled_from(["", "  "]))
    for _ in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(sorted(keys)), unique=True))
        entries = [("name", REPO)] + [(key, draw(keys[key])) for key in chosen]
        entries = draw(st.permutations(entries))
        flow = draw(st.booleans())
        if flow:
            body = draw(st.sampled_from([", ", " , ", ",\n    "])).join(f"{key}: {value}" for key, value in entries)
            lines.append(f"{indent}- {{{body}}}")
        else:
            comment = draw(st.sampled_from(["", "  # \u00e9"]))
            head, *rest = [f"{key}: {value}{comment}" for key, value in entries]
            lines += [f"{indent}- {head}", *(f"{indent}  {each}" for each in rest)]
    return "\n".join(lines) + "\n" + draw(st.sampled_from(["", "# end\n", "resources: [x]\n"]))


@st.composite
def values(draw: st.DrawFn) -> str:
    tag = draw(
        st.sampled_from(
            ["tag: v1", "tag: ''", "tag:", "tag: ~", 'tag: "1.10"', "tag: 1.10  # c", "tag: v1@sha256:" + "a" * 64]
        )
    )
    digest = draw(st.sampled_from(["", 'digest: ""', "digest:", "digest: sha256:" + "a" * 64]))
    split = draw(st.booleans())
    name = ["registry: r.example", "repository: a/b"] if split else [f"repository: '{REPO}'"]
    entries = draw(st.permutations([*name, tag, *([digest] if digest else [])]))
    decoy = draw(st.sampled_from(DECOYS)).replace("{{", "{").replace("}}", "}")
    return "---\n" + decoy + "\nweb:\n  image:\n" + "".join(f"    {each}\n" for each in entries) + "other: 1\n"


@st.composite
def files(draw: st.DrawFn) -> Manifest:
    documents = draw(st.lists(deployments() | kustomizations() | values(), min_size=1, max_size=3))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return Manifest("".join(documents), end, draw(st.booleans()), draw(st.booleans()))


def edits(data: bytes, tag: str, digest: str) -> list[SiteEdit]:
    found = manifests.find("app.yaml", data)
    assert found.refusals == ()
    sites = [site for site in found.sites if site.repository is not None]
    assert sites
    assert all(str(site.repository) == REPO for site in sites)
    return [SiteEdit(site, tag=tag, digest=digest) for site in sites]


def written(data: bytes, tag: str, digest: str) -> bytes:
    """All sites moved, or the example is dropped where a Helm map cannot hold a bare digest."""
    wanted = edits(data, tag, digest)
    assume(tag or all(each.site.form is not Form.HELM or each.site.has_digest_key for each in wanted))
    return manifests.write("app.yaml", data, wanted)


WRITTEN = frozenset({"image", "tag", "digest"})
CONTENT = st.tuples(TAG, DIGEST) | st.tuples(st.just(""), DIGEST.filter(bool))


@given(files(), CONTENT)
def test_property_2_the_parse_of_the_edit_is_the_edit_of_the_parse(
    manifest: Manifest, content: tuple[str, str]
) -> None:
    data = manifest.data()
    wanted = edits(data, *content)
    new = written(data, *content)
    for load in (load11, load12):
        before = load(data.decode("utf-8-sig"))
        assert load(new.decode("utf-8-sig")) == set_images(before, wanted)


@given(files(), CONTENT)
def test_property_1_only_the_spans_change(manifest: Manifest, content: tuple[str, str]) -> None:
    data = manifest.data()
    wanted = [each for each in edits(data, *content) if each.site.form is not Form.KUSTOMIZE]
    assume(wanted)
    assume(content[0] or all(each.site.form is not Form.HELM or each.site.has_digest_key for each in wanted))
    new = manifests.write("app.yaml", data, wanted)
    spans = sorted(
        {(span.start, span.end) for each in wanted for key, span in each.site.spans.items() if key in WRITTEN},
    )
    starts, ends = [*(start for start, _ in spans), len(data)], [0, *(end for _, end in spans)]
    untouched = [data[end:start] for end, start in zip(ends, starts, strict=True)]
    assert re.fullmatch(rb"[^\r\n]*".join(re.escape(piece) for piece in untouched), new)


@given(files(), CONTENT)
def test_property_4_a_second_edit_changes_nothing(manifest: Manifest, content: tuple[str, str]) -> None:
    new = written(manifest.data(), *content)
    assert written(new, *content) == new


DIGESTS = st.just(("", "")) | st.tuples(DIGEST.filter(bool), DIGEST.filter(bool))


@given(files(), PLAIN_TAG, PLAIN_TAG, DIGESTS)
def test_property_5_an_edit_can_be_undone(manifest: Manifest, tag: str, other: str, digests: tuple[str, str]) -> None:
    first = written(manifest.data(), tag, digests[0])
    second = written(first, other, digests[1])
    assert (second == first) == ((tag, digests[0]) == (other, digests[1]))
    assert written(second, tag, digests[0]) == first


@given(files(), CONTENT)
def test_property_3_what_is_written_is_found_again_as_a_string(manifest: Manifest, content: tuple[str, str]) -> None:
    for each in edits(written(manifest.data(), *content), *content):
        if each.site.form is not Form.HELM or content[0]:
            assert (each.site.tag, each.site.digest) == content


@given(files(), CONTENT, st.randoms(use_true_random=False))
def test_property_6_the_order_of_edits_does_not_matter(
    manifest: Manifest, content: tuple[str, str], random: Random
) -> None:
    data = manifest.data()
    together = written(data, *content)
    shuffled = edits(data, *content)
    random.shuffle(shuffled)
    assert manifests.write("app.yaml", data, shuffled) == together
    one_by_one = data
    for number in range(len(shuffled)):
        one_by_one = manifests.write("app.yaml", one_by_one, [edits(one_by_one, *content)[number]])
    assert one_by_one == together


@given(files(), CONTENT)
def test_property_8_decoys_stay(manifest: Manifest, content: tuple[str, str]) -> None:
    data = manifest.data()
    assert written(data, *content).count(b"decoy") == data.count(b"decoy")


PIECES = st.sampled_from(
    [b"image: r.example/a/b:v1", b"\n", b"\n", b"  ", b"- ", b"---\n", b"...\n", b"&a ", b"*a", b"<<: ", b"{", b"}", b"[", b"]",
     b",", b"kind: Pod\n", b"spec:\n", b"containers:\n", b"repository: r.example/a/b\n", b"tag: v1\n", b"digest: ", b'"', b"'",
     b"|\n", b">-\n", b"\t", b"\r", b"\xef\xbb\xbf", b"\xc2\x85", b"\xf0\x9f\x98\x80", b"# c", b"!!str ", b"!x ", b"? ", b": ",
     b"%YAML 1.1\n", b"\x00", b"\xff", b"images:\n", b"name: r.example/a/b\n", b"kind: Kustomization\n", b"kind: ConfigMap\n",
     b"data: {}\n", b"items: ", b"kind: List\n", b"apiVersion: v1\n"]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join), CONTENT)
def test_property_9_any_bytes_are_exact_or_refused(data: bytes, content: tuple[str, str]) -> None:
    found = manifests.find("kustomization.yaml", data)
    for site in found.sites:
        edit = SiteEdit(site, tag=content[0], digest=content[1], value="v2", key="" if site.value is not None else "k")
        try:
            new = manifests.write("kustomization.yaml", data, [edit])
        except EditRefused:
            continue
        for span in site.spans.values():
            assert data[: span.start] == new[: span.start] or site.form is not Form.IMAGE
        assert load_or_none(new) is not None or load_or_none(data) is None


def load_or_none(data: bytes) -> list[Any] | None:
    try:
        return list(yaml.compose_all(data, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        return None


@given(st.binary(max_size=200), st.text("/~01ab", max_size=8))
def test_property_9_any_bytes_are_read_without_an_error(data: bytes, pointer: str) -> None:
    manifests.find("a.yaml", data)
    manifests.find("a.yaml", data, [data[:3]])
    manifests.config_site("a.yaml", data, "", "x", pointer)
