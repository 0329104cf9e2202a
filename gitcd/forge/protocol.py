"""What gitcd asks of a forge: one small protocol, answered with values. No method raises for what a forge does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gitcd.model.plan import FileChange
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    ForgeFailure,
    Limits,
    MergeMethod,
    PullContent,
    PullRequest,
)


class Forge(Protocol):
    """One repository on one forge.

    Where a method returns None, it is done. What a forge cannot do is answered with `Trouble.UNSUPPORTED`.
    """

    @property
    def name(self) -> str:
        """The forge and repository, for messages: `GitHub atlas/config`."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def requests(self) -> int:
        """How many requests the forge was sent so far."""

    @property
    def writes(self) -> int:
        """How many of them were to change something."""

    def find_open(self, branch: str, base: str) -> PullRequest | ForgeFailure | None:
        """The open pull request from one branch to another; None if there is none."""

    def all_open(self, base: str) -> Sequence[PullRequest] | ForgeFailure:
        """Those from all branches of this repository to one base, the newest thousand or so, in a few requests."""

    def find_closed(self, branch: str, base: str, plan: str = "") -> PullRequest | ForgeFailure | None:
        """The newest one that was closed or merged; with `plan`, the newest whose body carries that plan id.

        The search ends somewhere: after a hundred of this branch, on Gitea after two hundred of all branches.
        """

    def get(self, pull: PullRequest) -> PullRequest | ForgeFailure:
        """The same pull request as it is now."""

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest | ForgeFailure:
        """Open one, or adopt the one that is open already and let it say this. Both branches must be there.

        An answer that got lost makes no second one: it is looked up before another attempt.
        """

    def update(self, pull: PullRequest, content: PullContent) -> PullRequest | ForgeFailure:
        """Let it say this. Only what differs is sent; where nothing does, nothing is."""

    def comment(self, pull: PullRequest, text: str) -> ForgeFailure | None: ...

    def close(self, pull: PullRequest) -> ForgeFailure | None:
        """Close it without a merge. One that is closed or merged already stays as it is."""

    def reopen(self, pull: PullRequest) -> PullRequest | ForgeFailure:
        """Open it again; refused where the forge cannot (its branch is gone, or was pushed anew meanwhile)."""

    def merge(
        self, pull: PullRequest, *, head: str, method: MergeMethod = MergeMethod.MERGE
    ) -> PullRequest | ForgeFailure:
        """Merge exactly the commit `head`. One that is merged already is returned as it is.

        Without `Capability.MERGE_GUARD` the head is compared right before, which leaves a moment between.
        """

    def auto_merge(
        self, pull: PullRequest, *, head: str, method: MergeMethod = MergeMethod.MERGE
    ) -> ForgeFailure | None:
        """Let the forge merge it as soon as its rules are met."""

    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> ForgeFailure | None:
        """Add what is missing; labels that people gave it stay."""

    def request_reviews(
        self, pull: PullRequest, reviewers: Sequence[str], *, again: bool = False
    ) -> ForgeFailure | None:
        """Ask those who were not asked yet; `again`: also those who have answered. `org/team` names a team."""

    def make_commit(self, parent: str, message: str, files: Sequence[FileChange]) -> str | ForgeFailure:
        """Let the forge make a commit, as whoever the token belongs to, and return its id; no branch names it yet.

        A commit that a GitHub App makes so is signed by GitHub.
        """

    def set_status(self, commit: str, status: CommitStatus) -> ForgeFailure | None: ...

    def delete_branch(self, branch: str, *, head: str) -> ForgeFailure | None:
        """Delete a branch that still points to `head`; one that is gone already is fine."""
