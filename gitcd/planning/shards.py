"""Which declarations a run acts on where several share the work: never a part of what moves together.

Declarations that may meet in a place, or that have to move together, are one unit. A unit is acted on whole, by one
run: whoever moved one of them alone would have to wait for the other.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gitcd.model.declaration import Identity
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Declared
from gitcd.planning.pulls import EACH, asks_for_pull
from gitcd.planning.scopes import Scopes

Bond = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The declarations that a run acts on.

    `sweeps`: whether it also clears away what is left of declarations that are gone. Of several runs one does.
    """

    identities: Collection[Identity]
    sweeps: bool = True


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` runs that share the declarations; `number` is counted from 0."""

    number: int
    count: int

    def __call__(self, inputs: Inputs) -> Part:
        """The declarations of this shard; those that cannot be read are divided by their names."""
        own = {identity for identity, unit in units(inputs).items() if self._has(unit)}
        own |= {each.identity for each in inputs.broken if self._has(str(each.identity))}
        return Part(own, sweeps=self.number == 0)

    def _has(self, unit: str) -> bool:
        """The same answer on every machine and in every version, as Python's own hashes are not."""
        return int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8]) % self.count == self.number


def units(inputs: Inputs) -> Mapping[Identity, str]:
    """The unit of each declaration, by a name that stays the same while its members do."""
    bonds = [sorted(_bonds(each, inputs.scopes)) for each in inputs.declared]
    leader: dict[Bond, Bond] = {}

    def find(bond: Bond) -> Bond:
        while (above := leader.setdefault(bond, bond)) != bond:
            leader[bond] = leader[above]
            bond = above
        return bond

    for first, *others in bonds:
        for other in others:
            one, two = sorted((find(first), find(other)))
            leader[two] = one
    return {each.identity: "\n".join(find(own[0])) for each, own in zip(inputs.declared, bonds, strict=True)}


def members(inputs: Inputs) -> Mapping[str, list[Declared]]:
    """The declarations of each unit."""
    found: defaultdict[str, list[Declared]] = defaultdict(list)
    unit = units(inputs)
    for each in inputs.declared:
        found[unit[each.identity]].append(each)
    return found


def _bonds(declared: Declared, scopes: Scopes) -> Iterator[Bond]:
    """What a declaration may share with another: its images, a key, a file, a rollout, a pull request."""
    environment, namespace = declared.identity.environment, declared.identity.namespace
    spec = declared.declaration.spec
    yield environment, "image", str(spec.repository)
    if spec.config:
        yield environment, "key", namespace, spec.config.name, spec.config.key
    for place in spec.places:
        yield environment, "place", place.file, place.pointer
    if spec.strategy.group:
        yield environment, "rollout", spec.strategy.group
    common, own = scopes.layout_of(environment).delivery, spec.delivery
    group = (own.group if own else "") or common.group or EACH
    if group != EACH and asks_for_pull(declared, scopes):
        yield environment, "pull request", group
