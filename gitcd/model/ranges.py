"""Ranges of semantic versions, as npm reads them; the only importer of the library that does.

A comma joins comparators as a space does, which is how Cargo writes them: `>=1.2, <2`. A version alone is that version,
as in npm, and no caret. A pre-release is in a range only where one of the comparators that it meets names a pre-release
of the same major, minor and patch number: npm and Cargo agree on that.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MAX_LENGTH = 256
# The grammar of a range, in words that a JSON Schema and a CRD can carry; empty where there is none.
_NUMBER = r"(x|X|\*|0|[1-9][0-9]*)"
_IDENTIFIER = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SUFFIX = rf"(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
_VERSION = rf"v?{_NUMBER}(\.{_NUMBER}(\.{_NUMBER}{_SUFFIX})?)?"
_COMPARATOR = rf"((>=|<=|>|<|=|~>?|\^) *)?{_VERSION}"
_ALTERNATIVE = rf"({_VERSION} +- +{_VERSION}|{_COMPARATOR}(( *, *| +){_COMPARATOR})*)"
PATTERN = rf"({_ALTERNATIVE}( *\|\| *{_ALTERNATIVE})*)?"


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

    if len(text) > MAX_LENGTH or not text or not _grammar().fullmatch(text):
        raise RangeError("it is no range of semantic versions, such as '>=1.2 <2', '^1.4' or '~1.4.2'")
    try:
        return make_range(" ".join(text.replace(",", " ").split()), loose=False)
    except ValueError as error:
        raise RangeError(str(error)) from None


@lru_cache(maxsize=1)
def _grammar() -> re.Pattern[str]:
    return re.compile(PATTERN)
