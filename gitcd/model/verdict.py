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
    """One look: when, what came of it, and what was seen, in a few lines."""

    at: datetime
    verdict: Verdict
    evidence: str = ""
