"""Durations as Go and Kubernetes write them: `90s`, `15m`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"([0-9]{1,6}(\.[0-9]{1,6})?(ms|s|m|h))+"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> timedelta:
    """The span that a text of the form PATTERN names."""
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def format_duration(span: timedelta) -> str:
    """The shortest exact spelling down to the millisecond; zero is `0s`."""
    milliseconds = round(span / timedelta(milliseconds=1))
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
