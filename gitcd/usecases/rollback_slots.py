"""How a declaration with two slots goes back along with its group, as git tells of both slots now and then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gitcd.errors import RefusedError
from gitcd.model.declaration import Identity
from gitcd.model.plan import FileChange
from gitcd.model.registry import Failure
from gitcd.planning.content import Held, held
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.overlay import Overlay
from gitcd.planning.switching import SlotImages, Wanted, slot_images
from gitcd.usecases.switch_pair import pair_of


class MovedError(RefusedError):
    """Something else stands in the places than what was to be left."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(f"{identity} moved meanwhile", remedy="Look at `gitcd history`.")


class Way(StrEnum):
    """By which edits a declaration goes back."""

    IMAGE = "Image"  # its places get the image; of two slots the idle one does, and the switch comes later
    REFILL = "Refill"  # the idle slot gets the live one's image
    SWITCH = "Switch"  # the Services lead to the other slot


@dataclass(frozen=True, slots=True)
class Retreat:
    """What a declaration with two slots leaves, and what it keeps."""

    left: Held
    kept: Held
    way: Way


def retreat_of(surveyed: Surveyed, leaving: str) -> Retreat:
    """How the image that failed is left, be it live by now or not. `leaving` is its digest, or its tag.

    Raises:
        MovedError: no slot holds it any more.
        RefusedError: the slots cannot be told apart, or there is nothing to go back to.
    """
    stand = _slot_images(surveyed)
    if leaving not in {stand.live.identifier, stand.idle.identifier}:
        raise MovedError(surveyed.declared.identity)
    if stand.is_even:
        raise RefusedError(
            "both slots hold the image that failed, so there is nothing to go back to",
            remedy="Push an image that works, and move the tag to it.",
        )
    if leaving == stand.idle.identifier:
        return Retreat(stand.idle, stand.live, Way.REFILL)
    return Retreat(stand.live, stand.idle, Way.SWITCH)


def retreat_along(surveyed: Surveyed, then: Surveyed, wanted: Wanted | Failure) -> Retreat | None:
    """How it goes back to what it was then; None: by its images, if at all. `wanted` is what shall be live by now.

    Raises:
        RefusedError: the slots cannot be told apart.
    """
    now, before = _slot_images(surveyed), slot_images(then)
    if isinstance(before, Failure) or now.is_even:
        return None
    if now.live.identifier == before.live.identifier:
        is_awaited = isinstance(wanted, Wanted) and now.idle.identifier == wanted.identifier
        is_coming = is_awaited and now.idle.identifier != before.idle.identifier
        return Retreat(now.idle, now.live, Way.REFILL) if is_coming else None
    is_kept = now.idle.identifier == before.live.identifier
    return Retreat(now.live, now.idle, Way.SWITCH) if is_kept else None


def is_slotted(surveyed: Surveyed) -> bool:
    """Whether it has two slots."""
    return surveyed.declared.declaration.spec.strategy.blue_green is not None


def names(surveyed: Surveyed) -> set[str]:
    """What its workloads name, in whichever slot, by digest or else by tag."""
    repository = surveyed.declared.declaration.spec.repository
    return {held(site, repository).identifier for site in surveyed.image_sites}


def slot_changes(
    after: Overlay, inputs: Inputs, retreats: Iterable[tuple[Identity, str, Way]]
) -> tuple[FileChange, ...]:
    """The changes of a tree, with what takes the slots of these declarations back from what each leaves.

    Raises:
        RefusedError: a file cannot be written.
    """
    for identity, left, way in retreats:
        pair = pair_of(after, inputs, identity)
        if way is Way.SWITCH and pair.stand.live.identifier == left:
            after = after.changed(pair.switched())
        if way is Way.REFILL and pair.stand.idle.identifier == left:
            after = after.changed(pair.refilled())
    return after.changes


def _slot_images(surveyed: Surveyed) -> SlotImages:
    stand = slot_images(surveyed)
    if isinstance(stand, Failure):
        raise RefusedError(stand.message, remedy=stand.remedy)
    return stand
