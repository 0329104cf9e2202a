"""Carry out what a plan proposes: one branch and one pull request for each proposal, and none that nobody needs.

Everything is compared with what is there, so that a run that finds it as it should be only reads. Reading comes before
any push: a pull request that somebody closed keeps its branch as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.forge.protocol import Forge
from gitcd.git.branch import Move, move_branches
from gitcd.git.commit import NewCommit, write_commits
from gitcd.git.mirror import Mirror
from gitcd.git.push import Pushed, PushResult
from gitcd.model.plan import Delivered, Plan, PlannedPull, PullAct
from gitcd.model.pull import ForgeFailure, PullContent, PullRequest, PullState, Trouble
from gitcd.model.registry import Failure
from gitcd.planning.pulls import propose
from gitcd.usecases.context import Context, Planned
from gitcd.usecases.deliver_past import taken_back
from gitcd.usecases.deliver_steps import Step, deletion, failed, left, named, news, not_pushed, respected
from gitcd.usecases.desk import Desk
from gitcd.usecases.pulls import Stand, fails, stands, with_outcomes

_SETTLING = 1.0  # seconds
_FEW = 4  # branches that are asked for one by one
_SURE = 900  # pull requests: no forge's list ends before


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One delivery, in its steps."""

    mirror: Mirror
    forge: Forge
    desk: Desk
    context: Context
    planned: Planned

    @property
    def base(self) -> str:
        return self.mirror.branch

    def stands(self) -> list[Stand]:
        context, author = self.context, self.desk.author
        return stands(self.mirror, self.planned, context.selection, author, context.now, of_tree=context.is_of_tree)

    def round(self, found: Iterable[Stand]) -> list[Step]:
        """Read, close what is to be closed, push everything at once, then open and update."""
        found = list(found)
        listed = self._listed([stand for stand in found if not stand.fate.leave])
        steps = [self.prepared(stand, listed) for stand in found]
        steps = [self.withdrawn(step) if step.stand.pull is None and not step.done else step for step in steps]
        pushed = move_branches(self.mirror.origin, [step.move for step in steps if step.move], base=self.base)
        return [step if step.done else self.finished(step, pushed.get(step.stand.name)) for step in steps]

    def _listed(self, found: Sequence[Stand]) -> Mapping[str, PullRequest] | ForgeFailure | None:
        """The open pull requests by their branches, where many are to be looked for; None: each is asked for itself."""
        if len(found) <= _FEW:
            return None
        listed = self.forge.all_open(self.base)
        if isinstance(listed, ForgeFailure):
            return listed if listed.transient else None
        return {pull.branch: pull for pull in reversed(listed)} if len(listed) < _SURE else None

    def prepared(self, stand: Stand, listed: Mapping[str, PullRequest] | ForgeFailure | None) -> Step:
        """What is to be done, from what the forge says now."""
        plain = Step(stand, named(stand))
        if stand.fate.leave:
            return left(plain)
        if stand.foreign and not self._spent(stand):
            return left(plain)
        found = self._open(stand, listed)
        if isinstance(found, ForgeFailure):
            return failed(plain, found)
        if stand.pull is None:
            return replace(plain, open=found, move=deletion(stand))
        if found is None and (closed := self._refused(stand, stand.pull)):
            return failed(plain, closed) if isinstance(closed, ForgeFailure) else respected(plain, closed)
        if stand.same:
            return replace(plain, open=found)
        oid = self._written(stand.pull)
        if isinstance(oid, ForgeFailure):
            return failed(plain, oid)
        return replace(plain, open=found, move=Move(stand.name, oid, stand.there.tip if stand.there else ""))

    def _open(
        self, stand: Stand, listed: Mapping[str, PullRequest] | ForgeFailure | None
    ) -> PullRequest | ForgeFailure | None:
        """The open pull request; some forges close it only a moment after its branch was deleted."""
        if isinstance(listed, ForgeFailure):
            return listed
        found = self.forge.find_open(stand.name, self.base) if listed is None else listed.get(stand.name)
        if stand.there is None and isinstance(found, PullRequest):
            self.desk.sleep(_SETTLING)
            return self.forge.find_open(stand.name, self.base)
        return found

    def _spent(self, stand: Stand) -> bool:
        """Whether a branch with another's commit was merged with it, so that nothing of theirs is lost."""
        merged = self.forge.find_closed(stand.name, self.base)
        there = stand.there
        return (
            isinstance(merged, PullRequest)
            and there is not None
            and merged.state is PullState.MERGED
            and merged.holds(there.tip)
        )

    def _refused(self, stand: Stand, pull: PlannedPull) -> PullRequest | ForgeFailure | None:
        """The pull request with this very content that somebody closed, or took back after its merge."""
        if pull.insisted or self.planned.inputs.scopes.layout_of(pull.environment).delivery.on_closed != "hold":
            return None
        closed = self.forge.find_closed(stand.name, self.base, pull.id)
        if not isinstance(closed, PullRequest) or closed.state is PullState.CLOSED:
            return closed
        newest = self.forge.find_closed(stand.name, self.base)
        if isinstance(newest, PullRequest):
            return newest if taken_back(self.mirror, pull, newest) else None
        return newest

    def _written(self, pull: PlannedPull) -> str | ForgeFailure:
        """The one commit that the branch shall carry, on top of the base."""
        commit = NewCommit(pull.commit.message, pull.commit.files)
        author = replace(self.desk.author, key=None) if self.desk.api_commits else self.desk.author
        (oid,) = write_commits(self.mirror.git, self.mirror.tip, [commit], author=author, when=self.context.now)
        return self._made_there(oid, pull) if self.desk.api_commits else oid

    def _made_there(self, oid: str, pull: PlannedPull) -> str | ForgeFailure:
        """The same commit as the forge makes it, brought here; any other tree than ours is refused."""
        made = self.forge.make_commit(self.mirror.tip, pull.commit.message, pull.commit.files)
        if isinstance(made, ForgeFailure):
            return made
        self.mirror.origin.fetch_objects([made])
        trees = self.mirror.git.run("rev-parse", f"{oid}^{{tree}}", f"{made}^{{tree}}").stdout.split()
        if len(set(trees)) == 1:
            return made
        return ForgeFailure(Trouble.REFUSED, f"{self.forge.name} made another commit than it was asked for")

    def withdrawn(self, step: Step) -> Step:
        """Close what nobody needs, so that no later look takes it for a person's no."""
        pull, reason = step.open, step.stand.fate.reason
        if pull is None:
            return replace(step, delivered=replace(step.delivered, act=PullAct.CLEARED, reason=reason))
        told = replace(step.delivered, act=PullAct.CLOSED, reason=reason, url=pull.url, title=pull.title)
        step = replace(step, delivered=told)
        unsealed = self.forge.update(pull, PullContent(pull.title, _unsealed(pull)))
        if isinstance(unsealed, ForgeFailure):
            return failed(step, unsealed)
        comment = f"Closed by gitcd, as nothing is left to merge. {self.desk.quote(reason)}".strip()
        failure = self.forge.close(pull) or self.forge.comment(pull, comment)  # or every run that fails would comment
        return failed(step, failure) if failure else step

    def finished(self, step: Step, result: PushResult | None) -> Step:
        """Open or update the pull request, if its branch carries what it shall."""
        pull = step.stand.pull
        if result and result.kind is not Pushed.LANDED:
            return not_pushed(step, result)
        return self._opened(step, pull, pushed=result is not None) if pull else step

    def _opened(self, step: Step, pull: PlannedPull, *, pushed: bool) -> Step:
        if step.open and step.open.plan == pull.id and not pushed:
            return self._told(step, pull, step.open, PullAct.UNCHANGED)
        before = self.forge.writes
        content = self.desk.write(pull, self.forge.limits, self.planned)
        if step.open:
            answer = self.forge.update(step.open, content)
        else:
            answer = self.forge.create(pull.branch, self.base, content)
        if isinstance(answer, ForgeFailure):
            return failed(step, answer)
        if step.open is None:
            told = self._told(step, pull, answer, PullAct.OPENED)
            return replace(told, warnings=tuple(self._dressed(answer)))
        wrote = pushed or self.forge.writes > before
        told = self._told(step, pull, answer, PullAct.UPDATED if wrote else PullAct.UNCHANGED)
        if step.open.plan in {"", pull.id}:
            return told
        return replace(told, warnings=tuple(self._announced(answer, pull)))

    def _told(self, step: Step, pull: PlannedPull, found: PullRequest, act: PullAct) -> Step:
        outcomes = [replace(propose(each, pull.branch), pull=found.url) for each in pull.commit.outcomes]
        step = replace(step, delivered=replace(step.delivered, url=found.url, title=found.title))
        return step.end(act, "", outcomes)

    def _announced(self, found: PullRequest, pull: PlannedPull) -> Iterator[str]:
        """Say that something else would be merged now than what was reviewed, and ask for reviews of that."""
        told = "What this would merge has changed, so a review of what stood here before does not cover it. Now"
        if failure := self.forge.comment(found, f"{told}: {self.desk.quote(news(pull))}"):
            yield f"{found.url}: the comment on what changed was skipped: {failure.message}"
        if self.desk.reviewers and (failure := self.forge.request_reviews(found, self.desk.reviewers, again=True)):
            yield f"{found.url}: reviewers were not asked again: {failure.message}"

    def _dressed(self, pull: PullRequest) -> Iterator[str]:
        """Labels and reviewers are wishes: what becomes of them neither fails a run nor opens a second pull request."""
        if self.desk.labels and (failure := self.forge.add_labels(pull, self.desk.labels)):
            yield f"{pull.url}: labels were skipped: {failure.message}"
        if self.desk.reviewers and (failure := self.forge.request_reviews(pull, self.desk.reviewers)):
            yield f"{pull.url}: reviewers were skipped: {failure.message}"


def deliver(mirror: Mirror, planned: Planned, context: Context, desk: Desk) -> tuple[Plan, tuple[Delivered, ...]]:
    """Bring branches and pull requests to what the plan proposes, and tell what came of it.

    The plan was made on the tip that the mirror fetched last. Whatever the run was not about is left alone.

    Raises:
        ConfigError: the remote no longer lets us in.
        TransientError: the remote cannot be reached.
    """
    plan = planned.plan
    if isinstance(desk.forge, Failure):
        lost = {each.identity: fails(each, desk.forge) for pull in plan.pulls for each in pull.commit.outcomes}
        return with_outcomes(plan, lost), ()
    work = _Delivery(mirror, desk.forge, desk, context, planned)
    steps = work.round(work.stands())
    if raced := {step.stand.name for step in steps if step.raced}:
        again = work.round(stand for stand in work.stands() if stand.name in raced)
        steps = sorted([*(step for step in steps if not step.raced), *again], key=lambda step: step.stand.name)
    changed = {each.identity: each for step in steps for each in step.outcomes}
    failures = [step.failure for step in steps if step.failure]
    warnings = [warning for step in steps for warning in step.warnings]
    told = replace(plan, failures=(*plan.failures, *failures), warnings=(*plan.warnings, *warnings))
    return with_outcomes(told, changed), tuple(step.delivered for step in steps)


def _unsealed(pull: PullRequest) -> str:
    """The body under another plan id, of the same length."""
    if not pull.plan:
        return pull.body
    other = hashlib.sha256(f"withdrawn {pull.plan}".encode()).hexdigest()[: len(pull.plan)]
    return pull.body.replace(pull.plan, other)
