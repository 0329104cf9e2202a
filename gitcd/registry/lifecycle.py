"""What the lifecycle policy of an ECR repository is about to do, by ECR's own preview of it.

A preview is made on request and takes seconds. It changes no image; it replaces the repository's last preview.

Source: StartLifecyclePolicyPreview and GetLifecyclePolicyPreview in the Amazon ECR API reference.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.registry.ecr import Ecr
from gitcd.registry.faults import clean
from gitcd.registry.route import Target, find_target

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_PAGE = 100  # the most results that ECR gives at once
_MAX_PAGES = 500
_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 3.0
_RUNNING = "IN_PROGRESS"
_COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class Loss:
    """An image that a rule would expire, or move to the archive, from where it cannot be pulled."""

    digest: str
    tags: tuple[str, ...]
    rule: int
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of the images that were asked about. Without a policy nothing does."""

    has_policy: bool
    losses: tuple[Loss, ...] = ()


class EcrLifecycle(Ecr):
    """A registry whose lifecycle policies can be previewed."""

    def preview(self, repository: Repository, wanted: Collection[str], deadline: float) -> Preview | Failure:
        """Preview the policy that is in force. `wanted` are the digests and tags of the images that matter.

        `deadline` is a moment of `time.monotonic()`; a preview that is not there by then is a transient failure.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        target = find_target(repository, self._settings)
        if isinstance(target, Failure):
            return target
        return self._run(target, partial(self._preview, target, frozenset(wanted), deadline))

    def _preview(self, target: Target, wanted: frozenset[str], deadline: float, client: ECRClient) -> Preview | Failure:
        pauses = _pauses(deadline)
        try:
            while not self._start(target, client):
                if next(pauses, None) is None:
                    return _late(target)
        except client.exceptions.LifecyclePolicyNotFoundException:
            return Preview(has_policy=False)
        while (page := self._page(target, client))["status"] == _RUNNING:
            if next(pauses, None) is None:
                return _late(target)
        if page["status"] != _COMPLETE:
            return Failure("PreviewFailed", f"ECR could not preview the lifecycle policy of {target.repository}: "
                           f"{clean(page['status'])}", "look at the policy, and run again")  # fmt: skip
        return self._read(target, wanted, page, client)

    def _start(self, target: Target, client: ECRClient) -> bool:
        """Ask for a preview; False: somebody else's is being made, maybe of another policy."""
        name = target.repository.path
        try:
            self._request(client.start_lifecycle_policy_preview, "status", target, repositoryName=name)
        except client.exceptions.LifecyclePolicyPreviewInProgressException:
            return False
        return True

    def _page(self, target: Target, client: ECRClient, token: str = "") -> Mapping[str, Any]:
        more = {"nextToken": token} if token else {}
        name = target.repository.path
        method = client.get_lifecycle_policy_preview
        return self._request(method, "status", target, repositoryName=name, maxResults=_PAGE, **more)

    def _read(
        self, target: Target, wanted: frozenset[str], page: Mapping[str, Any], client: ECRClient
    ) -> Preview | Failure:
        losses: list[Loss] = []
        for _ in range(_MAX_PAGES):
            losses += _losses(page.get("previewResults") or (), wanted)
            token = str(page.get("nextToken") or "")
            if not token:
                return Preview(has_policy=True, losses=tuple(losses))
            page = self._page(target, client, token)
        message = f"the lifecycle policy of {target.repository} concerns more than {_PAGE * _MAX_PAGES} images"
        return Failure("PreviewTooLong", f"{message}; the rest of its preview was not read", "look at the policy")


def _losses(results: Iterable[Mapping[str, Any]], wanted: frozenset[str]) -> Iterator[Loss]:
    for each in results:
        digest, tags = str(each.get("imageDigest", "")), tuple(map(str, each.get("imageTags") or ()))
        if not wanted.isdisjoint({digest, *tags}):
            action, rule = (each.get("action") or {}).get("type"), each.get("appliedRulePriority")
            yield Loss(digest, tags, rule if isinstance(rule, int) else 0, archived=action == "TRANSITION")


def _pauses(deadline: float) -> Iterator[float]:
    """Wait, longer each time, as often as there is time for it."""
    pause = _FIRST_PAUSE
    while time.monotonic() + pause < deadline:
        time.sleep(pause)
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)


def _late(target: Target) -> Failure:
    message = f"ECR had no preview of the lifecycle policy of {target.repository} ready in time"
    return Failure("PreviewLate", message, "run again", transient=True)
