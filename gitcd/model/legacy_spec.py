"""The spec of documents of cvmanager and kcd in all its forms, and the widening of its version expression.

Sources: the type definitions of cvmanager (all revisions) and of kcd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from gitcd.model.declaration import ConfigKey, Metadata
from gitcd.model.fields import AnnotationMap, Items, Label, LabelMap, Name, Number, OptionalName, Rule, Tag, Text
from gitcd.model.pattern import MAX_LENGTH, check_regex
from gitcd.model.reference import TAG_PATTERN, Repository
from gitcd.model.reference import ReferenceError as NotAReference

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)  # an escape, a class, or a character
_FLAGS = re.compile(r"\(\?-?[a-zA-OQ-Z]+-?[a-zA-Z]*[:)]")
BLUE_GREEN = "ServiceBlueGreen"
_MAX_SECONDS = 999_999


def anywhere(expression: str) -> str:
    """The expression that matches a whole text where the given one is found anywhere in it."""
    return "|".join(map(_whole, _options(expression)))


def fault_of(expression: str) -> str:
    """Why `anywhere` makes nothing of the expression that can be followed; empty where it does."""
    if flags := _FLAGS.match(expression):
        return f"the flags {flags[0]!r} are not supported, write both cases as [aA]"
    return check_regex(anywhere(expression))


def _whole(option: Sequence[str]) -> str:
    begins, ends = option[:1] == ["^"], option[-1:] == ["$"]
    return ("" if begins else ".*") + "".join(option[begins : len(option) - ends]) + ("" if ends else ".*")


def _options(expression: str) -> list[list[str]]:
    """The options between which `|` stands outside all brackets, each as its tokens."""
    options: list[list[str]] = [[]]
    depth = 0
    for part in _TOKEN.findall(expression):
        if part == "|" and not depth:
            options.append([])
        else:
            depth += {"(": 1, ")": -1}.get(part, 0)
            options[-1].append(part)
    return options


def _repository_fault(text: str) -> str:
    try:
        Repository.parse(text)
    except NotAReference as error:
        return str(error)
    return ""


def _syntax_fault(text: str) -> str:
    if not text:
        return ""
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return fault_of(text)


_Seconds = Annotated[int, Number(max=_MAX_SECONDS)]


@dataclass(frozen=True, slots=True)
class Verify:
    kind: Literal["Image"]
    image: Annotated[str, Text(min=1, max=511, check=_repository_fault, hint="an image repository")]
    tag: Tag = ""
    annotations: AnnotationMap = field(default_factory=dict)
    timeout_seconds: _Seconds = 0


@dataclass(frozen=True, slots=True)
class Container:
    name: Label
    verify: Annotated[tuple[Verify, ...], Items(max=16)] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    name: Name
    container: Label


@dataclass(frozen=True, slots=True)
class BlueGreen:
    service_name: Name
    label_names: Annotated[tuple[Annotated[str, Text(min=1, max=317)], ...], Items(min=1, max=8)]
    verification_service_name: OptionalName = ""
    scale_down: bool = False
    timeout_seconds: _Seconds = 0


@dataclass(frozen=True, slots=True)
class Strategy:
    kind: Literal["", "SimpleRollout", "ServiceBlueGreen"] = ""
    blue_green: BlueGreen | None = None
    verify: Annotated[tuple[Verify, ...], Items(max=16)] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.kind != 'ServiceBlueGreen' || has(self.blueGreen)",
            "kind ServiceBlueGreen needs blueGreen",
            lambda strategy: strategy.kind != BLUE_GREEN or strategy.blue_green is not None,
            "blueGreen",
        ),
    )


@dataclass(frozen=True, slots=True)
class Rollback:
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class History:
    enabled: bool = False
    name: Annotated[str, Text()] = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """The spec in all its forms, without what says nothing."""

    image_repo: Annotated[
        str, Text(min=1, max=511, check=_repository_fault, hint="an image repository without tag and digest")
    ]
    tag: Annotated[str, Text(TAG_PATTERN, min=1, max=128, hint="an image tag")]
    version_syntax: Annotated[str, Text(max=MAX_LENGTH, check=_syntax_fault, hint="an expression to go on with")] = ""
    selector: LabelMap = field(default_factory=dict)
    container: Container | None = None
    deployment: Deployment | None = None
    strategy: Strategy | None = None
    config: ConfigKey | None = None
    poll_interval_seconds: _Seconds = 0
    check_frequency: _Seconds = 0  # minutes
    timeout_seconds: _Seconds = 0
    liveness_seconds: _Seconds = 0
    rollback: Rollback = field(default_factory=Rollback)
    history: History = field(default_factory=History)
    service_account_name: Annotated[str, Text()] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.selector) != has(self.deployment)",
            "give either selector or deployment",
            lambda spec: bool(spec.selector) != (spec.deployment is not None),
            "selector",
        ),
        Rule(
            "has(self.container) || has(self.deployment)",
            "is missing",
            lambda spec: spec.container is not None or spec.deployment is not None,
            "container",
        ),
    )


@dataclass(frozen=True, slots=True)
class Document:
    api_version: Literal["custom.k8s.io/v1"]
    kind: Literal["ContainerVersion", "KCD"]
    metadata: Metadata
    spec: Spec

    IGNORED: ClassVar[tuple[str, ...]] = ("status",)
