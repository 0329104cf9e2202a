"""What is written, byte for byte."""

from dataclasses import replace

import pytest

from gitcd import manifests
from gitcd.manifests import EditRefused
from gitcd.model.declaration import Place
from gitcd.model.site import Site, SiteEdit, Span
from tests.support.sites import D, E, config, edit, found, images, rewrite, rewrite_bytes

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  template:
    spec:
      containers:
      - name: c
        image: %s
"""


@pytest.mark.parametrize(
    ("before", "tag", "digest", "after"),
    [
        ("r.example/a/b:v1", "v2", D, f"r.example/a/b:v2@{D}"),
        ("r.example/a/b:v1  # why", "v2", "", "r.example/a/b:v2  # why"),
        ("'r.example/a/b:v1'", "", D, f"'r.example/a/b@{D}'"),
        (f'"r.example/a/b:v1@{E}"', "v2", D, f'"r.example/a/b:v2@{D}"'),
        ("r.example/a/b", "v2", D, f"r.example/a/b:v2@{D}"),
        ("!!str r.example/a/b:v1", "v2", "", "!!str r.example/a/b:v2"),
        ("&img r.example/a/b:v1", "v2", "", "&img r.example/a/b:v2"),
        ("&img !!str 'r.example/a/b:v1'", "v2", "", "&img !!str 'r.example/a/b:v2'"),
        ("r.example/a/b:v2", "v2", "", "r.example/a/b:v2"),
    ],
)
def test_image_scalars(before: str, tag: str, digest: str, after: str) -> None:
    assert rewrite(DEPLOYMENT % before, tag, digest) == DEPLOYMENT % after


def test_a_repository_stays_as_it_is_written() -> None:
    text = "a: {image: nginx}\nb: {image: 'library/nginx:1'}\nc: {image: docker.io/library/nginx:1}\n"
    new = manifests.write("v.yaml", text.encode(), [edit(site, "2", "") for site in found(text)])
    assert new.decode() == "a: {image: nginx:2}\nb: {image: 'library/nginx:2'}\nc: {image: docker.io/library/nginx:2}\n"


@pytest.mark.parametrize(
    ("before", "tag", "digest", "after"),
    [
        # replaced
        (f"- name: r.example/a/b\n  newTag: v1\n  digest: {E}\n", "v2", D, f"- name: r.example/a/b\n  newTag: v2\n  digest: {D}\n"),
        # inserted behind the sibling
        ("- name: r.example/a/b\n  newTag: v1 # c\n", "v2", D, f"- name: r.example/a/b\n  newTag: v2 # c\n  digest: {D}\n"),
        ("- newTag: v1\n  name: r.example/a/b\n", "v2", D, f"- newTag: v2\n  digest: {D}\n  name: r.example/a/b\n"),
        (f"- name: r.example/a/b\n  digest: {E}\n", "1.10", D, f'- name: r.example/a/b\n  newTag: "1.10"\n  digest: {D}\n'),
        ("-   name: app\n    newName: r.example/a/b\n", "v2", D, f"-   name: app\n    newName: r.example/a/b\n    newTag: v2\n    digest: {D}\n"),
        ("- {name: r.example/a/b, newTag: v1}\n", "v2", D, f"- {{name: r.example/a/b, newTag: v2, digest: {D}}}\n"),
        ('- {"name":"r.example/a/b","newTag":"v1"}\n', "v2", D, f'- {{"name":"r.example/a/b","newTag":"v2","digest":"{D}"}}\n'),
        ("- {name: r.example/a/b }\n", "v2", "", "- {name: r.example/a/b, newTag: v2 }\n"),
        ("- { name: r.example/a/b,\n    newTag: v1 }\n", "v2", D, f"- {{ name: r.example/a/b,\n    newTag: v2,\n    digest: {D} }}\n"),
        # removed with its line
        (f"- name: r.example/a/b\n  newTag: v1\n  digest: {E} # c\n", "v2", "", "- name: r.example/a/b\n  newTag: v2\n"),
        (f"- digest: {E}\n  name: r.example/a/b\n  newTag: v1\n", "v2", "", "- name: r.example/a/b\n  newTag: v2\n"),
        (f"- {{name: r.example/a/b, newTag: v1, digest: '{E}'}}\n", "v2", "", "- {name: r.example/a/b, newTag: v2}\n"),
        (f"- {{digest: {E}, name: r.example/a/b, newTag: v1}}\n", "v2", "", "- {name: r.example/a/b, newTag: v2}\n"),
        (f"- name: r.example/a/b\n  newTag: v1\n  digest: {E}\n", "", D, f"- name: r.example/a/b\n  digest: {D}\n"),
        # one for the other
        ("- name: r.example/a/b\n  newTag: v1\n", "", D, f"- name: r.example/a/b\n  digest: {D}\n"),
        (f"- name: r.example/a/b\n  digest: {E}\n", "on", "", '- name: r.example/a/b\n  newTag: "on"\n'),
    ],
)  # fmt: skip
def test_kustomize_keys_come_and_go(before: str, tag: str, digest: str, after: str) -> None:
    assert rewrite(f"images:\n{before}", tag, digest, "kustomization.yaml") == f"images:\n{after}"
    for tail in ("# end\n", "resources: [x]\n"):
        assert rewrite(f"images:\n{before}{tail}", tag, digest, "kustomization.yaml") == f"images:\n{after}{tail}"
    assert rewrite(f"images:\n{before[:-1]}", tag, digest, "kustomization.yaml") == f"images:\n{after[:-1]}"
    crlf = rewrite(f"images:\n{before[:-1]}".replace("\n", "\r\n"), tag, digest, "kustomization.yaml")
    assert crlf == f"images:\n{after[:-1]}".replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (f"- digest: {E}\n  # about the name\n  name: r.example/a/b\n  newTag: v1\n", "has a comment that would have to go"),
        (f"- {{name: r.example/a/b, newTag: v1, # c\n    digest: {E}}}\n", "has a comment that would have to go"),
        (f"- {{<<: {{digest: {E}}}, name: r.example/a/b, newTag: v1}}\n", "inherits 'digest' through a merge key"),
    ],
)  # fmt: skip
def test_kustomize_keys_that_cannot_go_cleanly_are_refused(before: str, reason: str) -> None:
    with pytest.raises(EditRefused, match=reason):
        rewrite(f"images:\n{before}", "v2", "", "kustomization.yaml")


@pytest.mark.parametrize(
    ("before", "tag", "digest", "after"),
    [
        ("tag: v1", "v2", D, f"tag: v2@{D}"),
        ("tag: v1", "v2", "", "tag: v2"),
        ('tag: ""', "v2", "", 'tag: "v2"'),
        ("tag:", "v2", "", "tag: v2"),
        ("tag: # none", "v2", "", "tag: v2 # none"),
        ("tag: ~", "1.10", "", 'tag: "1.10"'),
        ("tag: 1.10", "1.10", "", 'tag: "1.10"'),
        (f"tag: v1@{E}", "v2", "", "tag: v2"),
        ("digest: ''\n  tag: v1", "v2", D, f"digest: '{D}'\n  tag: v2"),
        ('digest: ""\n  tag: v1', "v2", "", 'digest: ""\n  tag: v2'),
        ("digest:\n  tag: v1", "v2", "", "digest:\n  tag: v2"),
        (f"digest: {E}\n  tag: v1", "v2", "", 'digest: ""\n  tag: v2'),
        (f"digest: {E}\n  tag: v1", "", D, f"digest: {D}\n  tag: v1"),
        (f"digest: {E}", "", D, f"digest: {D}"),
        (f"digest:\n  tag: v1@{E}", "", D, f"digest: {D}\n  tag: v1"),
    ],
)
def test_helm_maps(before: str, tag: str, digest: str, after: str) -> None:
    template = "image:\n  repository: r.example/a/b\n  {}\n  pullPolicy: Always\n"
    assert rewrite(template.format(before), tag, digest, "values.yaml") == template.format(after)


@pytest.mark.parametrize(
    ("text", "tag", "reason"),
    [
        ("i: {repository: r.example/a/b, tag: v1}\n", "", "has no digest key"),
        (f"i: {{repository: r.example/a/b, digest: '{E}'}}\n", "v2", "has no tag key"),
    ],
)
def test_helm_maps_that_cannot_hold_it_are_refused(text: str, tag: str, reason: str) -> None:
    with pytest.raises(EditRefused, match=reason):
        rewrite(text, tag, D, "values.yaml")


def test_argo_cd_spellings() -> None:
    text = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
spec:
  source:
    helm:
      parameters:
      - {name: image.repository, value: r.example/a/b}
      - {name: image.tag, value: v1}
    kustomize: {images: ['app=r.example/a/b:v1']}
"""
    expected = text.replace("value: v1", "value: v2").replace("b:v1", "b:v2")
    assert rewrite(text, "v2", "") == expected


CONFIG_MAP = "kind: ConfigMap\nmetadata: {name: cm}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("data:\n  a: x # c\n  b: |\n    text\n", "data:\n  a: x # c\n  v: v2\n  b: |\n    text\n"),
        ("data: # c\n  # about b\n  b: |\n    text\n", "data: # c\n  v: v2\n  # about b\n  b: |\n    text\n"),
        ("data:\n    a: x", "data:\n    a: x\n    v: v2"),
        ("data: {}\n", "data: {v: v2}\n"),
        ("data: {a: x}\n", "data: {a: x, v: v2}\n"),
        ("data: {a: [x]}\n", "data: {v: v2, a: [x]}\n"),
    ],
)
def test_a_config_key_is_inserted(before: str, after: str) -> None:
    text = CONFIG_MAP + before
    site = config(found(text), "/data")
    new = manifests.write("cm.yaml", text.encode(), [SiteEdit(site, value="v2", key="v")])
    assert new.decode() == CONFIG_MAP + after


@pytest.mark.parametrize("data", ["data: {a: x}\n", "data:\n  a: x\n", "data:\n  a: |\n    x\n"])
def test_two_keys_go_into_one_config_map(data: str) -> None:
    text = CONFIG_MAP + data
    site = config(found(text), "/data")
    edits = [SiteEdit(site, value="1", key="k"), SiteEdit(site, value="2", key="l"), SiteEdit(site, value="1", key="k")]
    after = found(manifests.write("cm.yaml", text.encode(), edits))
    assert {each.pointer: each.value for each in after if each.pointer != "/data/a"} == {
        "/data": None,
        "/data/k": "1",
        "/data/l": "2",
    }
    with pytest.raises(EditRefused, match="at once"):
        manifests.write("cm.yaml", text.encode(), [*edits, SiteEdit(site, value="3", key="l")])


def test_a_config_key_is_replaced() -> None:
    text = CONFIG_MAP + "data:\n  v: 'v1' # c\n"
    new = manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text), "/data/v"), value="1.10")])
    assert new.decode() == text.replace("v1", "1.10")


@pytest.mark.parametrize(("key", "reason"), [("a", "has the key 'a' already"), ("", "no key to insert")])
def test_a_config_key_is_not_inserted_twice(key: str, reason: str) -> None:
    text = CONFIG_MAP + "data: {a: x}\n"
    with pytest.raises(EditRefused, match=reason):
        manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text), "/data"), value="v", key=key)])


def test_a_config_value_over_several_lines_is_refused() -> None:
    text = CONFIG_MAP + "data:\n  v: |\n    v1\n"
    with pytest.raises(EditRefused, match=r"cm\.yaml:4: .*one line"):
        manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text, "cm.yaml"), "/data/v"), value="v2")])


def test_places_are_written_whole() -> None:
    data = b"a: {b: [r.example/a/b:v1]}\n"
    site = manifests.locate("x.yaml", data, Place("x.yaml", "/a/b/0", "reference"))
    assert isinstance(site, Site)
    assert manifests.write("x.yaml", data, [SiteEdit(site, value="r.example/a/b:v2")]) == data.replace(b"v1", b"v2")


def test_many_edits_of_many_documents_at_once() -> None:
    data = "\ufeff".encode() + b"--- # \xf0\x9f\x98\x80\r\nimage: r.example/a/b:v1\r\n" * 5 + b"---\n\tbroken\n"
    assert rewrite_bytes(data, "v2", "") == data.replace(b"v1", b"v2")


def test_two_edits_of_one_spot_agree_or_are_refused() -> None:
    text = "image: r.example/a/b:v1\n"
    (site,) = found(text)
    assert manifests.write("v", text.encode(), [edit(site), edit(site)]) == rewrite(text).encode()
    with pytest.raises(EditRefused, match="at once"):
        manifests.write("v", text.encode(), [edit(site), edit(site, "v3")])
    entry = "images:\n- name: r.example/a/b\n"
    (site,) = found(entry, "kustomization.yaml")
    assert manifests.write("v", entry.encode(), [edit(site), edit(site)]).count(b"newTag") == 1
    for other in (edit(site, "v3"), edit(site, "v2", ""), edit(site, "", D)):
        with pytest.raises(EditRefused, match="at once"):
            manifests.write("v", entry.encode(), [edit(site), other])


def test_nothing_wanted_is_refused() -> None:
    (site,) = found("image: r.example/a/b:v1\n")
    with pytest.raises(EditRefused, match="without tag and digest"):
        manifests.write("v", b"image: r.example/a/b:v1\n", [edit(site, "", "")])


@pytest.mark.parametrize("value", ["a\nb", "\u00e9", "\x00"])
def test_only_printable_ascii_is_written(value: str) -> None:
    text = CONFIG_MAP + "data: {v: x}\n"
    with pytest.raises(EditRefused, match="printable ASCII"):
        manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text), "/data/v"), value=value)])


@pytest.mark.parametrize(
    "value", ["", "a b", "a: b", "a #b", "- a", "{a}", "it's", 'say "x"', "back\\slash", "*a", "&a"]
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_odd_values_read_back_as_they_are(value: str, quote: str) -> None:
    text = CONFIG_MAP + f"data: {{v: {quote}x{quote}}}\n"
    new = manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text), "/data/v"), value=value)])
    site = manifests.find("cm.yaml", new).sites[-1]
    assert site.value == value


def test_a_config_key_without_a_line_of_its_own_is_refused() -> None:
    text = CONFIG_MAP + "data:\n  ? k\n  : |\n    x\n"
    with pytest.raises(EditRefused, match="no line of its own"):
        manifests.write("cm.yaml", text.encode(), [SiteEdit(config(found(text), "/data"), value="v", key="v")])


def test_different_forms_on_one_spot_agree_or_are_refused() -> None:
    text = f"image: r.example/a/b:v1\nimages:\n- name: r.example/a/b\n  newTag: v1\n  digest: {E}\n"
    data = text.encode()
    image, entry = found(text, "kustomization.yaml")
    if image.pointer != "/image":
        image, entry = entry, image
    place = manifests.locate("k", data, Place("k", "/image", "reference"))
    digest = manifests.locate("k", data, Place("k", "/images/0/digest", "digest"))
    assert isinstance(place, Site)
    assert isinstance(digest, Site)
    same = [edit(image, "v2", ""), SiteEdit(place, value="r.example/a/b:v2")]
    assert manifests.write("k", data, same) == data.replace(b"b:v1", b"b:v2")
    for edits in (
        [edit(image, "v2", ""), SiteEdit(place, value="r.example/a/b:v3")],
        [edit(entry, "v2", ""), SiteEdit(digest, value=D)],
    ):
        with pytest.raises(EditRefused, match=r"at once|changed twice"):
            manifests.write("k", data, edits)


@pytest.mark.parametrize(
    ("text", "changed", "reason"),
    [
        ("images:\n- name: r.example/a/b\n", "images:\n- name: other\n", "changed since"),
        ("images:\n- name: r.example/a/b\n", "images:\n- x\n", "changed since"),
        ("i: {repository: r.example/a/b, tag: v1}\n", "i: {repository: r.example/a/c, tag: v1}\n", "changed since"),
        ("image: r.example/a/b:v1\n", "image: r.example/a/b:v1\nimage: nginx\n", "occurs twice"),
    ],
)
def test_what_stands_beside_is_checked_too(text: str, changed: str, reason: str) -> None:
    (site,) = found(text, "kustomization.yaml")
    with pytest.raises(EditRefused, match=reason):
        manifests.write("kustomization.yaml", changed.encode(), [edit(site)])


def test_a_config_map_that_moved_is_refused() -> None:
    text = CONFIG_MAP + "data: {a: x}\n"
    with pytest.raises(EditRefused, match="changed since"):
        manifests.write("c", b"\n" + text.encode(), [SiteEdit(config(found(text), "/data"), value="v", key="v")])


@pytest.mark.parametrize("spelled", [b"x y: z", b"'v2'", b"v3", b"", b"[v2]", b"!!str v2", b"v2\nother: 1"])
def test_what_does_not_read_back_as_wanted_is_refused(monkeypatch, spelled: bytes) -> None:
    monkeypatch.setattr("gitcd.manifests.changes.spell", lambda text, style: (spelled, style))
    with pytest.raises(EditRefused, match=r"^app\.yaml:1: would not read back"):
        rewrite("image: r.example/a/b:v1\n")


def test_stale_sites_are_refused() -> None:
    text = "image: r.example/a/b:v1\n"
    (site,) = found(text)
    for changed in (b"\n" + text.encode(), b"image: r.example/a/b:v3\n", b"image: [x]\n", b"x: 1\n", b""):
        with pytest.raises(EditRefused, match="changed since"):
            manifests.write("v.yaml", changed, [edit(site)])


def test_a_forged_span_is_refused() -> None:
    text = "image: r.example/a/b:v1\nother: r.example/a/b:v1\n"
    (site,) = found(text)
    forged = replace(site, spans={"image": Span(31, 47, 2, "r.example/a/b:v1")})
    with pytest.raises(EditRefused, match="changed since"):
        manifests.write("v.yaml", text.encode(), [edit(forged)])


def test_the_message_names_file_line_reason_and_remedy() -> None:
    (site,) = found("image: r.example/a/b:v1\n", "envs/prod/v.yaml")
    with pytest.raises(EditRefused) as caught:
        manifests.write("envs/prod/v.yaml", b"\nimage: r.example/a/b:v1\n", [edit(site)])
    assert str(caught.value).startswith("envs/prod/v.yaml:1: has changed since it was read\n")
    assert caught.value.refusal.where == "envs/prod/v.yaml:1"


def test_sites_of_one_name_in_kept_order() -> None:
    text = "a: {image: r.example/a/b:v1}\nb: {image: r.example/a/b:v1}\n"
    first, second = images(found(text))
    assert manifests.write("v", text.encode(), [edit(second, "v3", ""), edit(first, "v2", "")]).decode() == (
        "a: {image: r.example/a/b:v2}\nb: {image: r.example/a/b:v3}\n"
    )
