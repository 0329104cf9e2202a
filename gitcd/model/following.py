"""Which tag of a repository a declaration follows that names none: the highest version in a range, or the newest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from gitcd.model.declaration import Follow
from gitcd.model.pattern import compile_pattern
from gitcd.model.ranges import parse_range
from gitcd.model.reference import Repository
from gitcd.model.registry import Candidate, Failure
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


def choose(follow: Follow, repository: Repository, candidates: Sequence[Candidate]) -> Candidate | Failure:
    """The one of all tags that have been listed which a declaration follows.

    Raises:
        PatternError: an expression is none that `check_regex` accepts.
        RangeError: the range is none.
    """
    allowed = _within_bounds(follow, candidates)
    if follow.newest:
        return _newest(follow, repository, allowed)
    versions = [(key, each) for each in allowed if (key := precedence(each.tag)) is not None]
    versions.sort(key=_rank, reverse=True)
    in_range = parse_range(follow.semver).has
    highest = next((key for key, each in versions if in_range(normalized(each.tag))), None)
    if highest is None:
        return _none_in_range(follow, repository, candidates, [each for _, each in versions])
    equal = [each for key, each in versions if key == highest]
    return min(equal, key=lambda each: (-_pushed(each).timestamp(), len(each.tag), each.tag))


def _rank(version: tuple[Precedence, Candidate]) -> Precedence:
    return version[0]


def _within_bounds(follow: Follow, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that the expressions of allow and deny let through."""
    allow = compile_pattern(follow.allow).matches if follow.allow else None
    deny = compile_pattern(follow.deny).matches if follow.deny else None
    return [
        each for each in candidates if (allow is None or allow(each.tag)) and not (deny is not None and deny(each.tag))
    ]


def _newest(follow: Follow, repository: Repository, allowed: Iterable[Candidate]) -> Candidate | Failure:
    matches = compile_pattern(follow.newest.match if follow.newest else "").matches
    matching = [each for each in allowed if matches(each.tag)]
    if not matching:
        message = f"{repository} has no tag that is followed: {described(follow)}"
        return Failure(NONE_FOLLOWED, message, "Push one, or correct spec.follow.")
    if any(each.image is None for each in matching):
        return newest_unknown(repository)
    return max(matching, key=lambda each: (_pushed(each), each.tag))


def newest_unknown(repository: Repository) -> Failure:
    """Why nobody knows which of a repository's tags is the newest."""
    return Failure(
        "PushTimeUnknown",
        f"{repository} cannot be followed by spec.follow.newest: its registry does not say when a tag was pushed",
        "Follow versions with spec.follow.semver, or a tag that the build moves with spec.tag.",
    )


def _none_in_range(
    follow: Follow, repository: Repository, listed: Collection[Candidate], versions: Sequence[Candidate]
) -> Failure:
    """What is there instead."""
    message = f"{repository} has no tag that is followed: {described(follow)}"
    if versions:
        shown = ", ".join(each.tag for each in versions[:_SHOWN])
        more = f" and {_counted(len(versions) - _SHOWN)}" if len(versions) > _SHOWN else ""
        found = f"its versions are {shown}{more}"
    else:
        found = f"none of its {len(listed)} tags is a version that may be followed" if listed else "it has no tags"
    remedy = "Push one, or correct spec.follow. A pre-release counts only where the range names one of its version."
    return Failure(NONE_FOLLOWED, f"{message}; {found}", remedy)


def _pushed(candidate: Candidate) -> datetime:
    return (candidate.image.pushed_at if candidate.image else None) or _NEVER


def _counted(number: int) -> str:
    return f"{number} lower {'one' if number == 1 else 'ones'}"
