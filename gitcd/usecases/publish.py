"""Carry a change to the branch: compute on the tip, commit, push; where the tip moved, compute again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.history import History, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.git.push import Pushed, PushResult, push
from gitcd.git.tree import CommitTree
from gitcd.model.plan import Delivered, PullAct
from gitcd.model.registry import Failure

ATTEMPTS = 8
_FIRST_PAUSE = 0.1  # seconds; doubled for every further attempt
_LONGEST_PAUSE = 3.0
_PROPOSED = frozenset({PullAct.OPENED, PullAct.UPDATED, PullAct.UNCHANGED})

Work = TypeVar("Work")


@dataclass(frozen=True, slots=True)
class Published(Generic[Work]):
    """What came of it: the work of the last attempt, the commits that landed, or why none did."""

    work: Work
    commits: tuple[str, ...] = ()
    failure: Failure | None = None
    attempts: int = 1
    pulls: tuple[Delivered, ...] = ()  # what became of pull requests

    @property
    def is_idle(self) -> bool:
        """Whether all was found as it should be."""
        return not (self.commits or self.failure or any(pull.act is not PullAct.UNCHANGED for pull in self.pulls))

    @property
    def proposal(self) -> Delivered | None:
        """The first pull request that proposes by now what it should; None: there is none."""
        return next((pull for pull in self.pulls if pull.act in _PROPOSED), None)


def publish(
    mirror: Mirror,
    compute: Callable[[CommitTree, str], tuple[Work, Sequence[NewCommit]]],
    *,
    author: Author,
    when: datetime,
) -> Published[Work]:
    """Compute commits on the branch's tip and push them, again on every new tip, at most `ATTEMPTS` times.

    `compute` gets the tip's tree and id. The base branch is never forced: a push that finds another tip is given up,
    and what it carried is computed anew.

    Raises:
        ConfigError: the remote or the branch is nothing to work with.
        TransientError: the remote cannot be reached.
    """
    for attempt in range(1, ATTEMPTS + 1):
        tip = mirror.fetch()
        work, commits = compute(CommitTree(mirror.git, tip), tip)
        written = write_commits(mirror.git, tip, commits, author=author, when=when) if commits else []
        if not written:
            return Published(work, attempts=attempt)
        result = push(mirror.origin, written[-1], mirror.branch, expected=tip)
        if result.kind is Pushed.LANDED:
            mirror.landed(written[-1])
        if result.kind is Pushed.LANDED or _lies_below(mirror, written[-1], result):
            return Published(work, tuple(written), attempts=attempt)
        if result.kind is not Pushed.MOVED or attempt == ATTEMPTS:
            return Published(work, failure=_failure(result, mirror, attempt), attempts=attempt)
        time.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.3, 1))  # noqa: S311 - jitter, no secret
    raise AssertionError("at least one attempt is made")


def _lies_below(mirror: Mirror, oid: str, result: PushResult) -> bool:
    """Whether our commit landed unheard and somebody pushed on top of it before we asked."""
    if result.kind is not Pushed.MOVED or not result.unclear:
        return False
    history = ensure_history(mirror, result.tip)
    return isinstance(history, History) and history.holds(oid)


def _failure(result: PushResult, mirror: Mirror, attempts: int) -> Failure:
    where = f"{mirror.branch} of {mirror.remote}"
    if result.kind is Pushed.DECLINED:
        return Failure(
            "PushDeclined",
            f"{where} does not take the push: {result.text}",
            "Let this identity push to the branch, or deliver the environment by pull request.",
        )
    if result.kind is Pushed.MOVED:
        message = f"{where} moved under every one of {attempts} attempts"
        return Failure("PushRaceLost", message, "Run again.", transient=True)
    return Failure("PushFailed", f"cannot push to {where}: {result.text}", "Run again.", transient=True)
