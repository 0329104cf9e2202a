"""Find out whether a push would be let in, and a commit be signed, without changing anything."""

from __future__ import annotations

from datetime import datetime

from gitcd.git.commit import Author, people
from gitcd.git.mirror import Mirror
from gitcd.git.signing import signer
from gitcd.git.tree import CommitTree


def push_permission(mirror: Mirror, tip: str) -> str:
    """Why the branch may not be pushed to; empty if it may, as far as a push that changes nothing can tell.

    The remote is talked to as for a real push, so credentials are judged; rules that look at a commit are not.
    """
    result = mirror.origin.push(tip, mirror.branch, "--dry-run")
    return result.last_words if result.status else ""


def try_key(mirror: Mirror, tip: str, author: Author, when: datetime) -> None:
    """Sign a commit that changes nothing, and that nothing names.

    Raises:
        ConfigError: it cannot be signed.
        TransientError: nobody answered the agent's question.
    """
    if author.key:
        tree = CommitTree(mirror.git, tip).oid
        with signer(mirror.git, author.key) as sign:
            sign.commit(tree, tip, b"Try the key\n", people(author, when))
