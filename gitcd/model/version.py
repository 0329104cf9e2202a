"""Which of the tags on one image is "the version", and how versions are ordered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gitcd.model.pattern import check_regex, compile_pattern

__all__ = ["Precedence", "VersionProblem", "check_regex", "normalized", "pick_version", "precedence"]

# SemVer 2.0.0, section 2, 9 and 10; `v` in front is common, and `_` stands for `+`, which a tag cannot hold.
_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:[+_]{_BUILD})?")
_HASH = re.compile(r"[0-9a-f]{5,40}")
_SHOWN = 20

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, slots=True)
class VersionProblem:
    """Why no tag, or no single tag, is the version. `reason` is `NoVersion` or `AmbiguousVersion`."""

    reason: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def precedence(tag: str) -> Precedence | None:
    """A key that sorts semantic versions as SemVer 2.0.0, section 11, asks; None when the tag is none."""
    match = _SEMVER.fullmatch(tag)
    if not match:
        return None
    major, minor, patch, pre = match.groups()
    identifiers = tuple(_identifier(part) for part in pre.split(".")) if pre else ()
    return int(major), int(minor), int(patch), not identifiers, identifiers


def normalized(tag: str) -> str:
    """A semantic version without `v` in front and without build metadata, which says nothing of its precedence."""
    match = _SEMVER.fullmatch(tag)
    if not match:
        return ""
    major, minor, patch, pre = match.groups()
    return f"{major}.{minor}.{patch}" + (f"-{pre}" if pre else "")


def _identifier(text: str) -> tuple[bool, int, str]:
    return (False, int(text), "") if text.isdecimal() else (True, 0, text)


def pick_version(tags: Collection[str], syntax: str = "", *, followed: str = "") -> str | VersionProblem:
    """Name the version among all tags of one image.

    `syntax` must match a tag as a whole; empty means a semantic version, else a git hash of 5 to 40 digits. Of several
    matches the highest semantic version wins; where none is one, the choice is ambiguous.

    The followed tag moves, a version should not. So it gives way to another match: always where it is not a semantic
    version, and to an equal one (`1.2.3` to `1.2.3_build7`) where it is. Alone it is a version like any other: who
    follows `v1.4.0` gets `v1.4.0`.

    Raises:
        PatternError: `syntax` is no expression that `check_regex` accepts.
    """
    matching = _matching(tags, syntax)
    versions = [(key, tag) for tag in matching if (key := precedence(tag)) is not None]
    if versions:
        highest = max(key for key, _ in versions)
        return min((tag for key, tag in versions if key == highest), key=lambda tag: (tag == followed, len(tag), tag))
    candidates = [tag for tag in matching if tag != followed] or matching
    if not candidates:
        return _none(tags, syntax)
    return candidates[0] if len(candidates) == 1 else _ambiguous(candidates, syntax)


def _matching(tags: Collection[str], syntax: str) -> list[str]:
    unique = sorted(set(tags))
    if syntax:
        matches = compile_pattern(syntax).matches
        return [tag for tag in unique if matches(tag)]
    return [tag for tag in unique if precedence(tag)] or [tag for tag in unique if _HASH.fullmatch(tag)]


def _none(tags: Collection[str], syntax: str) -> VersionProblem:
    looked_for = f"versionSyntax {syntax!r}" if syntax else "a semantic version or a git hash"
    found = f"its tags are {_listed(tags)}" if tags else "it has no tags"
    return VersionProblem(
        "NoVersion",
        f"no tag of the image matches {looked_for}: {found}",
        "set versionSyntax to an expression that one of them matches, or use `pin: TagAndDigest`",
    )


def _ambiguous(tags: Collection[str], syntax: str) -> VersionProblem:
    looked_for = f"versionSyntax {syntax!r}" if syntax else "a git hash"
    return VersionProblem(
        "AmbiguousVersion",
        f"several tags of the image match {looked_for}: {_listed(tags)}",
        "set versionSyntax to an expression that only one of them matches, or use `pin: TagAndDigest`",
    )


def _listed(tags: Iterable[str]) -> str:
    ordered = sorted(set(tags))
    more = len(ordered) - _SHOWN
    return ", ".join(ordered[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
