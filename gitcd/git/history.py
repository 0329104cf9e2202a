"""What a branch's history tells of past moves. History lives in a repository of its own, without file contents.

The mirror stays shallow, so that reading a tip never depends on what history needed; commits and trees alone are fetched
here, where the server can leave blobs out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gitcd.errors import GitcdError
from gitcd.git.mirror import Mirror
from gitcd.git.runner import CorruptError, Git
from gitcd.model.trailers import Move, parse

_FORMAT = "--format=%x00%H%x00%an%x00%ct%x00%B%x00"
_FIELDS = 5


@dataclass(frozen=True, slots=True)
class PastCommit:
    """A commit of the branch, and the moves that its trailers tell of (none: a person's, most often)."""

    oid: str
    author: str
    when: datetime
    message: str
    moves: tuple[Move, ...] = ()

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class MissingHistory:
    """The history cannot be had now: whatever depends on it must wait."""

    reason: str


def ensure_history(mirror: Mirror, tip: str) -> Git | MissingHistory:
    """A repository in which the whole history of `tip` can be read, fetched as far as it is not there yet."""
    folder = mirror.git_dir.with_name(f"{mirror.git_dir.stem}-history.git")
    side = Mirror(folder, mirror.origin.seen_from(Git(folder)), mirror.branch)
    try:
        side.complete(tip)
    except GitcdError as error:
        return MissingHistory(error.message)
    return side.git


def past_moves(git: Git, tip: str, paths: Sequence[str]) -> list[PastCommit]:
    """Commits that touched any of the paths and carry our trailers, newest first, one git process for all paths.

    Side branches count too: a digest that a person left out while merging was moved to, and is not there.
    """
    return [commit for commit in past_commits(git, tip, paths) if commit.moves]


def past_commits(git: Git, tip: str, paths: Sequence[str], *, most: int = 0) -> Iterator[PastCommit]:
    """Every commit that touched any of the paths, newest first; at most `most` of them, 0: all."""
    if not paths:
        return
    limit = [f"--max-count={most}"] if most else []
    asked = "\n".join([tip, "--", *paths, ""]).encode(errors="surrogateescape")
    args = ("rev-list", "--full-history", "--date-order", _FORMAT, *limit, "--stdin")
    fields = git.run(*args, stdin=asked).stdout.split(b"\0")
    for oid, author, when, message in zip(*(fields[n::_FIELDS] for n in range(1, _FIELDS)), strict=True):
        text = message.decode(errors="replace")
        yield PastCommit(
            oid.decode(), author.decode(errors="replace"), datetime.fromtimestamp(int(when), UTC), text, tuple(parse(text))
        )


def last_change(git: Git, tip: str, path: str) -> PastCommit | None:
    """The newest commit that touched the path; None if none did.

    Raises:
        CorruptError: the history is cut off, so that nobody knows.
    """
    if git.run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
        raise CorruptError(f"the history of {path} is not here")
    return next(past_commits(git, tip, [path], most=1), None)
