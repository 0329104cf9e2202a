"""A stateful fake of Bitbucket Cloud's REST API, as far as pull requests go."""

from __future__ import annotations

import re
from typing import Any

from tests.support.fakes_hub import Fake, Pull, Reply, Request, route

REPO = "/repositories/atlas/config"
_STATES = {"OPEN": "open", "MERGED": "merged", "DECLINED": "closed", "SUPERSEDED": ""}
_SHOWN = {"open": "OPEN", "merged": "MERGED", "closed": "DECLINED"}
_QUERY = re.compile(r'(?:source\.branch\.name = "([^"]*)" AND )?destination\.branch\.name = "([^"]*)"')
_SHORT = 12  # digits of a commit's id that pull requests are shown with


class FakeBitbucket(Fake):
    @route("GET", f"{REPO}/pullrequests")
    def list_pulls(self, request: Request) -> Reply:
        query = _QUERY.fullmatch(request.asked["q"])
        assert query
        states = [_STATES[value] for key, value in request.query if key == "state"]
        found = [self.shown(pull) for pull in self.hub.listed(query[1] or "", query[2], *states)]
        page = int(request.asked.get("page", 1))
        shown = found[(page - 1) * self.page_size : page * self.page_size]
        rest = len(found) > page * self.page_size
        parameters = "&".join(f"{key}={value.replace(' ', '+')}" for key, value in request.query if key != "page")
        following = {"next": f"{self.url}{request.path}?{parameters}&page={page + 1}"} if rest else {}
        return 200, {"values": shown, "page": page, **following}

    @route("POST", f"{REPO}/pullrequests")
    def create(self, request: Request) -> Reply:
        """Bitbucket takes a second one for the same branches and supersedes nothing."""
        body = request.body
        branch, base = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
        if branch not in self.hub.branches or base not in self.hub.branches:
            return _refused("source: branch not found")
        if self.hub.branches[branch] == self.hub.branches[base]:
            return _refused("There are no changes to be pulled")
        pull = self.hub.open(branch, base, body["title"], body["description"], draft=body["draft"])
        return 201, self.shown(pull)

    @route("GET", f"{REPO}/pullrequests/([0-9]+)")
    def get(self, _request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        return (200, self.shown(pull)) if pull else (404, {"type": "error", "error": {"message": "not found"}})

    @route("PUT", f"{REPO}/pullrequests/([0-9]+)")
    def change(self, request: Request, number: str) -> Reply:
        """What is left out is cleared."""
        pull, body = self.hub.find(number), request.body
        assert pull
        names = [each.get("uuid") or each.get("account_id") for each in body.get("reviewers", [])]
        if any(name.strip("{}") not in self.hub.users for name in names):
            return _refused("reviewers: Malformed reviewers list")
        pull.title, pull.body = body["title"], body.get("description", "")
        pull.reviewers = [name.strip("{}") for name in names]
        return 200, self.shown(self.hub.touch(pull))

    @route("POST", f"{REPO}/pullrequests/([0-9]+)/decline")
    def decline(self, _request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        if pull.state != "open":
            return _refused("This pull request is already closed.")
        pull.state = "closed"
        return 200, self.shown(self.hub.touch(pull))

    @route("POST", f"{REPO}/pullrequests/([0-9]+)/merge")
    def merge(self, _request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        if pull.state != "open":
            return _refused("This pull request is already closed.")
        if self.hub.checking:
            self.hub.checking -= 1
            return 555, None
        if self.hub.conflict:
            return _refused("You can't merge until you resolve all merge conflicts.")
        if pull.base in self.hub.protected:
            return _refused("You can't merge until this pull request has 1 approval.")
        self.hub.merge(pull)
        return 200, self.shown(pull)

    @route("POST", f"{REPO}/pullrequests/([0-9]+)/comments")
    def comment(self, request: Request, number: str) -> Reply:
        pull = self.hub.find(number)
        assert pull
        pull.comments.append(request.body["content"]["raw"])
        return 201, {"id": 1}

    @route("POST", f"{REPO}/commit/([0-9a-f]{{40}})/statuses/build")
    def status(self, request: Request, commit: str) -> Reply:
        assert request.body["url"]
        self.hub.statuses.append((commit, request.body["key"], request.body["state"]))
        return 201, {}

    @route("GET", f"{REPO}/refs/branches/(.+)")
    def branch(self, _request: Request, branch: str) -> Reply:
        oid = self.hub.branches.get(branch)
        return (200, {"target": {"hash": oid}}) if oid else (404, {"error": {"message": "Branch not found"}})

    @route("DELETE", f"{REPO}/refs/branches/(.+)")
    def delete_branch(self, _request: Request, branch: str) -> Reply:
        return (204, None) if self.hub.branches.pop(branch, None) else (404, {"error": {"message": "Branch not found"}})

    def shown(self, pull: Pull) -> dict[str, Any]:
        home = {"full_name": "atlas/config"}
        return {
            "id": pull.number,
            "links": {"html": {"href": f"https://bitbucket.example/atlas/config/pull-requests/{pull.number}"}},
            "state": _SHOWN[pull.state],
            "title": pull.title,
            "description": pull.body,
            "draft": pull.draft,
            "source": {"branch": {"name": pull.branch}, "commit": {"hash": pull.head[:_SHORT]}, "repository": home},
            "destination": {"branch": {"name": pull.base}, "repository": home},
            "author": {"uuid": f"{{{pull.author}}}"},
            "reviewers": [{"uuid": f"{{{name}}}"} for name in pull.reviewers],
            "merge_commit": {"hash": pull.merge_commit[:_SHORT]} if pull.merge_commit else None,
            "updated_on": pull.updated,
        }


def _refused(message: str) -> Reply:
    return 400, {"type": "error", "error": {"message": message}}
