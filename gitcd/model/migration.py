"""What a migration from another tool hands on: declarations, a layout, and what has no counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitcd.model import schema
from gitcd.model.declaration import API_VERSION, KIND, Document, Origin
from gitcd.model.layout import KIND as LAYOUT_KIND
from gitcd.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Note:
    """Something about one object of the other tool that a person has to know; `subject` is its kind and name."""

    origin: Origin
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.subject}: {self.message}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A ContainerVersion as it shall be written; `source` says what it was made from."""

    namespace: str
    name: str
    spec: Mapping[str, Any]
    source: Note

    @property
    def document(self) -> dict[str, Any]:
        metadata = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": dict(self.spec)}

    def problems(self) -> list[Problem]:
        """What is wrong with it as a declaration."""
        return schema.validate(Document, self.document)


@dataclass(frozen=True, slots=True)
class Drafted:
    """All of a migration; `environments` are entries of gitcd.yaml."""

    drafts: tuple[Draft, ...] = ()
    environments: tuple[dict[str, Any], ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def layout(self) -> dict[str, Any]:
        return {"apiVersion": API_VERSION, "kind": LAYOUT_KIND, "environments": list(self.environments)}
