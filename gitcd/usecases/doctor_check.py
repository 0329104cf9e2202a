"""What the doctor says about one thing that it tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gitcd.model.registry import Failure

SHOWN = 5


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    verdict: Verdict
    message: str
    remedy: str = ""
    transient: bool = False


def failures(name: str, verdict: Verdict, found: Iterable[Failure], where: str) -> Iterator[Check]:
    """Each failure once; of many the first, and how many there are besides. `where` says what they concern."""
    distinct = list(dict.fromkeys(found))
    for failure in distinct[:SHOWN]:
        yield Check(name, verdict, str(failure), failure.remedy, failure.transient)
    if len(distinct) > SHOWN:
        yield Check(name, verdict, f"{where}: and {len(distinct) - SHOWN} more failures")


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
