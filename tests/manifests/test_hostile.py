"""Trust rows: what a file may do to us, and what it gets. Refusals have a line; nothing else ever comes out."""

import resource
import time
from collections.abc import Iterator

import pytest

from gitcd import manifests
from gitcd.manifests import EditRefused
from gitcd.model.declaration import Place
from gitcd.model.site import Refusal, Site, SiteEdit
from tests.support.sites import REPO, D, edit, found, images, load12, reasons, rewrite, rewrite_bytes

IMAGE = "image: r.example/a/b:v1\n"


# Row F27: malformed, tabs, duplicate keys


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n\t- b\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: [1\n", 2),
        ("a: 'open\n", 2),
        ("a: *nowhere\n", 1),
        ("a: &x 1\nb: &x 2\n", 2),
        ("ok: 1\n---\na: b: c\n", 3),
        ("%YAML 9.9\n---\na: 1\n", 1),
    ],
)
def test_F27_malformed_documents_are_refused_with_their_line(text: str, line: int) -> None:
    (refusal,) = manifests.find("a.yaml", text.encode()).refusals
    assert refusal.line == line
    assert refusal.reason


def test_F27_a_broken_document_hides_no_other() -> None:
    data = f"{IMAGE}---\na: [\n---\n{IMAGE}".encode()
    result = manifests.find("a.yaml", data)
    assert [site.line for site in result.sites] == [1, 5]
    assert len(result.refusals) == 1
    assert rewrite_bytes(data, "v2", "") == data.replace(b"v1", b"v2")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("image: r.example/a/b:v1\nimage: r.example/a/b:v1\n", 2),
        ("x: {image: r.example/a/b:v1}\ny: 1\nx: {image: r.example/a/b:v1}\n", 3),
        ("i: {repository: r.example/a/b, tag: v1,\n  tag: v2}\n", 2),
        ("b: &b {tag: v1,\n  tag: v2}\ni: {<<: *b, repository: r.example/a/b}\n", 2),
        ("kind: ConfigMap\ndata: {v: 1,\n  v: 2}\n", 3),
    ],
)
def test_F27_duplicate_keys_on_the_way_are_refused(text: str, line: int) -> None:
    result = manifests.find("v.yaml", text.encode())
    assert {(each.line, "occurs twice" in each.reason) for each in result.refusals} == {(line, True)}
    assert images(list(result.sites)) == []


def test_F27_duplicate_keys_elsewhere_do_not_matter() -> None:
    assert rewrite(f"{IMAGE}other: {{a: 1, a: 2}}\n", "v2", "").startswith("image: r.example/a/b:v2\n")


# Row F28: encodings and line ends


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_F28_bom_line_ends_and_missing_last_one_are_kept(end: str, bom: str, last: bool) -> None:
    lines = ["# \u00e9", "images:", "- name: r.example/a/b", "  newTag: v1", "---", 'image: "r.example/a/b:v1"']
    text = bom + end.join(lines) + (end if last else "")
    new = rewrite_bytes(text.encode(), "v2", D, "kustomization.yaml").decode()
    lines[3:4] = ["  newTag: v2", f"  digest: {D}"]
    lines[-1] = f'image: "r.example/a/b:v2@{D}"'
    assert new == bom + end.join(lines) + (end if last else "")


def test_F28_mixed_line_ends_are_kept() -> None:
    data = b"a: 1\r\nimage: r.example/a/b:v1\nb: 2\r\n"
    assert rewrite_bytes(data, "v2", "") == data.replace(b"v1", b"v2")


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (IMAGE.encode("utf-16"), 0, "is UTF-16"),
        (IMAGE.encode("utf-16-be"), 1, "NUL"),
        (IMAGE.encode("utf-32"), 0, "is UTF-16"),
        (b"a: 1\n# caf\xe9\n" + IMAGE.encode(), 2, "is not valid UTF-8"),
        ("a: 1\nb: \x85\n".encode() + IMAGE.encode(), 2, "holds U+0085"),
        ("a: 1\nb: '\u2028'\n".encode() + IMAGE.encode(), 2, "holds U+2028"),
        (f"{IMAGE}\ufeff{IMAGE}".encode(), 2, "byte order mark"),
        (IMAGE.encode() + b"\x01", 2, "cannot be parsed"),
    ],
)
def test_F28_other_encodings_are_refused(data: bytes, line: int, reason: str) -> None:
    result = manifests.find("a.yaml", data)
    (refusal,) = result.refusals
    assert result.sites == ()
    assert refusal.line == line
    assert reason in refusal.reason


def test_F28_a_needle_cannot_be_hidden_by_the_encoding() -> None:
    assert manifests.find("a.yaml", IMAGE.encode("utf-16"), [b"a/b"]).refusals != ()


# Row F29: huge, binary


def test_F29_huge_and_binary_files_are_refused() -> None:
    assert reasons(IMAGE.encode() + b"#" * (1 << 20)) == [(0, "is larger than 1 MiB")]
    assert reasons(b"a: 1\n\x00" + IMAGE.encode()) == [(2, "holds a NUL byte: it is binary")]
    with pytest.raises(EditRefused, match="NUL"):
        manifests.write("a", b"\0", [])


# Row F30: LFS pointers, SOPS


def test_F30_lfs_pointers_are_refused_even_where_nothing_is_screened() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n"
    assert manifests.find("a.yaml", pointer, [b"a/b"]).refusals == (
        Refusal("a.yaml", 0, "is a git-lfs pointer, not the file itself"),
    )


def test_F30_sops_documents_are_refused_one_by_one() -> None:
    data = f"{IMAGE}---\n{IMAGE}sops: {{mac: x}}\n".encode()
    result = manifests.find("a.yaml", data)
    assert [site.line for site in result.sites] == [1]
    assert [(each.line, "SOPS" in each.reason) for each in result.refusals] == [(4, True)]
    place = manifests.locate("a.yaml", data, Place("a.yaml", "/image", "reference", 1))
    assert isinstance(place, Refusal)
    assert "SOPS" in place.reason


# Row F31: scalars that are no plain line, anchors and aliases


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("|\n  r.example/a/b:v1", "write the reference on one line"),
        (">-\n  r.example/a/b:v1", "folded block scalar over several lines"),
        ('"r.example/a/b\\x3av1"', "is not spelled as its value"),
        ('"r.example/a/\\\n  b:v1"', "over several lines"),
        ("!!binary r.example/a/b:v1", "carries the tag tag:yaml.org,2002:binary"),
        ("!custom r.example/a/b:v1", "carries the tag !custom"),
        ("&a\n  r.example/a/b:v1", "over several lines"),
        ("'r.example/a/b:v1 '", "ends in white space"),
    ],
)
def test_F31_other_spellings_are_refused(value: str, reason: str) -> None:
    result = manifests.find("v.yaml", f"a: 1\nimage: {value}\n".encode())
    assert result.sites == ()
    assert [(each.line, reason in each.reason) for each in result.refusals] == [(2, True)], result.refusals


def test_F31_an_anchor_moves_with_all_its_aliases() -> None:
    text = "a: {image: &i r.example/a/b:v1}\nb: {image: *i}\n"
    assert [site.pointer for site in found(text)] == ["/a/image", "/b/image"]
    assert rewrite(text, "v2", "") == text.replace("v1", "v2")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: {image: &i r.example/a/b:v1}\nb: {note: *i}\n", "2"),
        ("a: {image: &i r.example/a/b:v1}\nb: [*i]\nc:\n  *i : x\n", "2, 4"),
        ("a: &m {repository: r.example/a/b, tag: v1}\nb: {<<: *m, repository: nginx}\n", "2"),
        ("a: &m {repository: r.example/a/b, tag: v1}\nb: {<<: [*m], repository: x}\nc: {<<: *m, tag: v0}\n", "2"),
        ("a: &m {image: r.example/a/b:v1}\nb:\n  <<: *m\n  image: *x\n", None),
    ],
)
def test_F31_an_anchor_with_other_uses_is_refused_with_their_lines(text: str, lines: str | None) -> None:
    if lines is None:
        assert "cannot be parsed" in reasons(text)[0][1]
        return
    with pytest.raises(
        EditRefused, match=rf"a\.yaml:1: is shared through an anchor, and its use on line {lines} is not"
    ):
        rewrite_bytes(text.encode(), path="a.yaml")


def test_F31_only_some_of_the_aliases_named_is_refused() -> None:
    text = "a: {image: &i r.example/a/b:v1}\nb: {image: *i}\n"
    first, second = found(text)
    with pytest.raises(EditRefused, match="line 2"):
        manifests.write("v.yaml", text.encode(), [edit(first)])
    with pytest.raises(EditRefused, match="line 1"):
        manifests.write("v.yaml", text.encode(), [edit(second)])


@pytest.mark.parametrize("holder", ["x-image", ".image"])
def test_F31_an_anchor_that_only_holds_moves_with_its_alias(holder: str) -> None:
    text = f"{holder}: &i r.example/a/b:v1\nb: {{image: *i}}\n"
    assert [site.pointer for site in found(text)] == ["/b/image"]
    assert rewrite(text, "v2", "") == text.replace("v1", "v2")
    with pytest.raises(EditRefused, match="line 1"):
        rewrite(text.replace(holder, "other"), "v2", "")


def test_F31_an_anchor_elsewhere_moves_when_it_is_named_as_a_place() -> None:
    data = b"note: &i r.example/a/b:v1\nb: {image: *i}\n"
    (site,) = found(data)
    place = manifests.locate("v.yaml", data, Place("v.yaml", "/note", "reference"))
    assert isinstance(place, Site)
    both = [edit(site, "v2", ""), SiteEdit(place, value="r.example/a/b:v2")]
    assert manifests.write("v.yaml", data, both) == data.replace(b"v1", b"v2")


def test_F31_merge_keys() -> None:
    text = """\
base: &base {repository: r.example/a/b, tag: v1}
web: {image: {<<: *base, pullPolicy: Always}}
job: {image: {<<: [*base], tag: v0}}
"""
    sites = found(text)
    assert {site.pointer: site.tag for site in sites} == {"/base": "v1", "/web/image": "v1", "/job/image": "v0"}
    assert rewrite(text, "v2", "") == text.replace("v1", "v2").replace("v0", "v2")
    base = [site for site in sites if site.pointer != "/web/image"]
    with pytest.raises(EditRefused, match="line 2"):
        manifests.write("v.yaml", text.encode(), [edit(site) for site in base])
    (job,) = [site for site in sites if site.pointer == "/job/image"]
    assert manifests.write("v.yaml", text.encode(), [edit(job, "v2", "")]) == text.replace("v0", "v2").encode()


@pytest.mark.parametrize(
    "entry", ["- name: *n\n  newTag: *t{}\n", "- {{name: *n, newTag: *t{}}}\n", "- {{newTag: *t, name: *n{}}}\n"]
)
def test_F31_keys_are_inserted_beside_aliases(entry: str) -> None:
    first = "images:\n- name: &n r.example/a/b\n  newTag: &t v1\n"
    text = first + entry.format("")
    new = rewrite(text, "v2", D, path="kustomization.yaml")
    assert load12(new) == [{"images": [{"name": REPO, "newTag": "v2", "digest": D}] * 2}]
    assert rewrite(new, "v1", "", path="kustomization.yaml") == text


@pytest.mark.parametrize(("holder", "line"), [("x", 1), ("x-entries", 2)])
def test_F31_keys_of_a_shared_entry_are_not_inserted(holder: str, line: int) -> None:
    text = f"{holder}: [&e {{name: r.example/a/b, newTag: v1}}]\nimages: [*e]\n"
    with pytest.raises(EditRefused, match=f"line {line}"):
        rewrite(text, path="kustomization.yaml")


@pytest.mark.parametrize(
    "text", ["a: &a {<<: *a, image: nginx}\n", "a: &a {b: *a, image: nginx}\n", "a: {<<: 1, image: nginx}\n"]
)
def test_F31_endless_documents_are_refused(text: str) -> None:
    assert len(reasons(text)) == 1


# Row T5: what a pointer or a path may do


@pytest.mark.parametrize("pointer", ["/../x", "/x/../../y", "/x/-", "/x/-1", "/x/\u0661", "/x/99999999999999999999"])
def test_T5_pointers_lead_nowhere_else(pointer: str) -> None:
    located = manifests.locate("a.yaml", b"x: [1]\ny: 2\n", Place("a.yaml", pointer, "tag"))
    assert isinstance(located, Refusal)
    assert located.reason == f"has nothing at {pointer}"


# Row T18: bombs


def _bombs() -> Iterator[tuple[str, bytes]]:
    mib = 1 << 20
    yield "brackets", b"[" * (mib - 1)
    yield "closed brackets", b"[" * 50_000 + b"]" * 50_000
    yield "quoted brackets", b'["]",' * 200_000
    yield "braces", b"{a: " * 250_000
    yield "dashes", b"- " * 500_000
    yield "questions", b"? " * 500_000
    yield "indent", b"".join(b" " * depth + b"a:\n" for depth in range(1_400))
    yield "items", b"image: r\nrepository: [" + b"a," * 500_000 + b"]"
    yield "lines", b"repository:\n" + b"- a\n" * 260_000
    yield "documents", b"---\n" * 260_000
    yield "full documents", b"---\nimage: r\n" * 80_000
    yield "keys", b"".join(b"%d: a\n" % number for number in range(90_000)) + b"repository: x\n"
    yield "config map", b"kind: ConfigMap\ndata:\n" + b"".join("  k%d: \u00e9\n".encode() % n for n in range(70_000))
    yield "images", b"\xc3\xa9: 1\na:\n" + b"- image: r:v1\n" * 70_000
    yield "anchors", b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a]\n" % (n, n) for n in range(30_000))
    lol = ["repository: x", "a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lol += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    yield "billion laughs", "\n".join(lol).encode()
    merges = ["repository: x", "m0: &m0 {image: r}"]
    merges += [f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], k{n}: r}}" for n in range(1, 3000)]
    yield "merges", "\n".join(merges).encode()
    yield "plain text", b"a " * 500_000
    yield "comment", b"# \xc3\xa9\n" * 200_000 + b"image: r:v1\n"


BOMBS = dict(_bombs())


@pytest.mark.parametrize("name", BOMBS)
def test_T18_bombs_cost_little(name: str) -> None:
    data = BOMBS[name][: 1 << 20]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    result = manifests.find("bomb.yaml", data)
    elapsed = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert elapsed < 5  # seconds of a core that others use too; alone it is a fraction
    assert grown < 200 * 1024
    assert result.sites or result.refusals or name in {"keys", "config map", "anchors", "plain text"}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_T18_nobody_nests_deeper_than_64_levels(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return f"x:\n  {opening * (levels - 1)}1{closing * (levels - 1)}\n{IMAGE}"

    assert reasons(nested(64)) == []
    assert reasons(nested(65)) == [(2, "is nested more than 64 levels deep")]


@pytest.mark.parametrize("width", [1, 9])
def test_T18_writing_among_many_aliases_is_bounded(width: int) -> None:
    lines = ["image: &i r.example/a/b:v1", f"a0: &a0 [{','.join(['*i'] * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, 30)]
    data = "\n".join(lines).encode()
    (site,) = found(lines[0])
    start = time.process_time()
    with pytest.raises(EditRefused, match=r"aliases|anchor"):
        manifests.write("v.yaml", data, [edit(site)])
    assert time.process_time() - start < 1


# Row T19: tags construct nothing


def test_T19_tags_have_no_effect(tmp_path) -> None:
    canary = tmp_path / "canary"
    text = f"x: !!python/object/apply:os.system ['touch {canary}']\ny: !!python/name:os.system\n{IMAGE}"
    assert rewrite(text, "v2", "") == text.replace("v1", "v2")
    assert not canary.exists()


def test_T18_a_config_map_of_sixty_thousand_keys_makes_no_sites():
    data = b"kind: ConfigMap\nmetadata: {name: cfg}\ndata:\n" + b"".join(b"  key%d: v\n" % n for n in range(60_000))
    found = manifests.find("app.yaml", data, [b"cfg"])
    assert found.sites == ()
    assert [each.reason for each in found.refusals] == ["ConfigMap cfg has more than 1000 keys"]
    assert manifests.find("app.yaml", data + b"# registry/team\n", [b"registry/team"]).refusals == ()
