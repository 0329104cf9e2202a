"""A rollout that failed is taken back in git: revert and hold in one commit, or in a pull request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from gitcd import redact
from gitcd.errors import ConfigError, RefusedError, TransientError
from gitcd.git.branch import read_branches
from gitcd.git.mirror import Mirror
from gitcd.model.plan import Plan
from gitcd.model.reference import is_digest
from gitcd.model.registry import Answers, Failure, Query
from gitcd.planning.pulls import rollback_branch
from gitcd.rendering.text import plain_line
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Trouble
from gitcd.usecases.context import Context, Planned
from gitcd.usecases.promote import Pen
from gitcd.usecases.publish import Published
from gitcd.usecases.rollback import MovedError, RollbackRequest, Sources, preview_rollback, rollback
from gitcd.usecases.rollout_means import TakenBack
from gitcd.usecases.switch import BY, Releases, Switcher

_log = logging.getLogger(__name__)
_BROUGHT = Failure("NotTakenBack", "it is what the rollback that waits to be merged brings")

Came = TypeVar("Came")


@dataclass(frozen=True, slots=True)
class Reverter:
    """Takes releases back on one branch. `releases` answers what a commit says that declarations shall run."""

    mirror: Mirror
    context: Context
    sources: Sources
    pen: Pen
    releases: Releases
    now: Callable[[], datetime]
    switcher: Switcher
    _heard: list[Failure] = field(default_factory=list)  # what the registry could not say the last time

    def take_back(self, failed: Release, trouble: Trouble, good: str) -> TakenBack:
        """Revert and hold, also what goes back with it. `good` is the digest that was found healthy last, if known.

        Raises:
            TransientError: the remote, or the registry, is in trouble.
        """
        try:
            published = self._published(failed, trouble, good)
        except MovedError:
            return TakenBack(refusal=_BROUGHT) if self._is_brought(failed) else TakenBack(superseded=True)
        except (ConfigError, RefusedError) as error:
            self._check_heard()
            return TakenBack(refusal=Failure("NotTakenBack", error.message, error.remedy))
        return self._taken_back(published)

    def _is_brought(self, failed: Release) -> bool:
        """Whether it is not the branch that names it, but a rollback that waits to be merged there."""
        branch = read_branches(self.mirror).get(rollback_branch(failed.identity, self.context.line()))
        return branch is not None and branch.digests.get(failed.identity) == failed.digest

    def _check_heard(self) -> None:
        """Whether what stands against it may pass: then it is no answer.

        Raises:
            TransientError: the registry is in trouble.
        """
        if self._heard:
            raise TransientError(f"it cannot be taken back yet: {self._heard[0].message}", remedy="Run again.")

    def _published(self, failed: Release, trouble: Trouble, good: str) -> Published[Planned]:
        if failed.spec.strategy.blue_green and not failed.spec.strategy.group:
            return self.switcher.take_back(failed, trouble.message)
        request = _request(failed, trouble)
        published = self._tried(self._rolled_back, request, good)
        if published.failure and published.failure.reason == "PushDeclined":
            published = self._tried(self._rolled_back, replace(request, by_pull=True), good)
        return published

    def foresee(self, release: Release, good: str) -> str:
        """Why it could not be taken back, were it to fail; empty where nothing is known against that.

        Raises:
            TransientError: the remote is in trouble.
        """
        if not release.spec.rollback.enabled or release.spec.strategy.blue_green:
            return ""
        try:
            plan = self._tried(self._previewed, _request(release), good).plan
        except MovedError:
            return ""
        except (ConfigError, RefusedError) as error:
            return error.message
        return "" if plan.commits or plan.pulls else _why_not(plan)

    def _rolled_back(self, request: RollbackRequest) -> Published[Planned]:
        return rollback(self.mirror, self._present(), request, self.sources, self.pen)

    def _previewed(self, request: RollbackRequest) -> Planned:
        return preview_rollback(self.mirror, self._present(), request, self.sources, self.pen)

    def _tried(self, act: Callable[[RollbackRequest], Came], request: RollbackRequest, good: str) -> Came:
        """To what was found healthy last, if git can go back there; else to what git held before."""
        if is_digest(good) and good != request.leaving:
            try:
                return act(replace(request, to=good, any_platform=True))
            except MovedError:
                raise
            except (ConfigError, RefusedError) as error:
                self._check_heard()
                _log.info("%s does not go back to what was good last: %s", request.app, error.message)
        return act(request)

    def _present(self) -> Context:
        def resolve(queries: Sequence[Query]) -> Answers:
            answers = self.context.resolve(queries)
            asked = {(each.repository, name) for each in queries for name in each.tags | each.digests}
            found = (answers.get(*key) for key in sorted(asked))
            self._heard.extend(each for each in found if isinstance(each, Failure) and each.transient)
            return answers

        self._heard.clear()
        return replace(self.context, now=self.now(), resolve=resolve)

    def _taken_back(self, published: Published[Planned]) -> TakenBack:
        plan = published.work.plan
        commits = (*plan.commits, *(pull.commit for pull in plan.pulls))
        moved = frozenset(each.identity for commit in commits for each in commit.outcomes)
        if any(each.transient for each in plan.outcomes) or any(each.transient for each in plan.failures):
            self._check_heard()
            raise TransientError(f"it cannot be taken back yet: {_why_not(plan)}", remedy="Run again.")
        if published.failure:
            return TakenBack(refusal=published.failure)
        if published.commits:
            commit = published.commits[-1]
            return TakenBack(tuple(self.releases(commit, moved)), commit)
        pull = published.proposal
        if pull is None:
            told = next((each.reason for each in published.pulls if each.reason), "")
            return TakenBack(refusal=Failure("NotTakenBack", told or _why_not(plan)))
        tip = read_branches(self.mirror)[pull.branch].tip
        return TakenBack(tuple(self.releases(tip, moved)), tip, pull.url)


def _request(failed: Release, trouble: Trouble | None = None) -> RollbackRequest:
    return RollbackRequest(
        str(failed.identity),
        reason=plain_line(redact.clean(trouble.message)) if trouble else "",
        by=BY,
        leaving=failed.digest,
        automatic=True,
    )


def _why_not(plan: Plan) -> str:
    """Why nothing goes back where nothing was refused."""
    said = [*plan.warnings, *(each.message for each in plan.outcomes if each.message)]
    return next(iter(said), "there is nothing to go back to")
