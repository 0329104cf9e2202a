"""The switch between two slots as a commit, and the way back from one: the Services of git lead to the other slot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd import redact
from gitcd.errors import GitcdError, RefusedError, TransientError
from gitcd.git.branch import read_branches
from gitcd.git.commit import NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.plan import (
    Change,
    FileChange,
    Outcome,
    OutcomeKind,
    Plan,
    PlannedCommit,
    PlannedPull,
    PullAct,
    Resolved,
)
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.model.tree import Entry, Tree
from gitcd.planning import holds
from gitcd.planning.content import Held
from gitcd.planning.inputs import Inputs, read_inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.moments import running_freeze
from gitcd.planning.pulls import plan_id, propose, way_back, way_over
from gitcd.planning.survey import survey
from gitcd.planning.switching import VERB, Standing, image_changes, standing, switch_changes
from gitcd.rendering.messages import commit_message
from gitcd.rendering.text import plain_line
from gitcd.rollout.facts import Release
from gitcd.usecases.holding import find_identity
from gitcd.usecases.planner import Context, Planned, Selection
from gitcd.usecases.promote import Pen
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls
from gitcd.usecases.rollback_hold import Rejection, hold_change

BY = "gitcd apply"
_YAML = (".yaml", ".yml")
_THERE = frozenset({PullAct.OPENED, PullAct.UPDATED, PullAct.UNCHANGED})

Releases = Callable[[str, Collection[Identity]], Iterable[Release]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One declaration with two slots in one tree."""

    tree: Tree
    inputs: Inputs
    surveyed: Surveyed
    stand: Standing

    @property
    def identity(self) -> Identity:
        return self.surveyed.declared.identity

    @property
    def hold(self) -> Hold:
        return self.inputs.holds.get(self.identity, Hold())

    @property
    def by_pull(self) -> bool:
        own = self.surveyed.declared.declaration.spec.delivery
        layout = self.inputs.scopes.layout_of(self.identity.environment)
        return "PullRequest" in {layout.delivery.mode, own.mode if own else ""}

    @property
    def files(self) -> list[Entry]:
        """The files in which its Services may stand."""
        reach, scopes = self.surveyed.declared.reach, self.inputs.scopes
        entries = (each for each in self.tree.entries() if each.path.endswith(_YAML))
        return [
            each
            for each in entries
            if isinstance(owner := scopes.environment_of(each.path), str | None) and reach.holds(each.path, owner)
        ]

    def switched(self) -> list[FileChange]:
        return _or_refuse(switch_changes(self.tree, self.surveyed, self.stand.slots, self.files))


Write = Callable[[_Pair], PlannedCommit | None]


@dataclass(frozen=True, slots=True)
class Switcher:
    """Switches on one branch. `releases` answers what a commit says that declarations shall run."""

    mirror: Mirror
    context: Context
    pen: Pen
    releases: Releases
    now: Callable[[], datetime]

    def switch(self, release: Release) -> Release | Failure:
        """Commit that the slot with the release's image is live; the release of that commit, or what stands against it.

        Holds, and what git says of both slots, are read from the tip that is committed to.
        """
        identity, digest = release.identity, release.digest
        branch = way_over(identity, self.context.line())
        try:
            published = self._published(identity, branch, lambda pair: self._switch(pair, digest))
            return published.failure or self._release_of(identity, published)
        except GitcdError as error:
            return Failure("NotSwitched", error.message, error.remedy, isinstance(error, TransientError))

    def take_back(self, failed: Release, reason: str) -> Published[Planned]:
        """Commit that the other slot is live again, or that the idle one holds what it held; and the hold, with it.

        Raises:
            RefusedError: the failed image stands in no slot any more, or there is nothing to go back to.
            TransientError: the remote is in trouble.
        """
        text = plain_line(redact.clean(reason))
        branch = way_back(failed.identity, self.context.line())
        return self._published(failed.identity, branch, lambda pair: self._back(pair, failed, text))

    def _release_of(self, identity: Identity, published: Published[Planned]) -> Release | Failure:
        """What the commit says that was made, or proposed; the tip's word where nothing was left to do."""
        commit = published.commits[-1] if published.commits else self.mirror.tip
        if published.work.plan.pulls:
            pull = next((each for each in published.pulls if each.act in _THERE), None)
            if pull is None:
                return _not_proposed(published)
            commit = read_branches(self.mirror)[pull.branch].tip
        found = next(iter(self.releases(commit, {identity})), None)
        return found or Failure("NotSwitched", f"the commit {commit[:12]} does not say what {identity} shall run")

    def _published(self, identity: Identity, branch: str, write: Write) -> Published[Planned]:
        """Committed; proposed, where the environment asks for that or the branch is protected."""
        published = self._publish(identity, branch, write)
        if published.failure and published.failure.reason == "PushDeclined":
            return self._publish(identity, branch, write, by_pull=True)
        return published

    def _publish(self, identity: Identity, branch: str, write: Write, *, by_pull: bool = False) -> Published[Planned]:
        def planned_on(tree: CommitTree, tip: str) -> Planned:
            inputs = read_inputs(tree, self.mirror.memory)
            pair = _pair(tree, inputs, identity)
            return _planned(pair, tip, write(pair), branch if by_pull or pair.by_pull else "")

        def compute(tree: CommitTree, tip: str) -> tuple[Planned, Sequence[NewCommit]]:
            planned = planned_on(tree, tip)
            return planned, [NewCommit(commit.message, commit.files) for commit in planned.plan.commits]

        def again() -> Planned:
            tree = CommitTree(self.mirror.git, self.mirror.fetch())
            return planned_on(tree, tree.commit)

        published = with_failure(publish(self.mirror, compute, author=self.pen.author, when=self.now()))
        context = replace(self.context, selection=Selection(apps=frozenset({str(identity)})))
        return with_pulls(published, self.mirror, context, self.pen.desk if published.work.plan.pulls else None, again)

    def _switch(self, pair: _Pair, digest: str) -> PlannedCommit | None:
        if pair.stand.live.identifier == digest:
            return None
        if pair.stand.idle.identifier != digest:
            raise RefusedError(
                f"the idle slot of {pair.identity} does not hold what was verified any more",
                remedy="Run again: what it holds now is verified first.",
            )
        self._check_free(pair, digest)
        old, new = pair.stand.live, pair.stand.idle
        note = f"Verified, and live from now on: {pair.stand.slots.idle_name}."
        return self._commit(pair, pair.switched(), (old, new), verb=VERB, note=note)

    def _check_free(self, pair: _Pair, digest: str) -> None:
        """Whether nobody's word stops the switch.

        Raises:
            RefusedError: it does.
        """
        now, spec = self.now(), pair.surveyed.declared.declaration.spec
        if held := holds.applies(pair.hold, digest, now):
            raise RefusedError(held.message, remedy=f"Release it with `gitcd release {pair.identity}`.")
        if spec.suspend:
            raise RefusedError("spec.suspend is set", remedy="Remove it, and run again.")
        if freeze := running_freeze(pair.inputs.scopes.layout_of(pair.identity.environment), now):
            raise RefusedError(
                f"environment {pair.identity.environment} is frozen until {freeze.until or 'released'}",
                remedy="Wait for its end, or change `freeze` in gitcd.yaml.",
            )

    def _back(self, pair: _Pair, failed: Release, reason: str) -> PlannedCommit | None:
        live, idle = pair.stand.live, pair.stand.idle
        if failed.digest not in {live.identifier, idle.identifier}:
            raise RefusedError(f"{failed.identity} moved meanwhile", remedy="Look at `gitcd history`.")
        if pair.stand.is_even:
            raise RefusedError(
                "both slots hold the image that failed, so there is nothing to go back to",
                remedy="Push an image that works, and move the tag to it.",
            )
        if failed.digest == live.identifier:
            files, kept, left = pair.switched(), idle, live
        else:
            sites = pair.stand.slots.idle
            files = _or_refuse(image_changes(pair.tree, sites, live))
            kept, left = live, idle
        digest = self._digest(pair, left)
        rejection = Rejection(digest, left.tag, reason, BY, self.now(), "")
        hold = hold_change(pair.tree, pair.identity, pair.hold, [rejection]) if digest else None
        note = f"Rolled back by {BY}: {reason}. What it leaves is held off."
        return self._commit(pair, [*files, *([hold] if hold else [])], (left, kept), verb="rollback", note=note)

    def _digest(self, pair: _Pair, image: Held) -> str:
        """The digest of what a slot holds; where git names a tag alone, as the registry says. Empty: nobody knows."""
        if image.digest:
            return image.digest
        repository = pair.surveyed.declared.declaration.spec.repository
        answer = self.context.resolve([Query(repository, frozenset({image.tag}))]).get(repository, image.tag)
        return answer.digest if isinstance(answer, Image) else ""

    def _commit(
        self, pair: _Pair, files: Sequence[FileChange], move: tuple[Held, Held], *, verb: str, note: str
    ) -> PlannedCommit:
        old, new = move
        declaration = pair.surveyed.declared.declaration
        outcome = Outcome(
            pair.identity,
            declaration.origin,
            OutcomeKind.BUMPED,
            declaration.spec.image_repo,
            resolved=Resolved(declaration.spec.tag, new.tag, self._digest(pair, new) or new.identifier),
            old=old.tag,
            old_digest=self._digest(pair, old),
            changes=tuple(Change(each.path, 0, "", old.tag, new.tag) for each in files),
        )
        commit = PlannedCommit(OutcomeKind.BUMPED, (pair.identity.environment,), (outcome,), tuple(files))
        by = BY if verb != VERB else ""
        message = commit_message(
            commit, run=self.pen.run, folder=self.pen.templates, verb=verb, note=note, by=by
        )  # fmt: skip
        return replace(commit, message=message)


def _planned(pair: _Pair, tip: str, commit: PlannedCommit | None, branch: str) -> Planned:
    """The plan of one commit, or of the pull request on that branch which brings it."""
    empty = Planned(Plan(tip), pair.inputs, (), Answers({}))
    if commit is None:
        return empty
    if not branch:
        return replace(empty, plan=Plan(tip, commit.outcomes, (commit,)))
    outcomes = tuple(propose(each, branch) for each in commit.outcomes)
    pull = PlannedPull(pair.identity.environment, branch, plan_id(commit.outcomes), commit)
    return replace(empty, plan=Plan(tip, outcomes, pulls=(pull,)))


def _not_proposed(published: Published[Planned]) -> Failure:
    """Why there is no pull request that could be followed."""
    plan = published.work.plan
    told = [each.reason for each in published.pulls if each.reason]
    told += [each.message for each in plan.outcomes if each.message]
    failure = next(iter(plan.failures), None)
    message = next(iter(told), failure.message if failure else "the switch could not be proposed")
    return Failure("NotSwitched", message, transient=bool(failure and failure.transient))


def _pair(tree: Tree, inputs: Inputs, identity: Identity) -> _Pair:
    """Both slots of a declaration as a tree has them.

    Raises:
        ConfigError: it is not declared there any more.
        RefusedError: its slots cannot be told apart.
    """
    find_identity(inputs, str(identity))
    declared = next(each for each in inputs.declared if each.identity == identity)
    (surveyed,) = survey([declared], tree, inputs.scopes)
    stand = standing(surveyed)
    if isinstance(stand, Failure):
        raise RefusedError(stand.message, remedy=stand.remedy)
    return _Pair(tree, inputs, surveyed, stand)


def _or_refuse(changes: list[FileChange] | Failure) -> list[FileChange]:
    if isinstance(changes, Failure):
        raise RefusedError(changes.message, remedy=changes.remedy)
    return changes
