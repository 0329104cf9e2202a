"""Gates: what must hold before other content may move in. A gate that cannot be checked is closed, never passed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gitcd.model.declaration import Gates, Severity
from gitcd.model.evidence import SEVERITIES, Scan, ScanStatus, Signing, SigningStatus
from gitcd.model.layout import EnvironmentGates
from gitcd.model.plan import Direction
from gitcd.model.registry import Answer, Failure, Image


@dataclass(frozen=True, slots=True)
class Block:
    """A closed gate, with the reason in CamelCase and one sentence.

    `unchecked`: nobody knows whether it would open; `transient`: another run may get to know.
    """

    reason: str
    message: str
    remedy: str = ""
    transient: bool = False
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What must be known of an image's safety: the worst finding that may pass (empty: not asked), and a signature."""

    max_severity: Severity = ""
    signed: bool = False

    def __bool__(self) -> bool:
        return bool(self.max_severity or self.signed)


def asked(declaration: Gates, environment: EnvironmentGates) -> Asked:
    """What the registry has to be asked: the stricter of declaration and environment."""
    limits = [each for each in (declaration.max_severity, environment.max_severity) if each]
    return Asked(
        min(limits, key=SEVERITIES.index, default=""), declaration.require_signed or environment.require_signed
    )


def check_scan(scan: Scan | Failure, max_severity: Severity) -> Block | None:
    """Why an image may not pass by what its scan says."""
    gate = f"gates.maxSeverity is {max_severity}"
    if isinstance(scan, Failure):
        return _unchecked(gate, scan)
    note = f": {scan.note}" if scan.note else ""
    match scan.status:
        case ScanStatus.DONE:
            worse = scan.findings.worse_than(max_severity)
            return Block("TooSevere", f"{gate}, and it has {worse}") if worse else None
        case ScanStatus.RUNNING:
            return Block("ScanPending", f"{gate}, and its scan is not finished{note}")
        case ScanStatus.ABSENT:
            remedy = "Let the registry scan on push, or start a scan (aws ecr start-image-scan)."
            return Block("NotScanned", f"{gate}, and it was not scanned{note}", remedy)
        case ScanStatus.FAILED:
            return Block("ScanFailed", f"{gate}, and there is no result of a scan{note}")


def check_signing(signing: Signing | Failure) -> Block | None:
    """Why an image may not pass by what is known of its signatures."""
    gate = "gates.requireSigned is true"
    if isinstance(signing, Failure):
        return _unchecked(gate, signing)
    note = f": {signing.note}" if signing.note else ""
    beside = ", ".join(f"{each.artifact_type} {each.digest}" for each in signing.referrers)
    others = f"; not verified: {beside}" if beside else ""
    match signing.status:
        case SigningStatus.SIGNED:
            return None
        case SigningStatus.RUNNING:
            return Block("SigningPending", f"{gate}, and ECR is still signing it{note}{others}")
        case SigningStatus.UNSIGNED:
            remedy = "Let ECR sign what is pushed (managed signing), then push the image again."
            return Block("Unsigned", f"{gate}, and ECR has not signed it{note}{others}", remedy)
        case SigningStatus.FAILED:
            return Block("SigningFailed", f"{gate}, and ECR could not sign it{note}{others}")


def _unchecked(gate: str, failure: Failure) -> Block:
    message = f"{gate}, which cannot be checked: {failure.message}"
    return Block("GateUnchecked", message, failure.remedy, failure.transient, unchecked=True)


def check(
    declaration: Gates, environment: EnvironmentGates, new: Image, direction: Direction, now: datetime
) -> Block | None:
    """The first gate that refuses the new image, by the stricter of declaration and environment."""
    min_age = max(declaration.min_age, environment.min_age)
    allow_downgrade = declaration.allow_downgrade and environment.allow_downgrade
    return _age(new, min_age, now) or (None if allow_downgrade else _direction(direction))


def direction(old: Answer | None, new: Image) -> Direction:
    """Whether the new image was pushed after the old one."""
    if not isinstance(old, Image):
        return Direction.UNKNOWN
    if old.digest == new.digest:
        return Direction.SAME
    if old.pushed_at is None or new.pushed_at is None:
        return Direction.UNKNOWN
    return Direction.BACKWARD if new.pushed_at < old.pushed_at else Direction.FORWARD


def _age(new: Image, min_age: timedelta, now: datetime) -> Block | None:
    if not min_age:
        return None
    if new.pushed_at is None:
        return Block(
            "AgeUnknown", f"gates.minAge is {shown(min_age)}, and the registry does not say when it was pushed"
        )
    age = now - new.pushed_at
    if age < timedelta(0):
        return Block("AgeUnknown", "gates.minAge cannot be checked: it was pushed in the future; check the clock")
    if age < min_age:
        return Block("TooYoung", f"gates.minAge is {shown(min_age)}, it was pushed {shown(age)} ago")
    return None


def _direction(seen: Direction) -> Block | None:
    if seen is Direction.BACKWARD:
        return Block("Downgrade", "gates.allowDowngrade is false, and it was pushed before the present image")
    if seen is Direction.UNKNOWN:
        return Block(
            "DirectionUnknown",
            "gates.allowDowngrade is false, and the registry does not know when the present image was pushed",
        )
    return None


def shown(duration: timedelta) -> str:
    """A duration as people write it, by its two largest units."""
    seconds = int(duration.total_seconds())
    units = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts[:2]) or "0s"
