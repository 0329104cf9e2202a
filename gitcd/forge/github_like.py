"""What Gitea took over from GitHub's REST API."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from gitcd.forge.adapter import dig, items
from gitcd.forge.rest import RestAdapter
from gitcd.model.pull import PullRequest

_REVIEWS = 100  # on one page


class GitHubLike(RestAdapter):
    """An adapter for a forge whose pull requests are issues, and go by these paths."""

    page_size: str  # what the parameter is called

    def get(self, number: str) -> PullRequest:
        return self._read(self._client.get(f"{self._root}/pulls/{number}"))

    def comment(self, pull: PullRequest, text: str) -> None:
        self._client.send("POST", f"{self._root}/issues/{pull.id}/comments", {"body": text})

    def close(self, pull: PullRequest) -> None:
        self._patch(pull, {"state": "closed"})

    def reopen(self, pull: PullRequest) -> PullRequest:
        return self._patch(pull, {"state": "open"})

    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        asked = {
            "reviewers": [name for name in reviewers if "/" not in name],
            "team_reviewers": [name.partition("/")[2] for name in reviewers if "/" in name],
        }
        self._client.send("POST", f"{self._root}/pulls/{pull.id}/requested_reviewers", asked, repeat=True)

    def reviewed_by(self, pull: PullRequest) -> frozenset[str]:
        size = {self.page_size: _REVIEWS}
        reviews = items(self._client.get(f"{self._root}/pulls/{pull.id}/reviews", size))
        return frozenset(dig(review, "user", "login") for review in reviews if dig(review, "user"))

    def _patch(self, pull: PullRequest, changed: Mapping[str, str]) -> PullRequest:
        return self._read(self._client.send("PATCH", f"{self._root}/pulls/{pull.id}", changed, repeat=True).body)

    @abstractmethod
    def _read(self, said: Mapping[str, Any]) -> PullRequest:
        """A pull request from an answer."""
