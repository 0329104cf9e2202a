"""How objects of a cluster are, by what stands around them, and what the logs of their pods say of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import Objects, ref_of
from gitcd.cluster.surroundings import around_each
from gitcd.errors import TransientError
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Ref
from gitcd.rollout.health import assess, evidence
from gitcd.rollout.health.pods import PATIENCE
from gitcd.usecases.apply_live import read_live

_log = logging.getLogger(__name__)


class Onlooker:
    """Looks at objects again and again, and remembers since when each of them has been what it is.

    `patience` is how long a pod may wait for a node before that counts as a failure.
    """

    def __init__(self, objects: Objects, patience: timedelta = PATIENCE) -> None:
        self._objects = objects
        self._patience = patience
        self._generations: dict[Ref, tuple[object, object]] = {}
        self._since: dict[Ref, datetime] = {}

    def look(self, ref: Ref, now: datetime) -> Health:
        """How an object is. One that is not there is Missing.

        Raises:
            DeclinedError: it may not be read, or what stands around it.
            TransientError: the cluster is in trouble.
        """
        return self.look_at([ref], now)[0]

    def look_at(self, refs: Sequence[Ref], now: datetime) -> list[Health]:
        """The same of several, in their order; many are looked at by a few requests."""
        live = read_live(self._objects, refs)
        there = [each for each in refs if each in live]
        around = dict(zip(there, around_each(self._objects, [live[each] for each in there]), strict=True))
        return [
            self.assess(live[each], around[each], now)
            if each in live
            else Health(each, State.MISSING, "NotFound", f"{each} is not there")
            for each in refs
        ]

    def assess(self, value: Json, around: Around, now: datetime) -> Health:
        """How an object is that was read already, with what stands around it."""
        self.note(value, now)
        return assess(value, around, now, seen=self._since, patience=self._patience)

    def note(self, value: Json, now: datetime) -> None:
        """Remember that the object was seen."""
        ref, metadata = ref_of(value), value["metadata"]
        generation = metadata.get("uid"), metadata.get("generation")
        if self._generations.get(ref) != generation:
            self._generations[ref] = generation
            self._since[ref] = now


def with_log(objects: Objects, health: Health) -> Health:
    """The same with the last lines of the log of the container that is to blame, where it has one that can be had."""
    if not evidence.has_log(health):
        return health
    try:
        lines = objects.log_tail(health.ref.namespace, health.pod, health.container, evidence.LINES)
    except (DeclinedError, TransientError) as error:
        _log.info("no log of pod %s, container %s: %s", health.pod, health.container, error)
        return health
    return evidence.with_log(health, lines)
