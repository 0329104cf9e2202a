"""The vocabulary in which the declarative API is written down: constraints that stand beside a field's type.

The dataclasses in `declaration`, `layout`, `hold` and `settings` are the one schema source. `schema` reads their
type hints and these markers, and produces the validator, the JSON Schema and (later) the CRD from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Protocol

from gitcd.model import reference


@dataclass(frozen=True, slots=True)
class Doc:
    """What `kubectl explain` and an editor show for the field: one or two sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A constraint on a string: a pattern for the whole of it, and its length in characters."""

    pattern: str = ""
    min: int = 0
    max: int = 1024
    hint: str = ""  # what the pattern asks for, in words, for the error message
    regex: bool = False  # the string itself must compile as a regular expression


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

    `cel` is the same rule in the Common Expression Language, as an API server evaluates it; `path` is the field the
    message points at, relative to the object.
    """

    cel: str
    message: str
    check: Callable[[Any], bool]
    path: str = ""


class Ruled(Protocol):
    RULES: ClassVar[tuple[Rule, ...]]


DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
LABEL_KEY = rf"({DNS_NAME}/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
SEGMENT = r"[^/\\\x00-\x1f\x7f]+"

Name = Annotated[
    str,
    Text(DNS_NAME, min=1, max=253, hint="lower-case letters, digits, '-' and '.', as Kubernetes names are"),
]
Label = Annotated[str, Text(DNS_LABEL, min=1, max=63, hint="lower-case letters, digits and '-'")]
OptionalName = Annotated[str, Text(rf"({DNS_NAME})?", max=253, hint="a Kubernetes name or nothing")]
EnvironmentName = Annotated[str, Text(DNS_LABEL, min=1, max=63, hint="lower-case letters, digits and '-'")]
OptionalEnvironment = Annotated[str, Text(rf"({DNS_LABEL})?", max=63, hint="the name of an environment or nothing")]
GroupName = Annotated[str, Text(rf"({DNS_LABEL})?", max=63, hint="lower-case letters, digits and '-'")]
ImageRepo = Annotated[
    str,
    Text(
        rf"{reference.HOST_PATTERN}/{reference.PATH_PATTERN}",
        min=3,
        max=511,
        hint="registry host and repository without tag and digest: registry.example.com/team/app",
    ),
]
Tag = Annotated[str, Text(rf"({reference.TAG_PATTERN})?", max=128, hint="an image tag")]
Digest = Annotated[str, Text(reference.DIGEST_PATTERN, hint="sha256: and 64 hexadecimal digits")]
Regex = Annotated[str, Text(max=256, regex=True, hint="a regular expression")]
FilePath = Annotated[str, Text(rf"{SEGMENT}(/{SEGMENT})*", min=1, max=1024, hint="a relative path with '/'")]
Pointer = Annotated[str, Text(r"(/([^~/]|~[01])*)*", max=1024, hint="a JSON pointer such as /spec/values/tag")]
Line = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", max=512, hint="one line of text")]
Duration = Annotated[
    timedelta,
    Text(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+", min=2, max=32, hint="a duration such as 90s, 15m or 24h"),
]
# A date (the day's first moment, UTC) or an RFC 3339 time.
Moment = Annotated[
    str,
    Text(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?)?",
        max=40,
        hint="a date such as 2026-12-20 or a time such as 2026-12-20T18:00:00Z",
    ),
]
LabelMap = Annotated[dict[str, str], Items(max=64)]
