"""A tree as it is once some of its files have changed, for edits that are made on top of each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gitcd.model.plan import FileChange
from gitcd.model.tree import Entry, Tree, blob_id


@dataclass(frozen=True)
class Overlay:
    """`changes` hold each file once, from what the tree below has to what it becomes."""

    below: Tree
    changes: tuple[FileChange, ...] = ()

    def changed(self, changes: Iterable[FileChange]) -> Overlay:
        """The same with more changes, made on top of those there are."""
        found = {each.path: each for each in self.changes}
        for each in changes:
            first = found.get(each.path)
            found[each.path] = replace(each, before=first.before) if first else each
        return Overlay(self.below, tuple(found.values()))

    def entries(self) -> Sequence[Entry]:
        return self._entries

    @cached_property
    def _entries(self) -> Sequence[Entry]:
        changed = {each.path for each in self.changes}
        kept = [each for each in self.below.entries() if each.path not in changed]
        new = [
            Entry(each.path, each.mode, blob_id(each.after), len(each.after))
            for each in self.changes
            if each.after is not None
        ]
        return sorted([*kept, *new], key=lambda each: each.path)

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        data = {each.path: each.after for each in self.changes if each.after is not None}
        asked = list(entries)
        for each in asked:
            if each.path in data:
                yield each, data[each.path]
        yield from self.below.read([each for each in asked if each.path not in data])
