"""All tags of a repository, page by page; a page is asked for once in a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from gitcd.model.reference import Repository
from gitcd.model.registry import Candidate, Failure, Image

MAX_TAGS = 100_000
MAX_PAGES = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the tags; `following` is what the next page is asked for with, empty at the end."""

    candidates: tuple[Candidate, ...]
    following: str = ""

    @classmethod
    def of(cls, images: Iterable[Image | Failure], following: str) -> Page | Failure:
        """The tags of images; a failure among them is one of the page, as the tag that matters may be behind it."""
        found: list[Candidate] = []
        for image in images:
            if isinstance(image, Failure):
                return image
            found += (Candidate(tag, image) for tag in image.tags)
        return cls(tuple(found), following)


class Pages(Protocol):
    """A registry whose tags can be listed."""

    def page(self, repository: Repository, token: str) -> Page | Failure:
        """One page: the first for an empty token, else the one that the page before told of."""
        ...


@dataclass
class Listings:
    """The pages that have come so far; what failed is asked for again from there on."""

    pages: Pages
    _known: defaultdict[Repository, list[Page]] = field(default_factory=lambda: defaultdict(list))
    _locks: defaultdict[Repository, Lock] = field(default_factory=lambda: defaultdict(Lock))

    def candidates(self, repository: Repository) -> Sequence[Candidate] | Failure:
        """All tags of a repository."""
        with self._locks[repository]:
            known = self._known[repository]
            while not known or known[-1].following:
                if failure := self._further(repository, known):
                    return failure
            return [candidate for page in known for candidate in page.candidates]

    def _further(self, repository: Repository, known: list[Page]) -> Failure | None:
        token = known[-1].following if known else ""
        page = self.pages.page(repository, token)
        if isinstance(page, Failure):
            return page
        if page.following and page.following in {token, *(each.following for each in known)}:
            message = f"the pages of {repository} come to no end"
            return Failure("MalformedAnswer", message, "run again, or follow a moving tag", transient=True)
        known.append(page)
        if len(known) > MAX_PAGES or sum(len(each.candidates) for each in known) > MAX_TAGS:
            message = f"{repository} has more tags than are listed: {MAX_TAGS}, on {MAX_PAGES} pages at most"
            return Failure("TooManyTags", message, "Let the registry expire old images, or follow a moving tag.")
        return None
