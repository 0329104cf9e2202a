"""What measurements add up to: pure accounting, apart from how anything is measured.

A check passes by `count` passes in a row. So one lucky answer of something that flaps promotes nothing, and where
nothing could be measured nothing passes.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gitcd.model.duration import format_duration
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Tally, Verdict

_SHOWN = 3  # measurements that tell why, the latest
_SECOND = timedelta(seconds=1)  # what a status cuts off its times


@dataclass(frozen=True, slots=True)
class Ruling:
    """The end of a check. `reason` is one word in CamelCase, `evidence` what was seen besides what `message` says."""

    verdict: Verdict
    reason: str
    message: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing is decided; the next measurement is to be taken at `due`."""

    due: datetime


def judge(
    verify: Verify, measurements: Sequence[Measurement], now: datetime, before: Tally, limit: timedelta
) -> Ruling | Pending:
    """What the measurements of one check say so far: those of this run, in the order in which they were taken.

    `before` is what earlier runs say to have measured. It shortens the way and never ends it: every ruling needs a
    measurement of its own kind that this run has taken. `limit` is how long all of it may take (`timeouts.verify`).
    What can no longer come to an end in that time is settled: as failed where this run has seen a failure, as
    inconclusive where it has seen none.
    """
    sofar = tallied(_short_of_an_end(before, verify), measurements)
    if sofar.failed > verify.failure_limit:
        return _ruling(verify, _of(measurements, Verdict.FAIL), "failed", sofar.failed, verify.failure_limit)
    if sofar.unclear > verify.inconclusive_limit:
        unclear = _of(measurements, Verdict.INCONCLUSIVE)
        return _ruling(verify, unclear, "could not be told", sofar.unclear, verify.inconclusive_limit)
    if sofar.row >= verify.count:
        return Ruling(Verdict.PASS, "Passed", f"{title(verify)} passed: {_first(measurements[-1])}")
    since = sofar.since or now
    due = max(since, sofar.last + verify.interval) if sofar.last else since
    is_heard = bool(measurements) or before.since is None
    if is_heard and max(now, due) - since + (verify.count - sofar.row - 1) * verify.interval > limit:
        return _out_of_time(verify, measurements, sofar.row, limit)
    return Pending(due)


def tallied(before: Tally, measurements: Sequence[Measurement]) -> Tally:
    """What earlier runs measured, and this one, in figures."""
    if not measurements:
        return before
    found, row = Counter(each.verdict for each in measurements), _row(measurements)
    return Tally(
        before.of,
        before.since or measurements[0].at,
        measurements[-1].at,
        before.passed + found[Verdict.PASS],
        before.failed + found[Verdict.FAIL],
        before.unclear + found[Verdict.INCONCLUSIVE],
        row + (before.row if row == len(measurements) else 0),
    )


def mark(key: str, verify: Verify, digest: str, seal: str = "") -> str:
    """What tells a check of one image from all others; a check that has been changed is another one.

    `seal` stands for the pods that are checked, where a check of others would not do.
    """
    return hashlib.sha256(repr((key, verify, digest, *filter(None, [seal]))).encode()).hexdigest()[:16]


def is_likely(tally: Tally, verify: Verify, changed: datetime | None, now: datetime) -> bool:
    """Whether so much can have been measured in that time, and of objects that became what they are at `changed`."""
    since, last = tally.since, tally.last
    if since is None or last is None or not tally.total or not (changed or since) <= since <= last <= now:
        return False
    return tally.row <= tally.passed and tally.total - 1 <= _times(verify.interval, last - since + _SECOND)


def decides_at_once(verify: Verify) -> bool:
    """Whether one look is enough for any verdict."""
    return (verify.count, verify.failure_limit, verify.inconclusive_limit) == (1, 0, 0)


def overall(rulings: Iterable[Ruling | Pending]) -> Ruling | Pending:
    """The checks of one step together: all have to pass; a failure counts at once, what is unclear after all others."""
    every = list(rulings)
    ended = {verdict: [each for each in every if _is(each, verdict)] for verdict in Verdict}
    if ended[Verdict.FAIL]:
        return ended[Verdict.FAIL][0]
    pending = [each for each in every if isinstance(each, Pending)]
    if pending:
        return min(pending, key=lambda each: each.due)
    if ended[Verdict.INCONCLUSIVE]:
        return ended[Verdict.INCONCLUSIVE][0]
    messages = "; ".join(each.message for each in every if isinstance(each, Ruling))
    return Ruling(Verdict.PASS, "Passed", messages or "there is nothing to check")


def title(verify: Verify) -> str:
    """What reports call a check: its name, or what it looks at."""
    if verify.name:
        return f"check {verify.name}"
    match verify.kind:
        case "Image":
            return f"check of image {verify.image}"
        case "HTTP":
            return f"check of Service {verify.service}{verify.path}"
        case "Prometheus":
            return f"check of query {verify.query}"


def _is(ruling: Ruling | Pending, verdict: Verdict) -> bool:
    return isinstance(ruling, Ruling) and ruling.verdict is verdict


def _row(measurements: Sequence[Measurement]) -> int:
    """How many passes there were without a break up to now."""
    row = 0
    for each in reversed(measurements):
        if each.verdict is not Verdict.PASS:
            break
        row += 1
    return row


def _short_of_an_end(before: Tally, verify: Verify) -> Tally:
    """As much of it as decides nothing yet."""
    return replace(
        before,
        failed=min(before.failed, verify.failure_limit),
        unclear=min(before.unclear, verify.inconclusive_limit),
        row=min(before.row, verify.count - 1),
    )


def _times(interval: timedelta, span: timedelta) -> float:
    """How often an interval fits into a span."""
    return span / interval if interval else math.inf


def _of(measurements: Iterable[Measurement], verdict: Verdict) -> list[Measurement]:
    return [each for each in measurements if each.verdict is verdict]


def _ruling(verify: Verify, against: Sequence[Measurement], how: str, number: int, allowed: int) -> Ruling:
    times = f", {number} times where {allowed} are allowed" if allowed else ""
    verdict = against[-1].verdict
    reason = "VerificationFailed" if verdict is Verdict.FAIL else "VerificationInconclusive"
    return Ruling(verdict, reason, f"{title(verify)} {how}{times}: {_first(against[-1])}", _rest(against))


def _out_of_time(verify: Verify, measurements: Sequence[Measurement], row: int, limit: timedelta) -> Ruling:
    """There were not enough passes in a row, and there is no time for more."""
    against = [each for each in measurements if each.verdict is not Verdict.PASS]
    failed = _of(against, Verdict.FAIL)
    verdict = Verdict.FAIL if failed else Verdict.INCONCLUSIVE
    last = f": {_first((failed or against)[-1])}" if against else ""
    message = (
        f"{title(verify)} has {row} of {verify.count} passes in a row, and timeouts.verify ({format_duration(limit)}) "
        f"leaves no time for the others{last}"
    )
    return Ruling(verdict, "VerificationTimedOut", message, _rest(failed or against))


def _first(measurement: Measurement) -> str:
    return measurement.evidence.partition("\n")[0]


def _rest(measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """What the latest measurements saw, line by line, without the first line of the last one, which the message has."""
    lines = [each.evidence.splitlines() for each in measurements[-_SHOWN:]]
    return (*(line for each in lines[:-1] for line in each), *(lines[-1][1:] if lines else ()))
