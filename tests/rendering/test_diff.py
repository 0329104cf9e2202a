"""A diff is right when `git apply` turns the old tree into the new one."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from gitcd.rendering.diff import unified

LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\xff\n", b"\n", b"image: x:1\n", b"last"]), max_size=30)


def applied(tmp_path, change):
    path = tmp_path / change.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if change.before is not None:
        path.write_bytes(change.before)
    patch = b"".join(unified([change]))
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=tmp_path, input=patch, check=True)
    return path.read_bytes() if path.exists() else None


@given(LINES, LINES)
def test_git_apply_takes_any_diff(tmp_path_factory, old, new):
    before, after = b"".join(old), b"".join(new)
    if before == after:
        return
    change = FileChange("some/file.yaml", Mode.FILE, before or None, after or None)
    assert applied(tmp_path_factory.mktemp("apply"), change) == change.after


@pytest.mark.parametrize("path", ["plain.yaml", "with space.yaml", 'quo"te.yaml', "ünï.yaml", "tab\there.yaml"])
def test_git_apply_takes_any_path(tmp_path, path):
    change = FileChange(path, Mode.FILE, b"old\n", b"new\n")
    assert applied(tmp_path, change) == b"new\n"


def test_a_changed_line_shows_three_lines_around_it():
    before = b"".join(b"line %d\n" % number for number in range(1, 21))
    change = FileChange("f", Mode.FILE, before, before.replace(b"line 10\n", b"line X\n"))
    text = b"".join(unified([change])).decode()
    assert text.splitlines()[4:] == [
        "@@ -7,7 +7,7 @@",
        " line 7",
        " line 8",
        " line 9",
        "-line 10",
        "+line X",
        " line 11",
        " line 12",
        " line 13",
    ]


def test_far_changes_are_hunks_of_their_own():
    before = b"".join(b"line %d\n" % number for number in range(1, 31))
    after = before.replace(b"line 5\n", b"five\n").replace(b"line 25\n", b"more\nlines\n")
    text = b"".join(unified([FileChange("f", Mode.FILE, before, after)])).decode()
    assert text.count("@@ -") == 2
