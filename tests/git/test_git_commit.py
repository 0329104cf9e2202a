"""Commits by one stream: exact, deterministic, never empty."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.paths import check_path
from gitcd.git.remote import Remote
from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from tests.support.repos import Bare

AUTHOR = Author("gitcd", "gitcd@example.com")
WHEN = datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def change(path: str, after: bytes | None, mode: Mode = Mode.FILE) -> FileChange:
    return FileChange(path, mode, None, after)


@pytest.fixture
def mirror(remote: Bare) -> Iterator[Mirror]:
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        yield mirror


def write(mirror: Mirror, *commits: NewCommit) -> list[str]:
    return write_commits(mirror.git, mirror.fetch(), commits, author=AUTHOR, when=WHEN)


def files(mirror: Mirror, commit: str) -> dict[str, bytes]:
    tree = CommitTree(mirror.git, commit)
    return {entry.path: data for entry, data in tree.read(tree.entries())}


def test_a_commit_changes_its_files_and_nothing_else(mirror: Mirror) -> None:
    before = files(mirror, mirror.fetch())
    (oid,) = write(
        mirror,
        NewCommit("Bump\n\nWhy", [change("prod/app.yaml", b"image: a:9\r\n"), change("dev/app.yaml", None),
                                  change('new/ü "x"/run.sh', b"#!/bin/sh", Mode.EXECUTABLE)]),
    )  # fmt: skip
    expected = before | {"prod/app.yaml": b"image: a:9\r\n", 'new/ü "x"/run.sh': b"#!/bin/sh"}
    del expected["dev/app.yaml"]
    assert files(mirror, oid) == expected
    modes = {entry.path: entry.mode for entry in CommitTree(mirror.git, oid).entries()}
    assert modes['new/ü "x"/run.sh'] is Mode.EXECUTABLE
    assert modes["prod/app.yaml"] is Mode.FILE


def test_author_date_and_message_are_as_given(mirror: Mirror) -> None:
    (oid,) = write(mirror, NewCommit("Subject\n\nBödy\n\n", [change("a", b"1")]))
    raw = mirror.git.run("cat-file", "commit", oid).stdout.decode()
    stamp = f"gitcd <gitcd@example.com> {int(WHEN.timestamp())} +0530"
    assert f"\nauthor {stamp}\ncommitter {stamp}\n\nSubject\n\nBödy\n" in raw
    assert raw.endswith("Bödy\n")


def test_commits_stand_on_one_another(mirror: Mirror) -> None:
    first, second = write(mirror, NewCommit("1", [change("a", b"1")]), NewCommit("2", [change("a", b"2")]))
    parents = mirror.git.run("rev-list", "--parents", "--max-count=2", second).stdout.decode().split("\n")
    assert parents[:2] == [f"{second} {first}", f"{first} {mirror.fetch()}"]


def test_F20_the_same_input_gives_the_same_commit(remote: Bare) -> None:
    made = []
    for _ in range(2):
        with open_mirror(Remote.parse(remote.url), "main") as mirror:
            made += write(mirror, NewCommit("Bump", [change("a", b"1"), change("b/c", b"2")]))
    assert made[0] == made[1]


def test_F14_a_commit_that_changes_nothing_is_not_made(mirror: Mirror, remote: Bare) -> None:
    same = change("prod/app.yaml", remote.show("prod/app.yaml"))
    assert write(mirror, NewCommit("Nothing", [same])) == []
    assert write(mirror, NewCommit("Nothing", [])) == []
    assert write(mirror, NewCommit("There and", [change("a", b"1")]), NewCommit("back", [change("a", None)])) != []
    (only,) = write(mirror, NewCommit("Nothing", [same]), NewCommit("Some", [change("a", b"1")]), NewCommit("Not", []))
    assert mirror.git.run("log", "-1", "--format=%s %P", only).stdout.decode() == f"Some {remote.tip}\n"


def test_no_ref_is_left_behind(mirror: Mirror) -> None:
    write(mirror, NewCommit("1", [change("a", b"1")]))
    assert mirror.git.run("for-each-ref", "--format=%(refname)").stdout == b"refs/heads/main\n"


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("", "a@b"),
        ("a", ""),
        ("a\nb", "a@b"),
        ("a\r", "a@b"),
        ("a\0", "a@b"),
        ("<a>", "a@b"),
        ("a", "a@b>\nx"),
        (" ", "x"),
    ],
)
def test_T3_an_author_that_git_cannot_keep_is_refused(name: str, email: str) -> None:
    with pytest.raises(ConfigError):
        Author(name, email)


def test_T3_nothing_about_the_author_reaches_a_config_file(mirror: Mirror) -> None:
    mirror.fetch()
    before = (mirror.git_dir / "config").read_bytes()
    write(mirror, NewCommit("x\n[core]\n\tfsmonitor = evil\n", [change("a", b"1")]))
    assert (mirror.git_dir / "config").read_bytes() == before


@pytest.mark.parametrize("message", ["", "\n", "a\0b"])
def test_a_message_that_git_cannot_keep_is_refused(mirror: Mirror, message: str) -> None:
    with pytest.raises(RefusedError):
        write(mirror, NewCommit(message, [change("a", b"1")]))


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", ".git/config", "a/.GIT/hooks/x", "git~1/x", ".git /x",
     ".git::$INDEX_ALLOCATION/x", "GIT~1. :a/x",
     "a\\b", "a\nb", "a\0b"],
)  # fmt: skip
def test_T6_a_path_that_leads_out_is_refused(mirror: Mirror, path: str) -> None:
    with pytest.raises(RefusedError):
        write(mirror, NewCommit("x", [change(path, b"1")]))


@given(st.text(st.sampled_from("./\\agit~1 \n"), max_size=12))
def test_T6_an_accepted_path_stays_inside(path: str) -> None:
    try:
        parts = check_path(path).split("/")
    except RefusedError:
        return
    assert not path.startswith("/")
    assert not {"", ".", "..", ".git"} & set(parts)


def test_a_symlink_is_not_written(mirror: Mirror) -> None:
    with pytest.raises(RefusedError, match="not a regular file"):
        write(mirror, NewCommit("x", [change("a", b"target", Mode.SYMLINK)]))


def test_a_date_without_offset_is_a_bug(mirror: Mirror) -> None:
    with pytest.raises(ValueError, match="offset"):
        write_commits(mirror.git, mirror.fetch(), [], author=AUTHOR, when=WHEN.replace(tzinfo=None))


@settings(max_examples=25)
@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6),
                       st.binary(max_size=40), min_size=1, max_size=4))  # fmt: skip
def test_any_file_comes_back_as_it_was_written(tree: dict[str, bytes]) -> None:
    wanted = {}
    for path, data in tree.items():
        try:
            wanted[check_path(path.replace("/", "_"))] = data
        except RefusedError:
            continue
    if not wanted:
        return
    (oid,) = write(_shared(), NewCommit("x", [change(f"deep/{path}", data) for path, data in wanted.items()]))
    assert {
        path.removeprefix("deep/"): data for path, data in files(_shared(), oid).items() if path.startswith("deep/")
    } == wanted


_mirrors: list[Mirror] = []


def _shared() -> Mirror:
    return _mirrors[-1]


@pytest.fixture(autouse=True)
def shared_mirror(mirror: Mirror) -> Iterator[None]:
    """Hypothesis runs many examples in one test: they write into one mirror."""
    _mirrors.append(mirror)
    yield
    _mirrors.pop()


def test_the_zone_of_utc_is_written_as_git_does(mirror: Mirror) -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    (oid,) = write_commits(mirror.git, mirror.fetch(), [NewCommit("x", [change("a", b"")])], author=AUTHOR, when=when)
    assert b" 1767225600 +0000\n" in mirror.git.run("cat-file", "commit", oid).stdout
