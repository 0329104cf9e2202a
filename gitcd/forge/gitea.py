"""Gitea and Forgejo. Source: the API descriptions that both serve at `/swagger.v1.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gitcd.forge.adapter import dig, drafted, items, reading, text, undrafted
from gitcd.forge.failures import ForgeError, refusal, reworded
from gitcd.forge.github_like import GitHubLike
from gitcd.forge.http import MAX_PAGES, Client
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    Limits,
    Mergeable,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    Trouble,
)

_DRAFT = "WIP:"
_PAGE = 50
_CLOSED_PAGES = 4  # they are those of all branches, and there may be thousands
_METHODS = {MergeMethod.MERGE: "merge", MergeMethod.SQUASH: "squash", MergeMethod.REBASE: "rebase"}


class Gitea(GitHubLike):
    kind = "Gitea"
    capabilities = frozenset(Capability) - {Capability.API_COMMIT}
    limits = Limits(title=255, body=65_000)
    tip = ("commit", "id")
    page_size = "limit"

    def __init__(self, client: Client, repository: str) -> None:
        """`repository` is `owner/name`."""
        super().__init__(client, repository, f"repos/{quote(repository)}")

    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, MAX_PAGES, state="open", sort="newest")

    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, _CLOSED_PAGES, state="closed", sort="recentclose")

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        title = drafted(content.title, _DRAFT, draft=content.draft)
        wanted = {"head": branch, "base": base, "title": title, "body": content.body}
        try:
            return self._read(self._client.send("POST", f"{self._root}/pulls", wanted).body)
        except ForgeError as error:
            raise _create_fault(error, branch, base) from None

    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        changed = {} if body is None else {"body": body}
        if title is not None:
            changed["title"] = drafted(title, _DRAFT, draft=pull.draft)
        return self._patch(pull, changed)

    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        self._merge(pull, _wanted(pull, head, method))

    def auto_merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        self._merge(pull, {**_wanted(pull, head, method), "merge_when_checks_succeed": True})

    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> None:
        """Labels go by their numbers here, so those that are new are made first."""
        known = {dig(label, "name"): dig(label, "id") for label in self._labels()}
        for name in labels:
            if name not in known:
                made = self._client.send("POST", f"{self._root}/labels", {"name": name, "color": "#1d76db"}).body
                known[name] = dig(made, "id")
        numbers = [known[name] for name in labels]
        self._client.send("POST", f"{self._root}/issues/{pull.id}/labels", {"labels": numbers})

    def set_status(self, commit: str, status: CommitStatus) -> None:
        wanted = {
            "state": status.state.value,
            "context": status.context,
            "description": status.description,
            "target_url": status.url,
        }
        self._client.send("POST", f"{self._root}/statuses/{commit}", wanted)

    def _branch(self, branch: str) -> str:
        return f"{self._root}/branches/{quote(branch)}"

    def _list(self, branch: str, base: str, most: int, **params: str) -> Iterator[PullRequest]:
        """Older versions know no filter by base, and none knows one by head or by whose branch it is."""
        wanted: dict[str, str | int | list[str]] = {**params, "base_branch": base, "limit": _PAGE}
        for page in self._client.pages(f"{self._root}/pulls", wanted, most=most):
            own = (each for each in items(page.body) if dig(each, "head", "repo_id") == dig(each, "base", "repo_id"))
            pulls = map(self._read, own)
            yield from (pull for pull in pulls if pull.base == base and branch in {"", pull.branch})

    def _labels(self) -> Iterator[dict[str, Any]]:
        for page in self._client.pages(f"{self._root}/labels", {"limit": _PAGE}):
            yield from items(page.body)
        owner = self.repository.partition("/")[0]
        try:
            yield from items(self._client.get(f"orgs/{quote(owner)}/labels", {"limit": _PAGE}))
        except ForgeError as error:
            if error.trouble is not Trouble.NOT_FOUND:  # the owner is no organisation
                raise

    def _merge(self, pull: PullRequest, wanted: Mapping[str, object]) -> None:
        try:
            self._client.send("POST", f"{self._root}/pulls/{pull.id}/merge", wanted)
        except ForgeError as error:
            raise _merge_fault(error) from None

    @reading
    def _read(self, said: Mapping[str, Any]) -> PullRequest:
        title, prefixed = undrafted(said["title"], _DRAFT)
        teams = (team["name"] for team in said.get("requested_reviewers_teams") or [])
        users = (user["login"] for user in said.get("requested_reviewers") or [])
        merged = bool(said.get("merged"))
        return PullRequest(
            id=str(said["number"]),
            url=text(said.get("html_url")),
            state=PullState.MERGED if merged else PullState.OPEN if said["state"] == "open" else PullState.CLOSED,
            title=title,
            body=text(said.get("body")),
            branch=text(said["head"].get("label")) or text(said["head"]["ref"]),
            base=said["base"]["ref"],
            head=text(said["head"].get("sha")),
            author=text((said.get("user") or {}).get("login")),
            draft=prefixed or bool(said.get("draft")),
            labels=tuple(label["name"] for label in said.get("labels") or []),
            reviewers=(*users, *teams),
            # False also means that it is not known yet.
            mergeable=Mergeable.YES if said.get("mergeable") else Mergeable.UNKNOWN,
            merge_commit=text(said.get("merge_commit_sha")) if merged else "",
            closed_at=datetime.fromisoformat(said["closed_at"]) if said.get("closed_at") else None,
        )


def _wanted(pull: PullRequest, head: str, method: MergeMethod) -> dict[str, object]:
    """What a merge shall do. A squash says what the page would offer: left to the API, it says the title alone."""
    wanted: dict[str, object] = {"Do": _METHODS[method], "head_commit_id": head}
    return {**wanted, "MergeMessageField": pull.body} if method is MergeMethod.SQUASH else wanted


def _create_fault(error: ForgeError, branch: str, base: str) -> ForgeError:
    match error.status, error.failure.message:
        case 409, _:
            error.exists = True
            return error
        case 422, message if "no changes" in message:
            return reworded(error, Trouble.NO_DIFFERENCE)
        case 404, _:
            return refusal(
                Trouble.NOT_FOUND,
                f"{error.failure.message}: the repository, branch {branch} or branch {base} is not there",
                "check the branches, and that forge.token may write to the repository",
                status=error.status,
            )
        case _:
            return error


def _merge_fault(error: ForgeError) -> ForgeError:
    """409 and 405 stand for several things that only the words tell apart."""
    message = error.failure.message
    match error.status:
        case 409 if "head out of date" in message:
            return reworded(error, Trouble.HEAD_MOVED, "run again, which plans anew")
        case 409 if "merge push out of date" in message:
            return reworded(error, Trouble.TRANSIENT, "run again")
        case 409 if "PushRejected" in message:
            return reworded(error, Trouble.BLOCKED)
        case 409:
            return reworded(error, Trouble.CONFLICT)
        case 405 if "try again later" in message:
            return reworded(error, Trouble.TRANSIENT, "it may conflict with its base, or is still being checked")
        case 405:
            return reworded(error, Trouble.BLOCKED, "see the rules of the branch and of the repository")
        case _:
            return error
