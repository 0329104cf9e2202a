"""What the outcomes of a plan rest on, and so which of them a change may concern.

A declaration's outcome follows from the layout, from the files in which something of its interest stands, from what the
registry says of its repository, from its hold, and from the outcomes of those it shares one of these with or a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from gitcd.model import hold
from gitcd.model.declaration import Identity
from gitcd.model.reference import Repository
from gitcd.planning.scopes import LAYOUTS, is_manifest
from gitcd.planning.screening import Clue, Screen

if TYPE_CHECKING:
    from gitcd.planning.decide import Decision

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Ground:
    """What one outcome rests on: `files` it reads, its own first, and last parts of the paths that it names."""

    identity: Identity
    clue: Clue
    files: tuple[str, ...]
    named: tuple[str, ...] = ()
    group: str = ""

    @classmethod
    def of(cls, decision: Decision) -> Ground:
        surveyed = decision.surveyed
        declaration, identity = surveyed.declared.declaration, surveyed.declared.identity
        files = dict.fromkeys((declaration.origin.path, *surveyed.looked_into))
        named = {place.file.rpartition("/")[2] for place in declaration.spec.places}
        group = declaration.spec.strategy.group
        return cls(identity, Clue.of(declaration), tuple(files), tuple(sorted(named)), group)

    @property
    def repository(self) -> Repository:
        return self.clue.repository

    @property
    def bonds(self) -> Iterator[str]:
        """What it shares with others whose outcomes may have to do with its own."""
        yield from self.files
        yield f"\0{self.repository}"
        if self.group:
            yield f"\0\0{self.identity.environment} {self.group}"


class Grounds:
    """Those of all outcomes of a plan. They are told apart by number."""

    def __init__(self, grounds: Sequence[Ground]) -> None:
        self.all = grounds

    @property
    def hosts(self) -> set[str]:
        return {each.repository.registry for each in self.all}

    def bound(self, numbers: Iterable[int]) -> set[int]:
        """These, those that are bound to one of them, and theirs in turn."""
        found = set(numbers)
        fresh, met = list(found), set[str]()
        while fresh:
            bonds = {bond for number in fresh for bond in self.all[number].bonds} - met
            met |= bonds
            fresh = list({number for bond in bonds for number in self._by_bond[bond]} - found)
            found.update(fresh)
        return found

    def following(self, repositories: Collection[Repository]) -> set[int]:
        """Those that follow one of these."""
        return {number for number, each in enumerate(self.all) if each.repository in repositories}

    def concerned(self, path: str, content: bytes) -> set[int] | None:
        """Whom it concerns that a file comes, goes or changes that holds this; None: it may concern everybody."""
        if hold.is_hold(path):
            number = self._by_identity.get(hold.identity_of(path))
            return None if number is None else {number}
        from gitcd.manifests.reading import mentions_declaration

        if path in LAYOUTS or mentions_declaration(content):
            return None
        if not is_manifest(path):
            return set()
        found = set(self._by_name.get(path.rpartition("/")[2], ()))
        for needle in self._screen.needles(content):
            found.update(self._by_needle.get(needle, ()))
        return found

    def files(self, numbers: Iterable[int]) -> set[str]:
        """The files that decide these outcomes."""
        chosen = [self.all[number] for number in numbers]
        paths = {path for each in chosen for path in each.files}
        return {*LAYOUTS, *paths, *(hold.hold_path(each.identity) for each in chosen)}

    @cached_property
    def _screen(self) -> Screen:
        return Screen(each.clue for each in self.all)

    @cached_property
    def _by_needle(self) -> dict[bytes, list[int]]:
        return _index((needle, number) for number, each in enumerate(self.all) for needle in each.clue.needles)

    @cached_property
    def _by_bond(self) -> dict[str, list[int]]:
        return _index((bond, number) for number, each in enumerate(self.all) for bond in each.bonds)

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        return _index((name, number) for number, each in enumerate(self.all) for name in each.named)

    @cached_property
    def _by_identity(self) -> dict[Identity | None, int]:
        return {each.identity: number for number, each in enumerate(self.all)}


def _index(pairs: Iterable[tuple[Key, int]]) -> dict[Key, list[int]]:
    index: defaultdict[Key, list[int]] = defaultdict(list)
    for key, number in pairs:
        index[key].append(number)
    return dict(index)
