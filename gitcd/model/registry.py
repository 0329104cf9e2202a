"""What a registry was asked and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gitcd.model.reference import Repository


@dataclass(frozen=True, slots=True)
class Query:
    """All that one run asks of one repository: tags and digests, each at most once."""

    repository: Repository
    tags: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """One image as the registry describes it. `tags` are all tags on the digest; sizes are bytes."""

    digest: str
    tags: tuple[str, ...] = ()
    pushed_at: datetime | None = None
    size: int | None = None
    media_type: str = ""
    archived: bool = False


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
    """One answer per (repository, tag or digest), for the whole run."""

    by_key: Mapping[tuple[Repository, str], Answer]

    def get(self, repository: Repository, identifier: str) -> Answer:
        return self.by_key.get((repository, identifier)) or Failure(
            "NotAsked", f"{repository} was not asked for {identifier}"
        )
