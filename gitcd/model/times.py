"""Times as the Kubernetes API, hold files and reports write them: RFC 3339, in UTC and whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def shown(time: datetime | None) -> str:
    """The time as text; empty where there is none."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


def parsed(text: object) -> datetime | None:
    """The time that a text says; None where it says none, or not in which zone."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None
