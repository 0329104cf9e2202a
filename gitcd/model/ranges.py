"""Ranges of semantic versions, as npm reads them; the only importer of the library that does.

A comma joins comparators as a space does, which is how Cargo writes them: `>=1.2, <2`. A version alone is that version,
as in npm, and no caret. A pre-release is in a range only where one of the comparators that it meets names a pre-release
of the same major, minor and patch number: npm and Cargo agree on that.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MAX_LENGTH = 256
# What ranges are written with. A range of blanks, or none at all, would be every version without saying so.
PATTERN = r"[0-9A-Za-z.*^~<>=|, +-]*"
_EVERY = "*"


class RangeError(ValueError):
    """The text is no range of versions; the message says why."""


class Range:
    """A range that versions can be tested against."""

    def __init__(self, text: str) -> None:
        self._range = _parsed(text)

    def has(self, version: str) -> bool:
        """Whether a semantic version, written out without `v`, is in the range."""
        return bool(self._range.test(version))


@lru_cache(maxsize=1024)
def parse_range(text: str) -> Range:
    """Read a range.

    Raises:
        RangeError: it is none.
    """
    return Range(text)


def check_range(text: str) -> str:
    """Why a range from a declaration cannot be used; empty when it can, or when there is none."""
    try:
        if text:
            parse_range(text)
    except RangeError as error:
        return str(error)
    return ""


def _parsed(text: str) -> Any:
    from nodesemver import make_range

    if len(text) > MAX_LENGTH:
        raise RangeError(f"it is longer than {MAX_LENGTH} characters")
    alternatives = [" ".join(each.replace(",", " ").split()) for each in text.split("||")]
    if not all(alternatives):
        raise RangeError(f"a part of it is empty; every version is {_EVERY}")
    try:
        return make_range(" || ".join(alternatives), loose=False)
    except ValueError:
        raise RangeError("it is no range of semantic versions, such as '>=1.2 <2', '^1.4' or '~1.4.2'") from None
