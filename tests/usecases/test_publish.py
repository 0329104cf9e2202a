"""Carrying a change to a branch on which others write, over a link that may lose an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.git.commit import NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.origin import Origin
from gitcd.git.push import Pushed, PushResult, push
from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from gitcd.usecases import publish as publishing
from gitcd.usecases.publish import Published, publish
from tests.support.repos import Bare, make_bare
from tests.support.scenes import AUTHOR, NOW, mirror_of


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "remote.git", {"a.yaml": b"1\n"})


@pytest.fixture
def mirror(bare: Bare) -> Iterator[Mirror]:
    with mirror_of(bare.url) as mirror:
        yield mirror


def carry(mirror: Mirror) -> Published[str]:
    """Let a.yaml hold 2; the work is the tip that this was computed on."""

    def compute(tree: CommitTree, tip: str) -> tuple[str, list[NewCommit]]:
        data = {entry.path: data for entry, data in tree.read(tree.entries())}
        change = FileChange("a.yaml", Mode.FILE, b"1\n", b"2\n")
        return tip, [NewCommit("Bump", [change])] if data["a.yaml"] == b"1\n" else []

    return publish(mirror, compute, author=AUTHOR, when=NOW)


def test_the_next_look_need_not_fetch_what_landed(mirror: Mirror, bare: Bare) -> None:
    published = carry(mirror)
    assert published.commits == (bare.tip,)
    assert mirror.tip == bare.tip


def lose(monkeypatch: pytest.MonkeyPatch, bare: Bare, *, arrives: bool) -> None:
    """Of the first push nobody hears what became of it, and when its remote answers again somebody else has pushed."""

    def lost(origin: Origin, oid: str, branch: str, *, expected: str) -> PushResult:
        monkeypatch.setattr(publishing, "push", push)
        if arrives:
            push(origin, oid, branch, expected=expected)
        return PushResult(Pushed.MOVED, bare.commit({"b.yaml": b"theirs\n"}), unclear=True)

    monkeypatch.setattr(publishing, "push", lost)


def test_F17_what_landed_unheard_below_the_commit_of_somebody_else_has_landed(
    mirror: Mirror, bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bare.tip
    lose(monkeypatch, bare, arrives=True)
    published = carry(mirror)
    assert (published.work, published.attempts) == (before, 1)
    assert published.commits == (bare.git("rev-parse", "main~1"),)


def test_F17_what_did_not_land_is_made_anew_on_the_commit_of_somebody_else(
    mirror: Mirror, bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, bare, arrives=False)
    published = carry(mirror)
    assert (published.attempts, published.commits) == (2, (bare.tip,))
    assert (bare.show("a.yaml"), bare.show("b.yaml")) == (b"2\n", b"theirs\n")
    assert published.work == bare.git("rev-parse", "main~1")
