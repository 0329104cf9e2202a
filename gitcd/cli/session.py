"""From the flags of a verb to the workspace and the plan that it works with."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gitcd.errors import ConfigError

if TYPE_CHECKING:
    from gitcd.cli.terminal import Console
    from gitcd.git.mirror import Mirror
    from gitcd.git.worktree import WorkTree
    from gitcd.model.plan import Plan
    from gitcd.model.tree import Tree
    from gitcd.planning.shards import Shard
    from gitcd.usecases.cluster_source import ClusterSource
    from gitcd.usecases.context import Context, Planned, Selection
    from gitcd.usecases.workspace import Target, Workspace


_log = logging.getLogger(__name__)

# What of which cluster is read.
_OF_CLUSTERS = ("kubeconfig", "context", "namespace", "all_namespaces", "selector")
# Flags that are operator settings, by the parameter that click makes of each.
_SETTINGS = ("repo", "branch", "cache_dir", "ecr_endpoint_url", "config")


def settings_flags(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The operator settings among a command's arguments, without those that were not given."""
    return {name: arguments[name] for name in _SETTINGS if arguments.get(name) is not None}


def author(console: Console, by: str) -> str:
    """Who says so: as `--by` names them, else as the environment does."""
    from gitcd.usecases.journal import actor

    return by or console.err.clean(actor(os.environ))


def workspace(arguments: Mapping[str, Any]) -> Workspace:
    """The workspace that a command's arguments, the environment and the settings file describe."""
    from gitcd.usecases.settings import load
    from gitcd.usecases.workspace import Workspace

    settings = load(settings_flags(arguments), os.environ).settings
    if arguments.get("branch"):
        _check_branch_flag(settings.repo)
    _log.info("reading %s", settings.repo or "the current folder")
    return Workspace(settings)


def _check_branch_flag(repo: str) -> None:
    from gitcd.git.worktree import WorkTree
    from gitcd.usecases.workspace import locate

    if isinstance(locate(repo), WorkTree):
        raise ConfigError(
            f"--branch does not go with the work tree {repo or '.'}, whose files are read as they lie",
            remedy="Check the branch out, or name a bare repository or an address.",
        )


def selection(arguments: Mapping[str, Any]) -> Selection:
    """What `--environment` and `--app` (or the operand APP) select."""
    from gitcd.usecases.context import Selection

    app = arguments["app"]
    environments = frozenset(arguments["environment"])
    if isinstance(app, str):
        return Selection(environments, frozenset({app}), acts=False)
    return Selection(environments, frozenset(app))


def plan(
    run: Workspace,
    target: Target,
    arguments: Mapping[str, Any],
    adjusted: Callable[[Context], Context] = lambda context: context,
) -> Planned:
    """The plan for the target as it is now: the files of a work tree as they lie, or the tip of a branch."""
    from gitcd.git.worktree import WorkTree
    from gitcd.usecases.planner import make_plan
    from gitcd.usecases.reconcile import preview, with_messages

    source = cluster(run, arguments)
    made_with = adjusted(context(run, target, arguments, source))
    _log.info("asking the registry, run %s", run.run)
    if isinstance(target, WorkTree):
        planned = with_messages(make_plan(target, made_with), run.templates, run.run)
    else:
        planned = preview(target, made_with, templates=run.templates, run=run.run, author=run.author)
    _log.debug("%d requests to registries", run.registry_calls)
    if source:
        return source.noted(planned)
    return planned if planned.plan.outcomes or planned.part else _declaring_nothing(planned, target)


def _declaring_nothing(planned: Planned, target: Target) -> Planned:
    """The same, with a warning that says what was looked at."""
    from gitcd.git.worktree import WorkTree

    where = str(target.root) if isinstance(target, WorkTree) else f"{target.branch} of {target.remote}"
    files = [entry.path for entry in tree(target).entries()]
    read = sum(path.endswith((".yaml", ".yml")) for path in files)
    warning = f"{where} declares nothing: {len(files)} files, {read} of them .yaml or .yml, and no ContainerVersion"
    return replace(planned, plan=replace(planned.plan, warnings=(*planned.plan.warnings, warning)))


def context(run: Workspace, target: Target, arguments: Mapping[str, Any], source: ClusterSource | None) -> Context:
    """What a plan for the target is made with."""
    made = replace(run.context(target, selection(arguments)), share=_shard(arguments))
    return sourced(made, source)


def sourced(context: Context, source: ClusterSource | None) -> Context:
    """The context with the declarations of the cluster, where that is the source."""
    return source.context(context) if source else context


def _shard(arguments: Mapping[str, Any]) -> Shard | None:
    """The part of the declarations that `--shard`, or `--shards` with the index that an Indexed Job sets, names.

    Raises:
        UsageError: both are given, or there is no such index.
    """
    shard: tuple[int, int] | None = arguments.get("shard")
    count: int | None = arguments.get("shards")
    if shard and count is not None:
        raise click.UsageError("--shard and --shards exclude each other")
    if count is not None:
        shard = _own_index(count), count
    if shard is None:
        return None
    from gitcd.planning.shards import Shard

    return Shard(*shard)


def _own_index(count: int) -> int:
    """Which of so many parts an Indexed Job has made this one."""
    index = os.environ.get("JOB_COMPLETION_INDEX", "")
    if not (index.isdecimal() and int(index) < count):
        said = f"is {index}" if index else "is not set"
        raise click.UsageError(
            f"--shards {count} takes which one from JOB_COMPLETION_INDEX, a number below it; that variable {said}"
        )
    return int(index)


def cluster(run: Workspace, arguments: Mapping[str, Any]) -> ClusterSource | None:
    """The cluster as the source of declarations, read now; None where they stand in the repository.

    Raises:
        UsageError: a flag that says what of a cluster to read is given for nothing.
        ConfigError: there is no such cluster, or nothing of it is mapped.
    """
    if arguments.get("declarations_from") != "cluster":
        _check_flags_of_clusters()
        return None
    from gitcd.usecases.cluster_source import Asked, read_cluster

    asked = Asked(**{name: arguments[name] for name in _OF_CLUSTERS})
    _log.info("reading ContainerVersions of the cluster")
    return read_cluster(run.settings, asked, run.deadline)


def _check_flags_of_clusters() -> None:
    current = click.get_current_context()
    for name in _OF_CLUSTERS:
        if current.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --from cluster only", current)


def tree(target: Target) -> Tree:
    """The files of the target: of a work tree as they lie, of a branch at its tip."""
    from gitcd.git.tree import CommitTree
    from gitcd.git.worktree import WorkTree

    return target if isinstance(target, WorkTree) else CommitTree(target.git, target.fetch())


def work_tree(target: Target) -> WorkTree:
    """The target where it is a work tree, as `--in-place` needs one.

    Raises:
        ConfigError: it is none.
    """
    from gitcd.git.worktree import WorkTree

    if not isinstance(target, WorkTree):
        raise ConfigError("--in-place writes into a work tree, and REPO is none", remedy="Leave --in-place out.")
    return target


def mirror(target: Target, *, in_place: bool = True) -> Mirror:
    """The target where commits may be made; `in_place`: whether the verb has a flag to write into a work tree.

    Raises:
        ConfigError: it is a work tree.
    """
    from gitcd.git.mirror import Mirror

    if not isinstance(target, Mirror):
        otherwise = "Write into its files with --in-place, or name" if in_place else "Name"
        raise ConfigError(
            "REPO is a work tree, and gitcd never commits in somebody's checkout",
            remedy=f"{otherwise} a bare repository or an address.",
        )
    return target


def write_plan(path: str, value: Plan) -> None:
    """Write a plan for a later `reconcile --plan`.

    Raises:
        ConfigError: the file cannot be written.
    """
    from gitcd.model.document import to_document

    text = json.dumps(to_document(value), indent=2) + "\n"
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def read_plan(path: str) -> Plan:
    """A plan that `reconcile --out` wrote.

    Raises:
        ConfigError: the file cannot be read, or holds no plan.
    """
    from gitcd.model.document import from_document

    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}", remedy="Give a file that `--out` wrote.") from error
    return from_document(value)
