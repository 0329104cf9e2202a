"""A look that spares all others: the same commit was applied the same way before, and the cluster has not changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitcd import __version__
from gitcd.cluster.api import Api, Json
from gitcd.cluster.objects import MANAGER, Objects
from gitcd.model.applied import Entry, Inventory
from gitcd.model.declaration import KIND
from gitcd.planning.applying_fields import fingerprint, owned
from gitcd.usecases.apply_apparent import has_failed
from gitcd.usecases.apply_live import see
from gitcd.usecases.apply_record import read_record
from gitcd.usecases.apply_wish import Bounds


def state_of(commit: str, bounds: Bounds, *, everything: bool) -> str:
    """What says that a run would want the same things of the cluster."""
    limits = {name: repr(each) for name, each in (bounds.limits or {}).items()}
    return fingerprint([__version__, commit, everything, sorted(bounds.kinds), limits])


def is_as_it_was(objects: Objects, namespace: str, environment: str, state: str) -> Inventory | None:
    """What was written, if that was for the same state and all of it is as it was then; None: look closer.

    Raises:
        ConfigError: the record may not be read.
        RefusedError: it is another's.
        TransientError: the cluster is in trouble.
    """
    inventory = _record(objects.api, namespace, environment)
    if not inventory.entries or inventory.state != state:
        return None
    sight = see(objects, (each.ref for each in inventory.entries))
    is_same = all(_is_same(each, sight.live.get(each.ref)) for each in inventory.entries)
    return inventory if is_same else None


def _record(api: Api, namespace: str, environment: str) -> Inventory:
    return read_record(api, namespace, environment).inventory


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
