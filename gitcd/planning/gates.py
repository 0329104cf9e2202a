"""Gates: what must hold before other content may move in. A gate that cannot be checked is closed, never passed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gitcd.model.declaration import Gates
from gitcd.model.layout import EnvironmentGates
from gitcd.model.plan import Direction
from gitcd.model.registry import Answer, Image


@dataclass(frozen=True, slots=True)
class Block:
    """A closed gate, with the reason in CamelCase and one sentence."""

    reason: str
    message: str


def unsupported(declaration: Gates, environment: EnvironmentGates) -> str:
    """The first gate that is asked for and cannot be checked by this version; empty when there is none."""
    asked = {
        "gates.maxSeverity": declaration.max_severity or environment.max_severity,
        "gates.requireSigned": declaration.require_signed or environment.require_signed,
        "gates.minSoak": environment.min_soak,
    }
    return next((name for name, value in asked.items() if value), "")


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
