"""What a run of apply was asked for, and what it is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gitcd.model.applied import Applied

if TYPE_CHECKING:
    from datetime import timedelta

    from gitcd.planning.limits import Limits
    from gitcd.usecases.context import Selection

Note = Callable[[Applied], None]  # hears what became of each object


class DryRun(StrEnum):
    NONE = "none"
    CLIENT = "client"  # nothing but reading: what the manifests say is compared with what is there
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Wish:
    """The flags of the verb. `namespace` is where record and Lease are kept; `budget` how long waiting may last."""

    selection: Selection
    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    revision: str = ""
    everything: bool = False
    dry_run: DryRun = DryRun.NONE
    wait: bool = True
    budget: timedelta | None = None
    prune: bool = False
    prune_many: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator lets an environment write: kinds beyond the usual ones, and namespaces."""

    kinds: frozenset[str] = frozenset()
    limits: Limits | None = None
