"""A bare copy of one branch of a remote: kept beside a lock between runs, or private and gone afterwards.

A copy is shallow (depth 1), so a cold start costs one tip, and every later fetch brings what changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gitcd.errors import ConfigError, TransientError
from gitcd.git.access import Credentials, Https, Ssh, access_to
from gitcd.git.folders import PREFIX, Lock, locked, private_folder
from gitcd.git.memory import FileMemory
from gitcd.git.origin import NETWORK_TIMEOUT, Origin
from gitcd.git.remote import Kind, Remote, check_branch
from gitcd.git.runner import ANY, CorruptError, Git, no_room, version
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import is_bare
from gitcd.model.memory import FORGETFUL, Memory

LOCK_WAIT = 120.0  # seconds
SHALLOW = "--depth=1"
WITHOUT_FILES = "--filter=blob:none"
MOST_PACKS = 60  # a mirror is never repacked: past this it is cloned anew
_SHA256_DIGITS = 64
_SHOWN = 10  # branches


class Mirror:
    """The local copy: `git` runs in it, `origin` reaches the remote from it."""

    def __init__(
        self,
        git_dir: Path,
        origin: Origin,
        branch: str,
        *,
        extent: str = SHALLOW,
        memory: Memory = FORGETFUL,
        default: str | None = None,
        known: str = "",
        lock: Lock | None = None,
    ) -> None:
        """`extent` is the option of git-fetch that says how much of the history and of the files is brought.

        `memory` keeps what the branch's blobs hold. `default` is the remote's default branch, where that was asked,
        and `known` the commit that the branch named when it was: the first fetch need not ask again.
        `lock` is what keeps other processes from a kept copy.
        """
        self.git_dir = git_dir
        self.origin = origin
        self.branch = branch
        self.memory = memory
        self.tip = ""  # what was fetched last, or landed since; empty before the first fetch
        self._extent = extent
        self._default = default
        self._known = known
        self._lock = lock
        self._claim = threading.RLock()

    @property
    def git(self) -> Git:
        return self.origin.local

    @property
    def remote(self) -> Remote:
        return self.origin.remote

    def line(self) -> str:
        """The branch where it is another than the remote's default branch; empty where it is that one.

        Raises:
            ConfigError: no permission.
            TransientError: the remote cannot be reached.
        """
        if self._default is None:
            self._default, _ = self.origin.head()
        return "" if self._default in {"", self.branch} else self.branch

    def fetch(self) -> str:
        """Bring the branch's tip, if it is not there already, and return its commit.

        Raises:
            ConfigError: no such repository or branch, or no permission.
            TransientError: the remote cannot be reached, or the disk is full.
        """
        self.tip = self._fetched()
        return self.tip

    def _fetched(self) -> str:
        tip, self._known = self._known or self.origin.tip(self.branch), ""
        if not tip:
            raise self._no_branch()
        held = self._held() if self._sound() else ""
        if held == tip:
            return tip
        if len(held) != len(tip):  # nothing, or objects of another format: the remote was made anew
            self.discard()
        try:
            return self._bring(tip)
        except CorruptError:
            self.discard()
            return self._bring(tip)

    def landed(self, oid: str) -> None:
        """Note that the remote's branch names `oid` now, so that the next run need not fetch it."""
        self.tip = oid
        with suppress(TransientError):  # the push is done; the next run's fetch finds what is wrong here
            self.git.run("update-ref", f"refs/heads/{self.branch}", oid)

    def give_back(self) -> None:
        """Let other processes have a kept copy; from now on it may be used in blocks of `claimed` only."""
        if self._lock:
            self._lock.give_back()

    @contextmanager
    def claimed(self, wait: float = LOCK_WAIT) -> Iterator[None]:
        """Have a kept copy that was given back while the block lasts; one thread at a time.

        Others may have cloned it anew meanwhile: the tip is there once it is fetched, but maybe no commit before it.

        Raises:
            TransientError: another process has kept it for `wait` seconds.
        """
        with self._claim:
            if self._lock is None or self._lock.is_held:
                yield
                return
            self._lock.take(wait)
            try:
                yield
            finally:
                self._lock.give_back()

    def discard(self) -> None:
        shutil.rmtree(self.git_dir, ignore_errors=True)

    def _bring(self, tip: str) -> str:
        if not self.git_dir.exists():
            self._create("sha256" if len(tip) == _SHA256_DIGITS else "sha1")
        self.origin.fetch(self.branch, self._extent)
        if held := self._held():
            return held
        raise CorruptError(f"{self.git_dir} does not hold {self.branch} of {self.remote} after a fetch")

    def _create(self, object_format: str) -> None:
        with no_room(self.git_dir.parent):
            self.git_dir.mkdir(mode=0o700)
        options = ("--bare", "--quiet", "--template=", "--shared=0600", f"--object-format={object_format}")
        self.git.run("init", *options, "--initial-branch=none")

    def _held(self) -> str:
        """The tip that is here; empty if there is none, or it cannot be read."""
        ref = f"refs/heads/{self.branch}"
        result = self.git.run("rev-parse", f"{ref}^{{tree}}", ref, ok=ANY)
        return "" if result.status else result.stdout.decode().split()[1]

    def _sound(self) -> bool:
        """Whether the copy looks whole from outside: every pack ends as its index says, and there are few."""
        packs = self.git_dir / "objects" / "pack"
        if not (packs.is_dir() and (self.git_dir / "HEAD").is_file()):
            return False
        for leftover in packs.glob("tmp_*"):  # of a git that was killed: the lock is ours
            leftover.unlink()
        indexes = list(packs.glob("*.idx"))
        return len(indexes) <= MOST_PACKS and all(_pack_is_whole(index) for index in indexes)

    def _no_branch(self) -> ConfigError:
        branches = _branches(self.origin)
        if not branches:
            return ConfigError(
                f"{self.remote} is empty: it has no branch {self.branch!r}", remedy="push a first commit to it"
            )
        return ConfigError(
            f"{self.remote} has no branch {self.branch!r}", remedy=f"name one that it has with --branch: {branches}"
        )


def _check(remote: Remote, branch: str) -> None:
    if branch:
        check_branch(branch)
    version()
    if remote.kind is Kind.LOCAL and not is_bare(Path(remote.url)):
        raise ConfigError(
            f"{remote} is not a bare repository", remedy="name a bare repository, or a work tree for diff"
        )


@contextmanager
def open_mirror(
    remote: Remote,
    branch: str,
    *,
    cache_dir: Path | None = None,
    credentials: Credentials | None = None,
    ssh: Ssh | None = None,
    https: Https | None = None,
    timeout: float = NETWORK_TIMEOUT,
    lock_wait: float = LOCK_WAIT,
) -> Iterator[Mirror]:
    """A mirror of one branch (empty: the one that the remote's HEAD names), not fetched yet.

    With `cache_dir` it is kept there, with its memory, under a lock that is held until the end, or until the mirror is
    given back; one that turned out corrupt is discarded. Without, it lives in a private folder that is removed at the
    end. `timeout` is the seconds that one fetch or push may take, `lock_wait` the seconds to wait for another process
    that uses the same kept mirror.

    Raises:
        ConfigError: git is missing or too old, or the remote or branch is nothing to work with.
        TransientError: the lock stayed taken, or the folder cannot be written.
    """
    _check(remote, branch)
    with ExitStack() as stack:
        kept = stack.enter_context(_kept_folder(cache_dir, remote, lock_wait)) if cache_dir else None
        scratch = stack.enter_context(private_folder())
        folder, lock = kept or (scratch, None)
        access = access_to(remote, scratch, credentials, ssh, https)
        default, known = (None, "") if branch else _head(Origin(Git(), remote, access, timeout=timeout))
        branch = default or branch
        git_dir = folder / f"{_name(branch)}.git"
        memory = FileMemory(git_dir.with_suffix(".memory")) if cache_dir else None
        origin = Origin(Git(git_dir), remote, access, timeout=timeout)
        mirror = Mirror(git_dir, origin, branch, memory=memory or FORGETFUL, default=default, known=known, lock=lock)
        try:
            yield mirror
            if memory:
                memory.save()
        except CorruptError:
            with suppress(TransientError), mirror.claimed(wait=0):  # whoever has it now finds out, too
                _discard(folder)
            raise


def _discard(folder: Path) -> None:
    """Remove a mirror that is corrupt, and its history with it."""
    for suspect in folder.glob("*.git"):
        shutil.rmtree(suspect, ignore_errors=True)


def kept_copy(remote: Remote, branch: str, cache_dir: Path) -> tuple[CommitTree, Memory] | None:
    """The tree that was fetched last into a kept mirror, and its memory; None: there is none. No remote is asked.

    Without a branch it is that of the mirror that was used last. What is there may be old, or change any moment.
    """
    folder = cache_dir / f"{PREFIX}{_name(remote.url)}"
    candidates = [folder / f"{_name(branch)}.git"] if branch else list(folder.glob("*.git"))
    for git_dir in sorted((each for each in candidates if each.is_dir()), key=lambda each: -each.stat().st_mtime):
        git = Git(git_dir)
        if ref := git.run("for-each-ref", "--count=1", "--format=%(refname)", "refs/heads").stdout.decode().strip():
            return CommitTree(git, ref), FileMemory(git_dir.with_suffix(".memory"))
    return None


def _head(origin: Origin) -> tuple[str, str]:
    branch, commit = origin.head()
    if branch:
        return check_branch(branch), commit
    branches = _branches(origin)
    if not branches:
        raise ConfigError(f"{origin.remote} is empty", remedy="push a first commit to it")
    raise ConfigError(
        f"{origin.remote} does not say which branch is its default", remedy=f"name one with --branch: {branches}"
    )


def _branches(origin: Origin) -> str:
    """The remote's branches, as many as fit a line."""
    heads = sorted(origin.heads())
    return ", ".join(heads[:_SHOWN]) + (", …" if len(heads) > _SHOWN else "")


@contextmanager
def _kept_folder(cache_dir: Path, remote: Remote, wait: float) -> Iterator[tuple[Path, Lock]]:
    folder = cache_dir / f"{PREFIX}{_name(remote.url)}"
    with no_room(folder, "name another folder with --cache-dir or GITCD_CACHE_DIR"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    with locked(folder / "lock", wait=wait) as lock:
        yield folder, lock


def _pack_is_whole(index: Path) -> bool:
    """Whether the pack ends in the checksum that its index holds before its own; a truncated one does not."""
    try:
        with index.open("rb") as listing, index.with_suffix(".pack").open("rb") as pack:
            listing.seek(-64, os.SEEK_END)
            pack.seek(-32, os.SEEK_END)
            listed, end = listing.read(), pack.read()
    except OSError:
        return False
    return any(listed[-2 * size : -size] == end[-size:] for size in (20, 32))  # SHA-1, SHA-256


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
