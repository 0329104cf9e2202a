"""What is remembered from run to run: facts that follow from their key alone, such as what the blob of an id holds.

A memory may forget everything at any time. So nothing is remembered that cannot be found out again, and nothing that
may have changed since: no answer of a registry.
"""

from __future__ import annotations

from typing import Protocol


class Memory(Protocol):
    """Facts are lines of ASCII text, not empty, filed by subject and key: lines without tabs."""

    def recall(self, subject: str, key: str) -> str | None:
        """The fact, if it is known."""
        ...

    def note(self, subject: str, key: str, fact: str) -> None:
        """Remember a fact, in place of the one that is known."""
        ...


class NoMemory:
    """Forgets at once."""

    def recall(self, _subject: str, _key: str) -> str | None:
        return None

    def note(self, _subject: str, _key: str, _fact: str) -> None:
        return


FORGETFUL: Memory = NoMemory()
