"""A file's documents as byte ranges, and the reasons for which a whole file is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitcd.errors import RefusedError
from gitcd.model.site import Refusal

MAX_BYTES = 1 << 20
MAX_DOCUMENTS = 10_000
BOM = b"\xef\xbb\xbf"
_LFS = b"version https://git-lfs.github.com/spec/"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# YAML 1.2, productions 203 and 204: at the start of a line, before white space or the end. Nothing can hide them.
_FIRST_MARKER = re.compile(rb"(---|\.\.\.)(?=[ \t\r\n]|\Z)")
_MARKER = re.compile(rb"\n(---|\.\.\.)(?=[ \t\r\n]|\Z)")
_MARKER_AFTER_CR = re.compile(rb"[\r\n](---|\.\.\.)(?=[ \t\r\n]|\Z)")  # several times slower to search for
_CONTENT = re.compile(rb"^[ \t]*[^ \t\r\n#%]", re.MULTILINE)


class EditRefused(RefusedError):  # noqa: N818 - says what happened, as RefusedError does
    """A file, or a spot in it, cannot be read or changed exactly; `refusal` says where and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            f"{refusal.where}: {refusal.reason}",
            remedy="The file is left as it is. Write that spot in a plainer form, or change it by hand.",
        )
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes of one document: `number` counts from 0, `line` is the first one's, from 1."""

    number: int
    start: int
    end: int
    line: int


def unreadable(path: str, data: bytes) -> Refusal | None:
    """Why nothing at all in this file may be touched."""
    if data.startswith(_LFS):
        return Refusal(path, 0, "is a git-lfs pointer, not the file itself")
    if data.startswith(_UTF16):
        return Refusal(path, 0, "is UTF-16, only UTF-8 is read")
    if len(data) > MAX_BYTES:
        return Refusal(path, 0, f"is larger than {MAX_BYTES >> 20} MiB")
    if data.count(b"\n---") > MAX_DOCUMENTS:
        return Refusal(path, 0, f"holds more than {MAX_DOCUMENTS} documents")
    if (at := data.find(b"\0")) >= 0:
        return Refusal(path, _breaks(data, 0, at) + 1, "holds a NUL byte: it is binary")
    if (at := data.find(BOM, len(BOM))) >= 0:
        return Refusal(path, _breaks(data, 0, at) + 1, "holds a byte order mark in the middle")
    return None


def is_disguised(data: bytes) -> bool:
    """Whether the bytes hide what they hold, so that a search in them proves nothing."""
    return data.startswith((_LFS, *_UTF16))


def split(data: bytes) -> list[Chunk]:
    """Cut a file into its documents, counted as a YAML parser counts them."""
    chunks: list[Chunk] = []
    start = counted = len(BOM) if data.startswith(BOM) else 0
    line, opened = 1, False
    for at, marker in _markers(data, start):
        if opened or _has_content(data[start:at]):
            line += _breaks(data, counted, start)
            counted = start
            chunks.append(Chunk(len(chunks), start, at, line))
            start = at
        if marker == b"...":
            start = at + len(marker)
        opened = marker == b"---"
    return chunks


def _markers(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    if first := _FIRST_MARKER.match(data, start):
        yield first.start(1), first[1]
    marker = _MARKER_AFTER_CR if b"\r" in data else _MARKER
    for match in marker.finditer(data, start):
        yield match.start(1), match[1]
    yield len(data), b""


def _has_content(piece: bytes) -> bool:
    return bool(_CONTENT.search(piece.replace(b"\r", b"\n") if b"\r" in piece else piece))


def _breaks(data: bytes, start: int, end: int) -> int:
    """Line breaks as YAML has them: CR LF, or either alone."""
    returns = data.count(b"\r", start, end)
    return data.count(b"\n", start, end) + (returns - data.count(b"\r\n", start, end) if returns else 0)
