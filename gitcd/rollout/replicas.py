"""How many pods each of two slots has: as git says, and never fewer than what carries the traffic has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitcd.model.live import Json, Manifest
from gitcd.rollout.actions import KEPT, Action, Apply, Scale
from gitcd.rollout.facts import Facts
from gitcd.rollout.health.reading import number
from gitcd.rollout.slots import Pair, live_slot, owners

# A number that was kept from the slot before is not among them: it stays as whoever set that one wants it.
_OF_ROLLOUTS = frozenset({"gitcd", "gitcd-rollout", "gitcd-handover"})


def replicas(value: Json) -> int:
    return number(value, "spec", "replicas", default=1)


def brought(facts: Facts, slot: Manifest) -> Sequence[Action]:
    """Let a slot run what git says, with as many pods as it has: how many is a matter of the rollout.

    The number is taken over first: where nobody else owned it, it would fall to one as soon as it is left out.
    """
    live = facts.live.get(slot.ref)
    if live is None:
        return (Apply(slot),)
    spec = {key: each for key, each in slot.value["spec"].items() if key != "replicas"}
    return Scale(slot.ref, replicas(live)), Apply(replace(slot, value={**slot.value, "spec": spec}))


def wanted(facts: Facts, pair: Pair) -> int:
    """How many pods the new slot needs before it may be live: as git says, and never fewer than what it replaces.

    The old slot counts where somebody other than gitcd set its number, an autoscaler say, and where git gives none.
    """
    stated, old = _stated(pair.new), facts.live.get(pair.old.ref)
    if old is not None and live_slot(facts, pair) is pair.old and (stated == 0 or _is_scaled_by_others(old)):
        return max(stated, replicas(old))
    return stated


def scaled(facts: Facts, pair: Pair) -> Sequence[Action]:
    """What gives the new slot its number. Of one that carries traffic the number is git's, or else whoever's it is."""
    live = facts.live.get(pair.new.ref)
    if live is None:
        return ()
    stated, needed = _stated(pair.new), max(wanted(facts, pair), 1)
    if live_slot(facts, pair) is pair.new:
        differs = stated > 0 and replicas(live) != stated and not _is_scaled_by_others(live)
    else:
        differs = replicas(live) < needed
    return (Scale(pair.new.ref, needed, KEPT if needed > stated > 0 else ""),) if differs else ()


def has_none(facts: Facts, slot: Manifest) -> bool:
    """Whether git lets a slot have no pods, and it has none."""
    return replicas(slot.value) == 0 and replicas(facts.live.get(slot.ref, slot.value)) == 0


def _stated(slot: Manifest) -> int:
    """What git says; 0 where it says nothing."""
    return number(slot.value, "spec", "replicas", default=0)


def _is_scaled_by_others(value: Json) -> bool:
    """Whether somebody other than gitcd set how many replicas a workload has."""
    return any(each.get("manager") not in _OF_ROLLOUTS for each in owners(value, "f:replicas"))
