"""GitHub, hosted or Enterprise Server. Source: the OpenAPI description of its REST API, and its GraphQL schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gitcd.forge.adapter import dig, items, reading, text
from gitcd.forge.failures import ForgeError, refusal, reworded
from gitcd.forge.github_commits import make_commit, show_check, show_status
from gitcd.forge.github_like import GitHubLike
from gitcd.forge.http import Client, message_of
from gitcd.model.plan import FileChange
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

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_PAGE = 50
_MERGEABLE = {True: Mergeable.YES, False: Mergeable.CONFLICT}
_AUTO_MERGE = """mutation ($pull: ID!, $method: PullRequestMergeMethod!, $head: GitObjectID!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $pull, mergeMethod: $method, expectedHeadOid: $head}) {
    clientMutationId
  }
}"""


class GitHub(GitHubLike):
    kind = "GitHub"
    capabilities = frozenset(Capability)
    limits = Limits(title=256, body=65_536)
    tip = ("object", "sha")
    page_size = "per_page"

    def __init__(self, client: Client, graphql: Client, repository: str, *, is_app: bool = False) -> None:
        """`repository` is `owner/name`; `graphql` reaches the other of GitHub's two APIs, with the same credentials.

        `is_app`: whether these are of a GitHub App, which may do more than a person's token.
        """
        super().__init__(client, repository, f"repos/{quote(repository)}")
        self._graphql = graphql
        self._is_app = is_app

    @property
    def traffic(self) -> tuple[int, int]:
        requests, writes = super().traffic
        return requests + self._graphql.requests, writes + self._graphql.writes

    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, state="open")

    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, state="closed")

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        wanted: dict[str, object] = {"head": branch, "base": base, "title": content.title, "body": content.body}
        if content.draft:
            wanted["draft"] = True
        try:
            return self._read(self._client.send("POST", f"{self._root}/pulls", wanted).body)
        except ForgeError as error:
            raise _create_fault(error, branch, base) from None

    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        return self._patch(pull, {key: value for key, value in (("title", title), ("body", body)) if value is not None})

    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        try:
            self._client.send("PUT", f"{self._root}/pulls/{pull.id}/merge", {"sha": head, "merge_method": method.value})
        except ForgeError as error:
            raise self._merge_fault(pull, error) from None

    def auto_merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        node = dig(self._client.get(f"{self._root}/pulls/{pull.id}"), "node_id")
        self._query(_AUTO_MERGE, {"pull": node, "method": method.name, "head": head})

    def add_labels(self, pull: PullRequest, labels: Sequence[str]) -> None:
        self._client.send("POST", f"{self._root}/issues/{pull.id}/labels", {"labels": list(labels)}, repeat=True)

    def set_status(self, commit: str, status: CommitStatus) -> None:
        """A check run where an App shows it and may do so; the rest have to do with a status."""
        if self._is_app:
            try:
                return show_check(self._client, self._root, commit, status)
            except ForgeError as error:
                if error.failure.trouble is not Trouble.FORBIDDEN:
                    raise
        return show_status(self._client, self._root, commit, status)

    def make_commit(self, parent: str, message: str, files: Sequence[FileChange]) -> str:
        return make_commit(self._client, self._root, parent, message, files)

    def delete_branch(self, branch: str) -> None:
        try:
            self._client.send("DELETE", f"{self._root}/git/refs/heads/{quote(branch)}")
        except ForgeError as error:
            if "does not exist" not in error.failure.message:  # GitHub may delete it by itself after a merge
                raise

    def _branch(self, branch: str) -> str:
        return f"{self._root}/git/ref/heads/{quote(branch)}"

    def _list(self, branch: str, base: str, *, state: str) -> Iterator[PullRequest]:
        """`head` without the owner in front would be passed over, and every pull request listed."""
        owner = self.repository.partition("/")[0]
        params = {"state": state, "base": base, "sort": "updated", "direction": "desc"}
        narrowed = {"head": f"{owner}:{branch}"} if branch else {}
        for page in self._client.pages(f"{self._root}/pulls", {**params, **narrowed, "per_page": _PAGE}):
            pulls = map(self._read, (each for each in items(page.body) if self._is_own(each)))
            yield from (pull for pull in pulls if pull.base == base and branch in {"", pull.branch})

    def _is_own(self, said: Mapping[str, Any]) -> bool:
        """Whether its branch is one of this repository: forks have branches of the same names."""
        fork = dig(said, "head").get("repo")
        return bool(fork) and dig(fork, "id") == dig(said, "base", "repo", "id")

    def _query(self, query: str, variables: Mapping[str, object]) -> Any:
        """GraphQL says 200 also where it refuses."""
        said = self._graphql.send("POST", "graphql", {"query": query, "variables": variables}).body
        if isinstance(said, dict) and said.get("errors"):
            raise refusal(Trouble.REFUSED, f"{self.kind} refused: {message_of(said['errors'])}")
        return dig(said, "data")

    def _merge_fault(self, pull: PullRequest, error: ForgeError) -> ForgeError:
        """405 stands for a conflict, a rule of the branch, a method that is not allowed, and a moved base."""
        message = error.failure.message
        match error.status:
            case 409:
                return reworded(error, Trouble.HEAD_MOVED, "run again, which plans anew")
            case 405 if "modified" in message:
                return reworded(error, Trouble.TRANSIENT, "run again")
            case 405:
                now = self.get(pull.id)
                if now.mergeable is Mergeable.CONFLICT:
                    return reworded(error, Trouble.CONFLICT)
                return reworded(error, Trouble.BLOCKED, "see the rules of the branch and of the repository")
            case _:
                return error

    @reading
    def _read(self, said: Mapping[str, Any]) -> PullRequest:
        merged = bool(said.get("merged_at"))
        teams = (team["slug"] for team in said.get("requested_teams") or [])
        users = (user["login"] for user in said.get("requested_reviewers") or [])
        return PullRequest(
            id=str(said["number"]),
            url=text(said.get("html_url")),
            state=PullState.MERGED if merged else PullState(said["state"]),
            title=said["title"],
            body=text(said.get("body")),
            branch=said["head"]["ref"],
            base=said["base"]["ref"],
            head=said["head"]["sha"],
            author=text((said.get("user") or {}).get("login")),
            draft=bool(said.get("draft")),
            labels=tuple(label["name"] for label in said.get("labels") or []),
            reviewers=(*users, *teams),
            mergeable=_MERGEABLE.get(said.get("mergeable"), Mergeable.UNKNOWN),  # type: ignore[arg-type] # None: not known yet
            merge_commit=text(said.get("merge_commit_sha")) if merged else "",
            closed_at=datetime.fromisoformat(said["closed_at"]) if said.get("closed_at") else None,
        )


def _create_fault(error: ForgeError, branch: str, base: str) -> ForgeError:
    """422 stands for all that can be wrong with a pull request."""
    message = error.failure.message
    if error.status != 422:  # noqa: PLR2004 - Unprocessable Content
        return error
    if "already exists" in message:
        error.exists = True
        return error
    if "No commits between" in message:
        return reworded(error, Trouble.NO_DIFFERENCE)
    return reworded(error, Trouble.REFUSED, f"check that branch {branch} and branch {base} are there")
