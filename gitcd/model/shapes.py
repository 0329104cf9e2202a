"""The shapes that values of documents can have: each reads a plain value into a model value and describes itself.

`read` reports every fault it meets and answers `INVALID` for what it could not read, so that one fault never hides
another. How much is reported is bounded by the schema and not by the input.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from gitcd.model.duration import format_duration, parse_duration
from gitcd.model.faults import INVALID, count_fault, did_you_mean, mistyped, report, shown
from gitcd.model.fields import Items, JsonSchema, Number, Text
from gitcd.model.problem import Problem, Steps


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
