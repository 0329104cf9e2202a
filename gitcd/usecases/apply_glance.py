"""A look that spares all others: the same commit was applied the same way before, and the cluster has not changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitcd import __version__
from gitcd.cluster.api import Json
from gitcd.cluster.objects import MANAGER, Objects
from gitcd.model.applied import Entry
from gitcd.model.declaration import KIND
from gitcd.planning.applying_fields import fingerprint, owned
from gitcd.usecases.apply_apparent import has_failed
from gitcd.usecases.apply_live import Ahead, look_ahead
from gitcd.usecases.apply_record import read_record
from gitcd.usecases.apply_wish import Bounds


def state_of(commit: str, bounds: Bounds, *, everything: bool) -> str:
    """What says that a run would want the same things of the cluster."""
    limits = {name: repr(each) for name, each in (bounds.limits or {}).items()}
    return fingerprint([__version__, commit, everything, sorted(bounds.kinds), limits])


@dataclass(frozen=True, slots=True)
class Glance:
    """What was written before, and a look at it. `is_same`: for the same state, and all of it is as it was then."""

    entries: Sequence[Entry]
    ahead: Ahead
    is_same: bool


def glance(objects: Objects, namespace: str, environment: str, state: str) -> Glance:
    """See whether there may be anything to do.

    Raises:
        ConfigError: the record may not be read.
        RefusedError: it is another's.
        TransientError: the cluster is in trouble.
    """
    record = read_record(objects.api, namespace, environment)
    entries = record.inventory.entries
    ahead = look_ahead(objects, (each.ref for each in entries), record.version)
    if not entries or record.inventory.state != state:
        return Glance(entries, ahead, is_same=False)
    live = ahead.sight.result().live
    return Glance(entries, ahead, all(_is_same(each, live.get(each.ref)) for each in entries))


def _is_same(entry: Entry, value: Json | None) -> bool:
    if value is None or value["metadata"].get("uid") != entry.uid or owned(value, MANAGER) != entry.owned:
        return False
    if has_failed(value):
        return False
    return entry.ref.kind != KIND or not _moves(value.get("status") or {})


def _moves(status: Mapping[str, Any]) -> bool:
    """Whether a rollout is under way, or has failed."""
    stalled = any(
        each.get("type") == "Stalled" and each.get("status") == "True" for each in status.get("conditions") or ()
    )
    return stalled or bool((status.get("rollout") or {}).get("newDigest"))
