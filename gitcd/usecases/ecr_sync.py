"""One Deployment follows one tag, as flags say: the plan of a ContainerVersion that nobody wrote down, polled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from gitcd.errors import ConfigError, GitcdError, TransientError
from gitcd.git.commit import NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model import schema
from gitcd.model.declaration import API_VERSION, KIND, ContainerVersion, Document, Origin
from gitcd.model.hold import hold_path
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.problem import Problem, pointer
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.model.settings import Settings
from gitcd.model.tree import Tree
from gitcd.planning.given import find_place
from gitcd.registry.tags import EcrTags
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.planner import make_plan
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.pulls import fails
from gitcd.usecases.reconcile import with_failure, with_messages
from gitcd.usecases.registry_access import registry_settings
from gitcd.usecases.tagging import as_error, is_absent, parse_repository
from gitcd.usecases.workspace import Target, Workspace

# The version is a tag in which a git hash stands anywhere, as cvmanager had it.
_VERSION_SYNTAX = ".*[0-9a-f]{5,40}.*"
_ORIGIN = Origin("the command line")
_ANY_REGISTRY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"  # stands for the own one until ECR has named it
_FLAGS = {
    "metadata.name": "--deployment",
    "metadata.namespace": "--namespace",
    "spec.imageRepo": "--ecr",
    "spec.tag": "--tag",
    "spec.versionSyntax": "--version-syntax",
    "spec.pin": "--pin",
    "spec.workload": "--deployment",
    "spec.container": "--container",
    "spec.config": "--configKey",
    "spec.paths": "--path",
}


@dataclass(frozen=True, slots=True)
class Sync:
    """What the flags say of the image and of the place that holds it."""

    tag: str
    ecr: str
    deployment: str
    container: str = ""
    namespace: str = "default"
    config: str = ""
    version_syntax: str = ""
    pin: str = ""
    paths: tuple[str, ...] = ()

    @property
    def repository(self) -> Repository:
        """As it was asked for; a bare name has no registry yet.

        Raises:
            ConfigError: it is no repository.
        """
        return parse_repository(self.ecr)

    def declaration(self, repository: Repository | None = None) -> ContainerVersion:
        """The ContainerVersion that the flags amount to.

        `repository`: the one of `ecr` with the host of its registry, where that is known.

        Raises:
            ConfigError: a flag's value is not valid; all such are listed.
        """
        asked = repository or self.repository
        plain = self._plain(str(asked if asked.registry else Repository(_ANY_REGISTRY, asked.path)))
        document, problems = schema.read(Document, plain)
        if problems or document is None:
            raise ConfigError("; ".join(dict.fromkeys(map(_at_flag, problems))))
        return ContainerVersion(document.metadata, document.spec, _ORIGIN)

    def _plain(self, image_repo: str) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "imageRepo": image_repo,
            "tag": self.tag,
            "versionSyntax": self.version_syntax or _VERSION_SYNTAX,
            "workload": {"kind": "Deployment", "name": self.deployment},
        }
        if self.container:
            spec["container"] = {"name": self.container}
        if self.config:
            name, slash, key = self.config.partition("/")
            if not slash:
                raise ConfigError(f"--configKey: {self.config!r} is not of the form name/key")
            spec["config"] = {"name": name, "key": key}
        if self.pin:
            spec["pin"] = self.pin
        if self.paths:
            spec["paths"] = list(self.paths)
        metadata = {"name": self.deployment, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def full_name(sync: Sync, settings: Settings) -> Repository:
    """The repository with the host of its registry, which ECR is asked for where the flag leaves it out.

    Raises:
        GitcdError: the repository is not there, or ECR does not answer.
    """
    repository = sync.repository
    if repository.registry:
        return repository
    # What may be asked is decided by the full name, when the tag is resolved.
    registry = EcrTags(replace(registry_settings(settings), allowed=()))
    image = registry.find(repository, [sync.tag])[sync.tag]
    if isinstance(image, Failure):
        remedy = "push an image under it, or correct --tag" if is_absent(image) else image.remedy
        raise as_error(replace(image, remedy=remedy))
    manifest = registry.manifests(repository, [image.digest])[image.digest]
    if isinstance(manifest, Failure):
        raise as_error(manifest)
    if not manifest.home.registry:
        raise TransientError(f"ECR did not say whose repository {repository} is")
    return manifest.home


def _at_flag(problem: Problem) -> str:
    flag = _FLAGS.get(pointer(problem.steps[:2]), problem.pointer)
    return f"{flag}: {problem.message}" + (f" ({problem.remedy})" if problem.remedy else "")


@dataclass(frozen=True, slots=True)
class Poll:
    """One look at the tag, by the declaration that the flags amount to."""

    declaration: ContainerVersion
    environments: tuple[str, ...]  # empty: wherever it fits
    run: Workspace

    def preview(self, target: Target) -> Planned:
        """What would be committed, by the files of a work tree as they lie or by the tip of a branch."""
        context = self.run.context(target)
        if isinstance(target, WorkTree):
            return self.plan(target, context)
        tip = target.fetch()
        return self.plan(CommitTree(target.git, tip), context, base=tip, memory=target.memory)

    def plan(self, tree: Tree, context: Context, *, base: str = "", memory: Memory = FORGETFUL) -> Planned:
        """The plan for a tree, with its commit messages."""
        given = find_place(tree, self.declaration, self.environments, memory)
        selection = Selection(apps=frozenset(str(each.identity) for each in given))
        context = replace(context, given=given, selection=selection)
        planned = _remedied(make_plan(tree, context, base=base, memory=memory))
        return with_messages(planned, self.run.templates, self.run.run)

    def commit(self, mirror: Mirror) -> Published[Planned]:
        """Bring the branch to what the tag names."""
        context = self.run.context(mirror)

        def compute(tree: CommitTree, tip: str) -> tuple[Planned, Sequence[NewCommit]]:
            planned = self.plan(tree, context, base=tip, memory=mirror.memory)
            return planned, [NewCommit(each.message, each.files) for each in planned.plan.commits]

        return with_failure(publish(mirror, compute, author=self.run.author, when=context.now))


def _remedied(planned: Planned) -> Planned:
    """The plan with remedies for what is held: `gitcd release` knows only what stands in the repository.

    What is delivered by pull request fails: `reconcile`, which knows only what stands there too, would close it again.
    """
    outcomes = tuple(map(_outcome, planned.plan.outcomes))
    return replace(planned, plan=replace(planned.plan, outcomes=outcomes, pulls=()))


def _outcome(outcome: Outcome) -> Outcome:
    if outcome.kind is OutcomeKind.PROPOSED:
        message = f"environment {outcome.identity.environment} is delivered by pull request, and ecr-sync opens none"
        remedy = "Write a ContainerVersion for it, and let `gitcd reconcile` propose it."
        return fails(outcome, Failure("PullRequestOnly", message, remedy))
    if outcome.kind is OutcomeKind.HELD:
        remedy = f"Write the image by hand, or remove {hold_path(outcome.identity)} where there is one."
        return replace(outcome, remedy=remedy)
    return outcome


def keep(
    poll: Callable[[], object],
    tell: Callable[[GitcdError], None],
    interval: timedelta,
    sleep: Callable[[float], None] = time.sleep,
) -> NoReturn:
    """Poll until a signal ends it. What goes wrong in one poll is told, and the next one comes all the same.

    Raises:
        ConfigError: already the first poll finds that the set-up is wrong.
    """
    started = False
    while True:
        try:
            poll()
        except GitcdError as error:
            if isinstance(error, ConfigError) and not started:
                raise
            tell(error)
        started = True
        sleep(interval.total_seconds())
