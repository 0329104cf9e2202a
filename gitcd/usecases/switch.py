"""The switch between two slots as a commit, and the way back from one: the Services of git lead to the other slot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd import redact
from gitcd.errors import GitcdError, RefusedError, TransientError
from gitcd.git.branch import read_branches
from gitcd.git.commit import NewCommit
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.plan import (
    Change,
    FileChange,
    Outcome,
    OutcomeKind,
    Plan,
    PlannedCommit,
    PlannedPull,
    Resolved,
)
from gitcd.model.registry import Answer, Answers, Failure, Image, Query
from gitcd.planning import holds
from gitcd.planning.content import Held
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.moments import running_freeze
from gitcd.planning.overlay import Overlay
from gitcd.planning.pulls import plan_id, propose, rollback_branch, switch_branch
from gitcd.planning.switching import VERB, leads_to_idle
from gitcd.rendering.messages import commit_message
from gitcd.rendering.text import plain_line
from gitcd.rollout.facts import Release
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.promote import Pen
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls
from gitcd.usecases.rollback_hold import Rejection, hold_change
from gitcd.usecases.rollback_slots import Way, retreat_of
from gitcd.usecases.rollout_means import OVERTAKEN
from gitcd.usecases.switch_aims import last_move
from gitcd.usecases.switch_pair import Pair, pair_of
from gitcd.usecases.switch_proof import OvertakenError, check_same

BY = "gitcd apply"

Releases = Callable[[str, Collection[Identity]], Iterable[Release]]


@dataclass(frozen=True, slots=True)
class _Move:
    """What is written for one declaration, and which image is live, or wanted, in place of which."""

    files: tuple[FileChange, ...]
    old: Held
    new: Held


@dataclass(frozen=True, slots=True)
class _Asked:
    """A commit that is asked for: about which declarations, and what shall become of each (None: it is so already).

    `branch` is where it is proposed, if it is; `note` says why, of the workloads that are live then. `check` raises
    where a tip is not one to commit it to.
    """

    identities: Collection[Identity]
    move: Callable[[Pair], _Move | None]
    branch: str
    verb: str
    note: Callable[[Sequence[str]], str]
    check: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Switcher:
    """Switches on one branch. `releases` answers what a commit says that declarations shall run."""

    mirror: Mirror
    context: Context
    pen: Pen
    releases: Releases
    now: Callable[[], datetime]

    def switch(self, releases: Sequence[Release]) -> list[Release] | Failure:
        """Commit that the slots with the releases' images are live; the releases of that commit, or what is against it.

        Holds, and what git says of the slots, are read from the tip that is committed to. Where those are not the slots
        that were verified any more, it is overtaken.
        """
        digests, known = {each.identity: each.digest for each in releases}, self.mirror.tip
        asked = _Asked(
            digests.keys(),
            lambda pair: self._switch(pair, digests[pair.identity]),
            switch_branch(min(digests), self.context.line()),
            VERB,
            lambda names: f"Verified, and live from now on: {', '.join(names)}.",
            lambda tip: check_same(releases, self.releases(tip, digests.keys())),
        )
        try:
            published = self._published(asked)
            return published.failure or self._releases_of(digests.keys(), published)
        except OvertakenError as error:
            reason = OVERTAKEN if self.mirror.tip != known else "NotSwitched"
            return Failure(reason, error.message, error.remedy)
        except GitcdError as error:
            return Failure("NotSwitched", error.message, error.remedy, isinstance(error, TransientError))

    def take_back(self, failed: Release, reason: str) -> Published[Planned]:
        """Commit that the other slot is live again, or that the idle one holds what it held; and the hold, with it.

        Raises:
            MovedError: the failed image stands in no slot any more.
            RefusedError: there is nothing to go back to.
            TransientError: the remote is in trouble.
        """
        text = plain_line(redact.clean(reason))
        asked = _Asked(
            {failed.identity},
            lambda pair: self._back(pair, failed, text),
            rollback_branch(failed.identity, self.context.line()),
            "rollback",
            lambda _: f"Rolled back by {BY}: {text}. What it leaves is held off.",
        )
        return self._published(asked)

    def _releases_of(self, identities: Collection[Identity], published: Published[Planned]) -> list[Release] | Failure:
        """What the commit says that was made, or proposed; the tip's word where nothing was left to do."""
        commit = published.commits[-1] if published.commits else self.mirror.tip
        if published.work.plan.pulls:
            pull = published.proposal
            if pull is None:
                return _not_proposed(published)
            commit = read_branches(self.mirror)[pull.branch].tip
        found = list(self.releases(commit, identities))
        if lost := set(identities) - {each.identity for each in found}:
            return Failure("NotSwitched", f"the commit {commit[:12]} does not say what {min(lost)} shall run")
        return found

    def _published(self, asked: _Asked) -> Published[Planned]:
        """Committed; proposed, where the environment asks for that or the branch is protected."""
        published = self._publish(asked)
        if published.failure and published.failure.reason == "PushDeclined":
            return self._publish(asked, by_pull=True)
        return published

    def _publish(self, asked: _Asked, *, by_pull: bool = False) -> Published[Planned]:
        def compute(tree: CommitTree, tip: str) -> tuple[Planned, Sequence[NewCommit]]:
            planned = self._planned(tree, tip, asked, by_pull=by_pull)
            return planned, [NewCommit(commit.message, commit.files) for commit in planned.plan.commits]

        def again() -> Planned:
            tree = CommitTree(self.mirror.git, self.mirror.fetch())
            return self._planned(tree, tree.commit, asked, by_pull=by_pull)

        published = with_failure(publish(self.mirror, compute, author=self.pen.author, when=self.now()))
        context = replace(self.context, selection=Selection(apps=frozenset(map(str, asked.identities))))
        return with_pulls(published, self.mirror, context, self.pen.desk if published.work.plan.pulls else None, again)

    def _planned(self, tree: CommitTree, tip: str, asked: _Asked, *, by_pull: bool) -> Planned:
        """The plan of one commit, or of the pull request that brings it."""
        asked.check(tip)
        inputs = read_inputs(tree, self.mirror.memory)
        after, moves = Overlay(tree), []
        for identity in sorted(asked.identities):
            pair = pair_of(after, inputs, identity)
            if move := asked.move(pair):
                moves.append((pair, move))
                after = after.changed(move.files)
        if not moves:
            return _plan(inputs, Plan(tip))
        commit = self._commit(asked, moves, after.changes)
        if not (by_pull or any(pair.by_pull for pair, _ in moves)):
            return _plan(inputs, Plan(tip, commit.outcomes, (commit,)))
        outcomes = tuple(propose(each, asked.branch) for each in commit.outcomes)
        pull = PlannedPull(min(asked.identities).environment, asked.branch, plan_id(commit.outcomes), commit)
        return _plan(inputs, Plan(tip, outcomes, pulls=(pull,)))

    def _switch(self, pair: Pair, digest: str) -> _Move | None:
        if pair.stand.live.identifier == digest:
            return None
        if pair.stand.idle.identifier != digest:
            raise OvertakenError(pair.identity, pair.stand.slots.idle_name)
        self._check_free(pair, digest)
        return _Move(pair.switched(), pair.stand.live, pair.stand.idle)

    def _check_free(self, pair: Pair, digest: str) -> None:
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

    def _back(self, pair: Pair, failed: Release, reason: str) -> _Move:
        retreat = retreat_of(pair.surveyed, failed.digest)
        files = pair.switched() if retreat.way is Way.SWITCH else pair.refilled()
        digest = self._lasting_digest(pair, retreat.left)
        rejection = Rejection(digest, retreat.left.tag, reason, BY, self.now(), "")
        hold = hold_change(pair.tree, pair.identity, pair.hold, [rejection]) if digest else None
        return _Move((*files, *([hold] if hold else [])), retreat.left, retreat.kept)

    def _digest(self, pair: Pair, image: Held) -> str:
        """The digest of what a slot holds; where git names a tag alone, as the registry says. Empty: nobody knows."""
        return _digest_in(image, self._named(pair, image))

    def _lasting_digest(self, pair: Pair, image: Held) -> str:
        """The same; where the registry cannot be asked, as the commit says that brought it. Empty: it has none.

        Raises:
            TransientError: it cannot be known now; to go back without a hold would bring it again.
        """
        answer = self._named(pair, image)
        if not (isinstance(answer, Failure) and answer.transient):
            return _digest_in(image, answer)
        history = ensure_history(self.mirror, self.mirror.tip)
        last = None if isinstance(history, MissingHistory) else last_move(history, pair.surveyed)
        if last and (last.verb == VERB if image == pair.stand.live else leads_to_idle(last, pair.stand)):
            return last.digest
        raise TransientError(f"{image.tag} cannot be held off yet: {answer.message}", remedy="Run again.")

    def _named(self, pair: Pair, image: Held) -> Answer | None:
        """What the registry says of an image of which git does not say the digest."""
        if image.digest:
            return None
        repository = pair.surveyed.declared.declaration.spec.repository
        return self.context.resolve([Query(repository, frozenset({image.tag}))]).get(repository, image.tag)

    def _commit(self, asked: _Asked, moves: Sequence[tuple[Pair, _Move]], files: Sequence[FileChange]) -> PlannedCommit:
        outcomes = tuple(self._outcome(pair, move) for pair, move in moves)
        environments = tuple(sorted({each.identity.environment for each in outcomes}))
        commit = PlannedCommit(OutcomeKind.BUMPED, environments, outcomes, tuple(files))
        note = asked.note([pair.stand.slots.idle_name for pair, _ in moves])
        by = BY if asked.verb != VERB else ""
        message = commit_message(
            commit, run=self.pen.run, folder=self.pen.templates, verb=asked.verb, note=note, by=by
        )  # fmt: skip
        return replace(commit, message=message)

    def _outcome(self, pair: Pair, move: _Move) -> Outcome:
        declaration = pair.surveyed.declared.declaration
        return Outcome(
            pair.identity,
            declaration.origin,
            OutcomeKind.BUMPED,
            declaration.spec.image_repo,
            resolved=Resolved(declaration.spec.tag, move.new.tag, self._digest(pair, move.new) or move.new.identifier),
            old=move.old.tag,
            old_digest=self._digest(pair, move.old),
            changes=tuple(Change(each.path, 0, "", move.old.tag, move.new.tag) for each in move.files),
        )


def _digest_in(image: Held, answer: Answer | None) -> str:
    return image.digest or (answer.digest if isinstance(answer, Image) else "")


def _plan(inputs: Inputs, plan: Plan) -> Planned:
    return Planned(plan, inputs, (), Answers({}))


def _not_proposed(published: Published[Planned]) -> Failure:
    """Why there is no pull request that could be followed."""
    plan = published.work.plan
    told = [each.reason for each in published.pulls if each.reason]
    told += [each.message for each in plan.outcomes if each.message]
    failure = next(iter(plan.failures), None)
    message = next(iter(told), failure.message if failure else "the switch could not be proposed")
    return Failure("NotSwitched", message, transient=bool(failure and failure.transient))
