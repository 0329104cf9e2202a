"""The branches that pull requests come from: what they carry, whether a person has been there, and moving them.

They alone are ever forced, and only from the very commit that was looked at. Each carries one commit of ours.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitcd.errors import ConfigError, TransientError
from gitcd.git.commit import Author
from gitcd.git.mirror import Mirror
from gitcd.git.origin import Origin
from gitcd.git.push import Pushed, PushResult, declines
from gitcd.git.runner import ANY, CorruptError, Git, Result, clean
from gitcd.git.tree import changes
from gitcd.model.declaration import Identity
from gitcd.model.plan import FileChange
from gitcd.model.trailers import parse
from gitcd.planning.pulls import FOLDER

ATTEMPTS = 3
_SHA1_DIGITS = 40
_FIRST_PAUSE = 0.5  # seconds; doubled for every further attempt
_GITHUB = "GitHub <noreply@github.com>"
_PERSON = re.compile(r"(?P<who>.*) \d+ [+-]\d{4}")
_CRUD = " .,:;<>\"\\'"  # git's own word for it, in ident.c
_STATUS = re.compile(rb"^([ +\-*=!])\t[^\t\n]*:refs/heads/([^\t\n]+)\t(.*)$", re.MULTILINE)

Replaced = Mapping[str, tuple[str, str]]  # paths with the object ids before and after; empty: there is no such file


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch at the remote, with the commit that it names. People are `name <email>`."""

    name: str
    tip: str
    parents: tuple[str, ...]
    author: str
    committer: str
    message: str

    def is_by(self, author: Author) -> bool:
        """Whether its commit is ours as we wrote it; whoever amends, rebases or adds leaves another name.

        One that GitHub made for us has GitHub as its committer.
        """
        name = _bare(f"{author.name} <{author.email}>")
        ours = _bare(self.author) == name and (_bare(self.committer) == name or self.committer == _GITHUB)
        return ours and len(self.parents) == 1 and bool(self.carried)

    @property
    def carried(self) -> tuple[Identity, ...]:
        """The declarations that its commit moves."""
        return tuple(move.identity for move in parse(self.message))

    @property
    def digests(self) -> Mapping[Identity, str]:
        """What it moves them to."""
        return {move.identity: move.digest for move in parse(self.message)}


@dataclass(frozen=True, slots=True)
class Move:
    """A branch shall name another commit (empty: be deleted), if it still names the expected one (empty: is not)."""

    branch: str
    oid: str
    expected: str


def read_branches(mirror: Mirror) -> dict[str, Branch]:
    """The branches of pull requests that are at the remote now, by name.

    Raises:
        ConfigError: no permission.
        TransientError: the remote cannot be reached.
    """
    heads = mirror.origin.heads_below(FOLDER)
    heads.pop(mirror.branch, None)
    if lacking := _lacking(mirror.git, heads):
        mirror.origin.fetch_tips(lacking)
    texts = _commits(mirror.git, list(heads.values()))
    return {name: _branch(name, tip, texts[tip]) for name, tip in sorted(heads.items())}


def carries(mirror: Mirror, branch: Branch, base: str, files: Sequence[FileChange]) -> bool:
    """Whether the branch is one commit on top of the base that changes these files, so, and no other."""
    if branch.parents != (base,):
        return False
    raw = mirror.git.run("diff-tree", "-r", "--no-renames", "--no-abbrev", "-z", base, branch.tip).stdout.split(b"\0")
    there = {path: head.split()[1:4:2] for head, path in zip(raw[::2], raw[1::2], strict=False)}
    return there == {os.fsencode(file.path): _entry(file, len(base)) for file in files}


def replaced(mirror: Mirror, base: str, commit: str) -> Replaced:
    """The files that differ between two commits: their object ids in either (empty: there is none).

    The files themselves need not be here.

    Raises:
        ConfigError: no permission, or there is no such commit.
        TransientError: the remote cannot be reached.
    """
    asked = ("diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", base, commit)
    result = mirror.git.run(*asked, ok=ANY)
    if result.status:
        mirror.origin.fetch_objects([base])
        result = mirror.git.run(*asked)
    return {path: (old.oid if old else "", new.oid if new else "") for path, old, new in changes(result.stdout)}


def _entry(file: FileChange, digits: int) -> list[bytes]:
    """Mode and object id of a file as git tells them; zeros where it is removed. `digits` tells the kind of ids."""
    if file.after is None:
        return [b"000000", b"0" * digits]
    blob = b"blob %d\0" % len(file.after) + file.after
    oid = hashlib.sha1(blob, usedforsecurity=False) if digits == _SHA1_DIGITS else hashlib.sha256(blob)
    return [file.mode.value.encode(), oid.hexdigest().encode()]


def move_branches(
    origin: Origin,
    moves: Iterable[Move],
    *,
    base: str,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, PushResult]:
    """Move branches of pull requests, all by one push, and find out what became of each.

    `base` is the branch that is never forced, whatever it is called.

    Raises:
        ConfigError: the remote no longer lets us in.
        TransientError: the remote cannot be asked any more.
    """
    pending = {move.branch: move for move in moves}
    if strange := [name for name in pending if name == base or not name.startswith(FOLDER)]:
        raise ValueError(f"{strange[0]} is no branch of a pull request")
    results: dict[str, PushResult] = {}
    for attempt in range(ATTEMPTS):
        if not pending:
            break
        if attempt:
            sleep(_FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        settled = _attempt(origin, list(pending.values()), last=attempt == ATTEMPTS - 1)
        results |= settled
        pending = {name: move for name, move in pending.items() if name not in settled}
    return results


def _attempt(origin: Origin, moves: Sequence[Move], *, last: bool) -> dict[str, PushResult]:
    """What is settled after one push; those that another attempt is worth are left out, save the last time."""
    try:
        result = origin.push_leased((move.branch, move.oid, move.expected) for move in moves)
    except TransientError as error:
        said, words = {}, error.message
    else:
        said, words = _answers(result), result.last_words
        if result.status == 0 and all(said.get(move.branch) == "" for move in moves):
            return {move.branch: PushResult(Pushed.LANDED, move.oid) for move in moves}
        if not said and isinstance(failure := origin.failure("push to", result), ConfigError):
            raise failure
    heads = origin.heads(*(move.branch for move in moves))
    judged = ((move, _judge(move, heads.get(move.branch, ""), said.get(move.branch) or words)) for move in moves)
    return {move.branch: result for move, result in judged if last or result.kind is not Pushed.UNCHANGED}


def _judge(move: Move, tip: str, said: str) -> PushResult:
    if tip == move.oid:
        return PushResult(Pushed.LANDED, tip)
    if tip != move.expected:
        return PushResult(Pushed.MOVED, tip, said)
    return PushResult(Pushed.DECLINED if declines(said) else Pushed.UNCHANGED, tip, said)


def _answers(result: Result) -> dict[str, str]:
    """The remote's reason for each branch that it refused, and nothing for each that it took."""
    return {
        name.decode(errors="surrogateescape"): clean(text) if flag == b"!" else ""
        for flag, name, text in _STATUS.findall(result.stdout)
    }


def _lacking(git: Git, heads: Mapping[str, str]) -> list[str]:
    """The branches whose commits are not here."""
    asked = "".join(f"{tip}^{{tree}}\n" for tip in heads.values()).encode()
    if not asked or not git.git_dir or not git.git_dir.exists():
        return list(heads)
    lines = git.run("cat-file", "--batch-check", stdin=asked).stdout.decode().splitlines()
    return [name for name, line in zip(heads, lines, strict=True) if line.endswith("missing")]


def _commits(git: Git, oids: Sequence[str]) -> dict[str, str]:
    """Commit objects as they are stored."""
    texts: dict[str, str] = {}
    if not oids:
        return texts
    with git.stream("cat-file", "--batch", "--buffer", stdin="".join(f"{oid}\n" for oid in oids).encode()) as stream:
        for oid in oids:
            words = stream.readline().split()
            if len(words) != 3 or words[1] != b"commit":  # noqa: PLR2004 - oid, type, size
                raise CorruptError(f"{git.git_dir} does not hold the commit {oid}", remedy="run again")
            texts[oid] = stream.read(int(words[2])).decode(errors="replace")
            stream.read(1)
    return texts


def _branch(name: str, tip: str, text: str) -> Branch:
    head, _, message = text.partition("\n\n")
    fields = list(_headers(head))
    people = {key: _who(value) for key, value in fields if key in {"author", "committer"}}
    parents = tuple(value for key, value in fields if key == "parent")
    return Branch(name, tip, parents, people.get("author", ""), people.get("committer", ""), message)


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a commit object, as they are stored: a shallow copy would hide parents elsewhere."""
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        if key:  # a line that begins with a blank goes on with a signature
            yield key, value


def _bare(person: str) -> str:
    """A person without what commit-tree, which makes signed commits, takes off both ends of a name and an address."""
    name, _, email = person.rpartition(" <")
    return f"{name.strip(_CRUD)} <{email.rstrip('>').strip(_CRUD)}>"


def _who(text: str) -> str:
    match = _PERSON.fullmatch(text)
    return match["who"] if match else text
