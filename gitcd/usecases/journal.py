"""The journal of tag moves, written while they are made, and read by `gitcd ecr-tags log`."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import BinaryIO

from gitcd.errors import ConfigError
from gitcd.model.journal import LONGEST_LINE, Entry, NoEntryError, parse
from gitcd.model.reference import Repository
from gitcd.usecases.tagging import TagChange

# Who started this, as the surroundings say: CI systems first, then the login.
_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "LOGNAME", "USER")

Append = Callable[[bytes], None]


@dataclass(slots=True)
class Journal:
    """Takes down moves. What could not be written is kept in `lost`; the moves are made all the same.

    `made` holds the moves themselves, in their order.
    """

    append: Append
    by: str
    run: str
    caller: str = ""
    lost: list[tuple[str, str]] = field(default_factory=list)
    made: list[TagChange] = field(default_factory=list)

    def record(self, change: TagChange) -> None:
        self.made.append(change)
        entry = Entry(
            datetime.now(UTC),
            self.run,
            self.by,
            str(change.home or change.repository),
            change.tag,
            change.old,
            change.new,
            self.caller,
        )
        line = entry.line()
        try:
            self.append(line)
        except OSError as error:
            self.lost.append((line.decode().rstrip(), error.strerror or str(error)))


@contextmanager
def appending(path: str) -> Iterator[Append]:
    """Append to a file, each line by one write: several processes may share it.

    Raises:
        ConfigError: it cannot be opened.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"the journal {path} cannot be written: {error.strerror}") from error
    try:
        yield appending_to(file, torn=_ends_in_a_torn_line(path, file))
    finally:
        os.close(file)


def appending_to(file: int, *, torn: bool = False) -> Append:
    """Append to an open file; any thread may. Where its last line is `torn`, the next one begins below it.

    A write that fails half way, on a full disk, leaves a torn line, too, as does a process that is killed.
    """
    lock = Lock()

    def append(line: bytes) -> None:
        nonlocal torn
        with lock:
            rest, torn = b"\n" + line if torn else line, True
            while rest:
                rest = rest[os.write(file, rest) :]
            torn = False

    return append


def _ends_in_a_torn_line(path: str, file: int) -> bool:
    """Whether the last line has no end; False where that cannot be seen, as in a pipe."""
    state = os.fstat(file)
    if not stat.S_ISREG(state.st_mode) or not state.st_size:
        return False
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - pathlib would be one more import
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False


def actor(environ: Mapping[str, str]) -> str:
    """Who starts the run, as far as the environment says."""
    return next((environ[name] for name in _ACTORS if environ.get(name)), "")


def new_run() -> str:
    """A name for a run, in the order of time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is no entry; `line` counts from 1."""

    path: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; empty: all. A repository without a host is that one in any registry."""

    repositories: Sequence[Repository] = ()
    tags: Sequence[str] = ()

    def takes(self, entry: Entry) -> bool:
        return self._takes_repository(entry.repository) and (not self.tags or entry.tag in self.tags)

    def _takes_repository(self, name: str) -> bool:
        return not self.repositories or any(
            name == str(each) or (not each.registry and name.endswith(f"/{each.path}") and _hosts_only(name, each.path))
            for each in self.repositories
        )


def read(path: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Entry | Skipped]:
    """The entries of one journal in their order, and what was passed over. Blank lines count as nothing."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        while len(line) > LONGEST_LINE and not line.endswith(b"\n") and (rest := stream.readline(LONGEST_LINE)):
            line = line[:LONGEST_LINE] + b"?" + rest[-1:]
        if not line.strip():
            continue
        try:
            entry = parse(line)
        except NoEntryError as error:
            yield Skipped(path, number, str(error))
            continue
        if wanted.takes(entry):
            yield entry


def _hosts_only(name: str, path: str) -> bool:
    """Whether nothing but a host stands before the path."""
    return "/" not in name[: -len(path) - 1]
