"""The shape of a map whose keys are the fields of a dataclass, with the rules that hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcd.model.faults import INVALID, did_you_mean, mistyped, report
from gitcd.model.fields import JsonSchema, Rule
from gitcd.model.problem import Problem, Steps
from gitcd.model.shapes import Shape

_STRANGERS = 10  # unknown keys of one object that are reported one by one


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
