"""Where the credentials of a forge come from: a token that was given, or one that is minted for this run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Tokens(Protocol):
    """The credentials of one run."""

    def header(self) -> tuple[str, str]:
        """Name and value of the header that carries them. Raises ForgeError where none can be had."""

    def renew(self) -> bool:
        """Called when they were not accepted: whether there are others now."""


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token from the operator; it stays the same for the whole run."""

    token: str = field(repr=False)
    name: str = "Authorization"
    scheme: str = "Bearer"

    def header(self) -> tuple[str, str]:
        return self.name, f"{self.scheme} {self.token}".strip()

    def renew(self) -> bool:
        return False
