"""A stateful fake of GitLab's REST API, as far as merge requests go."""

from __future__ import annotations

from typing import Any

from tests.support.fakes_hub import Fake, Pull, Reply, Request, route

PROJECT = "/projects/atlas%2Fplatform%2Fconfig"
_STATES = {"opened": ("open",), "all": ("open", "closed", "merged")}
_SHOWN = {"open": "opened"}


class FakeGitLab(Fake):
    prefix = "/api/v4"

    @route("GET", f"{PROJECT}/merge_requests")
    def list_pulls(self, request: Request) -> Reply:
        asked = request.asked
        found = self.hub.listed(asked.get("source_branch", ""), asked["target_branch"], *_STATES[asked["state"]])
        return 200, [self.shown(pull) for pull in found]

    @route("POST", f"{PROJECT}/merge_requests")
    def create(self, request: Request) -> Reply:
        body = request.body
        branch, base = body["source_branch"], body["target_branch"]
        if branch not in self.hub.branches or base not in self.hub.branches:
            return 422, {"message": ["Source branch does not exist"]}
        if known := self.hub.listed(branch, base, "open"):
            return 409, {
                "message": [f"Another open merge request already exists for this source branch: !{known[0].number}"]
            }
        return 201, self.shown(self.hub.open(branch, base, body["title"], body.get("description") or ""))

    @route("GET", f"{PROJECT}/merge_requests/([0-9]+)")
    def get(self, _request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        return (200, self.shown(pull)) if pull else (404, {"message": "404 Not found"})

    @route("PUT", f"{PROJECT}/merge_requests/([0-9]+)")
    def change(self, request: Request, number: str) -> Reply:
        pull, body = self.hub.find(number), request.body
        assert pull
        pull.title, pull.body = body.get("title", pull.title), body.get("description", pull.body)
        match body.get("state_event"):
            case "close" if pull.state == "open":
                pull.state = "closed"
            case "reopen" if pull.state == "closed":
                pull.state = "open"
        pull.labels += [label for label in body.get("add_labels", "").split(",") if label and label not in pull.labels]
        if "reviewer_ids" in body:
            names = {number: name for name, number in self.hub.users.items()}
            pull.reviewers = [names[number] for number in body["reviewer_ids"]]
        return 200, self.shown(self.hub.touch(pull))

    @route("PUT", f"{PROJECT}/merge_requests/([0-9]+)/merge")
    def merge(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        if pull.state != "open" or self.hub.checking or self.hub.conflict or pull.base in self.hub.protected:
            return 405, {"message": "405 Method Not Allowed"}
        if request.body.get("sha", pull.head) != pull.head:
            return 409, {"message": f"SHA does not match HEAD of source branch: {pull.head}"}
        if request.body.get("auto_merge"):
            pull.auto_merge = "yes"
        else:
            self.hub.merge(pull)
        return 200, self.shown(pull)

    @route("POST", f"{PROJECT}/merge_requests/([0-9]+)/notes")
    def comment(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        pull.comments.append(request.body["body"])
        return 201, {"id": 1}

    @route("GET", "/users")
    def user(self, request: Request) -> Reply:
        name = request.asked["username"]
        return 200, [{"id": self.hub.users[name], "username": name}] if name in self.hub.users else []

    @route("POST", f"{PROJECT}/statuses/([0-9a-f]{{40}})")
    def status(self, request: Request, commit: str) -> Reply:
        entry = (commit, request.body["name"], request.body["state"])
        if entry in self.hub.statuses:
            return 400, {"message": "Cannot transition status via :enqueue from :pending"}
        self.hub.statuses.append(entry)
        return 201, {"id": 1}

    @route("GET", f"{PROJECT}/repository/branches/([^/]+)")
    def branch(self, _request: Request, branch: str) -> Reply:
        oid = self.hub.branches.get(branch)
        return (200, {"name": branch, "commit": {"id": oid}}) if oid else (404, {"message": "404 Branch Not Found"})

    @route("DELETE", f"{PROJECT}/repository/branches/([^/]+)")
    def delete_branch(self, _request: Request, branch: str) -> Reply:
        return (204, None) if self.hub.branches.pop(branch, None) else (404, {"message": "404 Branch Not Found"})

    def shown(self, pull: Pull) -> dict[str, Any]:
        return {
            "iid": pull.number,
            "web_url": f"https://gitlab.example/atlas/platform/config/-/merge_requests/{pull.number}",
            "state": _SHOWN.get(pull.state, pull.state),
            "title": pull.title,
            "description": pull.body,
            "draft": pull.title.startswith("Draft:"),
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "source_project_id": 7,
            "target_project_id": 7,
            "sha": pull.head,
            "author": {"username": pull.author},
            "labels": pull.labels,
            "reviewers": [{"id": self.hub.users[name], "username": name} for name in pull.reviewers],
            "has_conflicts": self.hub.conflict,
            "detailed_merge_status": self._merge_status(pull),
            "merge_commit_sha": pull.merge_commit or None,
            "merged_at": pull.updated if pull.state == "merged" else None,
            "closed_at": pull.updated if pull.state == "closed" else None,
        }

    def _merge_status(self, pull: Pull) -> str:
        if self.hub.checking:
            self.hub.checking -= 1
            return "checking"
        if self.hub.conflict:
            return "conflict"
        if pull.state != "open":
            return "not_open"
        return "not_approved" if pull.base in self.hub.protected else "mergeable"
