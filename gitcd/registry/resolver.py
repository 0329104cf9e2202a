"""All questions of one run, asked in as few calls as possible: one answer for each tag and digest.

Only what is followed by a rule makes a repository be listed, and what the list tells of an image is not asked again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from gitcd.model.declaration import Follow
from gitcd.model.following import Catalogue, agreed_tag, chosen_tags
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Candidate, Failure, Query
from gitcd.registry.parallel import in_parallel

BATCH = 100
_Key = tuple[Repository, str]
_Followed = tuple[Repository, Follow]
_Batch = tuple[Repository, Sequence[str]]


class Registry(Protocol):
    """Something that can be asked about images; `calls` counts its requests."""

    @property
    def calls(self) -> int: ...

    def look_up(self, repository: Repository, ids: Sequence[str]) -> Mapping[str, Answer]:
        """Answer for each of up to `BATCH` tags and digests of one repository."""
        ...

    def candidates(self, repository: Repository) -> Sequence[Candidate] | Failure:
        """All tags of one repository."""
        ...


def resolve(
    queries: Iterable[Query],
    registry: Registry,
    *,
    workers: int = 16,
    deadline: float = math.inf,
    known: Answers | None = None,
) -> Answers:
    """Ask everything, up to `workers` repositories at a time.

    What is in `known` is not asked again, so a tag that moves during a run keeps its first answer. `deadline` is a
    moment of `time.monotonic()`; what has no answer by then has failed with `DeadlineExceeded`. Order, grouping and
    timing make no difference to the result.

    Raises:
        ConfigError: the registry cannot be asked at all.
    """
    queries, known = list(queries), known or Answers({})
    chosen, told = _follow(queries, registry, workers, deadline, known)
    tags = {(repository, tag) for (repository, _), tag in chosen.items() if isinstance(tag, str)}
    asked = _merge(queries) | tags
    answers = {key: told[key] for key in asked & told.keys()} | dict(known.by_key)
    answers.update(_ask(asked - answers.keys(), registry, workers, deadline))
    late = {key: _late(*key) for key in asked - answers.keys()}
    return Answers(dict(sorted((answers | late).items())), chosen)


def _told(repository: Repository, candidates: Iterable[Candidate]) -> dict[_Key, Answer]:
    """What a list says of images. A tag that moved while it was made stands in it twice, and tells nothing."""
    told: dict[_Key, Answer] = {}
    moved: set[_Key] = set()
    for each in candidates:
        if each.image is None:
            continue
        key = repository, each.tag
        if told.setdefault(key, each.image) != each.image:
            moved.add(key)
        told[repository, each.image.digest] = each.image
    return {key: image for key, image in told.items() if key not in moved}


def _follow(
    queries: Sequence[Query], registry: Registry, workers: int, deadline: float, known: Answers
) -> tuple[dict[_Followed, str | Failure], dict[_Key, Answer]]:
    """The tags that are followed by a rule, and what the lists of their repositories tell of images."""
    found, told = dict[_Followed, Sequence[str] | Failure](), dict[_Key, Answer]()
    if not any(query.follows for query in queries):
        return dict(known.chosen), told
    wanted = {(query.repository, follow) for query in queries for follow in query.follows} - known.chosen.keys()
    repositories = sorted({repository for repository, _ in wanted})
    for repository, candidates in in_parallel(registry.candidates, repositories, workers, deadline):
        follows = [follow for each, follow in wanted if each == repository]
        listed = candidates if isinstance(candidates, Failure) else Catalogue(repository, candidates)
        found |= {(repository, follow): tags for follow, tags in chosen_tags(listed, follows).items()}
        told |= {} if isinstance(candidates, Failure) else _told(repository, candidates)
    told |= dict(_ask(_spellings(found) - told.keys(), registry, workers, deadline))
    chosen = {key: tags if isinstance(tags, Failure) else _agreed(key[0], tags, told) for key, tags in found.items()}
    late = {key: _late(key[0], "what is followed of it") for key in wanted - chosen.keys()}
    return {**known.chosen, **chosen, **late}, told


def _spellings(found: Mapping[_Followed, Sequence[str] | Failure]) -> set[_Key]:
    """The tags of which several are one version."""
    return {
        (repository, tag)
        for (repository, _), tags in found.items()
        if not isinstance(tags, Failure) and len(tags) > 1
        for tag in tags
    }


def _agreed(repository: Repository, tags: Sequence[str], told: Mapping[_Key, Answer]) -> str | Failure:
    return agreed_tag(repository, tags, {tag: told.get((repository, tag)) or _late(repository, tag) for tag in tags})


def _ask(keys: Iterable[_Key], registry: Registry, workers: int, deadline: float) -> Iterator[tuple[_Key, Answer]]:
    """Ask one by one repository, as many as come before the deadline."""
    batches = list(_batches(keys))
    for (repository, ids), found in in_parallel(lambda batch: registry.look_up(*batch), batches, workers, deadline):
        for identifier in ids:
            yield (repository, identifier), found[identifier]


def _merge(queries: Iterable[Query]) -> set[_Key]:
    return {(query.repository, identifier) for query in queries for identifier in query.tags | query.digests}


def _batches(keys: Iterable[_Key]) -> Iterator[_Batch]:
    by_repository: dict[Repository, list[str]] = {}
    for repository, identifier in sorted(keys):
        by_repository.setdefault(repository, []).append(identifier)
    for repository, ids in by_repository.items():
        rest = iter(ids)
        while batch := list(islice(rest, BATCH)):
            yield repository, batch


def _late(repository: Repository, identifier: str) -> Failure:
    message = f"{repository} was not resolved for {identifier} before the run's deadline"
    return Failure("DeadlineExceeded", message, "run again, or allow the run more time", transient=True)
