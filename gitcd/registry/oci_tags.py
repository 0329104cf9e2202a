"""Registries other than ECR, written: an image put again under another tag.

A tag moves by putting the very bytes and media type that the registry holds for the digest. Source: "Pushing manifests"
of the OCI distribution specification.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.listing import Listings
from gitcd.registry.mutability import Mutability
from gitcd.registry.oci import CREATED, OK, explain
from gitcd.registry.oci_http import UnreachedError
from gitcd.registry.oci_images import OciImages
from gitcd.registry.tags import Manifest

_MOST = 1000  # tags whose images are asked for one by one, to list them
_METHOD_NOT_ALLOWED, _CONFLICT, _PRECONDITION_FAILED = 405, 409, 412


class OciTags(OciImages):
    """Registries whose tags can be written. Methods answer with a Failure where the registry refuses."""

    look_up = OciImages.plain_look_up

    def manifests(self, repository: Repository, digests: Sequence[str]) -> dict[str, Manifest | Failure]:
        """The manifests of images, by digest."""
        return {digest: self._attempt(partial(self._get, repository, digest)) for digest in digests}

    def configuration(self, repository: Repository, digest: str) -> Mapping[str, Any] | Failure:
        """The configuration of a single-platform image, by the digest that its manifest names."""
        return self._attempt(lambda: self._blob(repository, digest))

    def put(self, repository: Repository, manifest: Manifest, tag: str) -> Failure | None:
        """Let the tag name this image; None: it does."""
        return self._attempt(lambda: self._put(repository, manifest, tag))

    def images(self, repository: Repository) -> Iterator[Image | Failure]:
        """All images that have a tag, each asked for by every one of its tags."""
        candidates = Listings(self).candidates(repository)
        if isinstance(candidates, Failure):
            yield candidates
            return
        if len(candidates) > _MOST:
            message = f"{repository} has {len(candidates)} tags, and each would have to be asked for by itself"
            yield Failure("TooManyTags", message, f"list those of repositories with at most {_MOST} tags")
            return
        found: defaultdict[str, list[Image]] = defaultdict(list)
        for answer in self.look_up(repository, [each.tag for each in candidates]).values():
            if isinstance(answer, Failure):
                yield answer
                return
            found[answer.digest].append(answer)
        for images in found.values():
            yield replace(images[0], tags=tuple(sorted(tag for image in images for tag in image.tags)), partial=False)

    def mutability(self, repository: Repository) -> Mutability | Failure:
        """Whether the repository lets tags move: no such registry tells."""
        return Failure("MutabilityUnknown", f"{repository.registry} does not say which tags may move")

    def irremovable(self, repository: Repository) -> Failure:
        """Why no tag is taken away: most registries delete the image with all its tags, or nothing at all."""
        return Failure(
            "TagsNotRemovable",
            f"{repository} is not private ECR: the distribution protocol deletes an image with all of its tags, and "
            "few registries take a single tag away",
            "remove the tag in the registry's own console, or let its retention rules do it",
        )

    def _get(self, repository: Repository, digest: str) -> Manifest:
        document = self.document(repository, digest)
        try:
            text = document.data.decode()
            media_type = document.media_type or str(json.loads(text).get("mediaType", ""))
        except (ValueError, AttributeError, RecursionError):
            message = f"what {repository} says of {digest} cannot be read"
            raise UnreachedError(Failure("MalformedAnswer", message, "push the image again")) from None
        return Manifest(document.digest, text, media_type, repository)

    def _put(self, repository: Repository, manifest: Manifest, tag: str) -> Failure | None:
        headers = {"Content-Type": manifest.media_type}
        data = manifest.text.encode()
        reply = self.request("PUT", repository, f"manifests/{tag}", headers, data, push=True)
        if reply.status in {OK, CREATED}:
            return None
        if reply.status in {_CONFLICT, _PRECONDITION_FAILED}:
            said = explain(reply, repository, tag).message
            message = f"{repository} does not let the tag {tag} move: {said}"
            return Failure("ImmutableTag", message, "take a tag that is not used yet")
        if reply.status == _METHOD_NOT_ALLOWED:
            message = f"{repository} takes no images: it is a mirror, or read-only"
            return Failure("RegistryReadOnly", message, "name the registry that it mirrors")
        failure = explain(reply, repository, tag, anonymous=self._gate(repository).anonymous)
        if failure.reason == "AccessDenied":
            remedy = f"`docker login {repository.registry}` as somebody who may push"
            return replace(failure, message=f"{failure.message} (to push the tag {tag})", remedy=remedy)
        return failure
