"""One schema source: the annotated dataclasses of the model, compiled once into tables.

From the same tables come the validator, the reader of documents and the JSON Schema. Field names are written in snake
case in Python and in camel case in documents; a trailing underscore, there because of a keyword, is dropped.
"""

from __future__ import annotations

import types
from collections.abc import Hashable
from dataclasses import MISSING, fields, is_dataclass
from dataclasses import Field as DataclassField
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gitcd.errors import RefusedError
from gitcd.model.fields import Doc, Duration, Items, JsonSchema, Number, Secret, Text
from gitcd.model.object_shape import Field, ObjectShape
from gitcd.model.problem import Problem, Steps
from gitcd.model.shapes import ChoiceShape, DurationShape, FlagShape, ListShape, MapShape, NumberShape, Shape, TextShape

DIALECT = "https://json-schema.org/draft/2020-12/schema"

T = TypeVar("T")


def validate(cls: type, value: object, at: Steps = ()) -> list[Problem]:
    """All that is wrong with a plain value (maps, lists, scalars) as a document of the class; `at` leads to it."""
    return read(cls, value, at)[1]


def build(cls: type[T], value: object) -> T:
    """The instance that a valid plain value describes.

    Raises:
        RefusedError: the value is not valid; the message lists every problem.
    """
    instance, problems = read(cls, value)
    if instance is None:
        raise RefusedError("\n".join(map(str, problems)))
    return instance


def read(cls: type[T], value: object, at: Steps = ()) -> tuple[T | None, list[Problem]]:
    """The instance, or None and every problem."""
    problems: list[Problem] = []
    instance = table(cls).read(value, at, problems)
    return (None, problems) if problems else (instance, problems)


def plain(instance: object) -> dict[str, Any]:
    """The instance as a document holds it, without what equals a default."""
    document = table(type(instance)).plain(instance)
    assert isinstance(document, dict)  # noqa: S101 - an object shape yields a map
    return document


def json_schema(cls: type, *, title: str = "") -> JsonSchema:
    """The JSON Schema (draft 2020-12) of documents of the class.

    It accepts what the validator accepts, but for what it cannot say: that a regular expression can be used here, that
    a date exists in its month, how long the path of a repository is, and that list items differ in one field.
    """
    return {"$schema": DIALECT, "title": title or cls.__name__, **table(cls).json_schema()}


def table(cls: type) -> ObjectShape:
    """The compiled field table of a dataclass of the model."""
    return _table(cls)


@cache
def _table(cls: Hashable) -> ObjectShape:
    assert isinstance(cls, type)  # noqa: S101 - `Hashable` only names what the cache asks of a key
    hints = get_type_hints(cls, include_extras=True)
    rows = [_row(item, hints[item.name]) for item in fields(cls)]
    return ObjectShape(
        cls=cls,
        fields={row.key: row for row in rows},
        shared={row.name: row.default for row in rows if is_dataclass(row.default)},
        ignored=frozenset(getattr(cls, "IGNORED", ())),
        rules=getattr(cls, "RULES", ()),
        strangers=getattr(cls, "STRANGERS", {}),
        required=frozenset(row.key for row in rows if row.required),
    )


def _row(item: DataclassField[Any], hint: Any) -> Field:
    base, marks = _unwrap(hint)
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return Field(
        key=_camel(item.name),
        name=item.name,
        shape=_shape(base, marks),
        required=default is MISSING,
        default=None if default is MISSING else default,
        doc=next((mark.text for mark in marks if isinstance(mark, Doc)), ""),
        secret=any(isinstance(mark, Secret) for mark in marks),
    )


def _unwrap(hint: Any) -> tuple[Any, tuple[object, ...]]:
    """A hint without `Annotated` and `| None`, and its marks; the outermost come first."""
    marks: tuple[object, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, *inner = get_args(hint)
            marks += tuple(reversed(inner))
        elif get_origin(hint) in {Union, types.UnionType}:
            (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
        else:
            return hint, marks


def _shape(base: Any, marks: tuple[object, ...]) -> Shape:
    if base is timedelta:
        return DurationShape(_mark(marks, Text) or _mark(_unwrap(Duration)[1], Text) or Text())
    if get_origin(base) is Literal:
        return ChoiceShape(get_args(base))
    if get_origin(base) is tuple:
        return ListShape(_shape(*_unwrap(get_args(base)[0])), _mark(marks, Items) or Items())
    if get_origin(base) is dict:
        key, value = (_shape(*_unwrap(part)) for part in get_args(base))
        return MapShape(key, value, _mark(marks, Items) or Items())
    return _plain_shape(base, marks)


def _plain_shape(base: Any, marks: tuple[object, ...]) -> Shape:
    if base is str:
        return TextShape(_mark(marks, Text) or Text(), secret=_mark(marks, Secret) is not None)
    if base is bool:
        return FlagShape()
    if base is int:
        return NumberShape(_mark(marks, Number) or Number())
    return table(base)


def _mark(marks: tuple[object, ...], kind: type[T]) -> T | None:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _camel(name: str) -> str:
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(part.title() for part in rest)
