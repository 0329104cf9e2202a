"""Private folders under a lock: gone at the end, and swept away by the next run where their owner was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitcd.errors import GitcdError, TransientError
from gitcd.git.runner import no_room

PREFIX = "gitcd-"
_POLL = 0.1


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder only we can read, gone at the end; first those of runs that were killed are swept away."""
    root = Path(tempfile.gettempdir())
    _sweep(root)
    with no_room(root):
        new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=root))
    with locked(new / "lock", wait=0):
        folder = new.rename(root / new.name[1:])  # under its lock, so that no other run's sweep takes it for stale
        try:
            yield folder
        finally:
            _remove(folder)


class Lock:
    """A lock file, which one process holds at a time: taken, given back, and taken again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None  # an open descriptor

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def take(self, wait: float) -> None:
        """Hold it, after waiting for it at most `wait` seconds.

        Raises:
            TransientError: another run holds it all that time.
        """
        deadline = time.monotonic() + wait
        while (lock := _try_lock(self._path)) is None:
            if time.monotonic() >= deadline:
                raise TransientError(
                    f"another run has held {self._path} for {wait:g} seconds",
                    remedy="wait for it, or use another --cache-dir",
                )
            time.sleep(_POLL)
        self._held = lock

    def give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


@contextmanager
def locked(path: Path, *, wait: float) -> Iterator[Lock]:
    """Hold the lock file while the block lasts, or until it is given back. Raises as `Lock.take` does."""
    lock = Lock(path)
    lock.take(wait)
    try:
        yield lock
    finally:
        lock.give_back()


def _try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock; None if another has it, or the file was replaced meanwhile."""
    with no_room(path, "name another folder with --cache-dir or GITCD_CACHE_DIR"):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _sweep(root: Path) -> None:
    """Remove private folders whose owner is gone: nobody holds their lock any more."""
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError, GitcdError):  # that of another run may go at any moment
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or not (folder / "lock").is_file():
                continue
            if (lock := _try_lock(folder / "lock")) is not None:
                _remove(folder)
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a private folder, its lock last: what is cut short is left for the next sweep to know.

    So is what a git that outlived its killed caller still writes.
    """
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "lock":
            entry.unlink(missing_ok=True)
    if all(entry.name == "lock" for entry in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
