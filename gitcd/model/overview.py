"""What is deployed where, as `gitcd status` tells it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from gitcd.model.declaration import Identity
from gitcd.model.kinship import kinship


@dataclass(frozen=True, slots=True)
class State:
    """One thing to know about a declaration. `kind` is one word in CamelCase, `text` one sentence."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """The commit that brought a value to the branch: `act` says how, `by` who."""

    commit: str
    when: datetime
    by: str
    act: str


@dataclass(frozen=True, slots=True)
class Running:
    """What the cluster runs of a declaration: `names` as people call them, `digests` as far as workloads name any.

    `rollout` is the step of the rollout that is under way, empty where there is none.
    """

    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    pods: int = 0
    rollout: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One declaration in one environment, and what git says that it deploys. `running`: None where nobody looked."""

    identity: Identity
    repository: str = ""
    tag: str = ""
    version: str = ""
    digest: str = ""
    since: Provenance | None = None
    states: tuple[State, ...] = ()
    where: tuple[str, ...] = ()
    running: Running | None = None

    def deploys_as(self, other: Item) -> bool:
        """Whether both deploy the same: by digest where both name one, else by version."""
        if self.digest and other.digest:
            return self.digest == other.digest
        return self.version == other.version

    def has(self, *kinds: str) -> bool:
        return any(state.kind in kinds for state in self.states)


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    name: str
    promote_from: str = ""
    frozen: str = ""  # why nothing moves there now; empty: things do


@dataclass(frozen=True, slots=True)
class Overview:
    """Items by app and environment, environments in the order of gitcd.yaml; `warnings` say what is not known."""

    environments: tuple[EnvironmentStatus, ...]
    items: tuple[Item, ...]
    base: str = ""
    warnings: tuple[str, ...] = field(default=())

    def differing(self) -> list[str]:
        """The apps of which not all environments deploy the same."""
        apps = kinship(item.identity for item in self.items)
        first: dict[str, Item] = {}
        return sorted(
            {
                app
                for item in self.items
                for app in (apps[item.identity],)
                if not item.deploys_as(first.setdefault(app, item))
            }
        )

    def counts(self) -> dict[str, int]:
        """How many items there are of each kind of state."""
        kinds = (kind for item in self.items for kind in {state.kind for state in item.states})
        return dict(sorted(Counter(kinds).items()))
