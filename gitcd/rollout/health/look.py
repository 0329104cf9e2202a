"""One object with all that is known of it, and the ways to say how it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from gitcd import redact
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Json, Ref
from gitcd.rollout.health.reading import number, text

_WORD = re.compile(r"[A-Z][A-Za-z0-9]{0,127}")
_LONGEST = 1024  # characters of a message


@dataclass(frozen=True, slots=True)
class Complaint:
    """What keeps a pod from being ready. It `is_fatal` where waiting is not known to help.

    `words` are the container's own; they stand apart from the message, which may come to stand in git.
    """

    pod: str
    container: str
    reason: str
    message: str
    is_fatal: bool = False
    words: str = ""

    def __str__(self) -> str:
        where = f"pod {self.pod}, container {self.container}" if self.container else f"pod {self.pod}"
        return f"{where}: {self.reason}: {self.message}" if self.message else f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Look:
    """`is_settled`: it has been seen as it is for so long that its controller, if it has one, would have spoken.

    `patience`: how long a pod may wait for a node before that counts as a failure.
    """

    ref: Ref
    value: Json
    around: Around
    now: datetime
    is_settled: bool
    patience: timedelta

    def current(self, reason: str = "Ready", message: str = "") -> Health:
        return self._say(State.CURRENT, reason, message)

    def progressing(self, reason: str, message: str, complaint: Complaint | None = None) -> Health:
        return self._say(State.IN_PROGRESS, reason, message, complaint)

    def failed(self, reason: str, message: str, complaint: Complaint | None = None) -> Health:
        return self._say(State.FAILED, reason, message, complaint)

    def blamed(self, complaint: Complaint) -> Health:
        """Failed, by what one of its pods shows."""
        return self._say(State.FAILED, complaint.reason, "", complaint)

    def suspended(self, reason: str, message: str) -> Health:
        return self._say(State.SUSPENDED, reason, message)

    def terminating(self, message: str) -> Health:
        return self._say(State.TERMINATING, "Terminating", message)

    def _say(self, state: State, reason: str, message: str, complaint: Complaint | None = None) -> Health:
        said = "; ".join(filter(None, (message, str(complaint) if complaint else "")))
        if said:
            said = f"{self.ref}: {said}"
        return Health(
            self.ref,
            state,
            word(reason),
            line(said, _LONGEST),
            complaint.pod if complaint else "",
            complaint.container if complaint else "",
            (complaint.words,) if complaint and complaint.words else (),
        )


def ref_of(value: Json) -> Ref:
    """Which object it says that it is."""
    group, slash, _ = text(value, "apiVersion").partition("/")
    return Ref(
        text(value, "kind"),
        text(value, "metadata", "namespace"),
        text(value, "metadata", "name"),
        group if slash else "",
    )


def word(reason: str, default: str = "Unknown") -> str:
    """A reason as conditions have it; whatever else stands in its place is not passed on."""
    return reason if _WORD.fullmatch(reason) else default


def line(said: str, longest: int) -> str:
    """One line without secrets and without what would steer a terminal."""
    return " ".join(redact.clean(said).split())[:longest]


def counts(value: Json, **fields: str) -> dict[str, int]:
    """Figures of a status; what a controller leaves out is 0."""
    return {name: number(value, "status", field) for name, field in fields.items()}
