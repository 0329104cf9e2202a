"""Push one commit to a branch, and be sure what became of it.

What git says about a push can be wrong in both directions: the connection may drop after the ref moved, and a push that
was given up may land seconds later. So the remote's tip is asked before and after, and every further attempt pushes the
same commit object: a late landing is then the same commit and not its twin.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from gitcd.errors import ConfigError, TransientError
from gitcd.git.origin import Origin
from gitcd.git.runner import Result, clean

ATTEMPTS = 4
_FIRST_PAUSE = 0.5  # seconds; doubled for every further attempt
_STATUS = re.compile(rb"^([ +\-*=!])\t[^\t\n]*\t(.*)$", re.MULTILINE)
_PASSING = re.compile(
    r"failed to (update ref|lock)|cannot lock ref|unable to (create|write)|unpacker error|no space left|"
    r"internal (server )?error|timed? ?out|"
    r"reference (already exists|does not exist)|incorrect old value",  # git 2.51: locked, or moved meanwhile
    re.IGNORECASE,
)
_DECLINED = re.compile(
    r"hook declined|protected branch|GH0\d\d|not allowed to push|TF40\d+|prohibited|deny|denied|"
    r"returned error: 403|pre-receive|remote rejected",
    re.IGNORECASE,
)


class Pushed(StrEnum):
    LANDED = "landed"  # the branch names our commit
    MOVED = "moved"  # somebody else's commit is the tip now: recompute on it
    DECLINED = "declined"  # the remote said no, and would say so again
    UNCHANGED = "unchanged"  # transient trouble, every attempt; the branch is where it was


@dataclass(frozen=True, slots=True)
class PushResult:
    """`tip` is the commit that the branch names now; `text` is what the remote said, for people.

    `unclear`: the branch moved, but a push of ours got no answer, so ours may lie below the tip.
    """

    kind: Pushed
    tip: str
    text: str = ""
    unclear: bool = False


def push(
    origin: Origin,
    oid: str,
    branch: str,
    *,
    expected: str,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> PushResult:
    """Make the branch name `oid`, if it still names `expected` (empty: if there is no such branch).

    Raises:
        ConfigError: the remote no longer lets us in.
        TransientError: the remote cannot be asked any more, so nobody knows whether the push landed.
    """
    said, unclear = "", False
    for attempt in range(attempts):
        if attempt:
            sleep(_FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        try:
            settled, said, silent = _attempt(origin, oid, branch, expected)
        except TransientError as error:
            said, unclear = error.message, True
            continue
        unclear = unclear or silent
        if settled:
            return replace(settled, unclear=unclear)
    tip = _ask_at_last(origin, branch, said)
    settled = _by_tip(tip, oid, expected) or PushResult(Pushed.UNCHANGED, tip, said)
    return replace(settled, unclear=unclear)


def _attempt(origin: Origin, oid: str, branch: str, expected: str) -> tuple[PushResult | None, str, bool]:
    """Ask, push, ask. None where another attempt is worth it. Last: whether the remote left the push unanswered."""
    if known := _by_tip(origin.tip(branch), oid, expected):
        return known, "", False
    result = origin.push(oid, branch)
    if result.status == 0 and _accepted(result):
        return PushResult(Pushed.LANDED, oid), "", False
    said, silent = _words(result), not _rejected(result)
    tip = origin.tip(branch)
    if known := _by_tip(tip, oid, expected):
        return known, said, silent
    if declines(said):
        return PushResult(Pushed.DECLINED, tip, said), said, silent
    error = origin.failure("push to", result)
    if isinstance(error, ConfigError):
        raise error
    return None, said, silent


def declines(said: str) -> bool:
    """Whether these words of the remote's say no for good."""
    return bool(_DECLINED.search(said)) and not _PASSING.search(said)


def _by_tip(tip: str, oid: str, expected: str) -> PushResult | None:
    if tip == oid:
        return PushResult(Pushed.LANDED, tip)
    return None if tip == expected else PushResult(Pushed.MOVED, tip)


def _rejected(result: Result) -> bool:
    """Whether the remote itself said no; "remote failure" is git's word for a remote that said nothing."""
    return any(flag == b"!" and b"remote failure" not in text for flag, text in _STATUS.findall(result.stdout))


def _accepted(result: Result) -> bool:
    flags = [flag for flag, _ in _STATUS.findall(result.stdout)]
    return bool(flags) and all(flag in b" *=" for flag in flags)


def _words(result: Result) -> str:
    """The remote's reason first (porcelain), then what it wrote besides."""
    reasons = [clean(text) for flag, text in _STATUS.findall(result.stdout) if flag == b"!"]
    return "; ".join([*reasons, result.last_words])


def _ask_at_last(origin: Origin, branch: str, said: str) -> str:
    try:
        return origin.tip(branch)
    except TransientError as error:
        raise TransientError(
            f"the push to {origin.remote} may or may not have landed ({said}); {error.message}",
            remedy="run again: a commit that landed is found and not made twice",
        ) from error
