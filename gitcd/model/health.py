"""How an object of a cluster is, and what one has to look at besides to say so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gitcd.model.live import Json, Ref


class State(StrEnum):
    """Named after those of kstatus; a state that only time or a person changes is not waited for."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    TERMINATING = "Terminating"
    MISSING = "Missing"


@dataclass(frozen=True, slots=True)
class Health:
    """The state with why: `reason` one word in CamelCase, `message` a sentence that names what it is about.

    `pod` and `container` are set where one of them is the cause; `log` then holds its last lines, once they were asked
    for.
    """

    ref: Ref
    state: State
    reason: str = ""
    message: str = ""
    pod: str = ""
    container: str = ""
    log: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """A sentence about it in any case."""
        return self.message or f"{self.ref} is {self.state}"


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around an object: for a workload its pods and ReplicaSets, for a Service its EndpointSlices."""

    pods: tuple[Json, ...] = ()
    replica_sets: tuple[Json, ...] = ()
    slices: tuple[Json, ...] = ()
