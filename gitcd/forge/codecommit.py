"""AWS CodeCommit, by boto3. Source: its API reference."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from gitcd import __version__, redact
from gitcd.forge.adapter import Adapter, reading, text
from gitcd.forge.failures import ForgeError, refusal
from gitcd.model.pull import (
    Capability,
    Limits,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    Trouble,
)

_ATTEMPTS = 5
_MOST_PULLS = 100  # described one by one, as no list says more than their ids
_RULE = "gitcd reviewers"
_METHODS = {
    MergeMethod.MERGE: "merge_pull_request_by_three_way",
    MergeMethod.SQUASH: "merge_pull_request_by_squash",
    MergeMethod.REBASE: "merge_pull_request_by_fast_forward",
}
_TROUBLES = {
    "TipOfSourceReferenceIsDifferentException": Trouble.HEAD_MOVED,
    "ManualMergeRequiredException": Trouble.CONFLICT,
    "ConcurrentReferenceUpdateException": Trouble.TRANSIENT,
    "PullRequestApprovalRulesNotSatisfiedException": Trouble.BLOCKED,
    "AccessDeniedException": Trouble.FORBIDDEN,
    "ExpiredTokenException": Trouble.FORBIDDEN,
    "UnrecognizedClientException": Trouble.FORBIDDEN,
    "InvalidSignatureException": Trouble.FORBIDDEN,
    "Throttling": Trouble.RATE_LIMITED,
    "ThrottlingException": Trouble.RATE_LIMITED,
    "TooManyRequestsException": Trouble.RATE_LIMITED,
    "RequestLimitExceeded": Trouble.RATE_LIMITED,
}
_SERVER_ERROR = 500


class CodeCommit(Adapter):
    kind = "CodeCommit"
    capabilities = frozenset({Capability.REVIEWERS, Capability.MERGE_GUARD})
    limits = Limits(title=150, body=10_239, hides_comments=False)
    takes_duplicates = True

    def __init__(self, repository: str, region: str, endpoint: str = "") -> None:
        """`endpoint` is asked instead of AWS where it is given."""
        self.repository = repository
        self._region = region
        self._endpoint = endpoint
        self._sent = [0, 0]

    @property
    def traffic(self) -> tuple[int, int]:
        return self._sent[0], self._sent[1]

    def open_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, "OPEN")

    def closed_pulls(self, branch: str, base: str) -> Iterator[PullRequest]:
        return self._list(branch, base, "CLOSED")

    def get(self, number: str) -> PullRequest:
        return _pull(self._describe(number), self._console)

    def create(self, branch: str, base: str, content: PullContent) -> PullRequest:
        """The token makes a repeated request answer with the first one's result, even if that was closed since."""
        target = {"repositoryName": self.repository, "sourceReference": branch, "destinationReference": base}
        wanted = {"title": content.title, "description": content.body, "targets": [target]}
        plan = json.dumps([wanted, self.head_of(branch)], sort_keys=True).encode()
        for token in (hashlib.sha256(plan).hexdigest(), secrets.token_hex(32)):
            made = self._call("create_pull_request", **wanted, clientRequestToken=token)["pullRequest"]
            if made["pullRequestStatus"] == "OPEN":
                return _pull(made, self._console)
        raise refusal(Trouble.REFUSED, f"{self.kind} opened no pull request from {branch} to {base}")

    def edit(self, pull: PullRequest, *, title: str | None, body: str | None) -> PullRequest:
        made: Any = None
        if title is not None:
            made = self._call("update_pull_request_title", pullRequestId=pull.id, title=title)
        if body is not None:
            made = self._call("update_pull_request_description", pullRequestId=pull.id, description=body)
        return _pull(made["pullRequest"], self._console)

    def comment(self, pull: PullRequest, text: str) -> None:
        target = self._describe(pull.id)["pullRequestTargets"][0]
        commits = {"beforeCommitId": target["destinationCommit"], "afterCommitId": target["sourceCommit"]}
        token = hashlib.sha256(f"{pull.id} {commits} {text}".encode()).hexdigest()
        self._call(
            "post_comment_for_pull_request",
            pullRequestId=pull.id,
            repositoryName=self.repository,
            content=text,
            clientRequestToken=token,
            **commits,
        )

    def close(self, pull: PullRequest) -> None:
        self._call("update_pull_request_status", pullRequestId=pull.id, pullRequestStatus="CLOSED")

    def merge(self, pull: PullRequest, head: str, method: MergeMethod) -> None:
        self._call(_METHODS[method], pullRequestId=pull.id, repositoryName=self.repository, sourceCommitId=head)

    def request_reviews(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Reviewers are a rule here: one of them must approve. New commits take approvals back by themselves."""
        statement = {"Type": "Approvers", "NumberOfApprovalsNeeded": 1, "ApprovalPoolMembers": list(reviewers)}
        rule = json.dumps({"Version": "2018-11-08", "Statements": [statement]})
        try:
            self._call(
                "create_pull_request_approval_rule",
                pullRequestId=pull.id,
                approvalRuleName=_RULE,
                approvalRuleContent=rule,
            )
        except ForgeError as error:
            if error.code != "ApprovalRuleNameAlreadyExistsException":
                raise

    def head_of(self, branch: str) -> str:
        try:
            return text(
                self._call("get_branch", repositoryName=self.repository, branchName=branch)["branch"]["commitId"]
            )
        except ForgeError as error:
            if error.code == "BranchDoesNotExistException":
                return ""
            raise

    def delete_branch(self, branch: str) -> None:
        self._call("delete_branch", repositoryName=self.repository, branchName=branch)

    def _list(self, branch: str, base: str, status: str) -> Iterator[PullRequest]:
        numbers: list[str] = []
        following: dict[str, str] = {}
        while len(numbers) < _MOST_PULLS:
            page = self._call(
                "list_pull_requests", repositoryName=self.repository, pullRequestStatus=status, **following
            )
            numbers += page["pullRequestIds"]
            if not page.get("nextToken"):
                break
            following = {"nextToken": page["nextToken"]}
        for number in sorted(numbers, key=int, reverse=True):
            pull = self.get(number)
            if pull.base == base and branch in {"", pull.branch}:
                yield pull

    def _describe(self, number: str) -> Any:
        return self._call("get_pull_request", pullRequestId=number)["pullRequest"]

    def _call(self, operation: str, **given: object) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        self._sent[0] += 1
        self._sent[1] += not operation.startswith(("get_", "list_"))
        try:
            return getattr(self._client, operation)(**given)
        except ClientError as error:
            raise _refused(error, self.kind) from None
        except BotoCoreError as error:
            raise _unreached(error, self.kind) from None

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=5,
            read_timeout=20,
            user_agent_extra=f"gitcd/{__version__}",
        )
        return boto3.Session().client(
            "codecommit", region_name=self._region, endpoint_url=self._endpoint or None, config=config
        )

    @property
    def _console(self) -> str:
        place = f"codesuite/codecommit/repositories/{self.repository}/pull-requests"
        return f"https://{self._region}.console.aws.amazon.com/{place}"


@reading
def _pull(said: Mapping[str, Any], console: str) -> PullRequest:
    target = said["pullRequestTargets"][0]
    merge = target.get("mergeMetadata") or {}
    is_open = said["pullRequestStatus"] == "OPEN"
    state = PullState.MERGED if merge.get("isMerged") else PullState.OPEN if is_open else PullState.CLOSED
    when: datetime | None = said.get("lastActivityDate")
    return PullRequest(
        id=str(said["pullRequestId"]),
        url=f"{console}/{said['pullRequestId']}",
        state=state,
        title=said["title"],
        body=text(said.get("description")),
        branch=target["sourceReference"].removeprefix("refs/heads/"),
        base=target["destinationReference"].removeprefix("refs/heads/"),
        head=text(target.get("sourceCommit")),
        author=text(said.get("authorArn")),
        reviewers=tuple(_approvers(said)),
        merge_commit=text(merge.get("mergeCommitId")),
        closed_at=None if is_open else when,
    )


def _approvers(said: Mapping[str, Any]) -> Iterator[str]:
    for rule in said.get("approvalRules") or []:
        for statement in json.loads(rule["approvalRuleContent"])["Statements"]:
            yield from statement.get("ApprovalPoolMembers") or []


def _refused(error: Any, kind: str) -> ForgeError:
    """What botocore's ClientError says; attempts that are worth repeating were repeated by botocore."""
    said = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = text(said.get("Code"))
    message = redact.clean(" ".join(text(said.get("Message")).split()))
    about = f"{kind} refused {error.operation_name} ({code}): {message}"
    trouble = _TROUBLES.get(code) or (
        Trouble.NOT_FOUND
        if code.endswith("DoesNotExistException")
        else Trouble.TRANSIENT
        if status >= _SERVER_ERROR
        else Trouble.REFUSED
    )
    remedy = f"allow codecommit:{error.operation_name}" if trouble is Trouble.FORBIDDEN else ""
    made = refusal(trouble, about, remedy, status=status)
    made.code = code
    made.unclear = status >= _SERVER_ERROR
    return made


def _unreached(error: Exception, kind: str) -> ForgeError:
    from botocore import exceptions as boto

    message = f"{kind} cannot be asked: {redact.clean(' '.join(str(error).split()))}"
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ProfileNotFound):
        return refusal(Trouble.FORBIDDEN, message, "give AWS credentials, as for ECR")
    failed = refusal(Trouble.TRANSIENT, message, "check the network, then run again")
    failed.unclear = True
    return failed
