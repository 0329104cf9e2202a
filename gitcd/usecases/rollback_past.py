"""What a declaration was at the commits that touched it, and when something came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitcd.errors import TransientError
from gitcd.git.history import History, Landed, MissingHistory, Recollect
from gitcd.planning.matching import Surveyed
from gitcd.planning.overview import live_images
from gitcd.usecases.rollback_slots import Way, is_slotted, names
from gitcd.usecases.status_past import Past, Subject

MOST = 500  # commits of one declaration that are looked at


@dataclass(frozen=True, slots=True)
class Stage:
    """A commit that touched a declaration, and what stood in its places there."""

    landed: Landed
    surveyed: Surveyed


def trail_of(past: Past, subject: Subject) -> list[Stage]:
    """The stages of a declaration, newest first.

    Raises:
        TransientError: history is not to be had.
    """
    trail = past.trail(subject)[:MOST]
    found = surveyed_at(past, [(subject, landed.commit.oid) for landed in trail])
    return [Stage(landed, surveyed) for landed, surveyed in zip(trail, found, strict=True)]


def surveyed_at(past: Past, asked: Sequence[tuple[Subject, str]]) -> list[Surveyed]:
    """What stood in the places of declarations at commits, by their ids.

    Raises:
        TransientError: history is not to be had.
    """
    found = past.surveyed(asked)
    if isinstance(found, MissingHistory):
        raise _missing(found.reason)
    return [found[subject.identity, oid] for subject, oid in asked]


def known(recollect: Recollect) -> History:
    """The history that is needed to go back.

    Raises:
        TransientError: it is not to be had.
    """
    found = recollect()
    if isinstance(found, History):
        return found
    raise _missing(found.reason if found else "there is no git history")


def _missing(reason: str) -> TransientError:
    return TransientError(f"history, which says what to go back to, is missing: {reason}", remedy="Run again.")


def came_after(trail: Sequence[Stage], left: str, target: Landed, way: Way) -> str:
    """The commit after which came what a declaration leaves to be as it was at the target; empty: it always was there.

    Of two slots an image comes into the idle one before it is live.
    """
    number = 0
    if way is Way.IMAGE:
        number = next(place for place, each in enumerate(trail) if each.landed is target)
    if is_slotted(trail[0].surveyed):
        came = (
            {left}
            if way is not Way.IMAGE
            else {each.identifier for each in live_images(trail[number - 1].surveyed).images}
        )
        places = range(number, len(trail))
        number = next((place for place in places if came.isdisjoint(names(trail[place].surveyed))), 0)
    return trail[number - 1].landed.commit.parents[0] if number else ""
