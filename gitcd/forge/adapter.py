"""What the module of one forge brings: its requests and its words, and nothing of how they are used.

`careful.Careful` makes a `protocol.Forge` of it.
"""

# ruff: noqa: ARG002 - what a forge lacks does not look at its arguments
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from gitcd import redact
from gitcd.forge.failures import ForgeError, refusal
from gitcd.model.plan import FileChange
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    Limits,
    MergeMethod,
    PullContent,
    PullRequest,
    Trouble,
)

Given = ParamSpec("Given")
Read = TypeVar("Read")


class Adapter(ABC):
    """One repository on one forge. Every method raises ForgeError where the forge does not do it."""

    kind: str  # the forge's name, for messages
    repository: str
    capabilities: frozenset[Capability]
    limits: Limits
    takes_duplicates = False  # whether it opens a second pull request for the same branches and says nothing

    @property
    @abstractmethod
    def traffic(self) -> tuple[int, int]:
        """How many requests were sent, and how many of them were to change something."""

    @abstractmethod
    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        """Those from one branch (empty: from any of this repository) to one base."""

    @abstractmethod
    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        """Closed and merged ones, the newest first; not endlessly many."""

    @abstractmethod
    def get(self, number: str) -> PullRequest: ...

    @abstractmethod
    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        """Open one; ForgeError with `exists` where there is one."""

    @abstractmethod
    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        """Change what is not None."""

    @abstractmethod
    def comment(self, pull: PullRequest, text: str) -> None: ...

    @abstractmethod
    def close(self, pull: PullRequest) -> None: ...

    @abstractmethod
    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        """Merge; TRANSIENT where the forge is still computing whether it can."""

    @abstractmethod
    def head_of(self, branch: str) -> str:
        """The commit of a branch; empty if there is no such branch."""

    @abstractmethod
    def delete_branch(self, branch: str) -> None: ...

    def reopen(self, pull: PullRequest) -> PullRequest:
        raise self.missing(Capability.REOPEN)

    def auto_merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        raise self.missing(Capability.AUTO_MERGE)

    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> None:
        raise self.missing(Capability.LABELS)

    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        raise self.missing(Capability.REVIEWERS)

    def request_again(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Ask also those who have answered; most forges do so when they are asked once more."""
        self.request_reviews(pull, reviewers)

    def reviewed_by(self, pull: PullRequest) -> frozenset[str]:
        """Who was asked for a review or gave one, beyond those that the pull request itself names."""
        return frozenset()

    def make_commit(self, parent: str, message: str, files: Sequence[FileChange]) -> str:
        raise self.missing(Capability.API_COMMIT)

    def set_status(self, commit: str, status: CommitStatus) -> None:
        raise self.missing(Capability.STATUS)

    def missing(self, capability: Capability) -> ForgeError:
        return refusal(Trouble.UNSUPPORTED, f"{self.kind} has no {capability.value}: skipped")


def drafted(title: str, prefix: str, *, draft: bool) -> str:
    """A title on a forge that knows drafts by how their titles begin."""
    return f"{prefix} {title}" if draft else title


def undrafted(title: str, prefix: str) -> tuple[str, bool]:
    """A title without that prefix, and whether it was there."""
    rest = title.removeprefix(prefix)
    return (rest.lstrip(), True) if rest != title else (title, False)


def text(value: Any) -> str:
    """A text of an answer; what is null or absent is empty."""
    return "" if value is None else str(value)


def reading(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """Let a function that reads an answer refuse one that is made otherwise than the forge's reference says."""

    @wraps(read)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Read:
        try:
            return read(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            said = f"the forge answered with something else than its reference says ({type(error).__name__}: {error})"
            raise refusal(Trouble.REFUSED, redact.clean(said), "check forge.kind and forge.url") from None

    return call


@reading
def dig(body: Any, *steps: str | int) -> Any:
    """What lies at the end of these steps. Raises ForgeError where nothing does."""
    for step in steps:
        body = body[step]
    return body


@reading
def items(body: Any, *steps: str | int) -> list[Any]:
    """The list that lies at the end of these steps; an absent one is empty. Raises ForgeError for anything else."""
    found = dig(body, *steps)
    if found is not None and not isinstance(found, list):
        raise TypeError(f"a list is wanted, not {type(found).__name__}")
    return found or []
