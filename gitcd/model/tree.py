"""A tree of files as gitcd sees it: paths, modes, object ids, bytes. The commit or folder behind it is elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

YAML_ENDINGS = (".yaml", ".yml")


class Mode(StrEnum):
    FILE = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"
    SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the tree. `path` is relative, with `/`; `size` is bytes, -1 where it is not known."""

    path: str
    mode: Mode
    oid: str
    size: int = -1


class Tree(Protocol):
    """What the core reads. `read` streams in any order that is cheap, each entry once."""

    def entries(self) -> Sequence[Entry]: ...

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]: ...


class MemoryTree:
    """A tree held in memory: for tests, and for what has already been read."""

    def __init__(self, files: Mapping[str, bytes], modes: Mapping[str, Mode] | None = None) -> None:
        self.files = dict(files)
        self._modes = dict(modes or {})

    def entries(self) -> Sequence[Entry]:
        return [
            Entry(path, self._modes.get(path, Mode.FILE), blob_id(data), len(data))
            for path, data in sorted(self.files.items())
        ]

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        for entry in entries:
            yield entry, self.files[entry.path]


def upward(path: str) -> Iterator[str]:
    """A path, and the folders that it lies in up to the root, which is empty."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def lies_in(path: str, places: Collection[str]) -> bool:
    """Whether it is one of these files and folders, or lies below one."""
    return any(each in places for each in upward(path))


def blob_id(data: bytes) -> str:
    """The object id that git gives to these bytes as a blob (SHA-1 object format)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
