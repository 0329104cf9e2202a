"""A stateful fake of AWS CodeCommit (JSON 1.1), as far as pull requests go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.support.fakes_hub import Fake, Pull, Request

_STATUS = {"open": "OPEN"}


class FakeCodeCommit(Fake):
    """Every operation is a method of its name; faults match the name of the operation as if it were the path."""

    def __init__(self) -> None:
        super().__init__()
        self.rules: dict[int, dict[str, str]] = {}
        self._made: dict[str, tuple[Any, int]] = {}

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        operation = request.headers["x-amz-target"].partition(".")[2]
        method = "GET" if operation.startswith(("Get", "List")) else "POST"
        status, body, headers = super().answer(Request(method, operation, request.query, request.body, request.headers))
        return status, body, headers | {"Content-Type": "application/x-amz-json-1.1"}

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")

    def carry_out(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        try:
            return 200, getattr(self, request.path)(request.body), {}
        except _RefusedError as error:
            return 400, {"__type": error.args[0], "message": error.args[0]}, {}

    def ListPullRequests(self, given: Any) -> Any:
        states = ("open",) if given["pullRequestStatus"] == "OPEN" else ("closed", "merged")
        found = [str(pull.number) for pull in self.hub.listed("", "", *states)]
        start = int(given.get("nextToken", 0))
        more = {"nextToken": str(start + self.page_size)} if len(found) > start + self.page_size else {}
        return {"pullRequestIds": found[start : start + self.page_size], **more}

    def GetPullRequest(self, given: Any) -> Any:
        return {"pullRequest": self.shown(self._find(given))}

    def CreatePullRequest(self, given: Any) -> Any:
        token, target = given.pop("clientRequestToken"), given["targets"][0]
        if token in self._made:
            first, number = self._made[token]
            if first != given:
                raise _RefusedError("IdempotencyParameterMismatchException")
            return {"pullRequest": self.shown(self._find({"pullRequestId": number}))}
        branch, base = target["sourceReference"], target["destinationReference"]
        if branch not in self.hub.branches or base not in self.hub.branches:
            raise _RefusedError("ReferenceDoesNotExistException")
        pull = self.hub.open(branch, base, given["title"], given["description"])
        self._made[token] = (given, pull.number)
        return {"pullRequest": self.shown(pull)}

    def UpdatePullRequestTitle(self, given: Any) -> Any:
        return self._change(given, "title", given["title"])

    def UpdatePullRequestDescription(self, given: Any) -> Any:
        return self._change(given, "body", given["description"])

    def UpdatePullRequestStatus(self, given: Any) -> Any:
        pull = self._find(given)
        if given["pullRequestStatus"] != "CLOSED":
            raise _RefusedError("InvalidPullRequestStatusUpdateException")
        pull.state = "closed" if pull.state == "open" else pull.state
        return {"pullRequest": self.shown(self.hub.touch(pull))}

    def MergePullRequestByThreeWay(self, given: Any) -> Any:
        pull = self._find(given)
        if pull.state != "open":
            raise _RefusedError("PullRequestAlreadyClosedException")
        if given["sourceCommitId"] != pull.head:
            raise _RefusedError("TipOfSourceReferenceIsDifferentException")
        if self.hub.checking:
            self.hub.checking -= 1
            raise _RefusedError("ConcurrentReferenceUpdateException")
        if self.hub.conflict:
            raise _RefusedError("ManualMergeRequiredException")
        if pull.base in self.hub.protected:
            raise _RefusedError("PullRequestApprovalRulesNotSatisfiedException")
        self.hub.merge(pull)
        return {"pullRequest": self.shown(pull)}

    MergePullRequestBySquash = MergePullRequestByFastForward = MergePullRequestByThreeWay

    def PostCommentForPullRequest(self, given: Any) -> Any:
        assert given["beforeCommitId"]
        assert given["afterCommitId"]
        self._find(given).comments.append(given["content"])
        return {}

    def CreatePullRequestApprovalRule(self, given: Any) -> Any:
        pull = self._find(given)
        rules = self.rules.setdefault(pull.number, {})
        if given["approvalRuleName"] in rules:
            raise _RefusedError("ApprovalRuleNameAlreadyExistsException")
        members = json.loads(given["approvalRuleContent"])["Statements"][0]["ApprovalPoolMembers"]
        if any(name not in self.hub.users for name in members):
            raise _RefusedError("InvalidApprovalRuleContentException")
        rules[given["approvalRuleName"]] = given["approvalRuleContent"]
        pull.reviewers += members
        return {}

    def GetBranch(self, given: Any) -> Any:
        name = given["branchName"]
        if name not in self.hub.branches:
            raise _RefusedError("BranchDoesNotExistException")
        return {"branch": {"branchName": name, "commitId": self.hub.branches[name]}}

    def DeleteBranch(self, given: Any) -> Any:
        self.hub.branches.pop(given["branchName"], None)
        return {}

    def shown(self, pull: Pull) -> dict[str, Any]:
        merged = {"mergeMetadata": {"isMerged": True, "mergeCommitId": pull.merge_commit}} if pull.merge_commit else {}
        target = {
            "repositoryName": "config",
            "sourceReference": f"refs/heads/{pull.branch}",
            "destinationReference": f"refs/heads/{pull.base}",
            "sourceCommit": pull.head,
            "destinationCommit": self.hub.branches.get(pull.base, ""),
        }
        return {
            "pullRequestId": str(pull.number),
            "title": pull.title,
            "description": pull.body,
            "lastActivityDate": datetime.fromisoformat(pull.updated).timestamp(),
            "pullRequestStatus": _STATUS.get(pull.state, "CLOSED"),
            "authorArn": f"arn:aws:iam::123456789012:user/{pull.author}",
            "pullRequestTargets": [target | merged],
            "approvalRules": [
                {"approvalRuleName": name, "approvalRuleContent": rule}
                for name, rule in self.rules.get(pull.number, {}).items()
            ],
        }

    def _change(self, given: Any, field: str, value: str) -> Any:
        pull = self._find(given)
        if pull.state != "open":
            raise _RefusedError("PullRequestAlreadyClosedException")
        setattr(pull, field, value)
        return {"pullRequest": self.shown(self.hub.touch(pull))}

    def _find(self, given: Any) -> Pull:
        pull = self.hub.find(given["pullRequestId"])
        if pull is None:
            raise _RefusedError("PullRequestDoesNotExistException")
        return pull


class _RefusedError(Exception):
    """The code that the service refuses with."""
