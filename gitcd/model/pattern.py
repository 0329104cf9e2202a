"""Regular expressions from declarations, matched in time linear in the text.

Python's own engine backtracks: `(a|a)*b` on a tag of 40 characters runs for hours, and a run reads declarations that
it does not trust. So a pattern is turned into a Glushkov automaton, whose states are the characters of the pattern, and
is matched by walking sets of states. What such an automaton cannot express (lookaround, backreferences, flags) is
refused. Image tags are the only texts matched, so a character outside their alphabet never matches.

Source of the construction: V. M. Glushkov, "The abstract theory of automata", 1961.
"""

from __future__ import annotations

import re
import string
import warnings
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_

ALPHABET = string.ascii_letters + string.digits + "_.-"
MAX_STATES = 512
MAX_SEEN = 4096
MAX_LENGTH = 256

_QUANTIFIER = re.compile(r"([*+?]|\{(\d*)(,?)(\d*)\})(\??)(?![*+?])")
_ATOM = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\[dDwWsS]|\\[^A-Za-z0-9]|[^\\()\[\]{}|*+?^$]")
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")


class PatternError(ValueError):
    """The pattern is no regular expression, or one that is not matched here; the message says why."""


@dataclass(frozen=True, slots=True)
class _Chars:
    chars: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Sequence:
    items: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    item: _Node
    least: int
    most: int | None


_Node = _Chars | _Sequence | _Choice | _Repeat


@dataclass(slots=True)
class Pattern:
    """A compiled pattern. Sets of states are bit masks, bit n for the n-th character of the pattern."""

    _accepted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ALPHABET, 0))
    _follow: list[int] = field(default_factory=list)
    _first: int = 0
    _last: int = 0
    _nullable: bool = False
    _seen: dict[int, int] = field(default_factory=dict)

    def matches(self, text: str) -> bool:
        """Whether the pattern matches the text as a whole."""
        if not text:
            return self._nullable
        states, reachable = 0, self._first
        for char in text:
            states = reachable & self._accepted.get(char, 0)
            reachable = self._after(states)
        return bool(states & self._last)

    def _after(self, states: int) -> int:
        """The states that may follow any of these; the sets met before are kept, as tags are much alike."""
        known = self._seen.get(states)
        if known is None:
            known = reduce(or_, (self._follow[state] for state in _bits(states)), 0)
            if len(self._seen) < MAX_SEEN:
                self._seen[states] = known
        return known

    def _connect(self, before: int, after: int) -> None:
        for state in _bits(before):
            self._follow[state] |= after

    def _build(self, node: _Node) -> tuple[bool, int, int]:
        """Add the states of a node; return whether it matches nothing, and its first and last states."""
        match node:
            case _Chars(chars):
                return self._add(chars)
            case _Choice(options):
                built = [self._build(option) for option in options]
                nullables, firsts, lasts = zip(*built, strict=True)
                return any(nullables), reduce(or_, firsts), reduce(or_, lasts)
            case _Sequence(items):
                return self._chain(items)
            case _Repeat(item, least, most):
                return self._repeat(item, least, most)

    def _add(self, chars: frozenset[str]) -> tuple[bool, int, int]:
        if len(self._follow) == MAX_STATES:
            raise PatternError(f"it is too large: written out, it has more than {MAX_STATES} characters")
        bit = 1 << len(self._follow)
        self._follow.append(0)
        for char in chars:
            self._accepted[char] |= bit
        return False, bit, bit

    def _chain(self, items: tuple[_Node, ...]) -> tuple[bool, int, int]:
        nullable, first, last = True, 0, 0
        for item in items:
            nullable, first, last = self._join((nullable, first, last), self._build(item))
        return nullable, first, last

    def _join(self, left: tuple[bool, int, int], right: tuple[bool, int, int]) -> tuple[bool, int, int]:
        self._connect(left[2], right[1])
        first = left[1] | right[1] if left[0] else left[1]
        last = left[2] | right[2] if right[0] else right[2]
        return left[0] and right[0], first, last

    def _repeat(self, item: _Node, least: int, most: int | None) -> tuple[bool, int, int]:
        whole = (True, 0, 0)
        for count in range(most if most is not None else max(least, 1)):
            size = len(self._follow)
            nullable, first, last = self._build(item)
            if len(self._follow) == size:  # an item without characters: repeating it adds nothing
                return whole if count else (nullable or not least, 0, 0)
            if most is None and count + 1 >= least:
                self._connect(last, first)
            whole = self._join(whole, (nullable or count >= least, first, last))
        return whole


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """Compile a pattern in the syntax of Python's `re`.

    Raises:
        PatternError: it does not compile, is too large, or uses what is not supported.
    """
    if len(text) > MAX_LENGTH:
        raise PatternError(f"it is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # `[[`: what it means is about to change
            re.compile(text)
    except (re.error, OverflowError, FutureWarning) as error:
        raise PatternError(str(error)) from error
    pattern = Pattern()
    pattern._nullable, pattern._first, pattern._last = pattern._build(_Parser(text).parse())  # noqa: SLF001 - its maker
    return pattern


def check_regex(pattern: str) -> str:
    """Why a pattern from a declaration cannot be used; empty when it can."""
    try:
        compile_pattern(pattern)
    except PatternError as error:
        return str(error)
    return ""


class _Parser:
    """Reads what `re.compile` has already accepted; the meaning of a character class is left to `re`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> _Node:
        self._skip("^")
        node = self._choice()
        self._skip("$")
        if self._at < len(self._text):
            raise self._unsupported()
        return node

    def _skip(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += found
        return found

    def _choice(self) -> _Node:
        options = [self._sequence()]
        while self._skip("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Node:
        items: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            items.append(self._quantified(self._atom()))
        return _Sequence(tuple(items))

    def _atom(self) -> _Node:
        if group := _GROUP.match(self._text, self._at):
            self._at = group.end()
            node = self._choice()
            if not self._skip(")"):
                raise self._unsupported()
            return node
        atom = _ATOM.match(self._text, self._at)
        if not atom:
            raise self._unsupported()
        self._at = atom.end()
        accepts = re.compile(atom[0]).fullmatch
        return _Chars(frozenset(char for char in ALPHABET if accepts(char)))

    def _quantified(self, item: _Node) -> _Node:
        found = _QUANTIFIER.match(self._text, self._at)
        if not found:
            return item
        if found[0].startswith("{}"):  # which is no quantifier, but these two characters
            raise self._unsupported()
        self._at = found.end()
        sign, least, comma, most = found.group(1, 2, 3, 4)
        if simple := {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign):
            return _Repeat(item, *simple)
        if not comma:
            return _Repeat(item, int(least), int(least))
        return _Repeat(item, int(least or 0), int(most) if most else None)

    def _unsupported(self) -> PatternError:
        rest = self._text[self._at : self._at + 8]
        return PatternError(
            f"{rest!r} at position {self._at} is not supported: no lookaround, backreferences, flags or possessive "
            "quantifiers, and ^ and $ only at the ends",
        )


def _bits(mask: int) -> list[int]:
    bits = []
    while mask:
        low = mask & -mask
        bits.append(low.bit_length() - 1)
        mask ^= low
    return bits
