"""What a registry knows of an image besides its name: what a scan found in it, and whether it is signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import get_args

from gitcd.model.declaration import Severity
from gitcd.model.reference import Repository, short
from gitcd.model.registry import Failure

SEVERITIES: tuple[Severity, ...] = get_args(Severity)[1:]  # from the mildest to the worst


class Aspect(StrEnum):
    """What may be asked about an image."""

    SCAN = "scan"
    SIGNING = "signing"


@dataclass(frozen=True, slots=True, order=True)
class Inspection:
    """One question to a registry about one image."""

    repository: Repository
    digest: str
    aspect: Aspect


@dataclass(frozen=True, slots=True)
class Findings:
    """How many findings a scan has of each severity. In a difference of two, numbers may be negative."""

    undefined: int = 0
    informational: int = 0
    low: int = 0
    medium: int = 0
    high: int = 0
    critical: int = 0

    @classmethod
    def of(cls, counts: Mapping[Severity, int]) -> Findings:
        return cls(*(counts.get(severity, 0) for severity in SEVERITIES))

    @property
    def counts(self) -> dict[Severity, int]:
        """The numbers by severity, the mildest first, zeros included."""
        numbers = (self.undefined, self.informational, self.low, self.medium, self.high, self.critical)
        return dict(zip(SEVERITIES, numbers, strict=True))

    def worse_than(self, severity: Severity) -> Findings:
        """Only the findings that are worse than that."""
        worse = SEVERITIES[SEVERITIES.index(severity) + 1 :]
        return Findings.of({each: number for each, number in self.counts.items() if each in worse})

    def most(self, other: Findings) -> Findings:
        """Of each severity the larger number."""
        return Findings.of({each: max(number, other.counts[each]) for each, number in self.counts.items()})

    def __sub__(self, other: Findings) -> Findings:
        return Findings.of({each: number - other.counts[each] for each, number in self.counts.items()})

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        """The numbers that are not zero, the worst first."""
        shown = [f"{number} {severity}" for severity, number in reversed(self.counts.items()) if number]
        return ", ".join(shown) or "no findings"


class ScanStatus(StrEnum):
    """How far the scan of an image is."""

    DONE = "Done"
    RUNNING = "Running"
    ABSENT = "Absent"  # there was none
    FAILED = "Failed"  # there is no result, and none will come by itself


@dataclass(frozen=True, slots=True)
class Scan:
    """What scanning an image came to; `findings` count only when it is done. `note` is in the registry's words."""

    status: ScanStatus
    findings: Findings = field(default_factory=Findings)
    note: str = ""


class SigningStatus(StrEnum):
    """Whether the registry has signed an image."""

    SIGNED = "Signed"
    RUNNING = "Running"
    UNSIGNED = "Unsigned"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact that refers to an image, such as a signature made by cosign or notation; nobody has verified it."""

    artifact_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Signing:
    """Whether the registry itself signed an image, with which profiles, and what signatures of others are beside it."""

    status: SigningStatus
    profiles: tuple[str, ...] = ()
    referrers: tuple[Referrer, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """One answer per question, for the whole run."""

    answers: Mapping[Inspection, Scan | Signing | Failure] = field(default_factory=dict)

    def scan(self, repository: Repository, digest: str) -> Scan | Failure:
        found = self.answers.get(Inspection(repository, digest, Aspect.SCAN))
        return found if isinstance(found, Scan | Failure) else _unasked(repository, digest)

    def signing(self, repository: Repository, digest: str) -> Signing | Failure:
        found = self.answers.get(Inspection(repository, digest, Aspect.SIGNING))
        return found if isinstance(found, Signing | Failure) else _unasked(repository, digest)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gates have seen of one move; None: not asked for, or not known."""

    scan: Scan | None = None
    old_scan: Scan | None = None  # of the image that is replaced
    signing: Signing | None = None

    @property
    def delta(self) -> Findings | None:
        """How the findings change with the move; None: one of the two scans is not there."""
        if self.scan is None or self.old_scan is None:
            return None
        if not self.scan.status is self.old_scan.status is ScanStatus.DONE:
            return None
        return self.scan.findings - self.old_scan.findings


def _unasked(repository: Repository, digest: str) -> Failure:
    return Failure("NotInspected", f"nobody asked about {short(digest)} of {repository}")
