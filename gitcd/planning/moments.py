"""Moments and windows as layout and hold files write them."""

from __future__ import annotations

from datetime import UTC, datetime

from gitcd.model.layout import Environment, Freeze


def moment(text: str) -> datetime | None:
    """A date (its first moment, UTC) or an RFC 3339 time; None when the text is empty or no moment."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text.replace("z", "Z"))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def running_freeze(environment: Environment, now: datetime) -> Freeze | None:
    """The freeze window of the environment that holds now, if one does."""
    return next((each for each in environment.freeze if _holds(each, now)), None)


def _holds(freeze: Freeze, now: datetime) -> bool:
    begin, end = moment(freeze.from_), moment(freeze.until)
    return (begin is None or begin <= now) and (end is None or now < end)
