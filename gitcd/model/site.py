"""Sites: the spots in manifests where an image stands, and what may be written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from gitcd.model.reference import Repository, suffix


class Form(StrEnum):
    """The shape of a site; docs/places.md describes each."""

    IMAGE = "image"  # one scalar holds the whole reference
    MARKED = "marked"  # the same, known by its setter comment alone
    KUSTOMIZE = "kustomize"  # an entry of `images:` with name, newName, newTag, digest
    HELM = "helm"  # a map with repository, tag and maybe registry and digest
    CONFIG = "config"  # a key of a ConfigMap
    PLACE = "place"  # a scalar named by file and pointer


@dataclass(frozen=True, slots=True)
class Span:
    """A scalar's bytes in its file: `start` and `end` are byte offsets, `line` counts from 1."""

    start: int
    end: int
    line: int
    value: str


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a site stands in. Empty strings where the document does not say."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    api_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.kind else ""

    def matches(self, selector: Mapping[str, str]) -> bool:
        """Whether the labels of the workload or of its pod template hold all that the selector asks."""
        return any(selector.items() <= labels.items() for labels in (self.labels, self.pod_labels))


@dataclass(frozen=True, slots=True)
class Site:
    """One spot that holds an image (or, for CONFIG and PLACE, a value derived from one).

    `pointer` leads to the scalar (IMAGE, MARKED, CONFIG, PLACE) or to the map (KUSTOMIZE, HELM) inside document number
    `document` of the file; of Argo CD's parameters to the one that holds the tag, else the digest. `spans` holds the
    scalars that exist, by key: `image`, or `name`, `newName`, `newTag`, `digest`, or `registry`, `repository`, `tag`,
    `digest`, or `value`.
    """

    path: str
    document: int
    pointer: str
    form: Form
    line: int
    repository: Repository | None = None
    tag: str = ""
    digest: str = ""
    value: str | None = None
    owner: Owner = field(default_factory=Owner)
    container: str = ""
    init: bool = False
    workload: bool = False  # whether the owner has a pod template and this site is a container of it
    marker: str = ""  # the policy that a setter comment of Flux beside it names, as `flux-system:tiles`
    spans: Mapping[str, Span] = field(default_factory=dict)
    format: Literal["", "reference", "tag", "digest", "version"] = ""  # of a PLACE: what its scalar holds

    @property
    def marked(self) -> bool:
        return bool(self.marker)

    @property
    def has_digest_key(self) -> bool:
        return "digest" in self.spans

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def spot(self) -> tuple[str, int, str]:
        """By which one scalar is told from all others: file, document, pointer."""
        return self.path, self.document, self.pointer

    @property
    def shown(self) -> str:
        """What stands here now, as a person would write it."""
        if self.repository is None:
            return self.value or ""
        return f"{self.repository.familiar}{suffix(self.tag, self.digest)}"


@dataclass(frozen=True, slots=True)
class Service:
    """A Service found beside the workloads; blue-green reads its selector."""

    path: str
    line: int
    name: str
    namespace: str
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file, or one spot in it, is left alone. `line` counts from 1, 0 where the whole file is meant."""

    path: str
    line: int
    reason: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Found:
    """All that one file holds: a pure function of its bytes (and of the needles it was searched for)."""

    sites: tuple[Site, ...] = ()
    services: tuple[Service, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteEdit:
    """What a site shall hold: `tag` and `digest` (empty: none), or `value` for CONFIG and PLACE.

    `key` is set only where a CONFIG key is inserted: the site's pointer is then `/data`, and its value None.
    """

    site: Site
    tag: str = ""
    digest: str = ""
    value: str = ""
    key: str = ""
