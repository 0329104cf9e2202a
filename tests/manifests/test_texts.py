"""Values that stand as a text in an Argo CD Application: found with their positions, and changed line by line."""

from __future__ import annotations

import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.manifests import EditRefused, write
from gitcd.manifests.sites import find
from gitcd.model.site import Form, SiteEdit

A, B = "r.example/team/a", "r.example/team/b"
D = f"sha256:{'d' * 64}"

VALUES = f"""\
# the front
image:
  registry: r.example
  repository: team/a  # ours
  tag: '1.0'

sidecar: {{image: {{repository: {B}, tag: "2.0", digest: ""}}}}
jobs:
- image: {A}:1.0
"""


def application(values: str, *, header: str = "|", indent: int = 8, kind: str = "Application") -> bytes:
    body = textwrap.indent(values, " " * indent)
    return f"""\
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata: {{name: shop, namespace: argocd}}
spec:
  source:
    chart: web
    helm:
      values: {header}
{body}  destination: {{namespace: shop}}
""".encode()


def of(data: bytes):
    """What the chart gets to read."""
    return yaml.safe_load(yaml.safe_load(data)["spec"]["source"]["helm"]["values"])


def sites(data: bytes):
    found = find("app.yaml", data)
    assert found.refusals == ()
    return found.sites


def test_what_a_text_holds_is_found_where_it_stands_in_the_file() -> None:
    data = application(VALUES)
    found = sites(data)
    assert [(site.pointer, site.form, site.line, site.tag) for site in found] == [
        ("/spec/source/helm/values/image", Form.HELM, 11, "1.0"),
        ("/spec/source/helm/values/sidecar/image", Form.HELM, 15, "2.0"),
        ("/spec/source/helm/values/jobs/0/image", Form.IMAGE, 17, "1.0"),
    ]
    for site in found:
        assert site.owner.name == "shop"
        for span in site.spans.values():
            assert span.value.encode() in data[span.start : span.end]
            assert data[: span.start].count(b"\n") + 1 == span.line


def test_one_line_changes_and_nothing_else() -> None:
    data = application(VALUES)
    image, sidecar, job = sites(data)
    after = write("app.yaml", data, [SiteEdit(image, "1.1", D), SiteEdit(sidecar, "2.1", D), SiteEdit(job, "1.1", D)])
    assert after == (
        data.replace(b"tag: '1.0'", f"tag: '1.1@{D}'".encode())
        .replace(b'tag: "2.0", digest: ""', f'tag: "2.1", digest: "{D}"'.encode())
        .replace(b"team/a:1.0\n", f"team/a:1.1@{D}\n".encode())
    )
    assert [site.digest for site in sites(after)] == [D, D, D]


@pytest.mark.parametrize("header", ["|", "|-", "|+", "|2", "| # as Helm reads it", "!!str |", "&text |"])
def test_every_kind_of_literal_block(header) -> None:
    data = application(VALUES, header=header, indent=8)
    if header in {"|2", "!!str |"}:
        data = application(VALUES, header=header)
    found = find("app.yaml", data)
    if header == "!!str |":
        assert found.sites == ()
        return
    (image, *_) = found.sites
    after = write("app.yaml", data, [SiteEdit(image, "1.1")])
    assert of(after) == {**of(data), "image": {**of(data)["image"], "tag": "1.1"}}


def test_a_file_with_carriage_returns_keeps_them() -> None:
    data = application(VALUES).replace(b"\n", b"\r\n")
    after = write("app.yaml", data, [SiteEdit(sites(data)[0], "1.1")])
    assert after == data.replace(b"'1.0'", b"'1.1'")


def test_characters_of_several_bytes_move_nothing() -> None:
    data = application(f"# größer\nname: früh\n{VALUES}")
    after = write("app.yaml", data, [SiteEdit(sites(data)[0], "1.1")])
    assert after == data.replace(b"'1.0'", b"'1.1'")


@pytest.mark.parametrize("values", [
    'values: "image: {repository: r.example/team/a, tag: v1}"',
    "values: >\n        image: {repository: r.example/team/a,\n        tag: v1}",
    "values: !!str |\n        image: {repository: r.example/team/a, tag: v1}",
    "values: |\n        image: {repository: r.example/team/a, tag: v1",
    "values: |\n        image: {repository: r.example/team/a, tag: v1}\n        ---\n        other: document",
    "values: |\n        a: {repository: r.example/team/a, tag: v1}\n        {{ if .x }}\n        b: 1",
])  # fmt: skip
def test_a_text_that_cannot_be_read_is_told_where_it_names_the_image(values) -> None:
    data = application("x: 1\n").replace(b"values: |\n        x: 1", values.encode())
    found = find("app.yaml", data, [b"team/a"])
    assert found.sites == ()
    (refusal,) = found.refusals
    assert (refusal.line, "write valuesObject" in refusal.reason) == (8, True)
    assert find("app.yaml", data, [b"team"]).refusals == ()
    generated = find("app.yaml", data.replace(b"kind: Application", b"kind: ApplicationSet"), [b"team/a"])
    assert generated.refusals == ()


def test_the_text_of_a_generated_application_is_looked_into_too() -> None:
    text = textwrap.indent(application(VALUES).decode().partition("spec:\n")[2], "    ")
    data = f"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  template:\n    spec:\n{text}".encode()
    (first, *_) = sites(data)
    assert first.pointer == "/spec/template/spec/source/helm/values/image"
    assert write("app.yaml", data, [SiteEdit(first, "1.1")]) == data.replace(b"'1.0'", b"'1.1'")


def test_a_text_and_what_stands_beside_it_are_changed_at_once() -> None:
    beside = "      kustomize: {images: [&b r.example/team/b:2.0]}\n      other: *b\n".replace("      ", "    ")
    data = application(VALUES).replace(b"    chart: web\n", b"    chart: web\n" + beside.encode())
    found = {site.pointer: site for site in sites(data)}
    edits = [SiteEdit(found["/spec/source/helm/values/image"], "1.1")]
    assert write("app.yaml", data, edits) == data.replace(b"'1.0'", b"'1.1'")
    edits.append(SiteEdit(found["/spec/source/kustomize/images/0"], "2.1"))
    with pytest.raises(EditRefused, match="shared through an anchor"):
        write("app.yaml", data, edits)
    plain = data.replace(b"&b ", b"").replace(b"*b", b"b")
    edits = [SiteEdit(site, "3.0") for site in sites(plain)]
    assert {site.tag for site in sites(write("app.yaml", plain, edits))} == {"3.0"}


def test_a_text_that_an_alias_shares_is_not_changed() -> None:
    data = application(VALUES, header="&text |") + b"  other: *text\n"
    with pytest.raises(EditRefused, match="shared through an anchor"):
        write("app.yaml", data, [SiteEdit(sites(data)[0], "1.1")])


def test_a_text_that_has_changed_since_is_not_changed_again() -> None:
    data = application(VALUES)
    (image, *_) = sites(data)
    for other in (data.replace(b"'1.0'", b"'1.10'"), data.replace(b"values: |", b"values: >")):
        with pytest.raises(EditRefused, match="has changed since"):
            write("app.yaml", other, [SiteEdit(image, "1.1")])


LINES = st.sampled_from([
    "", "  ", "# a comment", "key: value", "list: [1, 2]", "other: {image: x}", "text: |\n  inner\n\n  more", "ä: ö",
    f"image: {A}:1.0", f"web:\n  repository: {A}\n  tag: '1.0'",
])  # fmt: skip


@settings(max_examples=60)
@given(st.lists(LINES, max_size=6), st.sampled_from(["|", "|-", "|+"]), st.integers(7, 12))
def test_whatever_else_a_text_holds_only_the_image_changes(lines, header, indent) -> None:
    data = application("\n".join([*lines, f"last: {{image: {{repository: {B}, tag: v1}}}}"]) + "\n", header=header,
                       indent=indent)  # fmt: skip
    found = find("app.yaml", data)
    mine = [site for site in found.sites if site.repository and site.repository.path == "team/b"]
    if not mine:
        assert found.refusals or find("app.yaml", data, [b"team/b"]).refusals
        return
    after = write("app.yaml", data, [SiteEdit(mine[0], "v2", D)])
    assert after == data.replace(b"tag: v1", f"tag: v2@{D}".encode())
