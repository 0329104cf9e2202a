"""Looks into the files of a tree, and into their bytes only where it is not remembered what these hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from gitcd import manifests
from gitcd.manifests import reading
from gitcd.manifests.kustomizations import is_kustomization
from gitcd.manifests.reading import ReadResult
from gitcd.model.memory import Memory
from gitcd.model.site import Found
from gitcd.model.tree import Entry, Tree
from gitcd.planning.remembered_facts import ODD, pack_declarations, pack_found, unpack_declarations, unpack_found
from gitcd.planning.screening import MARK_LENGTH, Screen

_DECLARATIONS = "declarations"
_NONE = "-"  # the fact that a file holds nothing of the kind
_NOTHING = Found()

T = TypeVar("T")
# what of the declarations' interest occurs in a file, and what the file holds
Concern = tuple[frozenset[bytes], Found]


def declarations(tree: Tree, entries: Sequence[Entry], memory: Memory) -> Iterator[ReadResult]:
    """What each file declares, in the order of the files; nothing for one that declares nothing."""

    def unpack(entry: Entry, fact: str) -> ReadResult | None:
        return None if fact == _NONE else unpack_declarations(entry.path, fact)

    def look(entry: Entry, data: bytes) -> ReadResult | None:
        result = reading.read_declarations(entry.path, data) if reading.mentions_declaration(data) else ReadResult()
        if not result.problems:
            memory.note(_DECLARATIONS, entry.oid, pack_declarations(result) if result.declarations else _NONE)
        return result if result != ReadResult() else None

    facts = [memory.recall(_DECLARATIONS, entry.oid) for entry in entries]
    return (result for _, result in _look_into(tree, entries, facts, unpack, look))


def concerns(
    tree: Tree, entries: Sequence[Entry], screen: Screen, memory: Memory, subject: str
) -> Iterator[tuple[Entry, Concern]]:
    """The files that hold anything the screen lets through, in the order given, with what was found in them.

    `subject` tells apart what different sets of declarations look for: each remembers on its own.
    """
    mark = screen.fingerprint

    def unpack(entry: Entry, fact: str) -> Concern | None:
        if fact == mark:
            return None
        words, found = fact.removeprefix(mark).split(" ", 1)
        return (frozenset(words.encode().split(b",")), unpack_found(entry.path, found)) if found else None

    def look(entry: Entry, data: bytes) -> Concern | None:
        needles = screen.needles(data)
        if not needles:
            memory.note(subject, _key(entry), mark)
            return None
        words = b",".join(sorted(needles)).decode()
        found = _by_other_marks(entry, memory.recall(subject, _key(entry)), words)
        found = found or manifests.find(entry.path, data, needles)
        if found.refusals:
            return needles, found
        memory.note(subject, _key(entry), f"{mark}{words} {pack_found(found)}")
        return (needles, found) if found != _NOTHING else None

    facts = (memory.recall(subject, _key(entry)) for entry in entries)
    valid = [fact if fact and fact.startswith(mark) else None for fact in facts]
    return _look_into(tree, entries, valid, unpack, look)


def _by_other_marks(entry: Entry, fact: str | None, words: str) -> Found | None:
    """What was found when others were looked for as well: what a file holds depends on its own needles only."""
    known, _, found = (fact or "")[MARK_LENGTH:].partition(" ")
    if known != words:
        return None
    try:
        return unpack_found(entry.path, found)
    except ODD:
        return None


def _key(entry: Entry) -> str:
    """The blob's id. A kustomization may be known by nothing but its name, so that is part of the key."""
    return f"{entry.oid} kustomization" if is_kustomization(entry.path) else entry.oid


def _look_into(
    tree: Tree,
    entries: Sequence[Entry],
    facts: Sequence[str | None],
    unpack: Callable[[Entry, str], T | None],
    look: Callable[[Entry, bytes], T | None],
) -> Iterator[tuple[Entry, T]]:
    """By memory or by bytes, whatever is not None, in the given order: so that memory makes no difference."""
    read = _Reader(tree, [entry for entry, fact in zip(entries, facts, strict=True) if fact is None])
    for entry, fact in zip(entries, facts, strict=True):
        if fact is None:
            result = look(entry, read.bytes_of(entry))
        else:
            try:
                result = unpack(entry, fact)
            except ODD:
                result = look(entry, _Reader(tree, [entry]).bytes_of(entry))
        if result is not None:
            yield entry, result
    read.finish()


class _Reader:
    """One stream of blobs, asked for by entry; what comes early waits."""

    def __init__(self, tree: Tree, entries: Iterable[Entry]) -> None:
        self._stream = tree.read(entries)
        self._early: dict[str, bytes] = {}

    def bytes_of(self, entry: Entry) -> bytes:
        while entry.path not in self._early:
            came, data = next(self._stream)
            self._early[came.path] = data
        return self._early.pop(entry.path)

    def finish(self) -> None:
        """See the stream to its end, where it is checked."""
        for _ in self._stream:
            pass
