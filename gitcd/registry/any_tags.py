"""Tags of whichever registry a repository is in: private ECR by its own API, others by the distribution protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.mutability import Mutability
from gitcd.registry.tags import EcrTags, Manifest

if TYPE_CHECKING:
    from gitcd.registry.oci_tags import OciTags


class AnyTags(EcrTags):
    """Like `EcrTags`, for any registry. What only ECR can do is answered with a Failure for the others."""

    @cached_property
    def _oci(self) -> OciTags:
        from gitcd.registry.oci_tags import OciTags

        return OciTags(self._settings)

    def _at(self, repository: Repository) -> OciTags | None:
        """Who is asked about a repository that is not in private ECR."""
        return None if self._settings.is_ecr(repository) else self._oci

    def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        return oci.look_up(repository, ids) if (oci := self._at(repository)) else super().look_up(repository, ids)

    def manifests(self, repository: Repository, digests: Sequence[str]) -> dict[str, Manifest | Failure]:
        oci = self._at(repository)
        return oci.manifests(repository, digests) if oci else super().manifests(repository, digests)

    def configuration(self, repository: Repository, digest: str) -> Mapping[str, Any] | Failure:
        oci = self._at(repository)
        return oci.configuration(repository, digest) if oci else super().configuration(repository, digest)

    def put(self, repository: Repository, manifest: Manifest, tag: str) -> Failure | None:
        oci = self._at(repository)
        return oci.put(repository, manifest, tag) if oci else super().put(repository, manifest, tag)

    def remove(self, repository: Repository, tags: Sequence[str]) -> dict[str, str | Failure]:
        oci = self._at(repository)
        return dict.fromkeys(tags, oci.irremovable(repository)) if oci else super().remove(repository, tags)

    def irremovable(self, repository: Repository) -> Failure | None:
        return oci.irremovable(repository) if (oci := self._at(repository)) else None

    def images(self, repository: Repository) -> Iterator[Image | Failure]:
        return oci.images(repository) if (oci := self._at(repository)) else super().images(repository)

    def mutability(self, repository: Repository) -> Mutability | Failure:
        return oci.mutability(repository) if (oci := self._at(repository)) else super().mutability(repository)
