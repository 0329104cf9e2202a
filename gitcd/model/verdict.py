"""What verifications say: three answers, of which "could not run" is never "the version is bad"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One look: when, what came of it, and what was seen, in a few lines. `of` is as in Tally."""

    at: datetime
    verdict: Verdict
    evidence: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was measured of one check, in figures. `of` tells which check of which image, in which pods, that was.

    `since` and `last` are when it was measured first and last, `row` is how many passes there were without a break up
    to the last.
    """

    of: str = ""
    since: datetime | None = None
    last: datetime | None = None
    passed: int = 0
    failed: int = 0
    unclear: int = 0
    row: int = 0

    @property
    def total(self) -> int:
        """How many measurements there were."""
        return self.passed + self.failed + self.unclear
