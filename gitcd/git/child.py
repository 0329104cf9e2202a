"""A running git: its whole process group has a deadline, and none of its pipes can block the others."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from gitcd.errors import TransientError

if TYPE_CHECKING:
    from git.cmd import Git as Runner

_STDERR_KEPT = 64 * 1024
_CHUNK = 1 << 16
_STREAM_BUFFER = 1 << 18
_LINGER = 5.0  # seconds
_GRACE = 2.0  # seconds between asking a process to end and ending it
_POLL = 0.02


class Child:
    """One process group, with a watchdog, and a reader of its stderr so that it never blocks on that."""

    def __init__(self, process: Runner.AutoInterrupt, name: str, timeout: float) -> None:
        if process.proc is None:
            raise TransientError(f"git {name} did not start")
        self._process = process  # its finaliser ends git, so it must live as long as we read
        self._popen = process.proc
        self._name = name
        self._timeout = timeout
        self._expired = False
        self.stdout = cast("IO[bytes]", self._popen.stdout)
        self._stderr = Listener(cast("IO[bytes]", self._popen.stderr), keep=_STDERR_KEPT)
        self._watchdog = threading.Timer(timeout, self._expire)
        self._watchdog.daemon = True
        self._watchdog.start()

    def reader(self) -> IO[bytes]:
        """Stdout for a stream of many small parts: a large buffer saves most of the calls."""
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
            with suppress(OSError):
                fcntl.fcntl(self.stdout, fcntl.F_SETPIPE_SZ, _STREAM_BUFFER)
        return io.BufferedReader(io.FileIO(self.stdout.fileno(), closefd=False), _STREAM_BUFFER)

    def finish(self, stdout: Listener | None = None) -> tuple[int, bytes, bytes]:
        """Wait for the end: status, stdout, stderr. Without a listener the caller has read stdout to its end.

        Raises:
            TransientError: it took too long, and was ended.
        """
        status = self._popen.wait()
        self._watchdog.cancel()
        heard = stdout.heard() if stdout else b""
        if self._expired:
            raise TransientError(
                f"git {self._name} was ended after {self._timeout:g} seconds", remedy="run again, or allow more time"
            )
        return status, heard, self._stderr.heard()

    def end(self) -> None:
        """Leave nothing behind: no process of the group, no open pipe."""
        self._watchdog.cancel()
        if self._popen.returncode is None:
            self._kill()
            self._popen.wait()
        if self._stderr.done():
            self.stdout.close()

    def _expire(self) -> None:
        self._expired = True
        self._kill()

    def _kill(self) -> None:
        """End the whole group: asked first, so that a local remote's side takes its locks away, then by force."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE
            while time.monotonic() < deadline:
                self._popen.poll()  # a child that nobody waits for counts as one of its group for ever
                os.killpg(self._popen.pid, 0)
                time.sleep(_POLL)
            os.killpg(self._popen.pid, signal.SIGKILL)


class Listener:
    """Reads a pipe in a thread, to its end or until git is gone; `keep` bytes from the end are kept, 0: all."""

    def __init__(self, pipe: IO[bytes], *, keep: int = 0) -> None:
        self._pipe = pipe
        self._keep = keep
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def heard(self) -> bytes:
        """What came; git is over, so only a process that left its group can still keep the pipe open."""
        self._thread.join(_LINGER)
        return b"".join(self._chunks)

    def done(self) -> bool:
        self._thread.join(_LINGER)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                self._chunks.append(chunk)
                if self._keep:
                    self._chunks = [b"".join(self._chunks)[-self._keep :]]
