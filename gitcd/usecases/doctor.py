"""Doctor: try, one after another, everything that a run needs, and say what to do about what fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gitcd.errors import GitcdError, TransientError
from gitcd.git.mirror import Mirror
from gitcd.git.probe import push_permission
from gitcd.git.runner import version
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Query
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs, read_inputs
from gitcd.usecases.workspace import Target, Workspace

_SHOWN = 5


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    verdict: Verdict
    message: str
    remedy: str = ""
    transient: bool = False


def examine(workspace: Workspace) -> Iterator[Check]:
    """Check git, the repository, what it declares, and every registry, in that order."""
    try:
        yield Check("git", Verdict.OK, ".".join(map(str, version())))
        with workspace.open() as target:
            yield from _target(workspace, target)
    except GitcdError as error:
        yield _failed("repository", error)


def _target(workspace: Workspace, target: Target) -> Iterator[Check]:
    if isinstance(target, WorkTree):
        yield Check("repository", Verdict.OK, f"work tree {target.root}; nothing is pushed from here")
        tree: Tree = target
    else:
        tip = target.fetch()
        yield Check("repository", Verdict.OK, f"{target.remote}, branch {target.branch}, tip {tip[:10]}")
        yield _push(target, tip)
        tree = CommitTree(target.git, tip)
    inputs = read_inputs(tree)
    yield from _declarations(inputs)
    yield from _registries(workspace, inputs)


def _push(mirror: Mirror, tip: str) -> Check:
    refused = push_permission(mirror, tip)
    if not refused:
        return Check("push", Verdict.OK, f"{mirror.branch} may be pushed to (by a push that changes nothing)")
    remedy = "Give this identity write access, or deliver by pull request."
    return Check("push", Verdict.FAILED, f"{mirror.branch} may not be pushed to: {refused}", remedy)


def _declarations(inputs: Inputs) -> Iterator[Check]:
    for outcome in inputs.broken:
        yield Check("declaration", Verdict.FAILED, f"{outcome.origin}: {outcome.message}", outcome.remedy)
    count = len(inputs.declared)
    where = f"in {_counted(len(inputs.scopes.environments), 'environment')}" if inputs.layout else "and no gitcd.yaml"
    if count:
        yield Check("declarations", Verdict.OK, f"{_counted(count, 'ContainerVersion')} {where}")
    else:
        remedy = "Write one beside your manifests; `gitcd schema` and the documentation show how."
        yield Check("declarations", Verdict.WARNING, f"no ContainerVersion {where}", remedy)


def _registries(workspace: Workspace, inputs: Inputs) -> Iterator[Check]:
    """Ask every repository for one tag that a declaration follows: permission is given by repository."""
    asked: dict[Repository, str] = {}
    for each in inputs.declared:
        spec = each.declaration.spec
        if spec.tag:
            asked.setdefault(spec.repository, spec.tag)
    try:
        answers = workspace.ask([Query(repository, frozenset({tag})) for repository, tag in asked.items()])
    except GitcdError as error:
        yield _failed("credentials", error)
        return
    by_registry: dict[str, list[Repository]] = {}
    for repository in sorted(asked):
        by_registry.setdefault(repository.registry, []).append(repository)
    for registry, repositories in by_registry.items():
        failures = [answer for each in repositories if isinstance(answer := answers.get(each, asked[each]), Failure)]
        yield from _registry(registry, len(repositories), failures)


def _registry(registry: str, count: int, failures: list[Failure]) -> Iterator[Check]:
    if len(failures) < count:
        yield Check("registry", Verdict.OK, f"{registry}: {count - len(failures)} of {count} repositories answer")
    for failure in _distinct(failures)[:_SHOWN]:
        yield Check("registry", Verdict.FAILED, str(failure), failure.remedy, failure.transient)
    if len(failures) > _SHOWN:
        yield Check("registry", Verdict.FAILED, f"{registry}: and {len(failures) - _SHOWN} more failures")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _distinct(failures: Iterable[Failure]) -> list[Failure]:
    return list(dict.fromkeys(failures))


def _failed(name: str, error: GitcdError) -> Check:
    return Check(name, Verdict.FAILED, error.message, error.remedy, isinstance(error, TransientError))
