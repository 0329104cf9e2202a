"""Fields of objects: which of them are whose, what they hold, and where two states of an object really differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gitcd.model.applied import Difference
from gitcd.model.live import Json

_DIGITS = 16
_MASKED = frozenset({"data", "stringData"})
# What every write changes, or the server alone writes.
NOISE = frozenset({"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"})
_ABSENT = object()
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(value: object) -> str:
    """Equal for equal values, in whatever order their keys stand."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:_DIGITS]


def fields_of(live: Json, manager: str) -> Mapping[str, Any]:
    """The fields that a manager has applied to an object, as its managedFields have them; empty: none."""
    for each in live["metadata"].get("managedFields") or ():
        if (each.get("manager"), each.get("operation")) == (manager, "Apply") and not each.get("subresource"):
            return each.get("fieldsV1") or {}
    return {}


def owned(live: Json, manager: str) -> str:
    """A fingerprint of the fields that a manager owns and of what they hold; empty: it owns none.

    It changes whenever somebody else changes one of them, or takes it over.
    """
    fields = fields_of(live, manager)
    return fingerprint(_held(live, fields)) if fields else ""


def _held(value: Any, fields: Mapping[str, Any]) -> Any:
    """What the fields of a set hold. Source of the form: fieldpath/serialize.go in structured-merge-diff."""
    found, is_map = [], isinstance(value, dict)
    for key in sorted(fields):
        if key != ".":
            child = value.get(key[2:]) if is_map and key.startswith("f:") else _child(value, key)
            inner = fields[key]
            found.append([key, _held(child, inner) if inner else child])
    return found


def _child(value: Any, key: str) -> Any:
    return _item(value, *key.split(":", 1)) if isinstance(value, list) else None


def _item(value: list[Any], sort: str, text: str) -> Any:
    if sort == "f":
        return None
    if sort == "i":
        return value[int(text)] if int(text) < len(value) else None
    wanted = _parsed(text)
    if sort == "v":
        return wanted if wanted in value else None
    terms = wanted.items()
    for item in value:
        if isinstance(item, dict) and terms <= item.items():
            return item
    return None


@lru_cache(maxsize=1 << 12)
def _parsed(text: str) -> Any:
    """What a key names an item of a list by; the same few stand in all objects of a kind."""
    return json.loads(text)


def differs(live: Json, then: Json, manager: str) -> tuple[Difference, ...]:
    """What a dry run would really change; who owns what counts, too, as far as it is about this manager."""
    found = tuple(_differences(_bare(live), _bare(then), ""))
    if not found and fields_of(live, manager) != fields_of(then, manager):
        found = (Difference("metadata.managedFields", None, f"{manager} owns the fields of the manifest"),)
    return masked(then, found)


def lacks(live: Json, manifest: Json) -> tuple[Difference, ...]:
    """Where an object does not hold what a manifest says; what the manifest does not speak of is passed over.

    Nobody was asked: defaults, and quantities in another spelling, may show although nothing would change.
    """
    return masked(live, tuple(_lacking(live, _sent(manifest), "")))


def holds_all(live: Json, manifest: Json) -> bool:
    """Whether an object lacks nothing of what a manifest says."""
    return next(_lacking(live, _sent(manifest), ""), None) is None


def _sent(manifest: Json) -> Json:
    """What the server reads of it."""
    return {key: each for key, each in manifest.items() if key != "status"}


def masked(value: Json, differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same; of Secrets without what they hold, so that one sees which differ and no more."""
    if value.get("kind") != "Secret":
        return tuple(differences)
    return tuple(
        _mask(each) if each.path.partition(".")[0].partition("[")[0] in _MASKED else each for each in differences
    )


def _mask(each: Difference) -> Difference:
    return Difference(each.path, None if each.old is None else "***", None if each.new is None else "*** (changed)")


def _bare(value: Json) -> dict[str, Any]:
    metadata = {key: each for key, each in value["metadata"].items() if key not in NOISE}
    return {key: each for key, each in value.items() if key != "status"} | {"metadata": metadata}


def _differences(old: Any, new: Any, path: str) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key, _ABSENT), new.get(key, _ABSENT), _below(path, key))
    elif (pairs := _paired(old, new)) is not None:
        for name, before, after in pairs:
            yield from _differences(before, after, f"{path}[{name}]")
    else:
        yield Difference(path, None if old is _ABSENT else old, None if new is _ABSENT else new)


def _lacking(live: Any, wanted: Any, path: str) -> Iterator[Difference]:
    if live == wanted:
        return
    if isinstance(live, dict) and isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from _lacking(live.get(key, _ABSENT), value, _below(path, key))
    elif (pairs := _paired(live, wanted)) is not None:
        for name, before, after in pairs:
            if after is not _ABSENT:
                yield from _lacking(before, after, f"{path}[{name}]")
    elif live is _ABSENT:
        if wanted not in (None, {}, []):
            yield Difference(path, None, wanted)
    else:
        yield Difference(path, live, wanted)


def _paired(old: Any, new: Any) -> list[tuple[str, Any, Any]] | None:
    """The items of two lists side by side: by their names, else by their places; None: they have neither."""
    if not (_is_named(old) and _is_named(new)):
        has_places = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
        return [(str(number), *pair) for number, pair in enumerate(zip(old, new, strict=True))] if has_places else None
    before, after = ({each["name"]: each for each in items} for items in (old, new))
    return [(name, before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in [*after, *(before.keys() - after)]]


def _is_named(items: Any) -> bool:
    if not (isinstance(items, list) and items):
        return False
    names = [item.get("name") for item in items if isinstance(item, dict)]
    return len(names) == len(items) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _below(path: str, key: str) -> str:
    if "." in key or "/" in key:
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key
