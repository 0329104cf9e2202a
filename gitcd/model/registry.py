"""What a registry was asked and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gitcd.model.declaration import Follow
from gitcd.model.reference import Repository


@dataclass(frozen=True, slots=True)
class Query:
    """All that one run asks of one repository, each at most once: tags, digests, and which tags are followed."""

    repository: Repository
    tags: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    follows: frozenset[Follow] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """One image as the registry describes it. `tags` are all tags on the digest; sizes are bytes.

    `partial`: there may be other tags, as the registry tells none but those it was asked for. `label` is what the image
    itself says its version is, which nobody checked.
    """

    digest: str
    tags: tuple[str, ...] = ()
    pushed_at: datetime | None = None
    size: int | None = None
    media_type: str = ""
    archived: bool = False
    partial: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag as a registry lists it; with its image, where the list tells that too."""

    tag: str
    image: Image | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be had. `reason` is CamelCase and stable, `message` is for people."""

    reason: str
    message: str
    remedy: str = ""
    transient: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


Answer = Image | Failure


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer per (repository, tag or digest), and the tag that is chosen of what is followed, for the whole run."""

    by_key: Mapping[tuple[Repository, str], Answer]
    chosen: Mapping[tuple[Repository, Follow], str | Failure] = field(default_factory=dict)

    def get(self, repository: Repository, identifier: str) -> Answer:
        return self.by_key.get((repository, identifier)) or Failure(
            "NotAsked", f"{repository} was not asked for {identifier}"
        )

    def followed(self, repository: Repository, follow: Follow) -> str | Failure:
        """The tag that is followed."""
        return self.chosen.get((repository, follow)) or Failure("NotAsked", f"{repository} was not listed")
