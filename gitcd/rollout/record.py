"""The step record: where a rollout is, as the status of its ContainerVersion keeps it from one run to the next.

Whoever may write a status could write anything into it. So it is read as a hint: what does not fit is no record, and
what fits is held against what the cluster and git say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitcd.model.times import parsed, shown
from gitcd.model.verdict import Tally

MOST_CHECKS = 16  # as many as one step has
_MOST = 10_000_000  # measurements; more is no figure of ours


@dataclass(frozen=True, slots=True)
class Record:
    """A rollout of one digest. `since` is when its step began; None while time does not count, as in a pause.

    `checks` is what its last verification has measured so far, by the key of each check.
    """

    strategy: str = ""
    step: str = ""
    started_at: datetime | None = None
    since: datetime | None = None
    attempt: int = 0
    old_digest: str = ""
    new_digest: str = ""
    commit: str = ""
    checks: Mapping[str, Tally] = field(default_factory=dict)
    version: str = ""

    def is_of(self, strategy: str, digest: str) -> bool:
        """Whether it is about this digest being rolled out this way."""
        return (self.strategy, self.new_digest) == (strategy, digest)


NONE = Record()


def read(rollout: object) -> Record:
    """The record that a status holds, as far as it is one."""
    if not isinstance(rollout, Mapping):
        return NONE
    attempt = rollout.get("attempt")
    return Record(
        strategy=_text(rollout, "strategy"),
        step=_text(rollout, "step"),
        started_at=parsed(rollout.get("startedAt")),
        since=parsed(rollout.get("stepStartedAt")),
        attempt=attempt if isinstance(attempt, int) and attempt >= 0 else 0,
        old_digest=_text(rollout, "oldDigest"),
        new_digest=_text(rollout, "newDigest"),
        commit=_text(rollout, "commit"),
        checks=_checks(rollout.get("checks")),
        version=_text(rollout, "version"),
    )


def render(record: Record) -> dict[str, Any]:
    """The record as a status holds it."""
    values = {
        "strategy": record.strategy,
        "step": record.step,
        "startedAt": shown(record.started_at),
        "stepStartedAt": shown(record.since),
        "attempt": record.attempt,
        "oldDigest": record.old_digest,
        "newDigest": record.new_digest,
        "version": record.version,
        "commit": record.commit,
        "checks": [_check(key, tally) for key, tally in sorted(record.checks.items())],
    }
    return {key: value for key, value in values.items() if value}


def _check(key: str, tally: Tally) -> dict[str, Any]:
    values = {
        "check": key,
        "of": tally.of,
        "startedAt": shown(tally.since),
        "measuredAt": shown(tally.last),
        "passed": tally.passed,
        "failed": tally.failed,
        "inconclusive": tally.unclear,
        "inARow": tally.row,
    }
    return {key: value for key, value in values.items() if value}


def _checks(found: object) -> dict[str, Tally]:
    listed = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    return {key: _tally(each) for each in listed[:MOST_CHECKS] if (key := _text(each, "check"))}


def _tally(found: Mapping[str, Any]) -> Tally:
    return Tally(
        of=_text(found, "of"),
        since=parsed(found.get("startedAt")),
        last=parsed(found.get("measuredAt")),
        passed=_figure(found, "passed"),
        failed=_figure(found, "failed"),
        unclear=_figure(found, "inconclusive"),
        row=_figure(found, "inARow"),
    )


def _figure(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and 0 <= value <= _MOST else 0


def _text(rollout: Mapping[str, Any], key: str) -> str:
    value = rollout.get(key)
    return value if isinstance(value, str) else ""
