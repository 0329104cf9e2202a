"""What apply remembers in the cluster: a ConfigMap for each environment, with the commit and all that was written."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json
from gitcd.cluster.objects import MANAGER
from gitcd.errors import ConfigError, RefusedError
from gitcd.model.applied import Entry, Inventory
from gitcd.model.live import Ref

_COMMIT, _STATE, _OBJECTS = "commit", "state", "objects"
_PACKED = "objects.gz"
_PLAIN = 1 << 18  # characters; more are packed
_MOST = 900_000  # a ConfigMap holds 1 MiB, coded by base64
_FIELDS = 6
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Record:
    """The record of one environment, as it was read. `version` is empty where there is none yet."""

    namespace: str
    environment: str
    inventory: Inventory
    version: str = ""

    @property
    def name(self) -> str:
        return record_name(self.environment)

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}"


def record_name(environment: str) -> str:
    """What the ConfigMap of an environment is called, and its Lease."""
    return f"gitcd-{environment.lower()}"


def read_record(api: Api, namespace: str, environment: str) -> Record:
    """What was applied to the environment so far.

    Raises:
        ConfigError: it may not be read.
        RefusedError: what is there is no such record, or that of another environment.
        TransientError: the cluster is in trouble.
    """
    blank = Record(namespace, environment, Inventory())
    try:
        found = api.get(blank.path)
    except DeclinedError as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return blank
        raise ConfigError(
            f"the record of {environment} cannot be read: {answer.words}",
            remedy=f"Allow the verb get on ConfigMaps in namespace {namespace}, or name another with --namespace.",
        ) from answer
    data = found.get("data") or {}
    if data.get("environment") != environment:
        raise RefusedError(
            f"the ConfigMap {blank.name} in namespace {namespace} is not the record of {environment}",
            remedy="Name another namespace with --namespace.",
        )
    inventory = Inventory(data.get(_COMMIT, ""), tuple(_entries(_text(found, blank))), data.get(_STATE, ""))
    return Record(namespace, environment, inventory, found["metadata"]["resourceVersion"])


def write_record(api: Api, record: Record, inventory: Inventory) -> Record:
    """Write what was applied, if nobody has done so since the record was read; nothing, where nothing is new.

    Raises:
        ConfigError: the namespace is not there, or it may not be written.
        DeclinedError: somebody else has written meanwhile (409).
        RefusedError: there is more than a ConfigMap holds.
    """
    if inventory == record.inventory and record.version:
        return record
    try:
        if record.version:
            made = api.replace(record.path, _body(record, inventory))
        else:
            collection = record.path.rpartition("/")[0]
            made = api.create(collection, _body(record, inventory), {"fieldManager": MANAGER})
    except DeclinedError as answer:
        if answer.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            raise
        raise ConfigError(
            f"the record of {record.environment} cannot be written: {answer.words}",
            remedy=f"Make the namespace {record.namespace} with that right, or name another with --namespace.",
        ) from answer
    return Record(record.namespace, record.environment, inventory, made["metadata"]["resourceVersion"])


def _body(record: Record, inventory: Inventory) -> Json:
    metadata: dict[str, Any] = {
        "name": record.name,
        "namespace": record.namespace,
        "labels": {"app.kubernetes.io/managed-by": "gitcd"},
    }
    if record.version:
        metadata["resourceVersion"] = record.version
    data = {"environment": record.environment, _COMMIT: inventory.commit, _STATE: inventory.state}
    text = "".join(f"{_line(each)}\n" for each in sorted(inventory.entries, key=lambda each: each.ref))
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if len(text) <= _PLAIN:
        data[_OBJECTS] = text
        return body
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    if len(packed) > _MOST:
        raise RefusedError(
            f"{record.environment} has {len(inventory.entries)} objects, more than one record holds",
            remedy="Divide it into several environments in gitcd.yaml.",
        )
    return {**body, "binaryData": {_PACKED: packed}}


def _text(found: Json, record: Record) -> str:
    packed = (found.get("binaryData") or {}).get(_PACKED)
    if packed is None:
        return str((found.get("data") or {}).get(_OBJECTS, ""))
    try:
        return gzip.decompress(base64.b64decode(packed)).decode()
    except (ValueError, OSError, EOFError) as error:
        raise RefusedError(
            f"the ConfigMap {record.name} in namespace {record.namespace} is damaged",
            remedy="Delete it: everything is then compared with the cluster anew, and nothing is pruned.",
        ) from error


def _line(entry: Entry) -> str:
    ref = entry.ref
    words = (f"{ref.kind}.{ref.group}", ref.namespace, ref.name, entry.uid, entry.manifest, entry.owned)
    return " ".join(word or _NONE for word in words)


def _entries(text: str) -> Iterable[Entry]:
    for line in text.splitlines():
        words = ["" if word == _NONE else word for word in line.split(" ")]
        if len(words) == _FIELDS:
            kind, _, group = words[0].partition(".")
            yield Entry(Ref(kind, words[1], words[2], group), *words[3:])
