"""What gitcd writes into a cluster when it has planned: the status of ContainerVersions, and events about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError
from gitcd.cluster.containerversions import Live, get
from gitcd.errors import TransientError
from gitcd.model.declaration import API_VERSION, KIND
from gitcd.model.status_outcome import Note

MANAGER = "gitcd"  # what writes other fields of the status needs another name, or it would take these away
_ATTEMPTS = 4


def write_status(api: Api, live: Live, status: Mapping[str, Any]) -> bool:
    """Write the status of an object as it was listed; False where it is gone or has another spec by now.

    The write asks for the very version that was read: whatever has happened since is looked at first, and a status
    never lands on a generation that it is not about. Fields that somebody else wrote into it are taken over: status is
    gitcd's own.

    Raises:
        DeclinedError: it may not be written.
        TransientError: the cluster is in trouble, or the object changes faster than it can be read.
    """
    for _ in range(_ATTEMPTS):
        try:
            api.apply(f"{live.path}/status", _body(live, status), manager=MANAGER, force=True)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return False
            if answer.status != HTTPStatus.CONFLICT:
                raise
        else:
            return True
        now = get(api, live)
        if now is None or (now.uid, now.generation) != (live.uid, live.generation):
            return False
        live = now
    raise TransientError(f"it was changed by others under every one of {_ATTEMPTS} attempts", remedy="Run again.")


def write_event(api: Api, live: Live, note: Note, now: datetime, run: str) -> None:
    """Tell of a transition. The name follows from what is told, so that an event that is sent twice is there once.

    Raises:
        DeclinedError: it may not be written.
        TransientError: the cluster is in trouble.
    """
    try:
        api.create(f"/apis/events.k8s.io/v1/namespaces/{live.namespace}/events", _event(live, note, now, run))
    except DeclinedError as answer:
        if answer.status != HTTPStatus.CONFLICT:
            raise


def _body(live: Live, status: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": live.name,
        "namespace": live.namespace,
        "uid": live.uid,
        "resourceVersion": live.resource_version,
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": dict(status)}


def _event(live: Live, note: Note, now: datetime, run: str) -> dict[str, Any]:
    mark = hashlib.sha256(f"{live.uid} {run} {note.reason}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{live.name[:200].rstrip('-.')}.{mark}", "namespace": live.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "gitcd.io/gitcd",
        "reportingInstance": f"gitcd-{run}"[:128],
        "action": "Reconcile",
        "reason": note.reason,
        "type": note.type,
        "note": note.text,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": live.namespace,
            "name": live.name,
            "uid": live.uid,
            "resourceVersion": live.resource_version,
        },
    }
