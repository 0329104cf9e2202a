"""What a registry in memory answers to those who follow a rule: the tag that the rule chooses of those it lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gitcd.model.following import Catalogue
from gitcd.model.reference import Repository
from gitcd.model.registry import Answers, Candidate, Failure, Query

List = Callable[[Repository], Sequence[Candidate]]


def with_follows(answers: dict[Any, Any], queries: Iterable[Query], listed: List) -> Answers:
    """The answers, with those about rules; the images that are chosen come with the candidates."""
    chosen: dict[Any, Any] = {}
    for query in queries:
        catalogue = Catalogue(query.repository, listed(query.repository) if query.follows else ())
        for follow in query.follows:
            found = catalogue.choose(follow)
            chosen[query.repository, follow] = found if isinstance(found, Failure) else found.tag
            if isinstance(found, Candidate) and found.image:
                answers.setdefault((query.repository, found.tag), found.image)
    return Answers(answers, chosen)
