"""Reading objects of a cluster that may hold anything: what is not there, or of another type, is never an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from gitcd.model import times
from gitcd.model.live import Json

_NOTHING: Json = {}


def dig(value: object, *path: str) -> Any:
    """What lies at a path of keys, or None."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(value: object, *path: str) -> str:
    found = dig(value, *path)
    return found if isinstance(found, str) else ""


def number(value: object, *path: str, default: int = 0) -> int:
    return dig(value, *path) if has_number(value, *path) else default


def has_number(value: object, *path: str) -> bool:
    found = dig(value, *path)
    return isinstance(found, int) and not isinstance(found, bool)


def objects(value: object, *path: str) -> Sequence[Json]:
    """The mappings of a list."""
    found = dig(value, *path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def flag(value: object, *path: str) -> bool:
    return dig(value, *path) is True


def moment(value: object, *path: str) -> datetime | None:
    """A time as the API writes it."""
    return times.parsed(text(value, *path))


def condition(value: object, kind: str) -> Json:
    """The condition of that type; empty where there is none."""
    return next((each for each in objects(value, "status", "conditions") if text(each, "type") == kind), _NOTHING)


def says(found: Json, status: str) -> bool:
    return text(found, "status") == status


def owned(candidates: Iterable[Json], owner: Json) -> list[Json]:
    """Those that name the owner as the one that made them, in the order of their names."""
    uid = text(owner, "metadata", "uid")
    mine = [each for each in candidates if uid and uid in _owners(each)]
    return sorted(mine, key=lambda each: text(each, "metadata", "name"))


def label(value: object, name: str) -> str:
    return text(value, "metadata", "labels", name)


def annotation(value: object, name: str) -> str:
    return text(value, "metadata", "annotations", name)


def is_leaving(value: object) -> bool:
    return bool(dig(value, "metadata", "deletionTimestamp"))


def _owners(value: Json) -> set[str]:
    return {text(each, "uid") for each in objects(value, "metadata", "ownerReferences")}
