"""Every registry of one run, each asked in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from gitcd.model.evidence import Inspection, Scan, Signing
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Candidate, Failure
from gitcd.registry.label_memory import LabelMemory
from gitcd.registry.labels import EcrLabels, ImageSource
from gitcd.registry.listing import Listings, Page
from gitcd.registry.settings import RegistrySettings

if TYPE_CHECKING:
    from gitcd.registry.oci_images import OciImages


class Registries:
    """Private ECR by its own API, all others by the distribution protocol. Safe to share by threads.

    Methods raise ConfigError where private ECR is asked and there are no usable AWS credentials.
    """

    def __init__(self, settings: RegistrySettings | None = None, memory: LabelMemory | None = None) -> None:
        self._settings = settings or RegistrySettings()
        self._ecr = EcrLabels(self._settings)
        self._memory = memory
        self._lock = Lock()
        self._others: OciImages | None = None
        self._listings = Listings(self)

    @property
    def calls(self) -> int:
        """How many requests were made; for ECR without retries."""
        return self._ecr.calls + (self._others.calls if self._others else 0)

    def look_up(self, repository: Repository, ids: Sequence[str]) -> Mapping[str, Answer]:
        """Ask one repository about tags and digests, at most 100 of them; each gets an answer."""
        return self._of(repository).look_up(repository, ids)

    def candidates(self, repository: Repository) -> Sequence[Candidate] | Failure:
        """All tags of a repository; listed once."""
        return self._listings.candidates(repository)

    def page(self, repository: Repository, token: str) -> Page | Failure:
        """One page of a repository's tags."""
        if not self._settings.is_ecr(repository):
            return self._oci.page(repository, token)
        found = self._ecr.images_from(repository, token)
        return found if isinstance(found, Failure) else Page.of(*found)

    def inspect(self, inspection: Inspection) -> Scan | Signing | Failure:
        """What the registry knows of an image's safety."""
        return self._of(inspection.repository).inspect(inspection)

    def source(self, repository: Repository, digest: str) -> ImageSource | Failure:
        """Where an image was built from, as it says itself."""
        return self._of(repository).source(repository, digest)

    @property
    def _oci(self) -> OciImages:
        """The client for all others, loaded once one of them is asked."""
        from gitcd.registry.oci_images import OciImages

        with self._lock:
            self._others = self._others or OciImages(self._settings, self._memory)
            return self._others

    def _of(self, repository: Repository) -> EcrLabels | OciImages:
        return self._ecr if self._settings.is_ecr(repository) else self._oci
