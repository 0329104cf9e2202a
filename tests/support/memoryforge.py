"""A forge that lives in memory beside a bare repository: pull requests as people and gitcd leave them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gitcd.model.pull import (
    Capability,
    ForgeFailure,
    Limits,
    PullContent,
    PullRequest,
    PullState,
    Trouble,
)
from tests.support.repos import Bare, git


class KilledError(Exception):
    """Stands for a run that ends here."""


@dataclass
class MemoryForge:
    """Implements `gitcd.forge.protocol.Forge` as far as delivery asks; `down` is what every answer is then."""

    remote: Bare
    limits: Limits = field(default_factory=lambda: Limits(255, 65536))
    capabilities: frozenset[Capability] = frozenset({Capability.LABELS, Capability.REVIEWERS})
    pulls: list[PullRequest] = field(default_factory=list)
    comments: list[tuple[str, str]] = field(default_factory=list)
    asked_again: list[list[str]] = field(default_factory=list)
    requests: int = 0
    writes: int = 0
    down: ForgeFailure | None = None
    refuses: set[str] = field(default_factory=set)  # names of methods that are forbidden
    name: str = "Memory team/config"
    dies: tuple[str, str] = ("", "")  # the run is killed "before" or "after" the forge has done what is named

    def find_open(self, branch: str, base: str) -> PullRequest | ForgeFailure | None:
        return self._asked("find_open") or self._newest(branch, base, lambda pull: pull.state is PullState.OPEN)

    def all_open(self, base: str) -> list[PullRequest] | ForgeFailure:
        opened = [pull for pull in self.pulls if (pull.state, pull.base) == (PullState.OPEN, base)]
        return self._asked("all_open") or [self._shown(pull) for pull in reversed(opened)]

    def find_closed(self, branch: str, base: str, plan: str = "") -> PullRequest | ForgeFailure | None:
        return self._asked("find_closed") or self._newest(
            branch, base, lambda pull: pull.state is not PullState.OPEN and plan in ("", pull.plan)
        )

    def get(self, pull: PullRequest) -> PullRequest | ForgeFailure:
        return self._asked("get") or self.pulls[int(pull.id) - 1]

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest | ForgeFailure:
        if failure := self._asked("create", writes=True):
            return failure
        assert self.head(branch), "the branch is pushed before"
        number = str(len(self.pulls) + 1)
        url = f"https://forge.example/team/config/pulls/{number}"
        pull = PullRequest(number, url, PullState.OPEN, content.title, content.body, branch, base)
        self.pulls.append(pull)
        return self._done("create", self._shown(pull))

    def update(self, pull: PullRequest, content: PullContent) -> PullRequest | ForgeFailure:
        if (pull.title, pull.body) == (content.title, content.body):
            return pull
        failure = self._asked("update", writes=True)
        return failure or self._done("update", self._set(pull, title=content.title, body=content.body))

    def comment(self, pull: PullRequest, text: str) -> ForgeFailure | None:
        if failure := self._asked("comment", writes=True):
            return failure
        self.comments.append((pull.id, text))
        return self._done("comment", None)

    def close(self, pull: PullRequest) -> ForgeFailure | None:
        if failure := self._asked("close", writes=True):
            return failure
        self._set(pull, state=PullState.CLOSED)
        return self._done("close", None)

    def add_labels(self, pull: PullRequest, labels: list[str]) -> ForgeFailure | None:
        if failure := self._asked("add_labels", writes=True):
            return failure
        self._set(pull, labels=tuple(labels))
        return None

    def request_reviews(self, pull: PullRequest, reviewers: list[str], *, again: bool = False) -> ForgeFailure | None:
        if failure := self._asked("request_reviews", writes=True):
            return failure
        if again:
            self.asked_again.append(list(reviewers))
        self._set(pull, reviewers=tuple(reviewers))
        return None

    def head(self, branch: str) -> str:
        return git(self.remote.path, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)

    def merged(self, pull: PullRequest, method: str = "merge") -> None:
        """Merge as the forge's button does; `bare`: a squash whose message was cleared."""
        head, tip = self.head(pull.branch), self.remote.tip
        message = self.remote.git("log", "-1", "--format=%B", head)
        tree = self.remote.git("merge-tree", "--write-tree", tip, head)
        parents = ["-p", tip, *(["-p", head] if method == "merge" else [])]
        text = f"Merge pull request {pull.id}\n" if method == "merge" else f"{pull.title} ({pull.id})\n\n* {message}"
        text = f"{pull.title} ({pull.id})" if method == "bare" else text
        commit = self.remote.git("commit-tree", tree, *parents, "-m", message if method == "rebase" else text)
        self.remote.git("update-ref", f"refs/heads/{self.remote.branch}", commit)
        self._set(pull, state=PullState.MERGED, head=head, merge_commit=commit)

    def _asked(self, method: str, *, writes: bool = False) -> ForgeFailure | None:
        self.requests += 1
        if self.dies == (method, "before"):
            raise KilledError
        self.writes += writes
        if method in self.refuses:
            return ForgeFailure(Trouble.FORBIDDEN, f"{self.name} does not let the token {method}")
        return self.down

    def _done(self, method: str, answer):
        if self.dies == (method, "after"):
            raise KilledError
        return answer

    def _set(self, pull: PullRequest, **fields: object) -> PullRequest:
        number = int(pull.id) - 1
        self.pulls[number] = replace(self.pulls[number], **fields)
        return self.pulls[number]

    def _newest(self, branch, base, fits):
        found = [each for each in self.pulls if (each.branch, each.base) == (branch, base) and fits(each)]
        return self._shown(found[-1]) if found else None

    def _shown(self, pull: PullRequest) -> PullRequest:
        return pull if pull.state is PullState.MERGED else replace(pull, head=self.head(pull.branch))
