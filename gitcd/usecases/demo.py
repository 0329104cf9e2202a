"""The scene of `gitcd demo`: a local stand-in for ECR with images in it, and a bare remote with the example in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gitcd
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.runner import Git
from gitcd.git.seed import seed_bare
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode, Tree
from gitcd.registry.standin import LocalEcr, local_ecr

EXAMPLE = Path(gitcd.__file__).parent / "examples" / "config-repo"
BRANCH = "main"
_HUMAN = Author("Dana Human", "dana@example.com")
_US, _EU = "us-east-1", "eu-west-1"


@dataclass(frozen=True, slots=True)
class Release:
    """What was built of one repository, and the version that each environment tag names."""

    region: str
    repository: str
    versions: tuple[str, ...]
    tags: dict[str, str]
    platforms: tuple[str, ...] = ("amd64", "arm64")


RELEASES = (
    Release(
        _US,
        "atlas/tiles",
        ("1.4.2", "1.5.0", "1.6.0"),
        {"env-dev": "1.6.0", "env-staging": "1.5.0", "env-prod": "1.4.2"},
    ),
    Release(
        _US,
        "atlas/catalog",
        ("4.7.3", "4.8.0", "4.9.0", "4.10.0-rc.1"),
        {"env-dev": "4.9.0", "env-dev-next": "4.10.0-rc.1", "env-prod": "4.8.0", "env-prod-next": "4.9.0"},
        ("amd64",),
    ),
    Release(
        _US,
        "atlas/portal",
        ("7.1.4", "7.2.0", "7.3.0"),
        {"env-dev": "7.3.0", "env-staging": "7.3.0", "env-prod": "7.2.0"},
    ),
    Release(
        _US,
        "atlas/thumbnails",
        ("1.0.2", "1.1.0"),
        {"env-dev": "1.1.0", "env-staging": "1.1.0", "env-prod": "1.1.0"},
    ),
    Release(
        _EU,
        "atlas/search",
        ("2.3.0", "2.3.1", "2.4.0"),
        {"env-dev": "2.4.0", "env-staging": "2.4.0", "env-prod": "2.3.1"},
    ),
    Release(_US, "atlas/routing", ("3.0.4", "3.1.0", "3.2.0"), {"env-prod": "3.2.0"}),
    Release(
        _US,
        "atlas/reports",
        (
            "0f3d6b9a2c5e8f1b4d7a0c3e6f9b2d5a8c1e4f7b",
            "5c1e0b2f9d8a7c6b5a4f3e2d1c0b9a8f7e6d5c4b",
            "9b7d5f3a1c8e6042d4f6a8b0c2e4f60718293a4b",
        ),
        {
            "env-dev": "9b7d5f3a1c8e6042d4f6a8b0c2e4f60718293a4b",
            "env-prod": "5c1e0b2f9d8a7c6b5a4f3e2d1c0b9a8f7e6d5c4b",
        },
        ("amd64",),
    ),
    Release(
        _US,
        "atlas/archive",
        ("build-88", "build-91"),
        {"env-dev": "build-91", "env-prod": "build-91"},
        ("amd64",),
    ),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: a bare repository that is the remote, and a registry."""

    folder: Path
    ecr: LocalEcr

    @property
    def remote(self) -> str:
        return f"file://{self.folder}"

    def promote(self, repository: str, version: str, tag: str) -> None:
        """What a pipeline or a person does: move an environment's tag to a version."""
        self.ecr.retag(_US, repository, version, tag)

    def last_message(self) -> str:
        """The message of the commit that the branch names now."""
        return self._git.run("log", "-1", "--format=%B", BRANCH).stdout.decode()

    def take_back(self) -> None:
        """What a person does: push a revert of the last commit."""
        before, now = (_files(CommitTree(self._git, commit)) for commit in (f"{BRANCH}~1", BRANCH))
        changes = [
            FileChange(path, Mode.FILE, data, before[path]) for path, data in now.items() if data != before[path]
        ]
        commit = NewCommit(f"Revert: {self.last_message()}", changes)
        tip = self._git.run("rev-parse", "--verify", BRANCH).stdout.decode().strip()
        (made,) = write_commits(self._git, tip, [commit], author=_HUMAN, when=datetime.now(UTC))
        self._git.run("update-ref", f"refs/heads/{BRANCH}", made)

    @property
    def _git(self) -> Git:
        return Git(self.folder)


@contextmanager
def stage(progress: Callable[[str], None]) -> Iterator[Stage]:
    """Set the scene, and leave nothing behind.

    Raises:
        ConfigError: the stand-in is not installed, or git is missing.
    """
    with tempfile.TemporaryDirectory(prefix="gitcd-demo-") as folder, local_ecr() as ecr:
        remote = Path(folder) / "config.git"
        progress("making a bare remote from the example")
        seed_bare(remote, _files(WorkTree(EXAMPLE)), branch=BRANCH, author=_HUMAN, when=datetime.now(UTC))
        for release in RELEASES:
            progress(f"pushing {release.repository} to the local ECR")
            _fill(ecr, release)
        yield Stage(remote, ecr)


def _files(tree: Tree) -> dict[str, bytes]:
    return {entry.path: data for entry, data in tree.read(tree.entries())}


def _fill(ecr: LocalEcr, release: Release) -> None:
    for version in release.versions:
        named = [tag for tag, at in release.tags.items() if at == version]
        ecr.push(release.region, release.repository, [version, *named], platforms=release.platforms)
