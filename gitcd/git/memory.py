"""A memory kept in one file beside the mirror. Whatever is wrong with the file, it is then as if there were none.

The file is text: a line that names format and version, the facts (a line for each subject, then `key TAB fact` lines),
and the SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from gitcd import __version__

MAX_BYTES = 256 << 20  # a larger file is not read, a larger memory not kept
_HEAD = f"gitcd memory 1 {__version__}\n".encode()
_CHECKSUM = 64
_PIECE = 1 << 20
_WORTH_WRITING = 50  # one fact in so many is new or gone: below that, finding it out again is cheaper than writing

_Facts = dict[str, dict[str, str]]


class FileMemory:
    """Facts of one mirror's blobs; implements `gitcd.model.memory.Memory`.

    A subject that a run has asked about keeps what the run asked for and noted; the others stay as they are. So the
    file grows with the tree and not with its history.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: _Facts | None = None  # what the file says, but for what was used
        self._used: _Facts = defaultdict(dict)
        self._noted = 0

    def recall(self, subject: str, key: str) -> str | None:
        used = self._used[subject]
        fact = used.get(key)
        if fact is None and (fact := self._unused(subject).pop(key, None)) is not None:
            used[key] = fact
        return fact

    def note(self, subject: str, key: str, fact: str) -> None:
        self._unused(subject).pop(key, None)
        self._used[subject][key] = fact
        self._noted += 1

    def save(self) -> None:
        """Write the file anew, aside and then in one step, if it would differ by much; failing is no failure."""
        gone = sum(len(self._unused(subject)) for subject in self._used)
        if (self._noted + gone) * _WORTH_WRITING > sum(map(len, self._used.values())):
            with suppress(OSError):
                _replace(self._path, {**self._facts(), **self._used})

    def _unused(self, subject: str) -> dict[str, str]:
        return self._facts().setdefault(subject, {})

    def _facts(self) -> _Facts:
        if self._known is None:
            self._known = _read(self._path)
        return self._known


def _read(path: Path) -> _Facts:
    try:
        with path.open("rb") as file:
            return _parse(file) if _is_whole(file) else {}
    except (OSError, UnicodeDecodeError):
        return {}


def _is_whole(file: BinaryIO) -> bool:
    """Whether the file is of our format, and ends in the checksum of all that stands before."""
    size = os.fstat(file.fileno()).st_size - _CHECKSUM
    if not 0 < size <= MAX_BYTES or file.readline() != _HEAD:
        return False
    file.seek(0)
    checksum = hashlib.sha256()
    while size and (piece := file.read(min(size, _PIECE))):
        checksum.update(piece)
        size -= len(piece)
    return file.read() == checksum.hexdigest().encode()


def _parse(file: BinaryIO) -> _Facts:
    facts: _Facts = {}
    subject: dict[str, str] = {}
    file.seek(len(_HEAD))
    for line in TextIOWrapper(file, "ascii", newline="\n"):
        key, tab, fact = line.partition("\t")
        if key and tab:
            subject[key] = fact[:-1]
        elif tab:
            subject = facts.setdefault(fact[:-1], {})
    return facts


def _replace(path: Path, facts: _Facts) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            checksum = hashlib.sha256()
            size = 0
            for piece in _pieces(facts):
                size += len(piece)
                checksum.update(piece)
                file.write(piece)
            file.write(checksum.hexdigest().encode())
        if size > MAX_BYTES:
            path.unlink(missing_ok=True)
        else:
            Path(name).replace(path)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _pieces(facts: _Facts) -> Iterator[bytes]:
    yield _HEAD
    for subject, known in facts.items():
        yield f"\t{subject}\n".encode()
        for key, fact in known.items():
            yield f"{key}\t{fact}\n".encode()
