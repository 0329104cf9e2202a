"""The shapes that values of documents can have: each reads a plain value into a model value and describes itself.

`read` reports every fault it meets and answers `INVALID` for what it could not read, so that one fault never hides
another. How much is reported is bounded by the schema and not by the input.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from gitcd.model.duration import format_duration, parse_duration
from gitcd.model.faults import INVALID, count_fault, did_you_mean, mistyped, report, shown
from gitcd.model.fields import Items, JsonSchema, Number, Rule, Text
from gitcd.model.problem import Problem, Steps

_STRANGERS = 10  # unknown keys of one object that are reported one by one


class Shape(Protocol):
    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        """The model value, or INVALID after at least one problem was added."""

    def json_schema(self) -> JsonSchema: ...

    def plain(self, value: Any) -> object:
        """The model value as a document holds it."""


class TextShape:
    def __init__(self, limits: Text, *, secret: bool = False) -> None:
        self._limits = limits
        self._secret = secret
        self._match = re.compile(limits.pattern).fullmatch if limits.pattern else None
        self._check = limits.check

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        limits = self._limits
        if not isinstance(value, str):
            return mistyped(value, "text", at, problems)
        if not limits.min <= len(value) <= limits.max:
            return report(self._length_fault(value), at, problems, limits.hint and f"wanted: {limits.hint}")
        if self._match and not self._match(value):
            advice = limits.advise(value) if limits.advise else ""
            return report(f"{self._shown(value)} is not {limits.hint or limits.pattern}", at, problems, advice)
        if self._check and (fault := self._check(value)):
            return report(f"{self._shown(value)} is not {limits.hint or 'valid'}: {fault}", at, problems)
        return sys.intern(value) if type(value) is str else value  # thousands of declarations say the same few words

    def json_schema(self) -> JsonSchema:
        limits = self._limits
        schema: JsonSchema = {"type": "string", "maxLength": limits.max}
        if limits.min:
            schema["minLength"] = limits.min
        if limits.pattern:
            schema["pattern"] = f"^(?:{limits.pattern})$"
        if limits.regex:
            schema["format"] = "regex"
        return schema

    def plain(self, value: Any) -> object:
        return value

    def _length_fault(self, value: str) -> str:
        if not value:
            return "is empty"
        limits = self._limits
        bound = f"at most {limits.max}" if len(value) > limits.max else f"at least {limits.min}"
        return f"has {len(value)} characters, {bound} are allowed"

    def _shown(self, value: str) -> str:
        return "the value" if self._secret else shown(value)


class DurationShape(TextShape):
    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        text = super().read(value, at, problems)
        return text if text is INVALID else parse_duration(text)

    def plain(self, value: timedelta) -> object:
        return format_duration(value)


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    choices: tuple[str, ...]

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        if not isinstance(value, str):
            return mistyped(value, "text", at, problems)
        if value in self.choices:
            return value
        wanted = ", ".join(choice or '""' for choice in self.choices)
        message = f"{shown(value)} is not {'one of ' if len(self.choices) > 1 else ''}{wanted}"
        return report(message, at, problems, did_you_mean(value, self.choices))

    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.choices)}

    def plain(self, value: Any) -> object:
        return value


@dataclass(frozen=True, slots=True)
class FlagShape:
    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        return value if isinstance(value, bool) else mistyped(value, "true or false", at, problems)

    def json_schema(self) -> JsonSchema:
        return {"type": "boolean"}

    def plain(self, value: Any) -> object:
        return value


@dataclass(frozen=True, slots=True)
class NumberShape:
    limits: Number

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON does not tell 1.0 from 1
        if not isinstance(value, int) or isinstance(value, bool):
            return mistyped(value, "a whole number", at, problems)
        low, high = self.limits.min, self.limits.max
        if low is not None and value < low:
            return report(f"{shown(value)} is too small: at least {low}", at, problems)
        if high is not None and value > high:
            return report(f"{shown(value)} is too large: at most {high}", at, problems)
        return value

    def json_schema(self) -> JsonSchema:
        bounds = {"minimum": self.limits.min, "maximum": self.limits.max}
        return {"type": "integer", **{key: bound for key, bound in bounds.items() if bound is not None}}

    def plain(self, value: Any) -> object:
        return value


@dataclass(frozen=True, slots=True)
class ListShape:
    item: Shape
    limits: Items

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        if not isinstance(value, list):
            return mistyped(value, "a list", at, problems)
        if fault := count_fault(len(value), self.limits, "items"):
            return report(fault, at, problems)
        before = len(problems)
        items = tuple([self.item.read(item, (*at, index), problems) for index, item in enumerate(value)])
        if self.limits.unique:
            self._report_repeats(value, at, problems)
        return items if len(problems) == before else INVALID

    def json_schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "array", "items": self.item.json_schema(), "maxItems": self.limits.max}
        if self.limits.min:
            schema["minItems"] = self.limits.min
        if self.limits.unique:
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.limits.unique]}
        return schema

    def plain(self, value: Any) -> object:
        return [self.item.plain(item) for item in value]

    def _report_repeats(self, items: list[object], at: Steps, problems: list[Problem]) -> None:
        key, first = self.limits.unique, dict[str, int]()
        for index, item in enumerate(items):
            name = item.get(key) if isinstance(item, dict) else None
            if isinstance(name, str) and first.setdefault(name, index) != index:
                report(f"{shown(name)} stands here a second time", (*at, index, key), problems)


@dataclass(frozen=True, slots=True)
class MapShape:
    key: Shape
    value: Shape
    limits: Items

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return mistyped(value, "a map", at, problems)
        if fault := count_fault(len(value), self.limits, "entries"):
            return report(fault, at, problems)
        before = len(problems)
        entries = {
            self.key.read(key, (*at, key), problems): self.value.read(item, (*at, key), problems)
            for key, item in value.items()
        }
        return entries if len(problems) == before else INVALID

    def json_schema(self) -> JsonSchema:
        schema: JsonSchema = {
            "type": "object",
            "propertyNames": self.key.json_schema(),
            "additionalProperties": self.value.json_schema(),
            "maxProperties": self.limits.max,
        }
        return schema | ({"minProperties": self.limits.min} if self.limits.min else {})

    def plain(self, value: Any) -> object:
        return {self.key.plain(key): self.value.plain(item) for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class Field:
    """One row of an object's table: `key` as documents write it, `name` as Python does."""

    key: str
    name: str
    shape: Shape
    required: bool
    default: object = None  # the model value that stands for an absent key; None: there is none
    doc: str = ""
    secret: bool = False

    def json_schema(self) -> JsonSchema:
        schema = self.shape.json_schema()
        if self.doc:
            schema["description"] = self.doc
        if self.secret:
            schema["writeOnly"] = True
        if self.default is not None:
            schema["default"] = self.shape.plain(self.default)
        return schema


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """A dataclass: its fields by document key, the keys that are accepted and never read, and its rules.

    `shared` are the defaults that are values of our own: ten thousand declarations can do with one of each.
    """

    cls: type
    fields: Mapping[str, Field]
    shared: Mapping[str, Any]
    ignored: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    strangers: Mapping[str, str] = field(default_factory=dict)  # what to do in place of a key that people try
    required: frozenset[str] = frozenset()

    def read(self, value: object, at: Steps, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return mistyped(value, "a map", at, problems)
        before = len(problems)
        found: dict[str, Any] = {}
        strangers = []
        for key, item in value.items():
            if field := self.fields.get(key):
                found[field.name] = field.shape.read(item, (*at, key), problems)
            elif key not in self.ignored:
                strangers.append(key)
        if strangers:
            self._report_strangers(strangers, at, problems)
        if not self.required <= value.keys():
            problems += [
                Problem("is missing", steps=(*at, key)) for key in self.fields if key in self.required - value.keys()
            ]
        built: Any = self.cls(**{**self.shared, **found}) if len(problems) == before else _Partial(self, found)
        for rule in self.rules:
            if not _holds(rule, built):
                report(rule.message, (*at, rule.path) if rule.path else at, problems)
        return built if len(problems) == before else INVALID

    def json_schema(self) -> JsonSchema:
        properties: JsonSchema = dict.fromkeys(sorted(self.ignored), True)
        properties = {key: field.json_schema() for key, field in self.fields.items()} | properties
        schema: JsonSchema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.required:
            schema["required"] = sorted(self.required)
        if conditions := [rule.schema for rule in self.rules if rule.schema]:
            schema["allOf"] = conditions
        return schema

    def plain(self, value: Any) -> object:
        """Only what differs from the defaults, as a person would write it."""
        values = ((field, getattr(value, field.name)) for field in self.fields.values())
        return {
            field.key: field.shape.plain(item)
            for field, item in values
            if item is not None and (field.required or item != field.default)
        }

    def _report_strangers(self, keys: list[str], at: Steps, problems: list[Problem]) -> None:
        for key in keys[:_STRANGERS]:
            known = did_you_mean(key, self.fields) or f"known here: {', '.join(self.fields)}"
            remedy = self.strangers.get(key) or known
            report("is not a known field", (*at, key), problems, remedy)
        if (rest := len(keys) - _STRANGERS) > 0:
            report(f"{rest} more fields are not known", at, problems)


class _UnreadError(Exception):
    """A rule asked for a field that could not be read."""


class _Partial:
    """Stands in for an object some of whose fields are faulty, so that rules over its other fields still speak."""

    def __init__(self, shape: ObjectShape, found: Mapping[str, Any]) -> None:
        defaults = {field.name: field.default for field in shape.fields.values() if not field.required}
        self._values = {**defaults, **found}

    def __getattr__(self, name: str) -> Any:
        value = self._values.get(name, INVALID)
        if value is INVALID:
            raise _UnreadError
        return value


def _holds(rule: Rule, built: Any) -> bool:
    try:
        return rule.check(built)
    except _UnreadError:
        return True
