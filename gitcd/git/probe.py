"""Find out whether a push would be let in, without changing anything."""

from __future__ import annotations

from gitcd.git.mirror import Mirror


def push_permission(mirror: Mirror, tip: str) -> str:
    """Why the branch may not be pushed to; empty if it may, as far as a push that changes nothing can tell.

    The remote is talked to as for a real push, so credentials are judged; rules that look at a commit are not.
    """
    result = mirror.origin.push(tip, mirror.branch, "--dry-run")
    return result.last_words if result.status else ""
