"""A memory that is kept beside the mirror, a file for each subject. Whatever is wrong with one, it is as if empty.

A file is text: a line that names format, version, the program's digest and the subject, `key TAB fact` lines, and the
SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from gitcd import __version__

MAX_BYTES = 128 << 20  # a larger file is not read, and larger facts are not kept
_FORMAT = f"gitcd memory 1 {__version__}"
_PACKAGE = Path(__file__).parents[1]
_CHECKSUM = 64
_PIECE = 1 << 20
_SHORT = 20
_WORTH_WRITING = 50  # one byte in so many is new or gone: below that, finding it out again is cheaper than writing

_Facts = dict[str, str]


class FileMemory:
    """What is known of one mirror, in the files of a folder; implements `gitcd.model.memory.Memory`.

    A subject that a run has asked about keeps what the run asked for and noted; the others stay as they are. So a file
    grows with the tree and not with its history.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._subjects: dict[str, _Subject] = {}

    def recall(self, subject: str, key: str) -> str | None:
        return (self._subjects.get(subject) or self._open(subject)).recall(key)

    def note(self, subject: str, key: str, fact: str) -> None:
        (self._subjects.get(subject) or self._open(subject)).note(key, fact)

    def save(self) -> None:
        """Write what has changed by much; failing is no failure."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for subject in self._subjects.values():
                subject.save()

    def _open(self, subject: str) -> _Subject:
        name = hashlib.sha256(subject.encode()).hexdigest()[:16]
        self._subjects[subject] = _Subject(self._folder / name, f"{_FORMAT} {rules()} {subject}\n".encode())
        return self._subjects[subject]


@cache
def rules() -> str:
    """Stands for the program itself: where a rule has changed, nothing that followed from the old one is recalled."""
    sources = hashlib.sha256()
    for path in sorted(_sources(_PACKAGE)):
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - many small files, and a start to be quick
            sources.update(path[len(str(_PACKAGE)) :].encode() + file.read())
    return sources.hexdigest()[:16]


def _sources(folder: Path | str) -> Iterator[str]:
    with os.scandir(folder) as found:
        for item in found:
            if item.name.endswith(".py"):
                yield item.path
            elif item.name != "__pycache__" and item.is_dir():
                yield from _sources(item.path)


class _Subject:
    """One file: `unused` is what it says, but for what was asked for and noted in this run."""

    def __init__(self, path: Path, head: bytes) -> None:
        self._path = path
        self._head = head
        self._unused = _read(path, head)
        self._used: _Facts = {}
        self._noted = 0

    def recall(self, key: str) -> str | None:
        fact = self._used.get(key)
        if fact is None and (fact := self._unused.pop(key, None)) is not None:
            self._used[key] = fact
        return fact

    def note(self, key: str, fact: str) -> None:
        self._unused.pop(key, None)
        self._used[key] = fact
        self._noted += len(fact)

    def save(self) -> None:
        """Write the file anew, aside and then in one step, if it would differ by much."""
        if (self._noted + _size(self._unused)) * _WORTH_WRITING <= _size(self._used):
            return
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                _write(file, self._head, self._used)
                keep = file.tell() <= MAX_BYTES
            if keep:
                Path(name).replace(self._path)
            else:
                self._path.unlink(missing_ok=True)
        finally:
            with suppress(OSError):
                Path(name).unlink()


def _size(facts: Mapping[str, str]) -> int:
    return sum(map(len, facts.values()))


def _read(path: Path, head: bytes) -> _Facts:
    try:
        with path.open("rb") as file:
            return dict(_lines(file)) if _is_whole(file, head) else {}
    except (OSError, UnicodeDecodeError):
        return {}


def _is_whole(file: BinaryIO, head: bytes) -> bool:
    """Whether the file starts as it should, and ends in the checksum of all that stands before."""
    size = os.fstat(file.fileno()).st_size - _CHECKSUM
    if not 0 < size <= MAX_BYTES or file.readline() != head:
        return False
    file.seek(0)
    checksum = hashlib.sha256()
    while size and (piece := file.read(min(size, _PIECE))):
        checksum.update(piece)
        size -= len(piece)
    whole = file.read() == checksum.hexdigest().encode()
    file.seek(len(head))
    return whole


def _lines(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Keys and facts; a short fact is likely to be that of many keys and is held once."""
    short: dict[str, str] = {}
    with TextIOWrapper(file, "ascii", newline="\n") as text:
        for line in text:
            key, tab, fact = line.partition("\t")
            if tab:
                fact = fact[:-1]
                yield key, short.setdefault(fact, fact) if len(fact) <= _SHORT else fact


def _write(file: BinaryIO, head: bytes, facts: Mapping[str, str]) -> None:
    checksum = hashlib.sha256(head)
    file.write(head)
    for key, fact in facts.items():
        line = f"{key}\t{fact}\n".encode()
        checksum.update(line)
        file.write(line)
    file.write(checksum.hexdigest().encode())
