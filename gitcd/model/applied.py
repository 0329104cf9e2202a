"""What apply did to objects of a cluster, and what it remembers of them there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gitcd.model.declaration import Origin
from gitcd.model.live import Ref


class Fate(StrEnum):
    """What became of one object in one run."""

    CREATED = "Created"
    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    SKIPPED = "Skipped"  # it is none of apply's business, and why is said
    LEFT = "Left"  # not begun, because of something else that failed
    REFUSED = "Refused"  # it must not be written: a conflict, a kind, another tool's
    FAILED = "Failed"
    PRUNED = "Pruned"


NOWHERE = Origin("")  # of what stands in no file any more
BROKEN = frozenset({Fate.REFUSED, Fate.FAILED})


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: how people write its path, what the cluster has, and what it would have (None: nothing)."""

    path: str
    old: object = None
    new: object = None


@dataclass(frozen=True, slots=True)
class Applied:
    """One object, and what became of it; `message` is one sentence, empty where there is nothing to explain.

    `transient`: trying again may help; `alone`: what hinders it hinders nothing else.
    """

    ref: Ref
    fate: Fate
    origin: Origin = NOWHERE
    message: str = ""
    remedy: str = ""
    transient: bool = False
    differences: tuple[Difference, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that apply wrote. `manifest` and `owned` are fingerprints: of what was sent, and of what that became.

    `uid` is empty where it was going to be written when the run ended.
    """

    ref: Ref
    uid: str = ""
    manifest: str = ""
    owned: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that apply wrote for an environment, and the commit that was applied last as a whole.

    `state` is a fingerprint of that commit and of how it was applied; it is empty unless every object of it was written
    and nothing was left to do.
    """

    commit: str = ""
    entries: tuple[Entry, ...] = ()
    state: str = ""

    @property
    def by_ref(self) -> dict[Ref, Entry]:
        return {each.ref: each for each in self.entries}
