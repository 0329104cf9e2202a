"""Where an image was built from, as its builder wrote it down: in annotations of the manifest, else in labels.

Labels stand in the configuration of an image. Of a multi-platform image the first platform speaks for all. Source: the
annotations and the image configuration of the OCI image specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gitcd.model.reference import Repository, is_digest
from gitcd.model.registry import Failure
from gitcd.registry.evidence import EcrEvidence
from gitcd.registry.route import Target, find_target

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_SOURCE = "org.opencontainers.image.source"
_REVISION = "org.opencontainers.image.revision"
_LONGEST = 500  # characters of a label
_NOWHERE = "unknown"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The repository that an image was built from and the revision of it; empty: it does not say. Nobody checked."""

    repository: str = ""
    revision: str = ""

    def __bool__(self) -> bool:
        return bool(self.repository and self.revision)


class EcrLabels(EcrEvidence):
    """A registry that can also be asked where an image comes from. Safe to share by threads."""

    def source(self, repository: Repository, digest: str) -> ImageSource | Failure:
        """Ask about one image.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        target = find_target(repository, self._settings)
        return target if isinstance(target, Failure) else self._run(target, partial(self._source, target, digest))

    def _source(self, target: Target, digest: str, client: ECRClient) -> ImageSource | Failure:
        manifest = self._manifest(target, digest, client)
        if isinstance(manifest, Failure) or (found := read_source(manifest.get("annotations"))):
            return manifest if isinstance(manifest, Failure) else found
        if child := first_image(manifest):
            manifest = self._manifest(target, child, client)
            if isinstance(manifest, Failure) or (found := read_source(manifest.get("annotations"))):
                return manifest if isinstance(manifest, Failure) else found
        config = manifest.get("config")
        name = str(config.get("digest", "")) if isinstance(config, dict) else ""
        return self._of_config(target, name, client) if is_digest(name) else ImageSource()

    def _of_config(self, target: Target, digest: str, client: ECRClient) -> ImageSource | Failure:
        found = self._configuration(target, digest, client)
        if isinstance(found, Failure):
            return found
        settings = found.get("config")
        return read_source(settings.get("Labels") if isinstance(settings, dict) else None)


def first_image(manifest: Mapping[str, Any]) -> str:
    """The first image that an index binds, not what builders note beside images; empty where there is none."""
    children = manifest.get("manifests")
    for child in children if isinstance(children, list) else ():
        platform = child.get("platform") if isinstance(child, dict) else None
        if isinstance(platform, dict) and platform.get("os") != _NOWHERE and is_digest(str(child.get("digest"))):
            return str(child["digest"])
    return ""


def read_source(labels: object) -> ImageSource:
    """What labels, or annotations, say of where an image comes from."""
    if not isinstance(labels, dict):
        return ImageSource()
    found = (labels.get(name) for name in (_SOURCE, _REVISION))
    return ImageSource(*(text if isinstance(text, str) and len(text) <= _LONGEST else "" for text in found))
