"""What a ContainerVersion of the cluster tells of its rollouts, and how that is written.

These fields have a writer of their own, apart from the one that writes what a plan decided: neither takes away what the
other says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json
from gitcd.cluster.containerversions import Live, live_of
from gitcd.errors import RefusedError
from gitcd.model.declaration import API_VERSION, KIND, PLURAL

MANAGER = "gitcd-apply"
FIELDS = ("applied", "lastGood", "rollout", "history")
_SEEN = "observedGeneration"
_UNKNOWN = "field not declared in schema"  # what server-side apply says of it
_OLD = "the cluster's definition of ContainerVersion is older than this gitcd"
_RENEW = "Renew it: gitcd schema crd | kubectl apply --server-side -f -"


@dataclass(frozen=True, slots=True)
class Progress:
    """A ContainerVersion as rollouts see it: where it lies, the fields that are theirs, and what people noted on it."""

    live: Live
    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Mapping[str, Any], ...] = ()  # those that rollouts have written
    annotations: Mapping[str, str] = field(default_factory=dict)


def read_progress(api: Api, namespace: str, name: str) -> Progress | None:
    """None where there is no such object, or no such kind.

    Raises:
        DeclinedError: it may not be read.
        TransientError: the cluster is in trouble.
    """
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}"
    try:
        return progress_of(api.get(path))
    except DeclinedError as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def progress_of(item: Json) -> Progress:
    """The part of the object that rollouts have to do with."""
    status, metadata = item.get("status") or {}, item["metadata"]
    return Progress(
        live_of(item),
        {key: status[key] for key in FIELDS if status.get(key)},
        tuple(
            {key: value for key, value in each.items() if key != _SEEN}
            for each in status.get("conditions") or ()
            if _is_mine(each, metadata.get("managedFields") or ())
        ),
        metadata.get("annotations") or {},
    )


def write_progress(
    api: Api, progress: Progress, fields: Mapping[str, Any], conditions: tuple[Mapping[str, Any], ...]
) -> Progress | None:
    """Make these the fields and conditions that tell of rollouts; None where the object is gone.

    Raises:
        DeclinedError: it may not be written.
        RefusedError: the cluster's definition is an older one, which does not know all of them.
        TransientError: the cluster is in trouble.
    """
    live = progress.live
    metadata = {"name": live.name, "namespace": live.namespace, "uid": live.uid}
    status = {**fields, "conditions": [{**each, _SEEN: live.generation} for each in conditions]}
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
    try:
        made = api.apply(f"{live.path}/status", body, manager=MANAGER, force=True)
        return progress_of(_without_theirs(api, f"{live.path}/status", made, fields))
    except DeclinedError as answer:
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:  # a conflict: another object bears its name
            return None
        if _UNKNOWN in answer.words:
            raise RefusedError(f"{_OLD} ({answer.words})", remedy=_RENEW) from answer
        raise


def _without_theirs(api: Api, path: str, made: Json, fields: Mapping[str, Any]) -> Json:
    """The object without the fields that are to go and that somebody else has written, too: those stay in an apply.

    A record that nobody takes away would be a rollout that never ends.
    """
    theirs = [key for key in FIELDS if key in (made.get("status") or {}) and key not in fields]
    if not theirs:
        return made
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]}
    steps = [test, *({"op": "remove", "path": f"/status/{key}"} for key in theirs)]
    try:
        return api.patch(path, steps, manager=MANAGER)
    except DeclinedError as answer:
        if answer.status not in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise
        return made  # it has changed meanwhile, and the next write finds what is left


def _is_mine(condition: Mapping[str, Any], managed: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]]) -> bool:
    """Whether rollouts wrote a condition, as the API server remembers."""
    key = f'k:{{"type":"{condition.get("type")}"}}'
    return any(
        key in (((each.get("fieldsV1") or {}).get("f:status") or {}).get("f:conditions") or {})
        for each in managed
        if each.get("manager") == MANAGER
    )
