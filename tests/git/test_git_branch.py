"""The branches of pull requests: read, compared, and moved with a lease."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitcd.git.branch import Branch, Move, carries, move_branches, read_branches
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.push import Pushed
from gitcd.git.runner import Result
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from tests.support.repos import git, make_bare
from tests.support.scenes import AUTHOR, NOW, mirror_of

MESSAGE = "prod: app\n\nGitcd-Environment: prod\nGitcd-App: team/app\nGitcd-Digest: sha256:1\n"
NAME = "gitcd/prod/env"
FILES = (
    FileChange("a.yaml", Mode.FILE, b"1\n", b"2\n"),
    FileChange("räum/é x.yaml", Mode.EXECUTABLE, None, b"new\n"),
    FileChange("gone.yaml", Mode.FILE, b"gone\n", None),
)


@pytest.fixture(params=["sha1", "sha256"])
def remote(request, tmp_path):
    if request.param == "sha1":
        return make_bare(tmp_path / "remote.git", {"a.yaml": b"1\n", "gone.yaml": b"gone\n"})
    bare = make_bare(tmp_path / "remote.git")
    for path in sorted(bare.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    git(bare.path, "init", "--bare", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha256")
    bare.commit({"a.yaml": b"1\n", "gone.yaml": b"gone\n"}, "First")
    return bare


def written(mirror, files=FILES, author: Author = AUTHOR) -> str:
    (oid,) = write_commits(mirror.git, mirror.tip, [NewCommit(MESSAGE, files)], author=author, when=NOW)
    return oid


def test_a_branch_is_created_moved_and_deleted_and_told_apart(remote):
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        assert read_branches(mirror) == {}
        first, second = written(mirror), written(mirror, FILES[:1])
        results = move_branches(mirror.origin, [Move(NAME, first, "")], base="main")
        assert results[NAME].kind is Pushed.LANDED
        branch = read_branches(mirror)[NAME]
        assert (branch.tip, branch.parents) == (first, (remote.tip,))
        assert branch.is_by(AUTHOR)
        assert not branch.is_by(Author("else", "else@example.com"))
        assert [str(each) for each in branch.carried] == ["prod/team/app"]
        assert carries(mirror, branch, mirror.tip, FILES)
        assert not carries(mirror, branch, mirror.tip, FILES[:2])
        assert not carries(mirror, branch, first, FILES)
        assert not carries(mirror, replace(branch, parents=(second,)), mirror.tip, FILES), (
            "it is not all of two commits"
        )
        for wrong in (
            FileChange("a.yaml", Mode.FILE, b"1\n", b"3\n"),
            FileChange("a.yaml", Mode.EXECUTABLE, b"1\n", b"2\n"),
            FileChange("a.yaml", Mode.FILE, b"1\n", None),
        ):
            assert not carries(mirror, branch, mirror.tip, (wrong, *FILES[1:]))
        assert move_branches(mirror.origin, [Move(NAME, second, first)], base="main")[NAME].kind is Pushed.LANDED
        assert move_branches(mirror.origin, [Move(NAME, "", second)], base="main")[NAME].kind is Pushed.LANDED
        assert read_branches(mirror) == {}


US, ADA = f"{AUTHOR.name} <{AUTHOR.email}>", "Ada <ada@example.com>"
OURS = Branch(NAME, "2" * 40, ("1" * 40,), US, US, MESSAGE)


@pytest.mark.parametrize(
    ("found", "is_ours"),
    [
        ({}, True),
        ({"committer": "GitHub <noreply@github.com>"}, True),
        ({"author": ADA}, False),
        ({"committer": ADA}, False),  # rebased, or amended
        ({"parents": ("1" * 40, "3" * 40)}, False),  # merged
        ({"parents": ()}, False),
        ({"message": "Mend it by hand"}, False),
    ],
)
def test_a_branch_that_a_person_has_touched_is_no_longer_ours(found, is_ours):
    assert replace(OURS, **found).is_by(AUTHOR) is is_ours


def test_a_cold_mirror_reads_what_it_did_not_write(remote):
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        move_branches(mirror.origin, [Move(NAME, written(mirror), "")], base="main")
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        assert carries(mirror, read_branches(mirror)[NAME], mirror.tip, FILES)


def test_what_moved_meanwhile_is_not_overwritten_and_the_others_are_moved(remote):
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        ours = written(mirror)
        remote.git("branch", NAME, "main")
        moves = [Move(NAME, ours, ""), Move("gitcd/prod/other", ours, ""), Move("gitcd/prod/third", "", ours)]
        results = move_branches(mirror.origin, moves, base="main", sleep=lambda _: None)
        assert [results[move.branch].kind for move in moves] == [Pushed.MOVED, Pushed.LANDED, Pushed.LANDED]
        assert remote.git("rev-parse", NAME) == remote.tip


def test_a_push_that_landed_unheard_is_found_out(remote, monkeypatch):
    from gitcd.errors import TransientError
    from gitcd.git.origin import Origin

    original = Origin.push_leased

    def lost(self, moves):
        original(self, list(moves))
        raise TransientError("no answer")

    monkeypatch.setattr(Origin, "push_leased", lost)
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        ours = written(mirror)
        assert move_branches(mirror.origin, [Move(NAME, ours, "")], base="main")[NAME].kind is Pushed.LANDED


def test_a_git_that_is_content_and_tells_nothing_has_moved_nothing(remote, monkeypatch):
    from gitcd.git.origin import Origin

    monkeypatch.setattr(Origin, "push_leased", lambda *_: Result(0, b"", ""))
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        moves = [Move(NAME, written(mirror), "")]
        results = move_branches(mirror.origin, moves, base="main", sleep=lambda _: None)
        assert results[NAME].kind is Pushed.UNCHANGED


@pytest.mark.parametrize("name", ["main", "release/1", "gitcd"])
def test_T29_no_other_branch_is_ever_forced(remote, name):
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        with pytest.raises(ValueError, match="no branch of a pull request"):
            move_branches(mirror.origin, [Move(name, written(mirror), mirror.tip)], base="main")
        with pytest.raises(ValueError, match="no branch of a pull request"):
            move_branches(mirror.origin, [Move(NAME, written(mirror), mirror.tip)], base=NAME)
    assert remote.count() == 1


def test_a_base_that_is_called_like_one_is_not_read_as_one(remote):
    remote.git("branch", NAME, "main")
    with mirror_of(remote.url, branch=NAME) as mirror:
        mirror.fetch()
        assert read_branches(mirror) == {}
