"""Which tag of a repository a declaration follows that names none: the highest version in a range, or the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile

from gitcd.model.declaration import Follow
from gitcd.model.pattern import compile_pattern
from gitcd.model.ranges import parse_range
from gitcd.model.reference import Repository, short
from gitcd.model.registry import Answer, Candidate, Failure
from gitcd.model.version import Precedence, normalized, precedence

NONE_FOLLOWED = "NoTagFollowed"  # the reason where no tag is what a declaration follows
_NEVER = datetime.min.replace(tzinfo=UTC)
_SHOWN = 5


def described(follow: Follow) -> str:
    """What is followed, for people: `the highest version in >=1.2 <2`."""
    what = f"the newest tag that matches {follow.newest.match}" if follow.newest else ""
    what = what or f"the highest version in {follow.semver}"
    allow = f" of those that match {follow.allow}" if follow.allow else ""
    deny = f" but none that matches {follow.deny}" if follow.deny else ""
    return f"{what}{allow}{deny}"


def newest_unknown(repository: Repository) -> Failure:
    """Why nobody knows which of a repository's tags is the newest."""
    return Failure(
        "PushTimeUnknown",
        f"{repository} cannot be followed by spec.follow.newest: its registry does not say when a tag was pushed",
        "Follow versions with spec.follow.semver, or a tag that the build moves with spec.tag.",
    )


@dataclass
class Catalogue:
    """All tags of a repository, put in order once for all that follow one of them."""

    repository: Repository
    candidates: Sequence[Candidate]

    def choose(self, follow: Follow) -> Candidate | Failure:
        """The one tag that is followed, the shortest where `equals` finds several.

        Raises:
            PatternError: an expression is none that `check_regex` accepts.
            RangeError: the range is none.
        """
        found = self.equals(follow)
        return found if isinstance(found, Failure) else found[0]

    def equals(self, follow: Follow) -> Sequence[Candidate] | Failure:
        """The tag that is followed; several, where they are one version and nobody knows which was pushed last.

        Raises:
            PatternError: an expression is none that `check_regex` accepts.
            RangeError: the range is none.
        """
        return self._newest(follow) if follow.newest else self._highest(follow)

    def _highest(self, follow: Follow) -> Sequence[Candidate] | Failure:
        """Of equal versions those pushed last, each image once, the shortest tag first."""
        allowed, in_range = _bounds(follow), parse_range(follow.semver).has
        highest = next(
            (key for key, each in self._versions if allowed(each.tag) and in_range(normalized(each.tag))), None
        )
        if highest is None:
            return self._none(follow, [each for _, each in self._versions if allowed(each.tag)])
        higher = takewhile(lambda version: version[0] >= highest, self._versions)
        equal = [each for key, each in higher if key == highest and allowed(each.tag)]
        last = max(map(_pushed, equal))
        latest = sorted((each for each in equal if _pushed(each) == last), key=lambda each: (len(each.tag), each.tag))
        images: dict[str, Candidate] = {}
        for each in latest:
            images.setdefault(each.image.digest if each.image else each.tag, each)
        return list(images.values())

    def _newest(self, follow: Follow) -> Sequence[Candidate] | Failure:
        allowed, matches = _bounds(follow), compile_pattern(follow.newest.match if follow.newest else "").matches
        newest = next((each for each in self._by_age if matches(each.tag) and allowed(each.tag)), None)
        if newest is None:
            message = f"{self.repository} has no tag that is followed: {described(follow)}"
            return Failure(NONE_FOLLOWED, message, "Push one, or correct spec.follow.")
        return [newest] if newest.image else newest_unknown(self.repository)

    def _none(self, follow: Follow, versions: Sequence[Candidate]) -> Failure:
        """What is there instead."""
        message = f"{self.repository} has no tag that is followed: {described(follow)}"
        number = len(self.candidates)
        if versions:
            shown = ", ".join(each.tag for each in versions[:_SHOWN])
            more = len(versions) - _SHOWN
            found = f"its versions are {shown}" + (f" and {more} lower {'one' if more == 1 else 'ones'}" * (more > 0))
        else:
            found = f"none of its {number} tags is a version that may be followed" if number else "it has no tags"
        remedy = "Push one, or correct spec.follow. A pre-release counts only where the range names one of its version."
        return Failure(NONE_FOLLOWED, f"{message}; {found}", remedy)

    @cached_property
    def _versions(self) -> list[tuple[Precedence, Candidate]]:
        """What is a semantic version, the highest first."""
        found = [(key, each) for each in self.candidates if (key := precedence(each.tag)) is not None]
        return sorted(found, key=_rank, reverse=True)

    @cached_property
    def _by_age(self) -> list[Candidate]:
        """All tags, the one pushed last first."""
        return sorted(self.candidates, key=lambda each: (_pushed(each), each.tag), reverse=True)


def _rank(version: tuple[Precedence, Candidate]) -> Precedence:
    return version[0]


def _bounds(follow: Follow) -> Callable[[str], bool]:
    """What the expressions of allow and deny let through."""
    allow = compile_pattern(follow.allow).matches if follow.allow else None
    deny = compile_pattern(follow.deny).matches if follow.deny else None

    def lets_through(tag: str) -> bool:
        return (allow is None or allow(tag)) and not (deny is not None and deny(tag))

    return lets_through


def _pushed(candidate: Candidate) -> datetime:
    return (candidate.image.pushed_at if candidate.image else None) or _NEVER


def chosen_tags(catalogue: Catalogue | Failure, follows: Iterable[Follow]) -> dict[Follow, Sequence[str] | Failure]:
    """The tag that each follows, or all spellings of the version; where the tags could not be listed, why."""
    if isinstance(catalogue, Failure):
        return dict.fromkeys(follows, catalogue)
    found = {follow: catalogue.equals(follow) for follow in follows}
    return {follow: each if isinstance(each, Failure) else [one.tag for one in each] for follow, each in found.items()}


def agreed_tag(repository: Repository, tags: Sequence[str], answers: Mapping[str, Answer]) -> str | Failure:
    """The tag that is followed of several spellings of one version; they have to name one image."""
    images: dict[str, str] = {}
    for tag in tags if len(tags) > 1 else ():
        answer = answers[tag]
        if isinstance(answer, Failure):
            return answer
        images.setdefault(answer.digest, f"{tag} ({short(answer.digest)})")
    if len(images) < 2:  # noqa: PLR2004 - one image, or nothing to compare
        return tags[0]
    return Failure(
        "AmbiguousVersion",
        f"{repository} has one version on different images: {' and '.join(images.values())}; nobody knows which of "
        "them was pushed last",
        "Remove one of these tags, or keep it out with spec.follow.deny.",
    )
