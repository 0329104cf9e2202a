"""Whether what a switch leads to is still what was verified, as far as git says it."""

from __future__ import annotations

from collections.abc import Iterable

from gitcd.errors import RefusedError
from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest, Ref
from gitcd.rollout.facts import Release, template
from gitcd.rollout.slots import holds


class OvertakenError(RefusedError):
    """What was verified is not what would go live."""

    def __init__(self, identity: Identity, slot: str) -> None:
        super().__init__(
            f"git has changed {slot}, the idle slot of {identity}, since it was verified",
            remedy="Run again: what it holds now is verified first.",
        )


def check_same(verified: Iterable[Release], now: Iterable[Release]) -> None:
    """Whether a later commit has the very pods that were verified; of what it does not clearly say nothing is known.

    Raises:
        OvertakenError: it has others.
    """
    there = {each.identity: each for each in now}
    for each in verified:
        slots = [slot for slot in each.workloads if holds(slot, each)]
        if each.identity in there and (ref := changed(slots, there[each.identity])):
            raise OvertakenError(each.identity, str(ref))


def changed(slots: Iterable[Manifest], now: Release) -> Ref | None:
    """The first of these workloads whose pods are others by a later commit."""
    there = {each.ref: template(each.value) for each in now.workloads}
    return next((each.ref for each in slots if there.get(each.ref, {}) != template(each.value)), None)
