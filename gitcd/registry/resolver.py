"""All questions of one run, asked in as few calls as possible: one answer for each tag and digest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Failure, Query
from gitcd.registry.parallel import in_parallel

BATCH = 100
_Key = tuple[Repository, str]
_Batch = tuple[Repository, Sequence[str]]


class Registry(Protocol):
    """Something that can be asked about images; `calls` counts its requests."""

    @property
    def calls(self) -> int: ...

    def look_up(self, repository: Repository, ids: Sequence[str]) -> Mapping[str, Answer]:
        """Answer for each of up to `BATCH` tags and digests of one repository."""
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
    asked = _merge(queries)
    answers = dict(known.by_key) if known else {}
    batches = list(_batches(asked - answers.keys()))
    for (repository, ids), found in in_parallel(lambda batch: registry.look_up(*batch), batches, workers, deadline):
        answers.update({(repository, identifier): found[identifier] for identifier in ids})
    late = {key: _late(*key) for key in asked - answers.keys()}
    return Answers(dict(sorted((answers | late).items())))


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
