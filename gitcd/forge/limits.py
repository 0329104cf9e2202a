"""When a forge says that it is asked too often, and how long it wants to be left alone.

Sources: "Rate limits for the REST API" of GitHub, "User and IP rate limits" of GitLab.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from gitcd.web import retry_after

_TOO_MANY_REQUESTS = 429
_FORBIDDEN = 403
_UNAVAILABLE = 503
_UNSAID = 60.0  # seconds; what GitHub asks to wait where no header says how long
_MARGIN = 1.0  # seconds by which clocks may differ
_SAID = re.compile(r"rate limit|abuse detection|too many requests", re.IGNORECASE)


def asked_to_wait(status: int, headers: Mapping[str, str], said: str, now: float) -> float | None:
    """How many seconds to wait; None if the answer is about something else. `now` is in seconds since 1970.

    GitHub answers 403 as well as 429, and tells one from a missing permission only by its headers and its words.
    """
    if status not in {_TOO_MANY_REQUESTS, _FORBIDDEN, _UNAVAILABLE}:
        return None
    after = retry_after(headers.get("retry-after", ""), now)
    if status == _UNAVAILABLE:
        return after
    spent = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", "")).strip() == "0"
    if after is None and spent:
        after = _reset(headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")), now)
    if after is not None:
        return after
    return _UNSAID if status == _TOO_MANY_REQUESTS or spent or _SAID.search(said) else None


def _reset(text: str, now: float) -> float | None:
    """A moment in seconds since 1970; small numbers are seconds from now (the draft of RateLimit headers)."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        return None
    moment = float(text)
    year = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
    return max(0.0, moment - now) + _MARGIN if moment > year else moment
