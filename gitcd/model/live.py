"""Objects of a cluster: which one, and what git says that it shall be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcd.model.declaration import Origin

Json = Mapping[str, Any]  # an object as the API has it
CONTAINERS = ("containers", "initContainers")  # the fields of a pod's spec in which images stand

_TEMPLATES: Mapping[str, tuple[str, ...]] = {"Pod": (), "CronJob": ("spec", "jobTemplate", "spec", "template")}


def part(value: object, *steps: str) -> Json:
    """The map that lies there; an empty one where there is none, whatever people have written instead."""
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def template_at(kind: str) -> tuple[str, ...]:
    """Where objects of this kind say what their pods are like, if they have any."""
    return _TEMPLATES.get(kind, ("spec", "template"))


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One object, whatever version of its API it is read by. No namespace: it belongs to the whole cluster."""

    kind: str
    namespace: str
    name: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object as it stands in git. `version` is that of its API without the group, such as `v1`."""

    ref: Ref
    version: str
    value: Json = field(hash=False)
    origin: Origin

    @property
    def api_version(self) -> str:
        return f"{self.ref.group}/{self.version}" if self.ref.group else self.version
