"""History: past moves by trailers, files as past commits left them, and no answer rather than a wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.git.history import History, MissingHistory, ensure_history
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.model.declaration import Identity
from gitcd.model.trailers import Move, render
from tests.support.githttp import serve
from tests.support.repos import Bare, make_bare

TILES = Identity("prod", "tiles", "tiles")
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def mirror(remote: Bare, tmp_path: Path) -> Iterator[Mirror]:
    with open_mirror(Remote.parse(remote.url), "main", cache_dir=tmp_path / "cache") as mirror:
        yield mirror


def move(remote: Bare, digest: str, path: str = "prod/app.yaml", identity: Identity = TILES) -> str:
    message = "Bump tiles\n\nBödy.\n\n" + render([Move(identity, digest)])
    return remote.commit({path: f"image: a@{digest}\n".encode()}, message)


def history(mirror: Mirror) -> History:
    found = ensure_history(mirror, mirror.fetch())
    assert isinstance(found, History)
    return found


def test_moves_are_told_newest_first(mirror: Mirror, remote: Bare) -> None:
    first = move(remote, ONE)
    second = move(remote, TWO)
    remote.commit({"prod/app.yaml": b"image: a:1\n"}, "Take it back")
    remote.commit({"README.md": b"later"}, "Other")
    moves = history(mirror).past_moves(["prod/app.yaml"])
    assert [(commit.oid, commit.moves) for commit in moves] == [
        (second, (Move(TILES, TWO),)),
        (first, (Move(TILES, ONE),)),
    ]
    assert moves[0].author == "Ada"
    assert moves[0].subject == "Bump tiles"
    assert moves[0].when.isoformat() == "2026-03-01T12:00:00+00:00"


def test_only_the_asked_paths_count(mirror: Mirror, remote: Bare) -> None:
    move(remote, ONE, "prod/app.yaml")
    other = move(remote, TWO, "dev/app.yaml", Identity("dev", "tiles", "tiles"))
    found = history(mirror)
    assert [commit.oid for commit in found.past_moves(["dev/app.yaml"])] == [other]
    assert len(found.past_moves(["dev/app.yaml", "prod/app.yaml"])) == 2
    assert found.past_moves(["*.yaml", "absent", ":(top)prod/app.yaml"]) == []
    assert found.past_moves([]) == []


def test_a_move_that_was_left_out_while_merging_is_still_told(mirror: Mirror, remote: Bare) -> None:
    start = remote.tip
    moved = move(remote, ONE)
    tree = remote.git("rev-parse", f"{start}^{{tree}}")
    merge = remote.git("commit-tree", tree, "-p", start, "-p", moved, "-m", "Merge, but not this")
    remote.git("update-ref", "refs/heads/main", merge)
    assert [commit.oid for commit in history(mirror).past_moves(["prod/app.yaml"])] == [moved]


def test_files_come_as_a_commit_left_them(mirror: Mirror, remote: Bare) -> None:
    first = move(remote, ONE)
    second = remote.commit({"prod/app.yaml": b"two\n", "prod/deep/x.yaml": b"\0\xff"})
    remote.commit({"prod/app.yaml": b"three\n"})
    wanted = {
        first: ["prod/app.yaml", "absent.yaml", "no/such/folder.yaml"],
        second: ["prod/app.yaml", "prod/deep/x.yaml", "README.md"],
    }
    assert history(mirror).files_at(wanted) == {
        first: {"prod/app.yaml": f"image: a@{ONE}\n".encode()},
        second: {"prod/app.yaml": b"two\n", "prod/deep/x.yaml": b"\0\xff", "README.md": b"# Config\n"},
    }
    assert history(mirror).files_at({}) == {}


def test_no_file_is_fetched_before_it_is_asked_for(mirror: Mirror, remote: Bare) -> None:
    commit = move(remote, ONE)
    found = history(mirror)
    side = next(mirror.git_dir.parent.glob("*-history.git"))
    objects = Bare(side).git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert sorted(set(objects)) == ["commit", "tree"]
    assert found.files_at({commit: ["prod/app.yaml"]}) == {commit: {"prod/app.yaml": f"image: a@{ONE}\n".encode()}}


@pytest.mark.parametrize("filters", ["true", "false"])
def test_over_http_with_a_server_that_filters_and_one_that_does_not(tmp_path: Path, filters: str) -> None:
    remote = make_bare(tmp_path / "served" / "r.git", {"prod/app.yaml": b"image: a:1\n"})
    remote.git("config", "uploadpack.allowFilter", filters)
    commit = move(remote, ONE)
    remote.commit({"prod/app.yaml": b"later\n"})
    with serve(tmp_path / "served") as server, open_mirror(Remote.parse(server.url(remote.path)), "main") as mirror:
        found = history(mirror)
        assert [each.oid for each in found.past_moves(["prod/app.yaml"])] == [commit]
        assert found.files_at({commit: ["prod/app.yaml"]}) == {commit: {"prod/app.yaml": f"image: a@{ONE}\n".encode()}}


def test_the_mirror_stays_shallow_and_can_still_fetch(mirror: Mirror, remote: Bare) -> None:
    move(remote, ONE)
    history(mirror)
    assert mirror.git.run("rev-parse", "--is-shallow-repository").stdout == b"true\n"
    move(remote, TWO)
    assert mirror.fetch() == remote.tip
    assert len(history(mirror).past_moves(["prod/app.yaml"])) == 2


def test_history_that_cannot_be_had_is_a_value(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    assert isinstance(ensure_history(mirror, "1" * 40), MissingHistory)
    remote.path.rename(remote.path.with_suffix(".away"))
    missing = ensure_history(mirror, tip)
    assert isinstance(missing, MissingHistory)
    assert "cannot read" in missing.reason


def test_files_that_cannot_be_had_are_a_value(mirror: Mirror, remote: Bare) -> None:
    commit = move(remote, ONE)
    found = history(mirror)
    remote.path.rename(remote.path.with_suffix(".away"))
    assert isinstance(found.files_at({commit: ["prod/app.yaml"]}), MissingHistory)


def test_three_hundred_paths_are_one_process(mirror: Mirror, remote: Bare, processes: list[list[str]]) -> None:
    for n in range(5):
        remote.commit({f"app{i}/d.yaml": b"%d" % n for i in range(300)}, "Bump\n\n" + render([Move(TILES, ONE)]))
    found = history(mirror)
    processes.clear()
    assert len(found.past_moves([f"app{i}/d.yaml" for i in range(300)])) == 5
    assert len(processes) == 1
