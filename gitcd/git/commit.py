"""Write commits straight into the object database: one fast-import stream for blobs, trees and commits.

The same input gives the same object ids, so a commit that is written again is the same commit. Not so where commits are
signed, since a signature may hold the time: they are made anew from the trees of that stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.paths import check_path
from gitcd.git.runner import CorruptError, Git
from gitcd.git.signing import Signer, SigningKey, signer
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode

_REF = b"refs/gitcd/new"
_NAME = re.compile(r"[^\x00-\x1f\x7f<>]+")
_WRITABLE = frozenset({Mode.FILE, Mode.EXECUTABLE})


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by, and what it is signed with; author and committer are the same.

    Raises:
        ConfigError: a part is empty or holds a character that git does not keep.
    """

    name: str
    email: str
    key: SigningKey | None = None

    def __post_init__(self) -> None:
        for label, value in (("name", self.name), ("email", self.email)):
            if value != value.strip() or not _NAME.fullmatch(value):
                raise ConfigError(
                    f"author {label} {value!r} is empty, or holds a control character, '<' or '>'",
                    remedy="set GITCD_AUTHOR_NAME and GITCD_AUTHOR_EMAIL to plain text",
                )


@dataclass(frozen=True, slots=True)
class NewCommit:
    """What a commit shall say and change; `before` of a file is not looked at."""

    message: str
    files: Sequence[FileChange]


def write_commits(git: Git, parent: str, commits: Sequence[NewCommit], *, author: Author, when: datetime) -> list[str]:
    """Write the commits, each on top of the one before, and return their ids; no ref is changed.

    A commit that would leave its parent's tree as it is is not made, so the answer may be shorter. `when` is the date
    of them all, with its offset from UTC.

    Raises:
        RefusedError: a path leads out of the tree or is git's own, or a message holds NUL.
        ConfigError: they are to be signed, and cannot be.
        TransientError: the disk is full.
    """
    if when.tzinfo is None:
        raise ValueError("the date of a commit needs its offset from UTC")
    kept = list(commits)
    while kept:
        made, trees = _import(git, parent, kept, author, when)
        telling = [commit for commit, (old, new) in zip(kept, pairwise(trees), strict=True) if old != new]
        if len(telling) == len(kept):
            if author.key is None:
                return made
            with signer(git, author.key) as sign:
                return _sign(sign, parent, zip(trees[1:], kept, strict=True), people(author, when))
        kept = telling
    return []


def _import(
    git: Git, parent: str, commits: Sequence[NewCommit], author: Author, when: datetime
) -> tuple[list[str], list[str]]:
    """The new commits, and the trees of the parent and of each."""
    stream = b"".join(_script(parent, commits, author, when))
    answer = git.run("fast-import", "--quiet", "--done", "--date-format=raw", stdin=stream).stdout.decode().split("\n")
    trees = [line.split()[2] for line in answer if line.startswith("040000 ")]
    made = [line for line in answer if line and " " not in line]
    if len(made) != len(commits) or len(trees) != len(commits) + 1:
        raise CorruptError(f"git fast-import did not tell what it wrote: {answer!r}")
    return made, trees


def _sign(sign: Signer, parent: str, contents: Iterable[tuple[str, NewCommit]], who: Mapping[str, str]) -> list[str]:
    """The commits anew, each of its tree and on top of the one before."""
    made = [parent]
    for tree, commit in contents:
        made.append(sign.commit(tree, made[-1], _message(commit.message), who))
    return made[1:]


def people(author: Author, when: datetime) -> dict[str, str]:
    """Author and committer as git takes them from its environment."""
    said = {"NAME": author.name, "EMAIL": author.email, "DATE": f"@{int(when.timestamp())} {when:%z}"}
    return {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in said.items()}


def _script(parent: str, commits: Sequence[NewCommit], author: Author, when: datetime) -> Iterator[bytes]:
    stamp = f"{author.name} <{author.email}> {int(when.timestamp())} {when:%z}".encode()
    start = parent.encode()
    yield b'ls %s ""\n' % start
    for mark, commit in enumerate(commits, 1):
        yield b"commit %s\nmark :%d\nauthor %s\ncommitter %s\n" % (_REF, mark, stamp, stamp)
        yield data_command(_message(commit.message))
        yield b"from %s\n" % start
        yield from (_change(file) for file in commit.files)
        yield b'ls ""\n\nget-mark :%d\n' % mark
        start = b":%d" % mark
    yield b"reset %s\nfrom %s\n\n" % (_REF, b"0" * len(parent))  # the ref was a means only: leave none behind
    yield b"done\n"


def _change(file: FileChange) -> bytes:
    path = _quoted(check_path(file.path))
    if file.after is None:
        return b"D %s\n" % path
    if file.mode not in _WRITABLE:
        raise RefusedError(f"{file.path} is not a regular file (mode {file.mode}) and is not written")
    return b"M %s inline %s\n%s" % (file.mode.encode(), path, data_command(file.after))


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    return b'"%s"' % raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def data_command(content: bytes) -> bytes:
    """The bytes as a fast-import stream holds them."""
    return b"data %d\n%s\n" % (len(content), content)


def _message(text: str) -> bytes:
    if "\0" in text or not text.strip():
        raise RefusedError("a commit message is empty or holds a NUL character")
    return (text.rstrip("\n") + "\n").encode()
