"""What a rollout may do to the world, as values: the core says what, the driver carries it out.

None of them carries an image of its own: an image reaches the cluster by `Apply` alone, which holds a manifest of a
commit, or a transient copy made of two such manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Tally

KEPT = "gitcd-kept"  # who owns a number of replicas that somebody other than gitcd had set, on the slot before


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object what its manifest says."""

    manifest: Manifest

    def __str__(self) -> str:
        return f"apply {self.manifest.ref}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Give a workload so many replicas, for as long as the rollout lasts; `manager`: in another name than usual."""

    ref: Ref
    replicas: int
    manager: str = ""

    def __str__(self) -> str:
        return f"scale {self.ref} to {self.replicas}"


@dataclass(frozen=True, slots=True)
class Select:
    """Let a Service select what a commit says, if nobody has changed it since it was looked at."""

    manifest: Manifest
    resource_version: str

    def __str__(self) -> str:
        return f"switch {self.manifest.ref}"


@dataclass(frozen=True, slots=True)
class Weigh:
    """Patch the weights of an HTTPRoute, or whose they are, if nobody has changed it since it was looked at."""

    ref: Ref
    patch: tuple[Mapping[str, Any], ...]
    resource_version: str

    def __str__(self) -> str:
        weights = [each["value"] for each in self.patch if isinstance(each["value"], int)]
        return f"weigh {self.ref}: {', '.join(map(str, weights))}" if weights else f"leave {self.ref}"


@dataclass(frozen=True, slots=True)
class Measure:
    """Take one measurement; it is filed under `key`, and comes after those that earlier runs have taken."""

    key: str
    verify: Verify
    before: Tally = field(default_factory=Tally)

    def __str__(self) -> str:
        return f"verify {self.verify.name or self.verify.kind}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object, if it still is the one that was looked at."""

    ref: Ref
    uid: str
    resource_version: str = ""

    def __str__(self) -> str:
        return f"delete {self.ref}"


@dataclass(frozen=True, slots=True)
class CommitSwitch:
    """Commit that the Service in git selects the other slot."""

    def __str__(self) -> str:
        return "commit the switch"


Action = Apply | Scale | Select | Weigh | Measure | Delete | CommitSwitch
