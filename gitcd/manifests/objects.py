"""Manifests as objects: what `kubectl apply` would send of a file, as plain JSON, or why a document is no object.

Kubernetes' tools read YAML by sigs.k8s.io/yaml, whose scalars are those of YAML 1.1: `on` is true, `0777` is octal, and
a key that is no text becomes one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from gitcd.manifests import documents
from gitcd.manifests.documents import Map, UnreadableError
from gitcd.model.declaration import Origin
from gitcd.model.faults import shown
from gitcd.model.fields import DNS_LABEL
from gitcd.model.live import Manifest, Ref, part, template_at
from gitcd.model.site import Refusal

_MAPS = ("annotations", "labels")
_CONTAINERS = ("containers", "initContainers")
# Kinds that have pods; a Service has none, and a selector as they have.
_SHAPED = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout", "Service"}
)
ENCRYPTED = "sops"  # the top-level key that sops leaves in what it has encrypted

_MAX_BYTES = 1 << 24  # definitions of custom kinds come in files of megabytes
_SAFE = 1 << 53  # up to here, floats hold whole numbers exactly

# Source: goyaml.v2/resolve.go in sigs.k8s.io/yaml.
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NUMERIC = frozenset("-+.0123456789")
_INT = re.compile(r"[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


def read_objects(path: str, data: bytes) -> list[Manifest | Refusal]:
    """The objects of a file, and what is wrong with documents that are none. A List counts as what it lists.

    A document that claims neither an apiVersion nor a kind is passed over: it may be the values of a chart.
    """
    try:
        text = documents.decode(data, _MAX_BYTES)
    except UnreadableError as error:
        return [_unreadable(path, 0, error)]
    return [each for line, part in documents.split(text) for each in _part(path, line, part)]


def is_encrypted(manifest: Manifest) -> bool:
    """Whether sops has encrypted the document, so that it means nothing to a cluster."""
    return ENCRYPTED in manifest.value


def plain(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar as Kubernetes' tools read it.

    Raises:
        UnreadableError: it is a number that JSON does not have.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _NO_NUMBER.fullmatch(text):
        raise UnreadableError(f"{text} is no number that an API server takes", remedy="put it in quotes")
    bare = text.replace("_", "")
    if _INT.fullmatch(bare) and _LEAST <= (number := _integer(bare)) <= _MOST:
        return number
    return _as_json(float(bare), text) if _FLOAT.fullmatch(bare) else text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    is_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal()
    return int(text.replace("0", "0o", 1) if is_octal else text, 0)


def _as_json(number: float, text: str) -> int | float | str:
    """As it comes out of JSON again: whole numbers without a fraction."""
    if math.isinf(number):
        raise UnreadableError(f"{text} is too large a number", remedy="put it in quotes")
    return int(number) if number.is_integer() and abs(number) < _SAFE else number


def _part(path: str, first_line: int, part: str) -> Iterator[Manifest | Refusal]:
    try:
        for value in documents.compose(part, plain):
            if isinstance(value, Map):
                yield from _objects(path, first_line, value) if _claims_to_be_one(value) else ()
            elif value is not None:
                yield Refusal(path, first_line + 1, "the document is no map")
    except UnreadableError as error:
        yield _unreadable(path, first_line, error)


def _objects(path: str, first_line: int, value: Map) -> Iterator[Manifest | Refusal]:
    if value.faults:
        message, mark = value.faults[0]
        yield Refusal(path, first_line + mark[0] + 1, message)
        return
    kind, items = value.get("kind"), value.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        for item in items:
            if isinstance(item, Map) and _claims_to_be_one(item):
                yield from _objects(path, first_line, item)
            else:
                yield Refusal(path, first_line + documents.start(value)[0] + 1, f"an item of this {kind} is no object")
        return
    yield _object(Origin(path, first_line + documents.start(value)[0] + 1), value)


def _claims_to_be_one(value: Map) -> bool:
    return "kind" in value or "apiVersion" in value


def _object(origin: Origin, value: Map) -> Manifest | Refusal:
    kind, api_version = value.get("kind"), value.get("apiVersion")
    for key, text in (("kind", kind), ("apiVersion", api_version)):
        if not (isinstance(text, str) and text):
            return Refusal(origin.path, origin.line, f"{key} is missing" if text is None else f"{key} is no text")
    metadata = value.get("metadata")
    if why := _unnamed(metadata):
        return Refusal(origin.path, origin.line, f"{kind}: {why}")
    if wrong := next(_misshapen(str(kind), value), ""):
        return Refusal(origin.path, origin.line, f"{kind}: {wrong}")
    group, _, version = str(api_version).rpartition("/")
    namespace, name = _texts(metadata)
    return Manifest(Ref(str(kind), namespace, name, group), version, value, origin)


def _misshapen(kind: str, value: Map) -> Iterator[str]:
    """Where an object is not of the shape that its kind has, as far as rollouts go by it."""
    if kind not in _SHAPED:
        return
    pods = template_at(kind)
    for above, key in _maps_of(kind):
        if not isinstance(part(value, *above).get(key) or {}, Mapping):
            yield f"{'.'.join((*above, key))} is no map"
    spec = part(value, *pods, "spec")
    for key in _CONTAINERS:
        listed = spec.get(key) or []
        if not (isinstance(listed, list) and all(isinstance(each, Mapping) for each in listed)):
            yield f"{'.'.join((*pods, 'spec', key))} is no list of containers"


@cache
def _maps_of(kind: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Where a kind has maps down to those of its pods' template: the path of the map above, and the key."""
    pods = template_at(kind)
    down = (pods[: end + 1] for end in range(len(pods)))
    below = ((*pods, *rest) for rest in (("metadata",), ("metadata", "labels"), ("metadata", "annotations"), ("spec",)))
    selector = ("spec", "selector")
    return tuple((path[:-1], path[-1]) for path in (("spec",), selector, (*selector, "matchLabels"), *down, *below))


def _texts(metadata: Any) -> tuple[str, str]:
    return metadata.get("namespace") or "", metadata["name"]


def _unnamed(metadata: object) -> str:
    """Why an object cannot be named by this, as it becomes part of a path; empty: it can."""
    if not isinstance(metadata, Mapping):
        return "metadata is missing"
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if wrong := next((key for key in _MAPS if not isinstance(metadata.get(key) or {}, Mapping)), ""):
        return f"metadata.{wrong} is no map"
    if name is None:
        what = ", and generateName makes a new object at every run" if "generateName" in metadata else ""
        return f"metadata.name is missing{what}"
    if not isinstance(name, str) or name in {"", ".", ".."} or any(char in name for char in "/%"):
        return f"metadata.name: {shown(name)} is no name"
    if namespace and not (isinstance(namespace, str) and re.fullmatch(DNS_LABEL, namespace)):
        return f"metadata.namespace: {shown(namespace)} is no name of a namespace"
    return ""


def _unreadable(path: str, first_line: int, error: UnreadableError) -> Refusal:
    remedy = f"; {error.remedy}" if error.remedy else ""
    return Refusal(path, first_line + error.mark[0] + 1, f"{error.message}{remedy}")
