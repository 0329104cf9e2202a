"""Bitbucket Cloud. Source: the reference of its REST API, version 2.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gitcd.forge.adapter import dig, items, reading, text
from gitcd.forge.failures import ForgeError, refusal, reworded
from gitcd.forge.http import MAX_PAGES, Client
from gitcd.forge.rest import RestAdapter
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    Limits,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    StatusState,
    Trouble,
)

_PAGE = 50
_KEY_LENGTH = 40
_STATES = {"OPEN": PullState.OPEN, "MERGED": PullState.MERGED}  # anything else is closed: DECLINED, SUPERSEDED
_METHODS = {
    MergeMethod.MERGE: "merge_commit",
    MergeMethod.SQUASH: "squash",
    MergeMethod.REBASE: "rebase_fast_forward",
}
_STATUS = {
    StatusState.PENDING: "INPROGRESS",
    StatusState.SUCCESS: "SUCCESSFUL",
    StatusState.FAILURE: "FAILED",
    StatusState.ERROR: "STOPPED",
}
_ACCEPTED = 202


class Bitbucket(RestAdapter):
    kind = "Bitbucket"
    capabilities = frozenset({Capability.REVIEWERS, Capability.DRAFT, Capability.STATUS})
    limits = Limits(title=255, body=32_768, hides_comments=False)
    tip = ("target", "hash")
    takes_duplicates = True

    def __init__(self, client: Client, repository: str) -> None:
        """`repository` is `workspace/name`."""
        super().__init__(client, repository, f"repositories/{quote(repository)}")

    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, "OPEN")

    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, "MERGED", "DECLINED", "SUPERSEDED")

    def get(self, number: str) -> PullRequest:
        return _pull(self._client.get(f"{self._root}/pullrequests/{number}"))

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        wanted = {
            "title": content.title,
            "description": content.body,
            "source": {"branch": {"name": branch}},
            "destination": {"branch": {"name": base}},
            "draft": content.draft,
        }
        try:
            return _pull(self._client.send("POST", f"{self._root}/pullrequests", wanted).body)
        except ForgeError as error:
            if "no changes to be pulled" in error.failure.message:
                raise reworded(error, Trouble.NO_DIFFERENCE) from None
            raise

    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        return self._put(pull, title=title, body=body)

    def comment(self, pull: PullRequest, text: str) -> None:
        self._client.send("POST", f"{self._root}/pullrequests/{pull.id}/comments", {"content": {"raw": text}})

    def close(self, pull: PullRequest) -> None:
        self._client.send("POST", f"{self._root}/pullrequests/{pull.id}/decline")

    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:  # noqa: ARG002 - it knows no guard
        wanted = {"type": "pullrequest", "merge_strategy": _METHODS[method]}
        try:
            answer = self._client.send("POST", f"{self._root}/pullrequests/{pull.id}/merge", wanted)
        except ForgeError as error:
            raise _merge_fault(error) from None
        if answer.status == _ACCEPTED:
            raise refusal(Trouble.TRANSIENT, f"{self.kind} is still merging pull request {pull.id}", "run again later")

    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        self._put(pull, reviewers=reviewers)

    def request_again(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Whoever was asked stays asked: Bitbucket takes approvals back by itself, where the repository says so."""
        if new := [name for name in reviewers if name not in pull.reviewers]:
            self.request_reviews(pull, new)

    def set_status(self, commit: str, status: CommitStatus) -> None:
        """Bitbucket wants an address in any case."""
        wanted = {
            "key": status.context[:_KEY_LENGTH],
            "name": status.context,
            "state": _STATUS[status.state],
            "description": status.description,
            "url": status.url or f"https://bitbucket.org/{self.repository}/commits/{commit}",
        }
        self._client.send("POST", f"{self._root}/commit/{commit}/statuses/build", wanted, repeat=True)

    def _branch(self, branch: str) -> str:
        return f"{self._root}/refs/branches/{quote(branch)}"

    def _list(self, branch: str, base: str, *states: str) -> Iterator[PullRequest]:
        query = f"destination.branch.name = {_quoted(base)}"
        if branch:
            query = f"source.branch.name = {_quoted(branch)} AND {query}"
        params: dict[str, str | int | list[str]] = {
            "q": query,
            "state": list(states),
            "sort": "-updated_on",
            "pagelen": _PAGE,
        }
        page = self._client.get(f"{self._root}/pullrequests", params)
        for _ in range(MAX_PAGES):
            own = (each for each in items(page, "values") if _source(each) in {"", self.repository.lower()})
            yield from map(_pull, own)
            if not page.get("next"):
                return
            page = self._client.get(page["next"])

    def _put(
        self,
        pull: PullRequest,
        *,
        title: str | None = None,
        body: str | None = None,
        reviewers: Sequence[str] = (),
    ) -> PullRequest:
        """What a PUT leaves out is cleared, so everything is sent as it is now, with what shall change."""
        now = self._client.get(f"{self._root}/pullrequests/{pull.id}")
        known = [{"uuid": dig(each, "uuid")} for each in items(now, "reviewers")]
        wanted = {
            "title": dig(now, "title") if title is None else title,
            "description": text(dig(now, "description")) if body is None else body,
            "reviewers": known
            + [{"uuid": name} if name.startswith("{") else {"account_id": name} for name in reviewers],
        }
        return _pull(self._client.send("PUT", f"{self._root}/pullrequests/{pull.id}", wanted).body)


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))


@reading
def _source(said: Mapping[str, Any]) -> str:
    """The repository that a pull request comes from; empty where it is gone."""
    return text((said["source"].get("repository") or {}).get("full_name")).lower()


@reading
def _pull(said: Mapping[str, Any]) -> PullRequest:
    state = _STATES.get(said["state"], PullState.CLOSED)
    updated = said.get("updated_on")
    return PullRequest(
        id=str(said["id"]),
        url=text(((said.get("links") or {}).get("html") or {}).get("href")),
        state=state,
        title=said["title"],
        body=text(said.get("description")),
        branch=said["source"]["branch"]["name"],
        base=said["destination"]["branch"]["name"],
        head=text((said["source"].get("commit") or {}).get("hash")),
        author=text((said.get("author") or {}).get("uuid")),
        draft=bool(said.get("draft")),
        reviewers=tuple(
            name for each in said.get("reviewers") or [] for name in (each.get("uuid"), each.get("account_id")) if name
        ),
        merge_commit=text((said.get("merge_commit") or {}).get("hash")),
        closed_at=datetime.fromisoformat(updated) if updated and state is not PullState.OPEN else None,
    )


def _merge_fault(error: ForgeError) -> ForgeError:
    message = error.failure.message.lower()
    match error.status:
        case 409:
            return reworded(error, Trouble.TRANSIENT, "run again")
        case 400 if "conflict" in message:
            return reworded(error, Trouble.CONFLICT)
        case 400 | 403:
            return reworded(error, Trouble.BLOCKED, "see the branch restrictions and merge checks of the repository")
        case _:
            return error
