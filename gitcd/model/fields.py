"""The vocabulary in which the declarative API is written down: constraints that stand beside a field's type.

The dataclasses in `declaration`, `layout`, `hold` and `settings` are the one schema source. `schema` reads their
type hints and these markers, and produces the validator, the JSON Schema and (later) the CRD from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from gitcd.model import duration, ranges, reference
from gitcd.model.pattern import check_regex

JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Doc:
    """What `kubectl explain` and an editor show for the field: one or two sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A constraint on a string: a pattern for the whole of it, and its length in characters.

    Patterns keep to what Python, ECMAScript and RE2 read alike, because the JSON Schema and a CRD carry them too.
    `check` says what no pattern can: it returns what is wrong, or nothing. `advise` returns what to write in place of
    text that does not match, where that can be told.
    """

    pattern: str = ""
    min: int = 0
    max: int = 1024
    hint: str = ""  # what the pattern asks for, in words, for the error message
    regex: bool = False  # the string itself is a regular expression
    check: Callable[[str], str] | None = None
    advise: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Number:
    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """A constraint on a list: its length, and the field by which its items differ."""

    min: int = 0
    max: int = 1000
    unique: str = ""


@dataclass(frozen=True, slots=True)
class Secret:
    """The value is never shown: not in `config show`, not in a repr."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields of one object.

    `cel` is the same rule in the Common Expression Language, as an API server evaluates it, and `schema` the same in
    JSON Schema; `path` is the field the message points at, relative to the object.
    """

    cel: str
    message: str
    check: Callable[[Any], bool]
    path: str = ""
    schema: JsonSchema = field(default_factory=dict)


def given(name: str) -> JsonSchema:
    """JSON Schema for: the field is there and not empty."""
    return {"required": [name], "properties": {name: {"minLength": 1, "minItems": 1, "minProperties": 1}}}


def either(one: str, other: str) -> JsonSchema:
    """JSON Schema for: exactly one of the two is given."""
    return {"oneOf": [given(one), given(other)]}


def not_both(one: str, other: str) -> JsonSchema:
    return {"not": {"allOf": [given(one), given(other)]}}


def needs(name: str, value: str, other: str) -> JsonSchema:
    """JSON Schema for: where the first field has this value, the other one is given."""
    return {"if": _has(name, value), "then": given(other)}


def belongs(name: str, value: str, other: str) -> JsonSchema:
    """JSON Schema for: the other field is given exactly where the first one has this value."""
    return {"if": _has(name, value), "then": given(other), "else": {"not": {"required": [other]}}}


def _has(name: str, value: str) -> JsonSchema:
    return {"required": [name], "properties": {name: {"const": value}}}


def _repository_fault(text: str) -> str:
    try:
        reference.Repository.parse(text)
    except reference.ReferenceError as error:
        return str(error)
    return ""


def _repository_advice(text: str) -> str:
    try:
        named = reference.Reference.parse(text)
    except reference.ReferenceError:
        return ""
    if named.suffix:
        return f"leave out {named.suffix}"
    return f"write {named.repository} if Docker Hub is meant, else the registry's host before it"


def _moment_fault(text: str) -> str:
    try:
        datetime.fromisoformat(text.upper() or "1970-01-01")
    except ValueError as error:
        return str(error)
    return ""


DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
LABEL_KEY = rf"({DNS_NAME}/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
_PLAIN = r"/\\\x00-\x1f\x7f"
SEGMENT = rf"([^.{_PLAIN}][^{_PLAIN}]*|\.[^.{_PLAIN}][^{_PLAIN}]*|\.\.[^{_PLAIN}]+)"  # neither `.` nor `..`
FILE_PATH = rf"{SEGMENT}(/{SEGMENT})*"
_PART = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_IPV6 = r"\[[a-fA-F0-9:]+\]"
# As in `reference`, but a host must be recognisable as one, or `team/app` would name the registry `team`.
REGISTRY_HOST = rf"((localhost|{_PART}(\.{_PART})+|{_IPV6})(:[0-9]+)?|{_PART}:[0-9]+)"

Name = Annotated[
    str,
    Text(DNS_NAME, min=1, max=253, hint="lower-case letters, digits, '-' and '.', as Kubernetes names are"),
]
Label = Annotated[str, Text(DNS_LABEL, min=1, max=63, hint="lower-case letters, digits and '-'")]
OptionalName = Annotated[str, Text(rf"({DNS_NAME})?", max=253, hint="a Kubernetes name or nothing")]
OptionalLabel = Annotated[str, Text(rf"({DNS_LABEL})?", max=63, hint="lower-case letters, digits and '-'")]
EnvironmentName = Annotated[str, Text(DNS_LABEL, min=1, max=63, hint="lower-case letters, digits and '-'")]
OptionalEnvironment = Annotated[str, Text(rf"({DNS_LABEL})?", max=63, hint="the name of an environment or nothing")]
GroupName = Annotated[str, Text(rf"({DNS_LABEL})?", max=63, hint="lower-case letters, digits and '-'")]
ImageRepo = Annotated[
    str,
    Text(
        rf"{REGISTRY_HOST}/{reference.PATH_PATTERN}",
        min=3,
        max=511,
        hint="registry host and repository without tag and digest, as registry.example.com/team/app",
        check=_repository_fault,
        advise=_repository_advice,
    ),
]
Tag = Annotated[str, Text(rf"({reference.TAG_PATTERN})?", max=128, hint="an image tag")]
Digest = Annotated[str, Text(reference.DIGEST_PATTERN, hint="sha256: and 64 hexadecimal digits")]
Regex = Annotated[str, Text(max=256, regex=True, hint="a regular expression that can be used here", check=check_regex)]
SemverRange = Annotated[
    str,
    Text(
        ranges.PATTERN,
        max=ranges.MAX_LENGTH,
        hint="a range of versions such as '>=1.2 <2'",
        check=ranges.check_range,
    ),
]
FilePath = Annotated[str, Text(FILE_PATH, min=1, hint="a relative path with '/' and without '..'")]
# A folder or glob of the config repository; `.` is the whole of it.
Scope = Annotated[str, Text(rf"(\.|(\./)?{FILE_PATH}/?)", min=1, hint="a folder or glob without '..'")]
OptionalScope = Annotated[str, Text(rf"(\.|(\./)?{FILE_PATH}/?)?", hint="a folder or glob without '..'")]
Pointer = Annotated[str, Text(r"(/([^~/]|~[01])*)*", max=1024, hint="a JSON pointer such as /spec/values/tag")]
Line = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", max=512, hint="one line of text")]
# A file or folder of the machine that gitcd runs on; `~` is the user's home, and in the settings file a relative path
# begins at that file's folder.
LocalPath = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", max=4096, hint="a path")]
Url = Annotated[str, Text(r"(https?://[^\s@/]+[^\s@]*)?", max=2048, hint="an http or https address without a user")]
Variable = Annotated[str, Text(r"([A-Za-z_][A-Za-z0-9_]*)?", max=255, hint="the name of a variable")]
HostName = Annotated[str, Text(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", min=1, max=253, hint="a host name")]
Duration = Annotated[
    timedelta,
    Text(duration.PATTERN, min=2, max=32, hint="a duration such as 90s, 15m or 24h"),
]
# A date (the day's first moment, UTC) or an RFC 3339 time.
Moment = Annotated[
    str,
    Text(
        r"([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
        r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)?",
        max=40,
        hint="a date such as 2026-12-20 or a time such as 2026-12-20T18:00:00Z",
        check=_moment_fault,
    ),
]
LabelKey = Annotated[str, Text(LABEL_KEY, min=1, max=317, hint="a label key such as app.kubernetes.io/name")]
LabelValue = Annotated[str, Text(LABEL_VALUE, max=63, hint="a label value: letters, digits, '-', '_' and '.'")]
LabelMap = Annotated[dict[LabelKey, LabelValue], Items(max=64)]
AnnotationMap = Annotated[dict[LabelKey, Annotated[str, Text(max=4096)]], Items(max=64)]
