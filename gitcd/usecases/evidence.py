"""How objects of a cluster are, by what stands around them, and what the logs of their pods say of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import Objects, ref_of
from gitcd.cluster.surroundings import around_each
from gitcd.errors import TransientError
from gitcd.model import times
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Ref
from gitcd.rollout.facts import changed_at
from gitcd.rollout.health import assess, evidence
from gitcd.rollout.health.look import line
from gitcd.rollout.health.pods import PATIENCE
from gitcd.usecases.apply_live import read_live

# Kinds that have no condition for pods that may not be made, and what is seen of them then.
_SILENT = {("StatefulSet", "Creating"), ("DaemonSet", "Creating"), ("Job", "Running"), ("Job", "NotStarted")}
_UNMADE = "FailedCreate"
_BRIEFLY, _AGAIN = timedelta(seconds=1.5), timedelta(seconds=5)
_LONGEST = 512  # characters of an event

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """An object of the cluster, what stands around it, and how it is."""

    value: Json
    around: Around
    health: Health


class Onlooker:
    """Looks at objects again and again, and remembers since when each of them has been what it is.

    `patience` is how long a pod may wait for a node before that counts as a failure.
    """

    def __init__(self, objects: Objects, patience: timedelta = PATIENCE) -> None:
        self._objects = objects
        self._patience = patience
        self._generations: dict[Ref, tuple[object, object]] = {}
        self._since: dict[Ref, datetime] = {}
        self._unmade: dict[Ref, tuple[datetime, str]] = {}  # when to ask next, and what was said before

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

    def sight(self, ref: Ref, now: datetime) -> Observed | None:
        """An object with all that was looked at to say how it is; None: it is not there. Raises as `look` does."""
        value = self._objects.get(ref)
        if value is None:
            return None
        around = self._objects.around(value)
        return Observed(value, around, self.assess(value, around, now))

    def assess(self, value: Json, around: Around, now: datetime) -> Health:
        """How an object is that was read already, with what stands around it."""
        self.note(value, now)
        health = assess(value, around, now, seen=self._since, patience=self._patience)
        return self._explained(health, value, around, now)

    def note(self, value: Json, now: datetime) -> None:
        """Remember that the object was seen."""
        ref, metadata = ref_of(value), value["metadata"]
        generation = metadata.get("uid"), metadata.get("generation")
        if self._generations.get(ref) != generation:
            self._generations[ref] = generation
            self._since[ref] = now

    def _explained(self, health: Health, value: Json, around: Around, now: datetime) -> Health:
        """The same with why pods are not made, where the object's own status never says that."""
        is_job_with_pods = health.ref.kind == "Job" and around.pods
        if health.pod or is_job_with_pods or (health.ref.kind, health.reason) not in _SILENT:
            self._unmade.pop(health.ref, None)
            return health
        due, why = self._unmade.setdefault(health.ref, (now + _BRIEFLY, ""))
        if now >= due:
            why = self._why_unmade(value)
            self._unmade[health.ref] = now + _AGAIN, why
        return replace(health, reason=_UNMADE, message=f"{health.message}; {why}") if why else health

    def _why_unmade(self, value: Json) -> str:
        """What its controller said last since the object is what it is; empty: nothing that can be had."""
        fields = f"involvedObject.uid={value['metadata']['uid']},reason={_UNMADE}"
        try:
            events = self._objects.list_kind("", "Event", namespace=value["metadata"]["namespace"], fields=fields)
        except (DeclinedError, TransientError) as error:
            _log.info("no events about %s: %s", ref_of(value), error)
            return ""
        since = changed_at(value)
        told = [(time, each) for each in events if (time := times.parsed(each.get("lastTimestamp")))]
        fresh = [pair for pair in told if since is None or pair[0] >= since]
        return line(str(max(fresh, key=itemgetter(0))[1].get("message", "")), _LONGEST) if fresh else ""


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
