"""Holds: a file in the repository, or a human's revert, that says "not this one" or "not now"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.site import Site
from gitcd.planning.moments import moment
from gitcd.planning.wanted import Wanted


@dataclass(frozen=True, slots=True)
class PastMove:
    """The last commit in which gitcd moved a declaration, with the affected files as it left them."""

    commit: str
    digest: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class NoHistory:
    """History that is needed could not be had; a decision that depends on it is blocked."""

    reason: str


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
    rejected = next((each for each in hold.reject if each.digest == digest and not _is_over(each.until, now)), None)
    if rejected is None:
        return None
    until = f" until {rejected.until}" if rejected.until else ""
    said = _said(rejected.by or hold.by, rejected.reason or hold.reason)
    return Held("Rejected", f"{rejected.version or rejected.digest} is rejected{until}{said}")


def _is_over(until: str, now: datetime) -> bool:
    end = moment(until)
    return end is not None and end <= now


def reverted(past: PastMove, digest: str, sites_then: Sequence[Site], wanted_now: Sequence[Wanted]) -> bool:
    """Whether a place that gitcd had moved to this digest no longer holds it: somebody took it back."""
    if past.digest != digest:
        return False
    then = {_key(site): site for site in sites_then}
    return any(
        _was(then.get(_key(wanted.site)), wanted) and not _is(wanted.site, wanted)
        for wanted in wanted_now
        if wanted.site.repository is not None
    )


def _was(site: Site | None, wanted: Wanted) -> bool:
    return site is not None and _is(site, wanted)


def _is(site: Site, wanted: Wanted) -> bool:
    """Whether the site holds the wanted content, be it in another spelling."""
    if site.digest or wanted.edit.digest:
        return site.digest == wanted.edit.digest
    return site.tag == wanted.edit.tag


def _key(site: Site) -> tuple[str, str, str, str, str]:
    """What stays the same about a site when lines are added around it."""
    return site.path, site.form, str(site.owner), site.container, "" if site.container else site.pointer


def _said(by: str, reason: str) -> str:
    return (f" by {by}" if by else "") + (f": {reason}" if reason else "")


Holds = Mapping[Identity, Hold]
