"""Private Amazon ECR, written: an image put again under another tag, and tags taken away.

A tag moves by PutImage with the very manifest and media type that the registry holds, so an index stays an index.
BatchDeleteImage with a tag takes that tag away, and the image with it when it was the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.ecr import MAX_IDS, MEDIA_TYPES
from gitcd.registry.faults import clean, code_of, explain_missing
from gitcd.registry.image_documents import EcrDocuments
from gitcd.registry.mutability import Mutability
from gitcd.registry.route import Target, find_target

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_ecr import ECRClient


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is, as the registry holds it. `home` is its repository with the host name of the registry."""

    digest: str
    text: str
    media_type: str
    home: Repository


class EcrTags(EcrDocuments):
    """A registry whose tags can be written. Methods answer with a Failure where ECR refuses.

    Each raises ConfigError where there are no usable AWS credentials, or no region. `closing` tells those who write
    many tags to begin with no further one.
    """

    closing = False

    def find(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        """Like `look_up`, for any number of tags and digests."""
        answers: dict[str, Answer] = {}
        for batch in _batches(ids):
            answers |= self.look_up(repository, batch)
        return answers

    def manifests(self, repository: Repository, digests: Sequence[str]) -> dict[str, Manifest | Failure]:
        """The manifests of images, by digest."""
        target = find_target(repository, self._settings)
        found: dict[str, Manifest | Failure] = {}
        for batch in _batches(digests):
            answer = target if isinstance(target, Failure) else self._run(target, partial(self._get, target, batch))
            found |= dict.fromkeys(batch, answer) if isinstance(answer, Failure) else answer
        return found

    def configuration(self, repository: Repository, digest: str) -> Mapping[str, Any] | Failure:
        """The configuration of a single-platform image, by the digest that its manifest names."""
        target = find_target(repository, self._settings)
        if isinstance(target, Failure):
            return target
        return self._run(target, partial(self._configuration, target, digest))

    def put(self, repository: Repository, manifest: Manifest, tag: str) -> Failure | None:
        """Let the tag name this image; None: it does. That it did before is no failure."""
        target = find_target(repository, self._settings)
        if isinstance(target, Failure):
            return target
        return self._run(target, partial(self._put, target, manifest, tag))

    def remove(self, repository: Repository, tags: Sequence[str]) -> dict[str, str | Failure]:
        """Take tags away, and with its last tag the image.

        Each answer is the digest that the tag was taken off; empty: it was not there any more.
        """
        target = find_target(repository, self._settings)
        done: dict[str, str | Failure] = {}
        for batch in _batches(tags):
            answer = target if isinstance(target, Failure) else self._run(target, partial(self._remove, target, batch))
            done |= dict.fromkeys(batch, answer) if isinstance(answer, Failure) else answer
        return done

    def irremovable(self, repository: Repository) -> Failure | None:  # noqa: ARG002 - others than ECR differ by it
        """Why no tag of a repository can be taken away; None where it can."""
        return None

    def images(self, repository: Repository) -> Iterator[Image | Failure]:
        """All images that have a tag, page by page in the registry's order; a failure is the last that comes."""
        token = ""
        while not self.closing:
            page = self.images_from(repository, token)
            if isinstance(page, Failure):
                yield page
                return
            images, following = page
            yield from images
            if not following:
                return
            if following == token:
                yield Failure("MalformedAnswer", f"the pages of {repository} come to no end", transient=True)
                return
            token = following

    def mutability(self, repository: Repository) -> Mutability | Failure:
        """Whether the repository lets tags move."""
        target = find_target(repository, self._settings)
        return target if isinstance(target, Failure) else self._run(target, partial(self._mutability, target))

    def caller(self, repository: Repository) -> str | Failure:
        """The Amazon Resource Name of whoever asks this repository."""
        target = find_target(repository, self._settings)
        if isinstance(target, Failure):
            return target
        return self._run(target, lambda _client: self._clients.caller(target.route))

    def _get(self, target: Target, digests: Sequence[str], client: ECRClient) -> dict[str, Manifest | Failure]:
        answer = self._call(client.batch_get_image, "images", target, digests, acceptedMediaTypes=MEDIA_TYPES)
        found: dict[str, Manifest | Failure] = {}
        for failure in answer.get("failures") or ():
            name = str((failure.get("imageId") or {}).get("imageDigest", ""))
            code, reason = str(failure.get("failureCode", "")), str(failure.get("failureReason", ""))
            found[name] = explain_missing(name, code, reason, target)
        region = str(client.meta.region_name)
        for image in answer["images"]:
            digest = str((image.get("imageId") or {}).get("imageDigest", ""))
            home = target.home(str(image.get("registryId", "")), region)
            text, media_type = str(image.get("imageManifest", "")), str(image.get("imageManifestMediaType", ""))
            found[digest] = Manifest(digest, text, media_type, home)
        return {digest: found.get(digest) or _passed_over(digest, target) for digest in digests}

    def _put(self, target: Target, manifest: Manifest, tag: str, client: ECRClient) -> Failure | None:
        from botocore.exceptions import ClientError

        media_type: dict[str, Any] = {"imageManifestMediaType": manifest.media_type} if manifest.media_type else {}
        try:
            self._request(
                client.put_image, "image", target,
                repositoryName=target.repository.path, imageManifest=manifest.text, imageTag=tag,
                imageDigest=manifest.digest, **media_type,
            )  # fmt: skip
        except client.exceptions.ImageAlreadyExistsException:
            return None
        except client.exceptions.ImageTagAlreadyExistsException:
            return self._immutable(target, tag)
        except ClientError as error:
            if failure := _unputtable(error, target, tag):
                return failure
            raise
        return None

    def _immutable(self, target: Target, tag: str) -> Failure:
        """The tag may not move: name the setting that says so, where that can be read."""
        mutability = self.mutability(target.repository)
        return immutable(target.repository, tag, mutability if isinstance(mutability, Mutability) else None)

    def _remove(self, target: Target, tags: Sequence[str], client: ECRClient) -> dict[str, str | Failure]:
        answer = self._call(client.batch_delete_image, "imageIds", target, tags)
        done: dict[str, str | Failure] = dict.fromkeys(tags, "")
        for image in answer["imageIds"]:
            done[str(image.get("imageTag", ""))] = str(image.get("imageDigest", ""))
        for failure in answer.get("failures") or ():
            tag = str((failure.get("imageId") or {}).get("imageTag", ""))
            code, reason = str(failure.get("failureCode", "")), str(failure.get("failureReason", ""))
            if code != "ImageNotFound":
                done[tag] = _unremovable(tag, code, reason, target)
        return done

    def _mutability(self, target: Target, client: ECRClient) -> Mutability | Failure:
        names = [target.repository.path]
        answer = self._request(client.describe_repositories, "repositories", target, repositoryNames=names)
        if not answer["repositories"]:
            return Failure("MalformedAnswer", f"ECR did not describe {target.repository}", transient=True)
        found = answer["repositories"][0]
        filters = found.get("imageTagMutabilityExclusionFilters") or ()
        return Mutability(str(found.get("imageTagMutability", "")), tuple(str(each.get("filter")) for each in filters))


def immutable(repository: Repository, tag: str, mutability: Mutability | None) -> Failure:
    """Why a tag that names another image cannot move."""
    message = f"{repository} does not let the tag {tag} move: "
    if mutability is None:
        message += "its tags are immutable"
    elif mutability.filters:
        excluded = "it matches none of" if mutability.setting.startswith("IMMUTABLE") else "it matches one of"
        message += f"its tag mutability is {mutability.setting}, and {excluded} {', '.join(mutability.filters)}"
    else:
        message += f"its tag mutability is {mutability}"
    remedy = "take a tag that is not used yet, or let this one move by an exclusion filter of the repository's setting"
    return Failure("ImmutableTag", message, f"{remedy} (aws ecr put-image-tag-mutability)")


def _unputtable(error: ClientError, target: Target, tag: str) -> Failure | None:
    """What PutImage alone refuses."""
    name, message = target.repository, clean(error.response.get("Error", {}).get("Message", ""))
    match code_of(error):
        case "LimitExceededException":
            remedy = "take tags away that nobody needs, or ask AWS for a higher quota"
            return Failure("LimitExceeded", f"{name} takes no further tag {tag}: {message}", remedy)
        case "ReferencedImagesNotFoundException" | "LayersNotFoundException":
            remedy = "push the whole image again"
            return Failure("ImageIncomplete", f"{name} lacks parts of the image for the tag {tag}: {message}", remedy)
        case "ImageDigestDoesNotMatchException":
            what = f"{name} handed out another manifest than the one it holds, and refused it for the tag {tag}"
            return Failure("ManifestChanged", f"{what}: {message}", "push the image again")
        case _:
            return None


def _unremovable(tag: str, code: str, reason: str, target: Target) -> Failure:
    name = target.repository
    if code == "ImageReferencedByManifestList":
        message = f"{name} keeps the tag {tag}: it is the last one of an image that belongs to a multi-platform image"
        return Failure(code, message, "remove the multi-platform image first, or give this image another tag")
    return explain_missing(tag, code, reason, target)


def _passed_over(digest: str, target: Target) -> Failure:
    return Failure("MalformedAnswer", f"{target.repository} did not hand out {digest}", transient=True)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), MAX_IDS):
        yield ids[start : start + MAX_IDS]
