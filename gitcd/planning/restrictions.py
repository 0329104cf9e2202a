"""What holds say one by one, and whether each is in force: for lists, explanations and what is current anyway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from gitcd.model.hold import Hold
from gitcd.model.layout import Environment
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.reference import short
from gitcd.planning.moments import moment

if TYPE_CHECKING:
    from gitcd.planning.holds import Holds

IN_FORCE = "HoldInForce"  # reason of an outcome that is current, though a hold would keep it from moving
IN_FORCE_FOR_NOW = "HoldInForceUntil"  # the same, and time will end it
PROMOTION_ONLY = "PromotionOnly"  # reason of an outcome that awaits promotion, and whose tag names what git says


class State(StrEnum):
    IN_FORCE = "in force"
    TO_COME = "to come"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Restriction:
    """One thing that is held. `digest` is empty for a freeze, moments are as they were written down."""

    what: str
    state: State
    digest: str = ""
    since: str = ""
    until: str = ""
    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        parts = [self.what, f"since {self.since}" * bool(self.since), f"until {self.until}" * bool(self.until)]
        parts += [f"by {self.by}" * bool(self.by), "" if self.state is State.IN_FORCE else f"({self.state})"]
        return " ".join(filter(None, parts)) + (f": {self.reason}" if self.reason else "")


def restrictions(hold: Hold, now: datetime) -> Iterator[Restriction]:
    """All that a hold file refuses; what it lets in again is no hold."""
    if hold.freeze:
        state = _state("", hold.until, now)
        yield Restriction("freeze", state, since=hold.time, until=hold.until, by=hold.by, reason=hold.reason)
    for each in hold.reject:
        yield Restriction(
            f"reject {each.version or short(each.digest)}",
            _state("", each.until, now),
            each.digest,
            each.time,
            each.until,
            each.by or hold.by,
            each.reason or hold.reason,
        )


def freezes(environment: Environment, now: datetime) -> Iterator[Restriction]:
    """The windows in which an environment is frozen."""
    for each in environment.freeze:
        yield Restriction(
            "freeze", _state(each.from_, each.until, now), since=each.from_, until=each.until, reason=each.reason
        )


def noted(outcomes: Iterable[Outcome], holds: Holds, now: datetime) -> list[Outcome]:
    """The same outcomes; what is current says which holds would keep it from moving."""
    return [_noted(each, holds[each.identity], now) if each.identity in holds else each for each in outcomes]


def _noted(outcome: Outcome, hold: Hold, now: datetime) -> Outcome:
    digest = outcome.resolved.digest if outcome.resolved else ""
    found = [each for each in restrictions(hold, now) if each.state is State.IN_FORCE and each.digest in {"", digest}]
    if outcome.kind is not OutcomeKind.CURRENT or outcome.reason not in {"", OutcomeKind.CURRENT} or not found:
        return outcome
    reason = IN_FORCE_FOR_NOW if any(each.until for each in found) else IN_FORCE
    return replace(outcome, reason=reason, message=f"a hold is in force: {'; '.join(map(str, found))}")


def _state(since: str, until: str, now: datetime) -> State:
    begin, end = moment(since), moment(until)
    if end is not None and end <= now:
        return State.OVER
    return State.TO_COME if begin is not None and now < begin else State.IN_FORCE
