"""Pull requests as every forge has them, and what a forge answers: values, whatever the forge calls them itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_SEAL = re.compile(r"^(?:<!-- )?gitcd-plan: ([0-9a-f]{8,64})(?: -->)?[ \t]*\r?$", re.MULTILINE)


class Capability(StrEnum):
    """What not every forge can do. What is missing is skipped and said, never worked around."""

    LABELS = "labels"
    REVIEWERS = "reviewers"
    DRAFT = "draft"
    MERGE_GUARD = "sha-guarded merge"  # the forge itself refuses to merge another head than the one named
    REOPEN = "reopen"
    AUTO_MERGE = "auto-merge"
    STATUS = "commit status"
    API_COMMIT = "commits through the API"


class PullState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"  # without a merge


class Mergeable(StrEnum):
    """What the forge thinks of merging; most compute it some time after a push."""

    YES = "yes"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"  # not computed yet, or the forge does not say


class MergeMethod(StrEnum):
    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class Trouble(StrEnum):
    """Why a forge did not do what it was asked."""

    TRANSIENT = "Transient"  # network, 5xx, still computing: trying again may help
    RATE_LIMITED = "RateLimited"
    FORBIDDEN = "Forbidden"  # the token is not accepted, or may not do this
    NOT_FOUND = "NotFound"
    HEAD_MOVED = "HeadMoved"  # the branch holds another commit than the one that was named
    CONFLICT = "MergeConflict"
    BLOCKED = "Blocked"  # a rule of the forge: approvals, checks, a protected branch
    NO_DIFFERENCE = "NoDifference"  # the branch holds nothing that its base lacks
    UNSUPPORTED = "Unsupported"  # no such thing on this forge: skipped
    REFUSED = "Refused"  # anything else that trying again does not cure


@dataclass(frozen=True, slots=True)
class ForgeFailure:
    """`message` is one clean sentence for people; `retry_after`, in seconds, is what the forge asked to wait."""

    trouble: Trouble
    message: str
    remedy: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message

    @property
    def transient(self) -> bool:
        return self.trouble in {Trouble.TRANSIENT, Trouble.RATE_LIMITED}

    @property
    def skipped(self) -> bool:
        return self.trouble is Trouble.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a forge takes, in characters; and whether it keeps `<!-- ... -->` in a body from readers."""

    title: int
    body: int
    hides_comments: bool = True


@dataclass(frozen=True, slots=True)
class PullContent:
    """What a pull request shall say. `draft` counts only when it is opened, where the forge knows drafts."""

    title: str
    body: str
    draft: bool = False


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request as the forge described it last. `id` is the forge's own short name for it, as `17`.

    `head` is the commit that it would merge, `merge_commit` the one that a merge made; empty: not known.
    """

    id: str
    url: str
    state: PullState
    title: str
    body: str
    branch: str
    base: str
    head: str = ""
    author: str = ""
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    mergeable: Mergeable = Mergeable.UNKNOWN
    merge_commit: str = ""
    closed_at: datetime | None = None

    @property
    def plan(self) -> str:
        """The plan id that its body carries; empty where somebody took it out."""
        return plan_of(self.body)

    def holds(self, commit: str) -> bool:
        """Whether this commit is its head; Bitbucket cuts that to twelve digits."""
        return bool(self.head) and commit.startswith(self.head)


class StatusState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What is shown at a commit; a later one of the same `context` takes the place of an earlier one."""

    state: StatusState
    context: str
    description: str = ""
    url: str = ""


def seal(plan: str, *, hidden: bool) -> str:
    """The line of a body by which its pull request is known again; `hidden` where the forge hides comments."""
    return f"<!-- gitcd-plan: {plan} -->" if hidden else f"gitcd-plan: {plan}"


def plan_of(body: str) -> str:
    """The plan id that a body carries, the last one where there are several; empty if there is none."""
    found = _SEAL.findall(body)
    return found[-1] if found else ""
