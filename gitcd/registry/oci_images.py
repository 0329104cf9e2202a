"""What images of other registries than ECR say of themselves, and which tags there are.

Labels stand in the configuration of an image, a blob beside its layers. Sources: the OCI image and distribution
specifications.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

from gitcd.model.evidence import Inspection, Scan, Signing
from gitcd.model.reference import Repository, is_digest, is_tag
from gitcd.model.registry import Answer, Candidate, Failure, Image
from gitcd.registry.label_memory import LabelMemory
from gitcd.registry.labels import ImageSource, first_image, read_source
from gitcd.registry.listing import Page
from gitcd.registry.oci import NOT_FOUND, OK, Oci, not_allowed
from gitcd.registry.oci_http import Reply, UnreachedError
from gitcd.registry.settings import RegistrySettings
from gitcd.web import origin

_VERSION = "org.opencontainers.image.version"
_LARGEST = 1 << 20  # bytes of a configuration
_PAGE = 1000  # the most that the distribution project's own registry gives at once
_LINK = re.compile(r"<([^<>]*+)>([^<]*+)")
_NEXT = re.compile(r';\s*+rel\s*+=\s*+"?next\b', re.IGNORECASE)


class OciImages(Oci):
    """Registries of which a run asks more than digests. Safe to share by threads."""

    def __init__(self, settings: RegistrySettings | None = None, memory: LabelMemory | None = None) -> None:
        super().__init__(settings)
        self._memory = memory or LabelMemory()

    def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        """Ask one repository about tags and digests; what a tag names also for the version that it says it is."""
        return self._each(repository, ids, self._labelled)

    def plain_look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        """The same without a version, for those who ask for nothing but names."""
        return super().look_up(repository, ids)

    def page(self, repository: Repository, token: str) -> Page | Failure:
        """One page of the tags; `token` is the address of a page, as the one before told it."""
        if not self._settings.allows(repository):
            return not_allowed(repository)
        return self._attempt(lambda: self._page(repository, token))

    def source(self, repository: Repository, digest: str) -> ImageSource | Failure:
        """The repository and revision that an image was built from, as it says itself."""
        return self._attempt(lambda: read_source(self._labels(repository, digest)))

    def inspect(self, inspection: Inspection) -> Scan | Signing | Failure:
        """What is known of an image's safety: nothing, as no such registry tells."""
        message = f"{inspection.repository.registry} tells neither findings of scans nor signatures; private ECR does"
        return Failure("EvidenceUnknown", message, "Take the gate away here, or copy the image to private ECR.")

    def _labelled(self, repository: Repository, name: str) -> Image:
        """The image with its version, which counts as one of its tags where the registry confirms that."""
        image = self._look(repository, name)
        label = "" if is_digest(name) else self._version(repository, image.digest)
        if not label or label in image.tags:
            return image
        there = self._names(repository, label, image.digest)
        return replace(image, label=label, tags=(*image.tags, label) if there else image.tags)

    def _names(self, repository: Repository, tag: str, digest: str) -> bool:
        """Whether a tag names this image, as far as can be known."""
        try:
            return self._look(repository, tag, explained=False).digest == digest
        except UnreachedError:
            return False

    def _version(self, repository: Repository, digest: str) -> str:
        """What an image says its version is; empty where that is nothing, or could be no tag."""
        known = self._memory.recall(repository, digest)
        if known is not None:
            return known
        label = str(self._labels(repository, digest).get(_VERSION, ""))
        label = label if is_tag(label) else ""
        self._memory.note(repository, digest, label)
        return label

    def _labels(self, repository: Repository, digest: str) -> Mapping[str, Any]:
        """The labels of an image, overlaid by the annotations of its manifests; of an index the first image speaks.

        Raises:
            UnreachedError: they cannot be read.
        """
        manifest = self._manifest(repository, digest)
        found = [manifest.get("annotations")]
        if child := first_image(manifest):
            manifest = self._manifest(repository, child)
            found.append(manifest.get("annotations"))
        config = manifest.get("config")
        name = str(config.get("digest", "")) if isinstance(config, dict) else ""
        if is_digest(name):
            settings = self._blob(repository, name).get("config")
            found.append(settings.get("Labels") if isinstance(settings, dict) else None)
        labels: dict[str, Any] = {}
        for each in reversed(found):
            labels |= each if isinstance(each, dict) else {}
        return labels

    def _manifest(self, repository: Repository, digest: str) -> Mapping[str, Any]:
        return _object(self.document(repository, digest).data, repository, digest)

    def _blob(self, repository: Repository, digest: str) -> Mapping[str, Any]:
        reply = self.request("GET", repository, f"blobs/{digest}", {}, limit=_LARGEST)
        if reply.status == NOT_FOUND:
            message = f"{repository} has an image without its configuration {digest}"
            raise UnreachedError(Failure("ImageIncomplete", message, "push the image again"))
        if reply.status != OK:
            raise self._refused(reply, repository, digest)
        if f"sha256:{hashlib.sha256(reply.data).hexdigest()}" != digest:
            message = f"{repository} handed out something else for {digest} than its digest says"
            raise UnreachedError(Failure("MalformedAnswer", message, "run again", transient=True))
        return _object(reply.data, repository, digest)

    def _page(self, repository: Repository, token: str) -> Page:
        reply = self.request("GET", repository, token or f"tags/list?n={_PAGE}", {"Accept": "application/json"})
        if reply.status != OK:
            raise self._refused(reply, repository)
        names = _object(reply.data, repository, "its tags").get("tags") or ()
        if not isinstance(names, list | tuple):
            raise UnreachedError(_malformed(repository, "the list of its tags"))
        tags = [name for name in names if isinstance(name, str) and is_tag(name)]
        return Page(tuple(map(Candidate, tags)), self._following(repository, reply))

    def _following(self, repository: Repository, reply: Reply) -> str:
        """The address of the next page: within the registry's own origin, where credentials may go."""
        links = _LINK.findall(reply.headers.get("link", ""))
        link = next((target for target, attributes in links if _NEXT.search(attributes)), None)
        if link is None:
            return ""
        try:
            address = str(urljoin(reply.url, link))
        except ValueError:
            address = ""
        if origin(address) is None or origin(address) != origin(self._gate(repository).transport.base):
            message = f"{repository} continues the list of its tags at another address, which is not asked"
            raise UnreachedError(Failure("PageRefused", message, "check the registry, and what stands before it"))
        return address


def _object(data: bytes, repository: Repository, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreachedError(_malformed(repository, what))
    return found


def _malformed(repository: Repository, what: str) -> Failure:
    return Failure("MalformedAnswer", f"what {repository} says of {what} cannot be read", "run again", transient=True)
