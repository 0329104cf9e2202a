"""Waiting for what is about to happen."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object]) -> None:
    """Ask again and again, for as long as one may have patience."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
