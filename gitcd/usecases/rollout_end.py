"""How rollouts ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most runs end without any
    from gitcd.rollout.facts import Release
    from gitcd.rollout.table import Trouble
    from gitcd.usecases.rollout_means import TakenBack


class End(StrEnum):
    """How it stands with a release when the run ends."""

    IDLE = "Idle"  # there was nothing to do
    DONE = "Done"
    PROGRESSING = "Progressing"  # a later run goes on
    SUPERSEDED = "Superseded"  # a newer commit wants it otherwise
    FAILED = "Failed"
    ROLLED_BACK = "RolledBack"  # it failed, and what ran before runs again
    REFUSED = "Refused"  # the cluster does not let it be done
    HINDERED = "Hindered"  # it cannot be done now, and nothing else is the worse for it: a later run goes on


@dataclass(frozen=True, slots=True)
class Rolled:
    """One release: how it ended, and what is to be said of it. `back` is what came of taking it back, if that began."""

    release: Release
    end: End
    text: str = ""
    trouble: Trouble | None = None
    back: TakenBack | None = None
