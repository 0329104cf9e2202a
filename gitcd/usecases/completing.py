"""The names that a shell completes: those of the repository as it lies here. No remote is asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitcd.errors import GitcdError
from gitcd.git.mirror import kept_copy
from gitcd.git.remote import Kind, Remote
from gitcd.git.runner import Git
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.manifests.reading import NEEDLES
from gitcd.model.declaration import Identity
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.settings import Settings
from gitcd.model.tree import MemoryTree, Tree
from gitcd.planning.intake import read_inputs
from gitcd.usecases.settings import load
from gitcd.usecases.workspace import cache_dir, locate


@dataclass(frozen=True, slots=True)
class Names:
    """What can be named: environments, and the declarations in them."""

    environments: tuple[str, ...] = ()
    apps: tuple[Identity, ...] = ()


def names(flags: Mapping[str, object], environ: Mapping[str, str]) -> Names:
    """The names in the configured repository; none where it cannot be read, is not here, or says nothing valid.

    Of a remote it is what the last run brought into the cache.
    """
    try:
        settings = load(flags, environ).settings
        found = _tree(settings)
        return _names(*found) if found else Names()
    except (GitcdError, OSError):
        return Names()


def _names(tree: Tree, memory: Memory) -> Names:
    inputs = read_inputs(tree, memory)
    apps = sorted({each.identity for each in inputs.declared}, key=str)
    known = {each.environment for each in apps} | set(inputs.scopes.environments)
    return Names(tuple(sorted(known)), tuple(apps))


def _tree(settings: Settings) -> tuple[Tree, Memory] | None:
    place, cache = locate(settings.repo, allowed_hosts=settings.git.allowed_hosts), cache_dir(settings)
    if isinstance(place, WorkTree):
        return MemoryTree(place.mentioning(NEEDLES)), FORGETFUL
    return (cache and kept_copy(place, settings.branch, cache)) or _bare(place, settings.branch)


def _bare(place: Remote, branch: str) -> tuple[Tree, Memory] | None:
    """A repository on this machine that no run has been at."""
    if place.kind is not Kind.LOCAL:
        return None
    return CommitTree(Git(Path(place.url)), f"refs/heads/{branch}" if branch else "HEAD"), FORGETFUL
