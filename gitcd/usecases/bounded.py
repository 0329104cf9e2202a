"""A program that is run within bounds of time and size, and ended with all that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import IO

_POLL = 0.05  # seconds


class End(Enum):
    """How it ended. `TOO_MUCH`: it printed more than it may."""

    WELL = auto()
    FAILED = auto()
    LATE = auto()
    TOO_MUCH = auto()


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    out: IO[bytes],
    talk: IO[bytes],
    *,
    until: float,
    most: int,
    folder: Path | None = None,
) -> End:
    """Run a program until a moment of `time.monotonic()`; what it prints goes to `out`, at most so many bytes of it.

    `talk` is for what it says about that, `folder` where it runs; it has nothing of this process's environment.
    """
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=talk, env=environment, start_new_session=True
    )
    try:
        while process.poll() is None and os.fstat(out.fileno()).st_size <= most:
            if time.monotonic() >= until:
                return End.LATE
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if os.fstat(out.fileno()).st_size > most:
        return End.TOO_MUCH
    return End.FAILED if process.returncode else End.WELL
