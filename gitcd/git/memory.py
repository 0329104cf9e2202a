"""A memory kept in one file beside the mirror. Whatever is wrong with the file, it is then as if there were none.

The file is text: a line that names format and version, the facts (a line for each subject, then `key TAB fact` lines),
and the SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from gitcd import __version__

MAX_BYTES = 256 << 20  # a larger file is not read, a larger memory not kept
_HEAD = f"gitcd memory 1 {__version__}"
_WORTH_WRITING = 50  # one fact in so many is new or gone: below that, finding it out again is cheaper than writing

_Facts = dict[str, dict[str, str]]


class FileMemory:
    """Facts of one mirror's blobs; implements `gitcd.model.memory.Memory`.

    A subject that a run has asked about keeps what the run asked for and noted; the others stay as they are. So the
    file grows with the tree and not with its history.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: _Facts | None = None
        self._used: _Facts = defaultdict(dict)
        self._noted = 0

    def recall(self, subject: str, key: str) -> str | None:
        fact = self._facts().get(subject, _NOTHING).get(key)
        if fact is not None:
            self._used[subject][key] = fact
        return fact

    def note(self, subject: str, key: str, fact: str) -> None:
        self._facts()
        self._used[subject][key] = fact
        self._noted += 1

    def save(self) -> None:
        """Write the file anew, aside and then in one step, if it would differ by much; failing is no failure."""
        known = self._known or {}
        kept = {**known, **self._used}
        before, after = (sum(map(len, facts.values())) for facts in (known, kept))
        gone = before + self._noted - after
        if (self._noted + gone) * _WORTH_WRITING > after:
            with suppress(OSError):
                _replace(self._path, kept)

    def _facts(self) -> _Facts:
        if self._known is None:
            self._known = _read(self._path)
        return self._known


_NOTHING: Mapping[str, str] = {}


def _read(path: Path) -> _Facts:
    try:
        if path.stat().st_size > MAX_BYTES:
            return {}
        text, _, checksum = path.read_bytes().rpartition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(text).hexdigest().encode() != checksum or not text.isascii():
        return {}
    head, *lines = text.decode().split("\n")
    return _parse(lines) if head == _HEAD else {}


def _parse(lines: list[str]) -> _Facts:
    facts: _Facts = {}
    subject: dict[str, str] = {}
    for line in lines:
        key, _, fact = line.partition("\t")
        if key:
            subject[key] = fact
        else:
            subject = facts.setdefault(fact, {})
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
            file.write(b"\n" + checksum.hexdigest().encode())
        if size > MAX_BYTES:
            path.unlink(missing_ok=True)
        else:
            Path(name).replace(path)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _pieces(facts: _Facts) -> Iterator[bytes]:
    yield _HEAD.encode()
    for subject, known in facts.items():
        yield f"\n\t{subject}".encode()
        for key, fact in known.items():
            yield f"\n{key}\t{fact}".encode()
