"""What measurements add up to: pure accounting, apart from how anything is measured.

A check passes by `count` passes in a row. So one lucky answer of something that flaps promotes nothing, and where
nothing could be measured nothing passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gitcd.model.duration import format_duration
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Verdict

_SHOWN = 3  # measurements that tell why, the latest


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
    verify: Verify, measurements: Sequence[Measurement], now: datetime, since: datetime, limit: timedelta
) -> Ruling | Pending:
    """What the measurements of one check say so far, in the order in which they were taken.

    `since` is when the check began and `limit` how long it may go on (`timeouts.verify`). What can no longer come to
    an end in that time is settled at once: as failed where a failure was seen, as inconclusive where none was.
    """
    found = {each: [one for one in measurements if one.verdict is each] for each in Verdict}
    failures, unclear = found[Verdict.FAIL], found[Verdict.INCONCLUSIVE]
    if len(failures) > verify.failure_limit:
        return _ruling(verify, failures, "failed", verify.failure_limit)
    if len(unclear) > verify.inconclusive_limit:
        return _ruling(verify, unclear, "could not be told", verify.inconclusive_limit)
    row = _row(measurements)
    if row >= verify.count:
        return Ruling(Verdict.PASS, "Passed", f"{title(verify)} passed: {_first(measurements[-1])}")
    due = max(since, measurements[-1].at + verify.interval) if measurements else since
    if max(now, due) + (verify.count - row - 1) * verify.interval > since + limit:
        return _out_of_time(verify, measurements, row, limit)
    return Pending(due)


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


def _ruling(verify: Verify, against: Sequence[Measurement], how: str, allowed: int) -> Ruling:
    times = f", {len(against)} times where {allowed} are allowed" if allowed else ""
    verdict = against[-1].verdict
    reason = "VerificationFailed" if verdict is Verdict.FAIL else "VerificationInconclusive"
    return Ruling(verdict, reason, f"{title(verify)} {how}{times}: {_first(against[-1])}", _rest(against))


def _out_of_time(verify: Verify, measurements: Sequence[Measurement], row: int, limit: timedelta) -> Ruling:
    """There were not enough passes in a row, and there is no time for more."""
    against = [each for each in measurements if each.verdict is not Verdict.PASS]
    failed = [each for each in against if each.verdict is Verdict.FAIL]
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
