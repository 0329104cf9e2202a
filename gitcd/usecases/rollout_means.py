"""By what means a rollout sees, acts and remembers: the cluster, and those whom the driver asks for the rest."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gitcd.cluster.objects import Objects
from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest
from gitcd.model.registry import Failure
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout.facts import Release, Renamed
from gitcd.rollout.table import Trouble

POLL = timedelta(seconds=1)  # between two looks at what is under way
TIP_EVERY = timedelta(seconds=5)  # between two looks at the branch
OVERTAKEN = "Overtaken"  # why there is no switch where a newer commit changed what was verified
BRIEFLY = 1.0  # seconds to wait for another process that has the copy of the repository: the next look comes soon


class Carry(Protocol):
    """Takes one manifest to the cluster by the rules of apply; with a version, to that version of the object alone."""

    def __call__(self, manifest: Manifest, version: str = "", /) -> None: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One measurement that is asked for: of the check that `key` names, the one after `number` others.

    `round` tells this try of the rollout from others, and `owner` is the UID of its ContainerVersion in the cluster;
    both are empty where there is none.
    """

    release: Release
    key: str
    verify: Verify
    number: int
    now: datetime
    round: str = ""
    owner: str = ""


Check = Callable[[Question], Measurement | None]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What came of taking a release back, with all that goes back with it.

    `releases` are what has to run now, in place of what failed; none where nothing could be taken back: then `refusal`
    says why. `commit` is the revert, which somebody has to merge at the address `pull`, where there is one.
    `superseded`: git wants something else by now.
    """

    releases: tuple[Release, ...] = ()
    commit: str = ""
    pull: str = ""
    refusal: Failure | None = None
    superseded: bool = False


TakeBack = Callable[[Release, Trouble, str], TakenBack]


def unmeasured(question: Question) -> Measurement:
    """For those who can measure nothing."""
    return Measurement(question.now, Verdict.INCONCLUSIVE, "nothing can be measured here")


def not_taken_back(_release: Release, _trouble: Trouble, _good: str) -> TakenBack:
    """For those who cannot commit."""
    return TakenBack(refusal=Failure("NotTakenBack", "nothing can be committed here"))


def not_switched(_releases: Sequence[Release]) -> Failure:
    """For those who cannot commit."""
    return Failure("NotSwitched", "the switch cannot be committed here")


def _now() -> datetime:
    return datetime.now(UTC)


def _none(_: Sequence[Release]) -> frozenset[Identity]:
    return frozenset()


def _unforeseen(_release: Release, _good: str) -> str:
    return ""


def _silent(_release: Release, _text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Means:
    """`check` takes one measurement, if it is there.

    `take_back` gets the release that failed, why, and the digest that was found healthy last, where that is known;
    `foresee` answers why a release could not be taken back, before it begins.

    `switch` commits that the Services of releases in git select their other slots, all in one commit, and answers the
    releases of that commit, or what stands against it. `superseded` tells which of the releases a newer commit wants
    otherwise. `until` is the moment of `time.monotonic()` at which the run has to end. `tell` hears what every release
    is at, whenever that changes. `renamed` is what admission makes of images: every write may add to it.
    """

    objects: Objects
    carry: Carry
    check: Check = unmeasured
    take_back: TakeBack = not_taken_back
    foresee: Callable[[Release, str], str] = _unforeseen
    switch: Callable[[Sequence[Release]], Sequence[Release] | Failure] = not_switched
    superseded: Callable[[Sequence[Release]], frozenset[Identity]] = _none
    tell: Callable[[Release, str], None] = _silent
    until: float = math.inf
    poll: timedelta = POLL
    run: str = ""
    renamed: Renamed = field(default_factory=dict)
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    committing: threading.Lock = field(default_factory=threading.Lock)  # one commit at a time
