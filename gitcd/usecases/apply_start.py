"""Where a run of apply begins: at which commit, and in which environments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gitcd.cluster.api import Api
from gitcd.cluster.which import cluster_uid
from gitcd.errors import ConfigError, TransientError
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.memory import Memory
from gitcd.model.settings import Settings
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT, LAYOUTS, Scopes

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_ENVIRONMENTS, _NONE = "environments", "-"


def revision(mirror: Mirror, name: str) -> CommitTree:
    """The files of a commit of the branch; without a name, of its tip.

    Raises:
        ConfigError: the branch has no such commit.
        TransientError: its history cannot be had.
    """
    tip = mirror.fetch()
    if not name or tip.startswith(name):
        return CommitTree(mirror.git, tip)
    if not _COMMIT.fullmatch(name):
        raise ConfigError(f"--revision {name} is no commit", remedy="Give its id, or the first seven digits at least.")
    history = ensure_history(mirror, tip)
    if isinstance(history, MissingHistory):
        raise (ConfigError if history.lasting else TransientError)(history.reason, remedy=history.remedy)
    if tree := history.tree_of(name):
        return tree
    raise ConfigError(
        f"{mirror.branch} of {mirror.remote} has no commit {name}", remedy="`git log` shows those it has."
    )


def environments(tree: CommitTree, memory: Memory, read: Callable[[], Scopes]) -> list[str]:
    """The environments of a tree, by name; `read` is asked where it is not remembered what its gitcd.yaml says."""
    found = tree.excerpt(LAYOUTS).entries()
    key = " ".join(f"{each.path} {each.mode.value} {each.oid}" for each in found) or _NONE
    names = memory.recall(_ENVIRONMENTS, key)
    if names is None:
        names = " ".join(sorted(read().environments) or [DEFAULT_ENVIRONMENT])
        memory.note(_ENVIRONMENTS, key, names)
    return names.split()


def choose(known: Sequence[str], asked: frozenset[str], settings: Settings, api: Api) -> list[str]:
    """Which of the environments are applied: those asked for, else all that are said to be this cluster.

    Raises:
        ConfigError: one that was asked for is another cluster, or nobody says which it is.
    """
    if strange := sorted(asked - set(known)):
        raise ConfigError(f"gitcd.yaml has no environment {strange[0]}", remedy=f"It has: {', '.join(known)}.")
    uid = cluster_uid(api)
    said = {each.name: each.cluster for each in settings.environments}
    chosen = [name for name in known if name in asked] if asked else [n for n in known if said.get(n) == uid]
    for name in chosen or known[:1]:
        if said.get(name) is None:
            raise ConfigError(
                f"nobody says which cluster {name} is, so it is applied to none",
                remedy=f"If it is {api.server}, write into the settings file:\n"
                f"    environments:\n      - {{name: {name}, cluster: {uid}}}",
            )
        if said[name] != uid:
            raise ConfigError(
                f"{api.server} is not the cluster of {name}: its kube-system has the UID {uid}, not {said[name]}",
                remedy="Choose another --context, or correct the setting environments.",
            )
    return chosen
