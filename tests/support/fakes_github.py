"""A stateful fake of GitHub's REST and GraphQL APIs, as far as pull requests go, with Apps."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.fakes_hub import Fake, Pull, Reply, Request, route

REPO = "/repos/atlas/config"


class FakeGitHub(Fake):
    """`app_key` is the public key of an App (cryptography's), `lifetime` of its tokens is in seconds."""

    prefix = "/api/v3"

    def __init__(self) -> None:
        super().__init__()
        self.app_key: Any = None
        self.lifetime = 3600
        self.objects: dict[str, tuple[str, Any]] = {}
        self.checks: list[dict[str, Any]] = []
        self.lets_check = True
        self._minted = itertools.count(1)

    @route("GET", f"{REPO}/pulls")
    def list_pulls(self, request: Request) -> Reply:
        owner, _, branch = request.asked.get("head", "").partition(":")
        states = ("open",) if request.asked.get("state", "open") == "open" else ("closed", "merged")
        found = self.hub.listed(branch if owner == "atlas" else "", request.asked.get("base", ""), *states)
        return 200, [self.shown(pull, whole=False) for pull in found]

    @route("POST", f"{REPO}/pulls")
    def create(self, request: Request) -> Reply:
        body = request.body
        head, base = body["head"], body["base"]
        if head not in self.hub.branches or base not in self.hub.branches:
            field = "head" if head not in self.hub.branches else "base"
            return _invalid({"resource": "PullRequest", "field": field, "code": "invalid"})
        if self.hub.branches[head] == self.hub.branches[base]:
            return _invalid({"code": "custom", "message": f"No commits between {base} and {head}"})
        if self.hub.listed(head, base, "open"):
            return _invalid({"code": "custom", "message": f"A pull request already exists for atlas:{head}."})
        pull = self.hub.open(head, base, body["title"], body.get("body") or "", draft=body.get("draft", False))
        return 201, self.shown(pull)

    @route("GET", f"{REPO}/pulls/([0-9]+)")
    def get(self, _request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        return (200, self.shown(pull)) if pull else (404, {"message": "Not Found"})

    @route("PATCH", f"{REPO}/pulls/([0-9]+)")
    def change(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        if pull is None:
            return 404, {"message": "Not Found"}
        state = request.body.get("state", pull.state)
        if state == "open" and pull.state != "open" and self.hub.branches.get(pull.branch) != pull.head:
            return _invalid({"code": "custom", "message": "state cannot be changed. The branch was force-pushed."})
        if pull.state != "merged":
            pull.state = state
        pull.title, pull.body = request.body.get("title", pull.title), request.body.get("body", pull.body)
        return 200, self.shown(self.hub.touch(pull))

    @route("PUT", f"{REPO}/pulls/([0-9]+)/merge")
    def merge(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        if pull is None:
            return 404, {"message": "Not Found"}
        if pull.state != "open":
            return 405, {"message": "Pull Request is not mergeable"}
        if self.hub.checking:
            self.hub.checking -= 1
            return 405, {"message": "Base branch was modified. Review and try the merge again."}
        if request.body.get("sha", pull.head) != pull.head:
            return 409, {"message": "Head branch was modified. Review and try the merge again."}
        if self.hub.conflict:
            return 405, {"message": "Pull Request is not mergeable"}
        if pull.base in self.hub.protected:
            return 405, {"message": "At least 1 approving review is required by reviewers with write access."}
        self.hub.merge(pull)
        return 200, {"sha": pull.merge_commit, "merged": True, "message": "Pull Request successfully merged"}

    @route("POST", f"{REPO}/issues/([0-9]+)/comments")
    def comment(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        pull.comments.append(request.body["body"])
        return 201, {"id": 1}

    @route("POST", f"{REPO}/issues/([0-9]+)/labels")
    def label(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        pull.labels += [label for label in request.body["labels"] if label not in pull.labels]
        return 200, [{"name": label} for label in pull.labels]

    @route("POST", f"{REPO}/pulls/([0-9]+)/requested_reviewers")
    def ask(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        wanted = request.body.get("reviewers", [])
        if any(name not in self.hub.users or name == pull.author for name in wanted):
            message = "Reviews may only be requested from collaborators."
            return 422, {"message": message, "documentation_url": "https://docs.github.com"}
        pull.reviewers += [name for name in wanted if name not in pull.reviewers]
        return 201, self.shown(pull)

    @route("GET", f"{REPO}/pulls/([0-9]+)/reviews")
    def reviews(self, _request: Request, _number: str) -> Reply:
        return 200, []

    @route("POST", f"{REPO}/statuses/([0-9a-f]{{40}})")
    def status(self, request: Request, commit: str) -> Reply:
        self.hub.statuses.append((commit, request.body["context"], request.body["state"]))
        return 201, {"id": 1}

    @route("POST", f"{REPO}/check-runs")
    def check(self, request: Request) -> Reply:
        if not self.lets_check:
            return 403, {"message": "Resource not accessible by integration"}
        self.checks.append(request.body)
        return 201, {"id": 1}

    @route("GET", f"{REPO}/git/ref/heads/(.+)")
    def ref(self, _request: Request, branch: str) -> Reply:
        oid = self.hub.branches.get(branch)
        return (
            (200, {"ref": f"refs/heads/{branch}", "object": {"sha": oid}}) if oid else (404, {"message": "Not Found"})
        )

    @route("DELETE", f"{REPO}/git/refs/heads/(.+)")
    def delete_ref(self, _request: Request, branch: str) -> Reply:
        if self.hub.branches.pop(branch, None) is None:
            return 422, {"message": "Reference does not exist"}
        for pull in self.hub.listed(branch, "", "open"):
            pull.state = "closed"
        return 204, None

    @route("GET", f"{REPO}/git/commits/([0-9a-f]{{40}})")
    def commit(self, _request: Request, commit: str) -> Reply:
        return 200, {"sha": commit, "tree": {"sha": "b" * 40}}

    @route("POST", f"{REPO}/git/(blobs|trees|commits)")
    def make_object(self, request: Request, kind: str) -> Reply:
        """Objects get ids that tell nothing; what was sent is kept."""
        oid = hashlib.sha1(json.dumps(request.body).encode()).hexdigest()
        self.objects[oid] = (kind, request.body)
        return 201, {"sha": oid}

    @route("GET", f"{REPO}/installation")
    def installation(self, request: Request) -> Reply:
        return (200, {"id": 4711}) if self._is_app(request.headers) else (401, {"message": "Bad credentials"})

    @route("POST", "/app/installations/([0-9]+)/access_tokens")
    def mint(self, request: Request, installation: str) -> Reply:
        if not self._is_app(request.headers):
            return 401, {"message": "A JSON web token could not be decoded"}
        assert installation == "4711"
        token = f"ghs_{next(self._minted):036d}"
        self.hub.tokens = {token}
        until = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        return 201, {"token": token, "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    installation.__dict__["open_to_all"] = mint.__dict__["open_to_all"] = True

    @route("POST", "/api/graphql")
    def graphql(self, request: Request) -> Reply:
        assert "enablePullRequestAutoMerge" in request.body["query"]
        wanted = request.body["variables"]
        pull = self.hub.find(wanted["pull"].removeprefix("PR_"))
        assert pull
        if pull.head != wanted["head"]:
            return 200, {"data": None, "errors": [{"message": "Head sha did not match expected head sha"}]}
        pull.auto_merge = wanted["method"]
        return 200, {"data": {"enablePullRequestAutoMerge": {"clientMutationId": None}}}

    def shown(self, pull: Pull, *, whole: bool = True) -> dict[str, Any]:
        """A pull request as GitHub shows it: in lists without what it computes."""
        merged = pull.state == "merged"
        computed = {"merged": merged, "mergeable": not self.hub.conflict} if whole else {}
        return computed | {
            "number": pull.number,
            "node_id": f"PR_{pull.number}",
            "html_url": f"https://github.example/atlas/config/pull/{pull.number}",
            "state": "open" if pull.state == "open" else "closed",
            "title": pull.title,
            "body": pull.body,
            "draft": pull.draft,
            "user": {"login": pull.author},
            "head": {"ref": pull.branch, "sha": pull.head, "label": f"atlas:{pull.branch}", "repo": {"id": 1}},
            "base": {"ref": pull.base, "sha": self.hub.branches.get(pull.base, ""), "repo": {"id": 1}},
            "labels": [{"name": label} for label in pull.labels],
            "requested_reviewers": [{"login": name} for name in pull.reviewers],
            "requested_teams": [],
            "merged_at": "2026-11-20T10:00:00Z" if merged else None,
            "closed_at": None if pull.state == "open" else "2026-11-20T10:00:00Z",
            "merge_commit_sha": pull.merge_commit or "f" * 40,
            "updated_at": pull.updated,
        }

    def _is_app(self, headers: Mapping[str, str]) -> bool:
        """Whether the token is signed by the App's key, and is good now."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        head, _, signature = headers["authorization"].removeprefix("Bearer ").rpartition(".")
        try:
            self.app_key.verify(_decoded(signature), head.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        claims = json.loads(_decoded(head.partition(".")[2]))
        return bool(claims["iat"] <= time.time() < claims["exp"] <= claims["iat"] + 600)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _invalid(error: dict[str, str]) -> Reply:
    return 422, {"message": "Validation Failed", "errors": [error], "documentation_url": "https://docs.github.com"}
