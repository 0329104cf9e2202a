"""Every YAML file of the example and of the adopted repositories: found, written with random content, compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd import manifests
from gitcd.errors import RefusedError
from gitcd.model.site import Form, SiteEdit
from tests.support.adoption import TREES, differing
from tests.support.scenes import digest

ROOTS = {"example": Path(__file__).parents[2] / "examples" / "config-repo"} | {
    tree.name: tree for tree in sorted(TREES.iterdir())
}
FILES = {
    f"{name}/{path.relative_to(root).as_posix()}": path.read_bytes()
    for name, root in ROOTS.items()
    for path in sorted(root.rglob("*"))
    if path.suffix in {".yaml", ".yml"}
}
SITES = {path: manifests.find(path, data).sites for path, data in FILES.items()}
WRITABLE = [path for path, sites in SITES.items() if sites]
# `value`: a Helm parameter of an Application, `values`: what it has as a text
KEYS = {"image", "newTag", "digest", "tag", "value", "values"}

tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", fullmatch=True) | st.sampled_from(
    ["1.10", "0123", "12e4567", "on", "null", "1_000", "0x1f", "y", "2026-01-01", "v1.0.0"]
)
digests = st.integers(0, 9).map(lambda number: digest(str(number)))


def edit_of(site, tag, at):
    """What a declaration may ask of this site."""
    if site.form in {Form.CONFIG, Form.PLACE}:
        return None if site.value is None else SiteEdit(site, value=tag)
    return SiteEdit(site, tag=tag, digest=at)


def test_there_is_something_to_write():
    assert len(WRITABLE) > 40
    assert {site.form for sites in SITES.values() for site in sites} == set(Form)


@pytest.mark.parametrize("path", WRITABLE)
@settings(max_examples=12)
@given(data=st.data())
def test_only_the_named_places_change_or_the_file_is_refused(path, data):
    before = FILES[path]
    chosen = data.draw(st.lists(st.sampled_from(SITES[path]), min_size=1, unique_by=lambda site: site.pointer))
    tag, at = data.draw(tags), data.draw(digests | st.just(""))
    edits = [edit for site in chosen if (edit := edit_of(site, tag, at))]
    try:
        after = manifests.write(path, before, edits)
    except RefusedError as error:
        refused = error.message
    else:
        check_written(path, before, after, edits, (tag, at))
        return
    assert path in refused


def check_written(path, before, after, edits, wanted):
    tag, at = wanted
    check_lines(before, after, edits)
    for version in ("1.1", "1.2"):
        changes = differing(before, after, version)
        assert changes is not None
        assert {str(key[-1]) for key in changes} <= KEYS | {edit.site.pointer.rpartition("/")[2] for edit in edits}
        assert all(value is None or isinstance(value, str) for value in changes.values()), changes
        assert all(value is None or tag in value or value == at for value in changes.values()), changes
    check_settled(path, after, edits)


def check_lines(before, after, edits):
    """Without the lines that hold what was edited, both are the same bytes."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    touched = {span.line for edit in edits for span in edit.site.spans.values()}
    kept = [line for number, line in enumerate(old, 1) if number not in touched]
    remaining = iter(new)
    assert all(line in remaining for line in kept)
    assert abs(len(new) - len(old)) <= 2 * len(edits)


def check_settled(path, after, edits):
    """What was written is found again, and to write it once more changes nothing."""
    found = {(site.document, site.pointer): site for site in manifests.find(path, after).sites}
    for edit in edits:
        site = found[edit.site.document, edit.site.pointer]
        if site.repository is None:
            assert site.value == edit.value
        else:
            assert (site.tag, site.digest) == (edit.tag, edit.digest)
    again = [
        edit_of(found[edit.site.document, edit.site.pointer], edit.tag or edit.value, edit.digest) for edit in edits
    ]
    assert manifests.write(path, after, again) == after
