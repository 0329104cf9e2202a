"""Unified diffs that `git apply` takes, of bytes: line endings, missing final newlines, odd encodings come through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from gitcd.model.plan import FileChange
from gitcd.model.tree import blob_id

_CONTEXT = 3
_NO_NEWLINE = b"\n\\ No newline at end of file\n"
_ABBREVIATED = 10
_PRINTABLE = range(0x20, 0x7F)  # of ASCII
_Block = tuple[int, int, int, int]  # old lines [i1, i2) become new lines [j1, j2)


def unified(changes: Iterable[FileChange]) -> Iterator[bytes]:
    """The lines of a diff in git's format, each with its newline."""
    for change in changes:
        yield from _file(change)


def _file(change: FileChange) -> Iterator[bytes]:
    old, new = _quoted("a/" + change.path), _quoted("b/" + change.path)
    yield b"diff --git %s %s\n" % (old, new)
    mode = change.mode.value.encode()
    ids = _short_id(change.before), _short_id(change.after)
    if change.before is None:
        yield b"new file mode %s\nindex %s..%s\n" % (mode, *ids)
    elif change.after is None:
        yield b"deleted file mode %s\nindex %s..%s\n" % (mode, *ids)
    else:
        yield b"index %s..%s %s\n" % (*ids, mode)
    yield b"--- %s\n" % (old if change.before is not None else b"/dev/null")
    yield b"+++ %s\n" % (new if change.after is not None else b"/dev/null")
    yield from _hunks(_lines(change.before), _lines(change.after))


def _lines(data: bytes | None) -> list[bytes]:
    """Lines as git counts them: only a line feed ends one."""
    lines = (data or b"").split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _hunks(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[bytes]:
    for group in _groups(_blocks(old, new)):
        begin_old, begin_new = max(group[0][0] - _CONTEXT, 0), max(group[0][2] - _CONTEXT, 0)
        end_old, end_new = min(group[-1][1] + _CONTEXT, len(old)), min(group[-1][3] + _CONTEXT, len(new))
        yield b"@@ -%s +%s @@\n" % (_range(begin_old, end_old), _range(begin_new, end_new))
        at = begin_old
        for i1, i2, j1, j2 in group:
            yield from _marked(b" ", old[at:i1])
            yield from _marked(b"-", old[i1:i2])
            yield from _marked(b"+", new[j1:j2])
            at = i2
        yield from _marked(b" ", old[at:end_old])


def _blocks(old: Sequence[bytes], new: Sequence[bytes]) -> list[_Block]:
    """What differs. A splice seldom changes the number of lines, so line by line is tried first: it is linear."""
    if len(old) == len(new):
        changed = [number for number, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
        return [(first, last, first, last) for first, last in _runs(changed)]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [(i1, i2, j1, j2) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open runs of consecutive numbers."""
    if not numbers:
        return
    breaks = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(numbers)) if two != one + 1), len(numbers)]
    for first, last in pairwise(breaks):
        yield numbers[first], numbers[last - 1] + 1


def _groups(blocks: Sequence[_Block]) -> Iterator[list[_Block]]:
    """Blocks whose context would touch share a hunk."""
    group: list[_Block] = []
    for block in blocks:
        if group and block[0] - group[-1][1] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _marked(mark: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + (line if line.endswith(b"\n") else line + _NO_NEWLINE)


def _range(begin: int, end: int) -> bytes:
    count = end - begin
    first = begin + 1 if count else begin
    return b"%d" % first if count == 1 else b"%d,%d" % (first, count)


def _short_id(data: bytes | None) -> bytes:
    return (b"0" * 40 if data is None else blob_id(data).encode())[:_ABBREVIATED]


def _quoted(path: str) -> bytes:
    """A path as git prints it: in quotes with escapes where it holds anything but plain characters."""
    raw = path.encode("utf-8", "surrogateescape")
    if all(byte in _PRINTABLE and byte not in b'"\\' for byte in raw):
        return raw
    return b'"' + b"".join(_escaped(byte) for byte in raw) + b'"'


def _escaped(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return bytes([byte]) if byte in _PRINTABLE else b"\\%03o" % byte
