"""The care that every forge needs: adopt what is open, send only what differs, look before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from gitcd.forge.adapter import Adapter
from gitcd.forge.failures import ForgeError, refusal, valued
from gitcd.forge.http import Clock
from gitcd.model.plan import FileChange
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    Limits,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    Trouble,
)

_ATTEMPTS = 5
_MOST_CLOSED = 100  # so many of one branch are looked at
_FIRST_PAUSE = 0.4  # seconds; grows with the square of the attempt

_Request = Callable[[PullRequest, Sequence[str]], None]


class Careful:
    """A `protocol.Forge` on top of one forge's adapter."""

    def __init__(self, adapter: Adapter, *, clock: Clock | None = None) -> None:
        self._forge = adapter
        self._clock = clock or Clock()

    @property
    def name(self) -> str:
        return f"{self._forge.kind} {self._forge.repository}"

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._forge.capabilities

    @property
    def limits(self) -> Limits:
        return self._forge.limits

    @property
    def requests(self) -> int:
        return self._forge.traffic[0]

    @property
    def writes(self) -> int:
        return self._forge.traffic[1]

    @valued
    def find_open(self, branch: str, base: str) -> PullRequest | None:
        return self._first_open(branch, base)

    @valued
    def all_open(self, base: str) -> Sequence[PullRequest]:
        return tuple(self._forge.open_pulls("", base))

    @valued
    def find_closed(self, branch: str, base: str, plan: str = "") -> PullRequest | None:
        newest = islice(self._forge.closed_pulls(branch, base), _MOST_CLOSED)
        return next((pull for pull in newest if not plan or pull.plan == plan), None)

    @valued
    def get(self, pull: PullRequest) -> PullRequest:
        return self._forge.get(pull.id)

    @valued
    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        def look(error: ForgeError) -> PullRequest | None:
            if not (error.exists or error.unclear):
                raise error
            found = self._first_open(branch, base)
            if not found and error.exists:
                raise error
            return self._settled(found, content) if found else None

        if self._forge.takes_duplicates and (known := self._first_open(branch, base)):
            return self._settled(known, content)
        return self._persistent(lambda: self._forge.create(branch, base, content), look)

    @valued
    def update(self, pull: PullRequest, content: PullContent) -> PullRequest:
        return self._settled(pull, content)

    @valued
    def comment(self, pull: PullRequest, text: str) -> None:
        self._forge.comment(pull, text)

    @valued
    def close(self, pull: PullRequest) -> None:
        if self._forge.get(pull.id).state is PullState.OPEN:
            self._forge.close(pull)

    @valued
    def reopen(self, pull: PullRequest) -> PullRequest:
        self._needs(Capability.REOPEN)
        return self._forge.reopen(pull)

    @valued
    def merge(self, pull: PullRequest, *, head: str, method: MergeMethod = MergeMethod.MERGE) -> PullRequest:
        guarded = Capability.MERGE_GUARD in self.capabilities
        if not guarded and (done := self._merged(pull, head)):
            return done

        def look(error: ForgeError) -> PullRequest | None:
            done = self._merged(pull, head)
            if not done and not error.failure.transient:
                raise error
            return done

        def merge() -> PullRequest:
            self._forge.merge(pull, head, method)
            return self._forge.get(pull.id)

        return self._persistent(merge, look)

    @valued
    def auto_merge(self, pull: PullRequest, *, head: str, method: MergeMethod = MergeMethod.MERGE) -> None:
        self._needs(Capability.AUTO_MERGE)
        self._forge.auto_merge(pull, head, method)

    @valued
    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> None:
        if missing := _without(labels, pull.labels):
            self._needs(Capability.LABELS)
            self._forge.add_labels(pull, missing)

    @valued
    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str], *, again: bool = False) -> None:
        wanted = _without(reviewers, (pull.author, *(() if again else pull.reviewers)))
        if not wanted:
            return
        self._needs(Capability.REVIEWERS)
        if again:
            self._request_each(self._forge.request_again, pull, wanted)
        elif unasked := _without(wanted, self._forge.reviewed_by(pull)):
            self._request_each(self._forge.request_reviews, pull, unasked)

    @valued
    def make_commit(self, parent: str, message: str, files: Sequence[FileChange]) -> str:
        self._needs(Capability.API_COMMIT)
        return self._forge.make_commit(parent, message, files)

    @valued
    def set_status(self, commit: str, status: CommitStatus) -> None:
        self._needs(Capability.STATUS)
        self._forge.set_status(commit, status)

    @valued
    def delete_branch(self, branch: str, *, head: str) -> None:
        now = self._forge.head_of(branch)
        if now and now != head:
            raise refusal(Trouble.HEAD_MOVED, f"branch {branch} holds {now[:12]}, not {head[:12]}: it stays")
        if now:
            self._forge.delete_branch(branch)

    def _first_open(self, branch: str, base: str) -> PullRequest | None:
        return next(iter(self._forge.open_pulls(branch, base)), None)

    def _settled(self, pull: PullRequest, content: PullContent) -> PullRequest:
        """The pull request after it was sent what differs."""
        title = None if _same(pull.title, content.title) else content.title
        body = None if _same(pull.body, content.body) else content.body
        if title is None and body is None:
            return pull
        return self._forge.edit(pull, title=title, body=body)

    def _merged(self, pull: PullRequest, head: str) -> PullRequest | None:
        """The pull request if it is merged, None if it can be.

        Raises:
            ForgeError: it was closed, or holds another commit.
        """
        now = self._forge.get(pull.id)
        if now.state is PullState.CLOSED:
            raise refusal(Trouble.REFUSED, f"pull request {pull.id} of {self.name} was closed meanwhile")
        if now.head and not now.holds(head):
            raise refusal(
                Trouble.HEAD_MOVED,
                f"pull request {pull.id} of {self.name} holds {now.head[:12]}, not {head[:12]}",
                "run again, which plans anew",
            )
        return now if now.state is PullState.MERGED else None

    def _persistent(
        self, attempt: Callable[[], PullRequest], look: Callable[[ForgeError], PullRequest | None]
    ) -> PullRequest:
        """Try, and after an error look what became of it before trying again; at most _ATTEMPTS times."""
        for count in range(1, _ATTEMPTS + 1):
            try:
                return attempt()
            except ForgeError as error:
                if found := look(error):
                    return found
                if count == _ATTEMPTS or error.trouble is Trouble.RATE_LIMITED:
                    raise
                self._clock.sleep(_FIRST_PAUSE * count**2 * random.uniform(0.5, 1))  # noqa: S311 - jitter
        raise AssertionError("the last attempt returns or raises")

    def _request_each(self, request: _Request, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Ask all at once; where one of them is refused, each alone, so that the others are asked all the same."""
        try:
            request(pull, reviewers)
        except ForgeError as error:
            if error.failure.transient or len(reviewers) == 1:
                raise
            refused = [(name, why) for name in reviewers if (why := self._refusal(request, pull, name))]
            if not refused:
                return
            said = "; ".join(f"{name}: {why.failure.message}" for name, why in refused)
            raise refusal(refused[0][1].trouble, said, refused[0][1].failure.remedy) from None

    def _refusal(self, request: _Request, pull: PullRequest, reviewer: str) -> ForgeError | None:
        try:
            request(pull, [reviewer])
        except ForgeError as error:
            return error
        return None

    def _needs(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            raise self._forge.missing(capability)


def _same(one: str, other: str) -> bool:
    """Forges change line ends and take blanks off the ends of what they keep."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _without(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    folded = {name.casefold() for name in known}
    return tuple(dict.fromkeys(name for name in names if name.casefold() not in folded))
