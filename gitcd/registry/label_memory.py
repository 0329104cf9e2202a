"""What images were found to say of their version, kept for ever: what a digest stands for does not change.

Registries that meter how often manifests are read, as Docker Hub does, are so asked once for each image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from gitcd.model.reference import Repository, is_digest, is_tag

_LARGEST = 4 << 20  # bytes; beyond, it is begun anew


class LabelMemory:
    """A file of lines, each an image by its digest and its label; without a path, for this process alone.

    Several processes may append to it. What cannot be read or written is as good as not there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = Lock()
        self._known: dict[str, str] | None = None

    def recall(self, repository: Repository, digest: str) -> str | None:
        """The label of an image, empty where it has none; None: not known."""
        with self._lock:
            return self._loaded().get(f"{repository}@{digest}")

    def note(self, repository: Repository, digest: str, label: str) -> None:
        """Remember the label of an image."""
        with self._lock:
            self._loaded()[f"{repository}@{digest}"] = label
            if self._path:
                with suppress(OSError):
                    _append(self._path, f"{repository}@{digest} {label}\n")

    def _loaded(self) -> dict[str, str]:
        if self._known is None:
            self._known = dict(_lines(self._path)) if self._path else {}
        return self._known


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    full = path.exists() and path.stat().st_size > _LARGEST
    mode = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if full else os.O_APPEND)
    descriptor = os.open(path, mode, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """What the file holds; a line that a crash cut short is passed over."""
    try:
        with path.open("rb") as stream:
            text = stream.read(2 * _LARGEST).decode("ascii", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        key, space, label = line.partition(" ")
        if space and is_digest(key.rpartition("@")[2]) and (not label or is_tag(label)):
            yield key, label
