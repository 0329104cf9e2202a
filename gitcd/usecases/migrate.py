"""Write the documents of cvmanager and kcd in the form of today."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.worktree import WorkTree
from gitcd.manifests import EditRefused, reading
from gitcd.manifests.migrated import modernise
from gitcd.model.hold import FOLDER
from gitcd.model.problem import Problem
from gitcd.model.tree import YAML_ENDINGS
from gitcd.planning.screening import is_readable

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Migrated:
    """One file before and after. With `problems` it is left as it was; `lost` are fields without a successor."""

    path: str
    before: bytes
    after: bytes
    documents: int = 0
    lost: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def is_changed(self) -> bool:
        return self.before != self.after


def migrate(place: str) -> list[Migrated]:
    """What becomes of a file, of standard input (`-`), or of the files below a folder that hold such documents.

    Raises:
        ConfigError: there is no such file or folder.
    """
    if place != STDIN and Path(place).is_dir():
        results = (_migrated(path, data) for path, data in _files(place))
        return [each for each in results if each.is_changed or each.problems]
    return [_migrated("stdin" if place == STDIN else place, _bytes_of(place))]


def write(place: str, results: Iterable[Migrated]) -> None:
    """Put what changed into the files.

    Raises:
        RefusedError: one is reached through a symlink.
        TransientError: the disk is full, or the folder may not be written.
    """
    folder = Path(place)
    tree = WorkTree(folder if folder.is_dir() else folder.parent)
    for each in results:
        if each.is_changed:
            tree.write(each.path if folder.is_dir() else folder.name, each.after)


def _files(folder: str) -> Iterator[tuple[str, bytes]]:
    tree = WorkTree(Path(folder))
    entries = [entry for entry in tree.entries() if entry.path.endswith(YAML_ENDINGS) and is_readable(entry)]
    for entry, data in tree.read([entry for entry in entries if not entry.path.startswith(f"{FOLDER}/")]):
        yield entry.path, data


def _bytes_of(place: str) -> bytes:
    if place == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise ConfigError(f"{place} cannot be read: {error.strerror}") from error


def _migrated(path: str, data: bytes) -> Migrated:
    result = reading.read_declarations(path, data)
    if result.problems:
        return Migrated(path, data, data, problems=result.problems)
    if not result.old:
        return Migrated(path, data, data)
    try:
        after = modernise(path, data)
    except EditRefused as error:
        return Migrated(path, data, data, problems=(_problem(error),))
    _check(path, result, after)
    return Migrated(path, data, after, len(result.old), result.lost)


def _problem(error: EditRefused) -> Problem:
    refusal = error.refusal
    return Problem(refusal.reason, "write it in a plainer form, or by hand", path=refusal.path, line=refusal.line)


def _check(path: str, before: reading.ReadResult, after: bytes) -> None:
    """The new documents are valid, and say what the old ones were read as."""
    now = reading.read_declarations(path, after)
    meant, said = (
        [(each.namespace, each.metadata.name, each.spec) for each in result.declarations] for result in (before, now)
    )
    if now.problems or now.old or meant != said:
        raise RefusedError(f"{path}: what was written would mean something else", remedy="Write it in a plainer form.")
