"""Plans and reports as plain data: what `--out` writes and `--plan` reads, what `-o json` prints.

A plan document holds everything, down to the bytes of every file, and reads back as the same plan. A report is the same
decision for programs that only look: counts and outcomes, and what was committed.

One walk over the type hints of the plan's classes gives the writer, the reader and the JSON Schema, so that the three
cannot disagree. Keys are the fields' names in camel case.
"""

from __future__ import annotations

import base64
import binascii
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from gitcd.errors import ConfigError
from gitcd.model.declaration import API_VERSION
from gitcd.model.fields import JsonSchema
from gitcd.model.plan import Delivered, Outcome, OutcomeKind, Plan, PlannedCommit
from gitcd.model.registry import Failure
from gitcd.model.schema import DIALECT
from gitcd.model.tree import blob_id

PLAN = "Plan"
REPORT = "Report"


def to_document(plan: Plan) -> dict[str, Any]:
    """The whole plan as plain data."""
    return {"apiVersion": API_VERSION, "kind": PLAN, **_written(plan)}


def from_document(value: object) -> Plan:
    """The plan that `to_document` wrote.

    Raises:
        ConfigError: the value is no such document; the message says where.
    """
    try:
        found = _object(value, "the document")
        head = {"apiVersion": API_VERSION, "kind": PLAN}
        for key, wanted in head.items():
            if found.get(key) != wanted:
                raise _FaultError(key, f"{wanted} is wanted")
        plan: Plan = _read(Plan, {key: item for key, item in found.items() if key not in head}, "")
    except _FaultError as fault:
        raise ConfigError(
            f"this is no plan that can be carried out: {fault}",
            remedy="Make one with `--dry-run --out FILE`.",
        ) from fault
    return plan


def report(
    plan: Plan, *, commits: Sequence[str] = (), pulls: Sequence[Delivered] | None = None, exit_code: int = 0
) -> dict[str, Any]:
    """What was decided, for programs; `commits` are the ids of the commits that landed on the branch, in order.

    `pulls` are what became of pull requests; None: nothing was carried out.
    """
    ids = [*commits, *[""] * (len(plan.commits) - len(commits))]
    return {
        "apiVersion": API_VERSION,
        "kind": REPORT,
        "base": plan.base,
        "exitCode": int(exit_code),
        "counts": {_lower(kind): plan.counts[kind] for kind in OutcomeKind},
        "outcomes": _written(plan.outcomes),
        "commits": [_commit_summary(commit, oid) for commit, oid in zip(plan.commits, ids, strict=True)],
        "pulls": _written(tuple(plan.rehearsed if pulls is None else pulls)),
        "failures": _written(plan.failures),
        "warnings": list(plan.warnings),
    }


def plan_schema() -> JsonSchema:
    """The JSON Schema (draft 2020-12) of plan documents."""
    return _schema(PLAN, _described(Plan)["properties"])


def report_schema() -> JsonSchema:
    """The JSON Schema (draft 2020-12) of reports."""
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    texts = {"type": "array", "items": text}
    commit = _closed(
        {
            "id": {**text, "description": "The commit's id; empty where it did not land."},
            "kind": _described(OutcomeKind),
            "environments": texts,
            "apps": texts,
            "files": texts,
            "message": text,
        }
    )
    properties = {
        "base": text,
        "exitCode": {"type": "integer"},
        "counts": _closed({_lower(kind): count for kind in OutcomeKind}),
        "outcomes": {"type": "array", "items": _described(Outcome)},
        "commits": {"type": "array", "items": commit},
        "pulls": {"type": "array", "items": _described(Delivered)},
        "failures": {"type": "array", "items": _described(Failure)},
        "warnings": texts,
    }
    return _schema(REPORT, properties)


SCHEMAS = {PLAN: plan_schema, REPORT: report_schema}


class _FaultError(Exception):
    """Where a document is wrong, and how."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)


def _commit_summary(commit: PlannedCommit, oid: str) -> dict[str, Any]:
    return {
        "id": oid,
        "kind": commit.kind.value,
        "environments": list(commit.environments),
        "apps": [str(outcome.identity) for outcome in commit.outcomes if outcome.changed],
        "files": [change.path for change in commit.files],
        "message": commit.message,
    }


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return _content(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _written(getattr(value, name)) for key, name, _ in _rows(type(value))}
    return value


def _read(hint: Any, value: object, path: str) -> Any:
    """The value of a field of that type. Faults carry the path at which they stand."""
    if get_origin(hint) in {Union, types.UnionType}:
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
        return None if value is None else _read(hint, value, path)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise _FaultError(path, "a list is wanted")
        return tuple(_read(get_args(hint)[0], item, f"{path}[{number}]") for number, item in enumerate(value))
    if hint is bytes:
        return _bytes(_object(value, path), path)
    if is_dataclass(hint):
        return _read_object(hint, value, path)
    return _read_scalar(hint, value, path)


def _read_object(cls: Any, value: object, path: str) -> Any:
    found = _object(value, path)
    rows = _rows(cls)
    if strangers := found.keys() - {key for key, _, _ in rows}:
        raise _FaultError(path, f"{min(strangers)!r} is not known")
    read = {}
    for key, name, hint in rows:
        inner = f"{path}.{key}" if path else key
        if key not in found:
            raise _FaultError(inner, "is missing")
        read[name] = _read(hint, found[key], inner)
    return cls(**read)


def _read_scalar(hint: Any, value: object, path: str) -> Any:
    if hint in (bool, int):
        if type(value) is not hint:
            raise _FaultError(path, "true or false is wanted" if hint is bool else "a whole number is wanted")
        return value
    if not isinstance(value, str):
        raise _FaultError(path, "text is wanted")
    try:
        return datetime.fromisoformat(value) if hint is datetime else hint(value)
    except ValueError as error:
        raise _FaultError(path, str(error)) from error


def _described(hint: Any) -> JsonSchema:
    if get_origin(hint) in {Union, types.UnionType}:
        (inner,) = (part for part in get_args(hint) if part is not types.NoneType)
        return {"anyOf": [_described(inner), {"type": "null"}]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _described(get_args(hint)[0])}
    if hint is bytes:
        text = {"type": "string"}
        kinds = ({"oid": text, "text": text}, {"oid": text, "base64": text})
        return {"oneOf": [_closed(properties) for properties in kinds]}
    if is_dataclass(hint) and isinstance(hint, type):
        return _closed({key: _described(inner) for key, _, inner in _rows(hint)})
    return _described_scalar(hint)


def _described_scalar(hint: Any) -> JsonSchema:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if hint is datetime:
        return {"type": "string", "format": "date-time"}
    return {"type": {str: "string", bool: "boolean", int: "integer"}[hint]}


def _closed(properties: Mapping[str, Any]) -> JsonSchema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(kind: str, properties: Mapping[str, Any]) -> JsonSchema:
    head = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}
    return {"$schema": DIALECT, "title": kind, **_closed({**head, **properties})}


@cache
def _rows(cls: type) -> tuple[tuple[str, str, Any], ...]:
    """Key in the document, name and type of every field."""
    hints = get_type_hints(cls)
    return tuple((_camel(item.name), item.name, hints[item.name]) for item in fields(cls))


def _object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _FaultError(path, "an object is wanted")
    return value


def _content(data: bytes) -> dict[str, str]:
    """Bytes with their object id in git: as text where they are UTF-8."""
    oid = blob_id(data)
    try:
        return {"oid": oid, "text": data.decode()}
    except UnicodeDecodeError:
        return {"oid": oid, "base64": base64.b64encode(data).decode()}


def _bytes(content: Mapping[str, Any], path: str) -> bytes:
    text, encoded = content.get("text"), content.get("base64")
    try:
        data = text.encode() if isinstance(text, str) else base64.b64decode(encoded or "", validate=True)
    except (UnicodeEncodeError, binascii.Error, TypeError, ValueError) as error:
        raise _FaultError(path, f"is no content: {error}") from error
    if content.keys() != {"oid", "text" if isinstance(text, str) else "base64"} or content["oid"] != blob_id(data):
        raise _FaultError(path, "the content is not that of its oid")
    return data


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _lower(kind: OutcomeKind) -> str:
    return kind.value[0].lower() + kind.value[1:]
