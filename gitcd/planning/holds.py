"""Holds: a file in the repository, or a human's revert, that says "not this one" or "not now"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold, Reject
from gitcd.model.site import Form, Site
from gitcd.planning.moments import moment
from gitcd.planning.wanted import Wanted


@dataclass(frozen=True, slots=True)
class PastMove:
    """The last commit in which gitcd moved a declaration, with the affected files as it left them."""

    commit: str
    digest: str
    files: Mapping[str, bytes]
    when: datetime | None = None  # the commit's date


@dataclass(frozen=True, slots=True)
class NoHistory:
    """History that is needed could not be had; a decision that depends on it is blocked."""

    reason: str
    remedy: str = ""
    lasting: bool = False  # no later run will have it either


Past = PastMove | NoHistory | None


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that applies, with the reason in CamelCase and one sentence."""

    reason: str
    message: str


def applies(hold: Hold | None, digest: str, now: datetime) -> Held | None:
    """Whether a hold file stops a move to this digest now."""
    if hold is None:
        return None
    if hold.freeze and not _is_over(hold.until, now):
        until = f" until {hold.until}" if hold.until else ""
        return Held("Frozen", f"frozen{until}{_said(hold.by, hold.reason)}")
    rejected = rejection(hold, digest, now)
    if rejected is None:
        return None
    until = f" until {rejected.until}" if rejected.until else ""
    said = _said(rejected.by or hold.by, rejected.reason or hold.reason)
    return Held("Rejected", f"{rejected.version or rejected.digest} is rejected{until}{said}")


def rejection(hold: Hold | None, digest: str, now: datetime) -> Reject | None:
    """What a hold file says that keeps this digest out now, be there a freeze or not."""
    found = (each for each in hold.reject if each.digest == digest) if hold else ()
    return next((each for each in found if not _is_over(each.until, now)), None)


def _is_over(until: str, now: datetime) -> bool:
    end = moment(until)
    return end is not None and end <= now


def reverted(digest: str, then: Sequence[Site], present: Sequence[Site], wanted: Sequence[Wanted]) -> bool:
    """Whether a place held then what is wanted again, and holds it no longer: somebody took it back.

    `then` are the sites of the declaration's repository in a commit of ours, `present` are those of the declaration.
    """
    goals = {goal.site.spot: goal for goal in wanted}
    return any(
        goal is not None and not _holds(site, goal, digest) and any(_holds(old, goal, digest) for old in olds)
        for site, olds in _pairs(present, then)
        for goal in (goals.get(site.spot),)
    )


def changed(digest: str, then: Sequence[Site], present: Sequence[Site]) -> bool:
    """Whether a place that may have held this digest then holds something else now."""
    return any(
        old.digest in {"", digest} and _content(old) != _content(site)
        for site, olds in _pairs(present, then)
        for old in olds
    )


def _pairs(present: Sequence[Site], then: Sequence[Site]) -> list[tuple[Site, list[Site]]]:
    """The present sites, each with what it was then.

    Where no image of the declaration is found again, all were renamed, and any of then may have been any of now.
    """
    past = _by_name(then)
    found = [(site, [past[name]]) for name, site in _by_name(present).items() if name in past]
    if any(site.repository is not None for site, _ in found):
        return found
    images = [site for site in then if site.repository is not None]
    return found + [(site, images) for site in present if site.repository is not None]


def _by_name(sites: Sequence[Site]) -> dict[tuple[str, ...], Site]:
    """Sites by what stays the same when things are added around them; several of one name are told by their order."""
    count: Counter[tuple[str, ...]] = Counter()
    named = {}
    for site in sites:
        name = _name(site)
        named[*name, str(count[name])] = site
        count[name] += 1
    return named


def _name(site: Site) -> tuple[str, ...]:
    match site.form:
        case Form.KUSTOMIZE:
            span = site.spans.get("name") or site.spans.get("newName")
            place = span.value if span else ""
        case Form.CONFIG:  # a declaration has but one key, which may have been taken out
            place = ""
        case _:
            place = site.container or site.pointer
    return site.path, site.form, site.owner.kind, site.owner.name, site.owner.namespace, place


def _content(site: Site) -> tuple[str | None, str, str]:
    return site.value, site.tag, site.digest


def _holds(site: Site, goal: Wanted, digest: str) -> bool:
    """Whether the site holds what the goal asks for, be it in another spelling."""
    if site.repository is None:
        return site.value == goal.edit.value
    if site.digest:
        return site.digest == digest
    return not goal.edit.digest and site.tag == goal.edit.tag


def _said(by: str, reason: str) -> str:
    return (f" by {by}" if by else "") + (f": {reason}" if reason else "")


Holds = Mapping[Identity, Hold]
