"""When `gitcd run` looks at which declarations: each at its own interval, and at once where something was heard of it.

Times are moments of a monotonic clock, in seconds.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gitcd.model.declaration import Identity
from gitcd.planning.inputs import Inputs
from gitcd.planning.shards import Part, members
from gitcd.usecases.context import Planned

SHORTEST = 10.0  # between two looks at one declaration, whatever it says
LONGEST = 300.0  # between two looks at what is declared at all
_SETTLES = 1.0  # whoever changes one declaration often changes several
_SLACK = 0.05  # what is due so soon may as well be looked at now
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0

_Key = tuple[str, str]
_ANY = ("", "")


@dataclass(frozen=True, slots=True)
class _Unit:
    """Declarations that are looked at together, as often as the one with the shortest interval asks for."""

    identities: frozenset[Identity]
    interval: float


class Schedule:
    """What is due.

    Only a look that came to an end counts; what could not be decided stays due, after a pause that grows.
    `draw` answers a number between two.
    """

    def __init__(self, draw: Callable[[float, float], float] = random.uniform) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._units: list[_Unit] = []
        self._looked: dict[Identity, float] = {}
        self._heard: dict[_Key, float] = {}
        self._heeded: dict[_Key, float] = {}
        self._taken: Collection[Identity] = ()
        self._began = 0.0
        self._next = 0.0
        self._failures = 0

    def begin(self, now: float) -> Callable[[Inputs], Part | None]:
        """Begin a look at what is due now; the answer chooses it among what is declared."""
        self._began = now
        with self._lock:
            self._heeded, self._heard = self._heard, {}
        return lambda inputs: self._choose(inputs, now)

    def _choose(self, inputs: Inputs, now: float) -> Part | None:
        declared = members(inputs)
        self._units = [
            _Unit(
                frozenset(each.identity for each in unit),
                max(SHORTEST, min(each.declaration.spec.interval.total_seconds() for each in unit)),
            )
            for unit in declared.values()
        ]
        due = [unit for unit in self._units if self._is_due(unit, now)]
        self._taken = [identity for unit in due for identity in unit.identities]
        if len(due) == len(self._units):
            return None
        return Part(frozenset(self._taken) | {each.identity for each in inputs.broken})

    def _is_due(self, unit: _Unit, now: float) -> bool:
        heeded = self._heeded
        if _ANY in heeded or any((each.namespace, each.name) in heeded for each in unit.identities):
            return True
        return now >= self._due_at(unit) - _SLACK * unit.interval

    def _due_at(self, unit: _Unit) -> float:
        """When it is to be looked at again; whoever was never looked at is late."""
        return min(self._looked.get(each, -unit.interval) for each in unit.identities) + unit.interval

    def end(self, planned: Planned) -> None:
        """The look came to a plan."""
        undecided = {each.identity for each in planned.plan.outcomes if each.transient}
        known = {identity for unit in self._units for identity in unit.identities}
        self._looked = {each: at for each, at in self._looked.items() if each in known}
        self._looked |= dict.fromkeys(self._taken, self._began)
        for each in undecided:
            self._looked.pop(each, None)
        if undecided or any(each.transient for each in planned.plan.failures):
            self._pause()
            return
        self._failures = 0
        soonest = min((self._due_at(unit) for unit in self._units), default=self._began + LONGEST)
        wait = min(soonest - self._began, LONGEST)
        self._next = self._began + max(SHORTEST, wait * self._draw(1 - _SLACK, 1 + _SLACK))

    def fail(self) -> None:
        """The look came to nothing: try again after a pause."""
        with self._lock:
            self._heard = self._heeded | self._heard
        self._pause()

    def _pause(self) -> None:
        pause = min(_FIRST_PAUSE * 2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)
        self._next = self._began + pause * self._draw(0.5, 1)

    def hear(self, key: _Key | None, now: float) -> None:
        """Somebody has changed a declaration, by namespace and name; None: any may have been changed."""
        with self._lock:
            self._heard.setdefault(key or _ANY, now)

    def forget(self) -> None:
        """Look at everything again, now: others may have been at work meanwhile."""
        self._looked = {}
        self._next = 0.0

    def next(self) -> float:
        """When the next look is due."""
        if self._failures:
            return self._next
        with self._lock:
            heard = min(self._heard.values(), default=None)
        return self._next if heard is None else min(self._next, heard + _SETTLES)
