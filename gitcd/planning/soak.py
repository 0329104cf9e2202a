"""Soak time: for how long git says that an environment has deployed a digest. What is not known has not soaked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gitcd.model.declaration import Identity
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import short
from gitcd.planning.decide import Decision
from gitcd.planning.gates import Block, shown
from gitcd.planning.holds import NoHistory
from gitcd.planning.scopes import Scopes


@dataclass(frozen=True, slots=True)
class SoakQuestion:
    """Since when has the source held the digest? Whether it is since `enough` is all that matters."""

    source: Identity
    digest: str
    enough: datetime


Soaked = Mapping[Identity, datetime | NoHistory]


def soak_questions(decisions: Iterable[Decision], scopes: Scopes, now: datetime) -> list[SoakQuestion]:
    """One question for every declaration into which other content is about to move by promotion."""
    return [
        SoakQuestion(aim.source, aim.digest, now - soak)
        for each in decisions
        if (soak := _min_soak(each, scopes)) and (aim := each.aim) and aim.source
    ]


def ripen(decisions: Iterable[Decision], soaked: Soaked, scopes: Scopes, now: datetime) -> list[Decision]:
    """Block what has not soaked for long enough, and what cannot be known."""
    return [_ripen(each, soak, soaked, now) if (soak := _min_soak(each, scopes)) else each for each in decisions]


def check_soak(since: datetime | NoHistory | None, min_soak: timedelta, where: str, now: datetime) -> Block | None:
    """Why an image may not pass that has been the value of an environment since a moment."""
    gate = f"gates.minSoak is {shown(min_soak)}"
    if since is None or isinstance(since, NoHistory):
        reason = since.reason if since else "nobody was asked"
        return Block("SoakUnknown", f"{gate}, and history that would tell is missing: {reason}", transient=True)
    if since > now:
        message = f"{gate}, which cannot be checked: the commit that brought it to {where} is dated in the future"
        return Block("SoakUnknown", message, "Check the clocks.")
    if now - since < min_soak:
        left = shown(min_soak - (now - since))
        return Block("NotSoaked", f"{gate}, and {where} has had it for {shown(now - since)}: {left} to go")
    return None


def _min_soak(decision: Decision, scopes: Scopes) -> timedelta:
    """What is asked of this move; nothing where no other content moves in by promotion."""
    aim = decision.aim
    if not decision.edits or decision.outcome.kind is not OutcomeKind.BUMPED or aim is None or aim.source is None:
        return timedelta(0)
    return scopes.layout_of(decision.outcome.identity.environment).gates.min_soak


def _ripen(decision: Decision, min_soak: timedelta, soaked: Soaked, now: datetime) -> Decision:
    aim = decision.aim
    if aim is None or aim.source is None:
        return decision
    block = check_soak(soaked.get(aim.source), min_soak, f"{aim.source} ({short(aim.digest)})", now)
    if block is None:
        return decision
    return decision.stop(OutcomeKind.BLOCKED, block.reason, block.message, block.remedy, transient=block.transient)
