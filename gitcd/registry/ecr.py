"""Private Amazon ECR: tag or digest → digest, all its tags, time of push.

One DescribeImages answers for up to 100 ids, but fails as a whole when one of them is missing. Only then BatchGetImage
names the missing ones, and DescribeImages is asked again for the rest: one call when all exist, three at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from gitcd.model.reference import Repository, is_digest, is_tag
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.clients import Clients
from gitcd.registry.faults import EXPIRED, MalformedAnswerError, clean, code_of, explain, explain_missing, parsing
from gitcd.registry.route import Target, find_target
from gitcd.registry.settings import RegistrySettings

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_T = TypeVar("_T")
MAX_IDS = 100
_EPOCH = datetime.fromtimestamp(0, UTC)
# Without these, BatchGetImage may answer with another manifest than the one stored.
MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)


class Ecr:
    """The registry of one run. `calls` counts the requests made, retries not counted. Safe to share by threads."""

    def __init__(self, settings: RegistrySettings | None = None) -> None:
        self._settings = settings or RegistrySettings()
        self._clients = Clients(self._settings.profile)
        self._lock = Lock()
        self.calls = 0

    def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        """Ask one repository about tags and digests, at most `MAX_IDS` of them; each gets an answer.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        target = find_target(repository, self._settings)
        if isinstance(target, Failure):
            return dict.fromkeys(ids, target)
        answers = self._run(target, lambda client: self._look_up(client, target, ids))
        if isinstance(answers, Failure):
            return dict.fromkeys(ids, answers)
        return {identifier: answers.get(identifier) or _unanswered(identifier, target) for identifier in ids}

    def _run(self, target: Target, work: Callable[[ECRClient], _T], *, again: bool = True) -> _T | Failure:
        """Run the calls; once more, with fresh credentials, when these have expired, or when an answer is garbled."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = None
        try:
            client = self._clients.get(target.route)
            return work(client)
        except (BotoCoreError, ClientError, MalformedAnswerError) as error:
            if client and again and self._worth_repeating(error, client, target):
                return self._run(target, work, again=False)
            return explain(error, target, source=self._clients.credential_source)

    def _worth_repeating(self, error: Exception, client: ECRClient, target: Target) -> bool:
        if code_of(error) in EXPIRED:
            return self._clients.renew(target.route, client)
        return isinstance(error, MalformedAnswerError)

    def _look_up(self, client: ECRClient, target: Target, ids: Sequence[str]) -> dict[str, Answer]:
        found = self._describe(client, target, ids)
        return self._sort_out(client, target, ids) if found is None else found

    def _sort_out(self, client: ECRClient, target: Target, ids: Sequence[str]) -> dict[str, Answer]:
        """Some id is missing: find out which, and ask about the others."""
        missing = self._missing(client, target, ids)
        rest = [identifier for identifier in ids if identifier not in missing]
        found = self._describe(client, target, rest) if rest else {}
        return missing | (dict.fromkeys(rest, _changed(target)) if found is None else found)

    def _describe(self, client: ECRClient, target: Target, ids: Iterable[str]) -> dict[str, Answer] | None:
        """The images of all these ids; None when one of them is missing."""
        try:
            answer = self._call(client.describe_images, "imageDetails", target, ids)
        except client.exceptions.ImageNotFoundException:
            return None
        return _read_images(answer["imageDetails"], target)

    def _missing(self, client: ECRClient, target: Target, ids: Iterable[str]) -> dict[str, Answer]:
        answer = self._call(client.batch_get_image, "failures", target, ids, acceptedMediaTypes=MEDIA_TYPES)
        missing: dict[str, Answer] = {}
        for failure in answer["failures"]:
            image = failure.get("imageId") or {}
            identifier = str(image.get("imageTag") or image.get("imageDigest") or "")
            code, reason = str(failure.get("failureCode", "")), str(failure.get("failureReason", ""))
            missing[identifier] = explain_missing(identifier, code, reason, target)
        # ECR names every missing id; moto passes digests over in silence.
        there = {(image.get("imageId") or {}).get("imageDigest") for image in answer.get("images") or ()}
        passed_over = [each for each in ids if is_digest(each) and each not in there and each not in missing]
        return missing | {each: explain_missing(each, "ImageNotFound", "", target) for each in passed_over}

    def _call(
        self, method: Callable[..., Any], key: str, target: Target, ids: Iterable[str], **more: object
    ) -> Mapping[str, Any]:
        images = [_image_id(identifier) for identifier in ids]
        return self._request(method, key, target, repositoryName=target.repository.path, imageIds=images, **more)

    def _request(self, method: Callable[..., Any], key: str, target: Target, **arguments: object) -> Mapping[str, Any]:
        """Make one request; the answer holds something under `key`. A body cut short reaches us as one without it."""
        with self._lock:
            self.calls += 1
        account = {"registryId": target.account} if target.account else {}
        with parsing():
            answer: Mapping[str, Any] = method(**account, **arguments)
        if not isinstance(answer.get(key), list | dict | str):
            raise MalformedAnswerError(f"it has no {key}")
        return answer


def _image_id(identifier: str) -> dict[str, str]:
    return {"imageDigest": identifier} if is_digest(identifier) else {"imageTag": identifier}


def _read_images(details: Iterable[Mapping[str, Any]], target: Target) -> dict[str, Answer]:
    """Answers under every name that the registry gave: the digest, and each tag."""
    answers: dict[str, Answer] = {}
    for detail in details:
        image = read_image(detail, target)
        names = [detail.get("imageDigest"), *(detail.get("imageTags") or ())]
        for name in filter(None, map(str, names)):
            twice = name in answers and answers[name] != image
            answers[name] = _contradiction(name, target) if twice else image
    return answers


def read_image(detail: Mapping[str, Any], target: Target) -> Answer:
    digest = str(detail.get("imageDigest", ""))
    if not is_digest(digest):
        message = f"{target.repository} answered with {clean(digest)!r}, which is no sha256 digest"
        return Failure("InvalidDigest", message)
    pushed_at, size = detail.get("imagePushedAt"), detail.get("imageSizeInBytes")
    return Image(
        digest,
        tags=tuple(sorted(tag for tag in map(str, detail.get("imageTags") or ()) if is_tag(tag))),
        pushed_at=pushed_at.astimezone(UTC) if isinstance(pushed_at, datetime) and pushed_at >= _EPOCH else None,
        size=size if isinstance(size, int) else None,
        media_type=str(detail.get("imageManifestMediaType", "")),
        archived=detail.get("imageStatus") == "ARCHIVED",
    )


def _unanswered(identifier: str, target: Target) -> Failure:
    message = f"{target.repository} gave no answer for {identifier}, neither an image nor an error"
    return Failure("MalformedAnswer", message, transient=True)


def _contradiction(name: str, target: Target) -> Failure:
    return Failure("MalformedAnswer", f"{target.repository} named two images for {clean(name)}", transient=True)


def _changed(target: Target) -> Failure:
    message = f"images of {target.repository} were removed while it was asked"
    return Failure("AnswerChanged", message, "run again", transient=True)
