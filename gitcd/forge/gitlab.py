"""GitLab, hosted or self-managed. Source: "Merge requests API", "Branches API", "Commits API" in its documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gitcd.forge.adapter import dig, drafted, items, reading, text, undrafted
from gitcd.forge.failures import ForgeError, refusal, reworded
from gitcd.forge.http import Client
from gitcd.forge.rest import RestAdapter
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    Limits,
    Mergeable,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    StatusState,
    Trouble,
)

_DRAFT = "Draft:"
_PAGE = 50
_STATES = {"merged": PullState.MERGED, "closed": PullState.CLOSED}  # anything else is open: opened, locked
_STATUS = {StatusState.FAILURE: "failed", StatusState.ERROR: "failed"}
_CHECKING = frozenset({"checking", "unchecked", "preparing", "approvals_syncing"})
_BRANCH = {"source": "source_branch", "target": "target_branch"}


class GitLab(RestAdapter):
    kind = "GitLab"
    capabilities = frozenset(Capability) - {Capability.API_COMMIT}
    limits = Limits(title=255, body=1_000_000)
    tip = ("commit", "id")

    def __init__(self, client: Client, repository: str) -> None:
        """`repository` is the whole path of the project, groups included."""
        super().__init__(client, repository, f"projects/{quote(repository, safe='')}")

    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, state="opened")

    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        """GitLab lists closed and merged ones apart, so all are asked for, and the open ones left out."""
        pulls = self._list(branch, base, state="all")
        return (pull for pull in pulls if pull.state is not PullState.OPEN)

    def get(self, number: str) -> PullRequest:
        return _pull(self._client.get(f"{self._root}/merge_requests/{number}"))

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        wanted = {
            _BRANCH["source"]: branch,
            _BRANCH["target"]: base,
            "title": drafted(content.title, _DRAFT, draft=content.draft),
            "description": content.body,
        }
        try:
            return _pull(self._client.send("POST", f"{self._root}/merge_requests", wanted).body)
        except ForgeError as error:
            error.exists = error.status == 409  # noqa: PLR2004 - Conflict: one is open for this branch
            raise

    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        changed = {} if body is None else {"description": body}
        if title is not None:
            changed["title"] = drafted(title, _DRAFT, draft=pull.draft)
        return self._put(pull, changed)

    def comment(self, pull: PullRequest, text: str) -> None:
        self._client.send("POST", f"{self._root}/merge_requests/{pull.id}/notes", {"body": text})

    def close(self, pull: PullRequest) -> None:
        self._put(pull, {"state_event": "close"})

    def reopen(self, pull: PullRequest) -> PullRequest:
        return self._put(pull, {"state_event": "reopen"})

    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        self._merge(pull, head, method)

    def auto_merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        """`auto_merge` is from 17.11 on; older versions know it by the other name."""
        self._merge(pull, head, method, auto_merge=True, merge_when_pipeline_succeeds=True)

    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> None:
        self._put(pull, {"add_labels": ",".join(labels)})

    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Reviewers go by their numbers here, and what is sent takes the place of those who were asked before."""
        now = self._client.get(f"{self._root}/merge_requests/{pull.id}")
        numbers = [dig(reviewer, "id") for reviewer in items(now, "reviewers")]
        found = [self._user(name) for name in reviewers]
        self._put(pull, {"reviewer_ids": list(dict.fromkeys([*numbers, *found]))})

    def request_again(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Those who were asked before are asked again by a quick action alone."""
        if new := [name for name in reviewers if name not in pull.reviewers]:
            self.request_reviews(pull, new)
        if known := [f"@{name}" for name in reviewers if name in pull.reviewers]:
            self.comment(pull, f"/request_review {' '.join(known)}")

    def set_status(self, commit: str, status: CommitStatus) -> None:
        wanted = {
            "state": _STATUS.get(status.state, status.state.value),
            "name": status.context,
            "description": status.description[:255],
            "target_url": status.url,
        }
        try:
            self._client.send("POST", f"{self._root}/statuses/{commit}", wanted)
        except ForgeError as error:
            if "Cannot transition status" not in error.failure.message:  # it says so already
                raise

    def _branch(self, branch: str) -> str:
        return f"{self._root}/repository/branches/{quote(branch, safe='')}"

    def _list(self, branch: str, base: str, *, state: str) -> Iterator[PullRequest]:
        params = {_BRANCH["target"]: base, "state": state, "order_by": "updated_at"}
        if branch:
            params[_BRANCH["source"]] = branch
        for page in self._client.pages(f"{self._root}/merge_requests", {**params, "per_page": _PAGE}):
            own = (
                each for each in items(page.body) if dig(each, "source_project_id") == dig(each, "target_project_id")
            )
            yield from map(_pull, own)

    def _put(self, pull: PullRequest, changed: Mapping[str, object]) -> PullRequest:
        return _pull(self._client.send("PUT", f"{self._root}/merge_requests/{pull.id}", changed).body)

    def _user(self, name: str) -> int:
        found = self._client.get("users", {"username": name})
        if not found:
            raise refusal(Trouble.REFUSED, f"{self.kind} knows no user {name}", "correct forge.reviewers")
        number: int = dig(found, 0, "id")
        return number

    def _merge(self, pull: PullRequest, head: str, method: MergeMethod, **more: bool) -> None:
        """Whether GitLab makes a merge commit or rebases is the project's setting; only squashing is asked for here."""
        wanted = {"sha": head, "squash": method is MergeMethod.SQUASH, **more}
        try:
            self._client.send("PUT", f"{self._root}/merge_requests/{pull.id}/merge", wanted)
        except ForgeError as error:
            raise self._merge_fault(pull, error) from None

    def _merge_fault(self, pull: PullRequest, error: ForgeError) -> ForgeError:
        """405 and 422 stand for a conflict, a rule, and for not having looked yet."""
        match error.status:
            case 409:
                return reworded(error, Trouble.HEAD_MOVED, "run again, which plans anew")
            case 401:
                return reworded(error, Trouble.FORBIDDEN, "check that the token's owner may merge into this branch")
            case 405 | 406 | 422:
                now = self._client.get(f"{self._root}/merge_requests/{pull.id}")
                status = text(dig(now, "detailed_merge_status"))
                if status in _CHECKING:
                    return reworded(error, Trouble.TRANSIENT, "run again")
                if _mergeable(now) is Mergeable.CONFLICT:
                    return reworded(error, Trouble.CONFLICT)
                return reworded(error, Trouble.BLOCKED, f"GitLab says: {status}")
            case _:
                return error


@reading
def _pull(said: Mapping[str, Any]) -> PullRequest:
    title, draft = undrafted(said["title"], _DRAFT)
    state = _STATES.get(said["state"], PullState.OPEN)
    closed = said.get("merged_at") or said.get("closed_at")
    return PullRequest(
        id=str(said["iid"]),
        url=text(said.get("web_url")),
        state=state,
        title=title,
        body=text(said.get("description")),
        branch=said[_BRANCH["source"]],
        base=said[_BRANCH["target"]],
        head=text(said.get("sha")),
        author=text((said.get("author") or {}).get("username")),
        draft=draft or bool(said.get("draft")),
        labels=tuple(said.get("labels") or ()),
        reviewers=tuple(reviewer["username"] for reviewer in said.get("reviewers") or []),
        mergeable=_mergeable(said),
        merge_commit=text(said.get("merge_commit_sha") or said.get("squash_commit_sha") or said.get("sha"))
        if state is PullState.MERGED
        else "",
        closed_at=datetime.fromisoformat(closed) if closed else None,
    )


def _mergeable(said: Mapping[str, Any]) -> Mergeable:
    if said.get("has_conflicts") or said.get("detailed_merge_status") == "conflict":
        return Mergeable.CONFLICT
    return Mergeable.YES if said.get("detailed_merge_status") == "mergeable" else Mergeable.UNKNOWN
