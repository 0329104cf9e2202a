"""A folder of files as it lies, tracked or not, and safe writing into it."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path

from gitcd.errors import RefusedError
from gitcd.git.paths import check_path
from gitcd.git.runner import Git, no_room
from gitcd.model.tree import Entry, Mode, blob_id

_CHUNK = 1 << 20
_MODE_OF_NEW = 0o644


def is_bare(path: Path) -> bool:
    """Whether the folder is a bare git repository."""
    inside = ("objects", "refs")
    return path.name != ".git" and (path / "HEAD").is_file() and all((path / name).is_dir() for name in inside)


def is_worktree(path: Path) -> bool:
    """Whether the folder lies in a git work tree: it or a folder above it holds `.git`."""
    return path.is_dir() and not is_bare(path) and any((up / ".git").exists() for up in [path, *path.resolve().parents])


class WorkTree:
    """The files below a folder, dirty or not; implements `gitcd.model.tree.Tree`.

    In a git work tree these are the tracked files and those that are not ignored; elsewhere all but `.git`. Nothing
    is read or written through a symlink.
    """

    def __init__(self, path: Path) -> None:
        self.root = path.resolve()
        self._real: dict[str, bool] = {"": True}

    def entries(self) -> Sequence[Entry]:
        """Every file, by path; `oid` is that of the bytes as they lie."""
        paths = self._listed() if is_worktree(self.root) else self._walked("")
        return [entry for path in sorted(set(paths)) if (entry := self._entry(path))]

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        """The bytes of the entries, in their order; of a symlink its target, as git keeps it.

        Raises:
            RefusedError: an entry is no regular file (any more).
        """
        for entry in entries:
            if entry.mode is Mode.SYMLINK:
                yield entry, self._target(entry.path)
                continue
            with self._open(entry.path) as file:
                yield entry, file.read()

    def _target(self, path: str) -> bytes:
        try:
            return os.fsencode((self.root / path).readlink())
        except OSError as error:
            raise RefusedError(f"{path} is no symlink any more", remedy="Run again.") from error

    def mentioning(self, words: Collection[str]) -> dict[str, bytes]:
        """The files in which one of the words occurs, with their bytes; in a git work tree git itself searches."""
        if not is_worktree(self.root):
            found = {entry.path: data for entry, data in self.read(self.entries())}
            return {path: data for path, data in found.items() if any(word.encode() in data for word in words)}
        asked = [part for word in words for part in ("-e", word)]
        options = ("--files-with-matches", "-z", "-I", "--fixed-strings", "--untracked")
        answer = Git(work_tree=self.root).run("grep", *options, *asked, ok=(0, 1)).stdout
        entries = [self._entry(os.fsdecode(path)) for path in answer.split(b"\0") if path]
        return {entry.path: data for entry, data in self.read(entry for entry in entries if entry)}

    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file in one step, keeping its mode; a reader sees the old bytes or the new ones.

        Raises:
            RefusedError: the path leads outside, through a symlink, or to something that is no regular file.
        TransientError: the disk is full, or the folder may not be written.
        """
        target = self.root / check_path(path)
        self._check_way(path)
        mode = self._present_mode(path, target)
        with no_room(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, data, mode)

    def remove(self, path: str) -> None:
        """Remove a file. Raises as `write` does."""
        target = self.root / check_path(path)
        self._check_way(path)
        self._present_mode(path, target)
        target.unlink(missing_ok=True)

    def _listed(self) -> Iterator[str]:
        git = Git(work_tree=self.root)
        answer = git.run("ls-files", "--cached", "--others", "--exclude-standard", "-z").stdout
        yield from (os.fsdecode(path).rstrip("/") for path in answer.split(b"\0") if path)

    def _walked(self, below: str) -> Iterator[str]:
        with os.scandir(self.root / below) as found:
            for item in found:
                path = f"{below}/{item.name}" if below else item.name
                if item.name == ".git":
                    continue
                if item.is_dir(follow_symlinks=False):
                    yield from self._walked(path)
                else:
                    yield path

    def _entry(self, path: str) -> Entry | None:
        """None for what is not there, lies behind a symlink, or is neither file, symlink nor repository."""
        try:
            status = (self.root / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not self._is_real(path.rpartition("/")[0]):
            return None
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode((self.root / path).readlink())
            return Entry(path, Mode.SYMLINK, blob_id(target), len(target))
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, Mode.SUBMODULE, "")
        if not stat.S_ISREG(status.st_mode):
            return None
        mode = Mode.EXECUTABLE if status.st_mode & stat.S_IXUSR else Mode.FILE
        oid = ""
        with suppress(RefusedError):  # reading it will say why
            oid = self._oid(path)
        return Entry(path, mode, oid, status.st_size)

    def _oid(self, path: str) -> str:
        with self._open(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def _open(self, path: str) -> FileIO:
        self._check_way(path)
        try:
            handle = os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RefusedError(f"{path} cannot be read: {error.strerror}") from error
        file = os.fdopen(handle, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            file.close()
            raise RefusedError(f"{path} is not a regular file")
        return file

    def _present_mode(self, path: str, target: Path) -> int:
        try:
            status = target.lstat()
        except FileNotFoundError:
            return _MODE_OF_NEW
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{path} is not a regular file and is left alone", remedy="edit the file it points to")
        return stat.S_IMODE(status.st_mode)

    def _check_way(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if not self._is_real(folder):
            raise RefusedError(f"{path} lies behind a symlink and is left alone", remedy="name the file it points to")

    def _is_real(self, folder: str) -> bool:
        """Whether no part of the way to the folder is a symlink; what does not exist yet is none."""
        if folder not in self._real:
            parent = folder.rpartition("/")[0]
            self._real[folder] = self._is_real(parent) and not (self.root / folder).is_symlink()
        return self._real[folder]


def _replace(target: Path, data: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
