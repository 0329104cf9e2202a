"""Doctor: try, one after another, everything that a run needs, and say what to do about what fails."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gitcd.errors import GitcdError, TransientError
from gitcd.git.mirror import Mirror
from gitcd.git.probe import push_permission, try_key
from gitcd.git.runner import version
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.declaration import Spec
from gitcd.model.pull import ForgeFailure
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Failure, Image, Query
from gitcd.model.tree import Tree
from gitcd.planning.deployed import deployed
from gitcd.planning.followed import followed_image
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.pulls import asks_for_pull
from gitcd.planning.survey import survey
from gitcd.registry.settings import RegistrySettings
from gitcd.usecases.context import EVERYTHING, Selection
from gitcd.usecases.deliver_desk import open_desk
from gitcd.usecases.doctor_check import Check, Verdict, counted, failures
from gitcd.usecases.doctor_upkeep import Asked, check_lifecycle, check_mutability
from gitcd.usecases.planner import check_selection, concerns
from gitcd.usecases.registry_access import registry_settings
from gitcd.usecases.workspace import Target, Workspace

if TYPE_CHECKING:
    from gitcd.forge.protocol import Forge

_PATIENCE = 120.0  # seconds for all previews together; ECR takes a few for each


def examine(workspace: Workspace, selection: Selection = EVERYTHING) -> Iterator[Check]:
    """Check git, the repository, what it declares, and every registry, in that order.

    What no selected declaration needs is not asked for.
    """
    try:
        yield Check("git", Verdict.OK, ".".join(map(str, version())))
        with workspace.open() as target:
            yield from _target(workspace, target, selection)
    except GitcdError as error:
        yield _failed("repository", error)


def _target(workspace: Workspace, target: Target, selection: Selection) -> Iterator[Check]:
    if isinstance(target, WorkTree):
        yield Check("repository", Verdict.OK, f"work tree {target.root}; nothing is pushed from here")
        tree: Tree = target
        found = read_inputs(tree)
        inputs = _selected(found, selection)
    else:
        tip = target.fetch()
        yield Check("repository", Verdict.OK, f"{target.remote}, branch {target.branch}, tip {tip[:10]}")
        tree = CommitTree(target.git, tip)
        found = read_inputs(tree)
        inputs = _selected(found, selection)
        yield from _delivery(workspace, target, tip, inputs)
    try:
        check_selection(selection, found)
    except GitcdError as error:
        yield _failed("declarations", error)
        return
    yield from _declarations(inputs, len(found.declared))
    try:
        answering = yield from _registries(workspace, inputs)
    except GitcdError as error:
        yield _failed("credentials", error)
        return
    yield from _upkeep(workspace, tree, inputs, answering)


def _selected(inputs: Inputs, selection: Selection) -> Inputs:
    """The same with the selected declarations alone, and what is broken that may be one of them."""
    declared = tuple(each for each in inputs.declared if selection.takes(each.identity))
    return replace(inputs, declared=declared, broken=tuple(each for each in inputs.broken if concerns(each, selection)))


def _upkeep(workspace: Workspace, tree: Tree, inputs: Inputs, answering: Mapping[Repository, Image]) -> Iterator[Check]:
    """Whether the repositories of ECR that answer are set so as to last; the others have been told of."""
    settings = registry_settings(workspace.settings)
    answering = {each: image for each, image in answering.items() if settings.is_ecr(each)}
    if not answering:
        return
    declared = [each for each in inputs.declared if each.declaration.spec.repository in answering]
    deadline = time.monotonic() + _PATIENCE
    asked = Asked(list(answering), settings, workspace.settings.ecr.workers, deadline)
    yield from check_lifecycle(asked, map(deployed, survey(declared, tree, inputs.scopes)))
    yield from check_mutability(asked, declared, answering)


def _delivery(workspace: Workspace, mirror: Mirror, tip: str, inputs: Inputs) -> Iterator[Check]:
    """Whether what moves can be committed, signed and proposed, as far as the declarations ask for that."""
    by_pull = [asks_for_pull(each, inputs.scopes) for each in inputs.declared]
    yield _push(mirror, tip, is_needed=not (by_pull and all(by_pull)))
    yield from _signing(workspace, mirror, tip)
    if any(by_pull):
        yield _forge(open_desk(workspace, mirror).forge, mirror.branch)


def _push(mirror: Mirror, tip: str, *, is_needed: bool) -> Check:
    refused = push_permission(mirror, tip)
    if not refused:
        return Check("push", Verdict.OK, f"{mirror.branch} may be pushed to (by a push that changes nothing)")
    message = f"{mirror.branch} may not be pushed to: {refused}"
    if not is_needed:
        remedy = "All declarations are delivered by pull request; only hold and release push to it."
        return Check("push", Verdict.WARNING, message, remedy)
    return Check("push", Verdict.FAILED, message, "Give this identity write access, or deliver by pull request.")


def _forge(forge: Forge | Failure, base: str) -> Check:
    """Whether pull requests can be read; whether one may be opened only opening one would tell."""
    if isinstance(forge, Failure):
        return Check("forge", Verdict.FAILED, forge.message, forge.remedy)
    found = forge.all_open(base)
    if isinstance(found, ForgeFailure):
        return Check("forge", Verdict.FAILED, found.message, found.remedy, found.transient)
    return Check("forge", Verdict.OK, f"{forge.name}: {counted(len(found), 'open pull request')} to {base}")


def _signing(workspace: Workspace, mirror: Mirror, tip: str) -> Iterator[Check]:
    if not (format_ := workspace.settings.signing.format):
        return
    try:
        try_key(mirror, tip, workspace.author, workspace.now)
    except GitcdError as error:
        yield _failed("signing", error)
    else:
        yield Check("signing", Verdict.OK, f"commits are signed with a key of {format_}")


def _declarations(inputs: Inputs, total: int) -> Iterator[Check]:
    """What is declared; `total` is how many there are besides what is selected, too."""
    for outcome in inputs.broken:
        yield Check("declaration", Verdict.FAILED, f"{outcome.origin}: {outcome.message}", outcome.remedy)
    count = len(inputs.declared)
    where = f"in {counted(len(inputs.scopes.environments), 'environment')}" if inputs.layout else "and no gitcd.yaml"
    if count:
        shown = f"{count} of {total} ContainerVersions" if count < total else counted(count, "ContainerVersion")
        yield Check("declarations", Verdict.OK, f"{shown} {where}")
    else:
        remedy = "Write one beside your manifests; `gitcd schema` and the documentation show how."
        yield Check("declarations", Verdict.WARNING, f"no ContainerVersion {where}", remedy)


def _registries(workspace: Workspace, inputs: Inputs) -> Generator[Check, None, dict[Repository, Image]]:
    """Ask every repository for what one declaration follows: permission is given by repository.

    Returns those that answer, each with what it answered.
    """
    asked: dict[Repository, Spec] = {}
    for each in inputs.declared:
        asked.setdefault(each.declaration.spec.repository, each.declaration.spec)
    answers = workspace.ask([_question(spec) for spec in asked.values()])
    found = {repository: followed_image(asked[repository], answers) for repository in sorted(asked)}
    by_registry: defaultdict[str, list[Answer]] = defaultdict(list)
    for repository, answer in found.items():
        by_registry[repository.registry].append(answer)
    settings = registry_settings(workspace.settings)
    for registry, given in by_registry.items():
        refused = [answer for answer in given if isinstance(answer, Failure)]
        if len(refused) < len(given):
            message = f"{_named(registry, settings)}: {len(given) - len(refused)} of {len(given)} repositories answer"
            yield Check("registry", Verdict.OK, message)
        yield from failures("registry", Verdict.FAILED, refused, registry)
    return {repository: answer for repository, answer in found.items() if isinstance(answer, Image)}


def _question(spec: Spec) -> Query:
    if spec.follow:
        return Query(spec.repository, follows=frozenset({spec.follow}))
    return Query(spec.repository, frozenset({spec.tag}))


def _named(registry: str, settings: RegistrySettings) -> str:
    """The registry, and who was asked in its place."""
    endpoint = settings.access_to(registry).endpoint_url
    return f"{registry} (asked at {endpoint})" if endpoint else registry


def _failed(name: str, error: GitcdError) -> Check:
    return Check(name, Verdict.FAILED, error.message, error.remedy, isinstance(error, TransientError))


__all__ = ["Check", "Verdict", "examine"]
