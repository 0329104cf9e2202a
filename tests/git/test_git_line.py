"""The branch's own line: which commits changed which files there, and when they can have landed."""

from datetime import UTC, datetime, timedelta

import pytest

from gitcd.git import history
from gitcd.git.history import local_history
from tests.support.repos import git, make_worktree

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    return make_worktree(tmp_path / "tree", {"a.yaml": b"0\n", "sub/b.yaml": b"0\n"})


def commit(folder, path, text, *, hours=0, message="Change"):
    (folder / path).write_bytes(text)
    stamp = (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message, env={"GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp})
    return git(folder, "rev-parse", "HEAD")


def line(folder, *paths):
    return [(each.commit.subject, each.when - START, sorted(each.paths)) for each in local_history(folder).line(paths)]


def hours(number):
    return timedelta(hours=number)


def test_only_commits_that_touched_the_files_newest_first(folder):
    commit(folder, "a.yaml", b"1\n", hours=1, message="One")
    commit(folder, "sub/b.yaml", b"1\n", hours=2, message="Other")
    commit(folder, "a.yaml", b"2\n", hours=3, message="Two")
    assert line(folder, "a.yaml") == [
        ("Two", hours(3), ["a.yaml"]),
        ("One", hours(1), ["a.yaml"]),
        ("First", hours(0), ["a.yaml"]),
    ]
    assert line(folder) == []


def test_a_date_that_was_set_back_gains_nothing(folder):
    commit(folder, "sub/b.yaml", b"1\n", hours=9, message="Late")
    commit(folder, "a.yaml", b"1\n", hours=-99, message="Said to be old")
    assert line(folder, "a.yaml")[0] == ("Said to be old", hours(9), ["a.yaml"])


def test_what_a_side_branch_brought_came_with_its_merge(folder):
    git(folder, "checkout", "-q", "-b", "side")
    commit(folder, "a.yaml", b"1\n", hours=1, message="On the side")
    git(folder, "checkout", "-q", "main")
    commit(folder, "sub/b.yaml", b"1\n", hours=2)
    stamp = (START + hours(5)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge", "side", env={"GIT_COMMITTER_DATE": stamp})
    assert line(folder, "a.yaml") == [("Merge", hours(5), ["a.yaml"]), ("First", hours(0), ["a.yaml"])]


def test_a_merge_that_left_a_file_as_it_was_is_no_change(folder):
    git(folder, "checkout", "-q", "-b", "side")
    commit(folder, "a.yaml", b"1\n", hours=1)
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-ff", "-s", "ours", "-m", "Merge nothing", "side")
    assert [subject for subject, _, _ in line(folder, "a.yaml")] == ["First"]


def test_many_paths_give_the_same_as_few(folder, monkeypatch):
    for number in range(3):
        commit(folder, "sub/b.yaml" if number % 2 else "a.yaml", b"%d\n" % (number + 1), hours=number)
    few = line(folder, "a.yaml", "sub/b.yaml", "gone.yaml")
    monkeypatch.setattr(history, "_FEW", 0)
    assert line(folder, "a.yaml", "sub/b.yaml", "gone.yaml") == few


def test_of_a_folder_paths_are_those_below_it(folder):
    commit(folder, "sub/b.yaml", b"1\n", hours=1, message="Below")
    assert line(folder / "sub", "b.yaml")[0] == ("Below", hours(1), ["b.yaml"])


def test_names_beyond_ascii_and_with_blanks(folder):
    commit(folder, "sub/ä b\t.yaml", b"1\n", hours=1, message="Odd")
    assert line(folder, "sub/ä b\t.yaml") == [("Odd", hours(1), ["sub/ä b\t.yaml"])]
