"""The list of workloads that `gitcd run` serves, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

PAGE_TEMPLATE = "workloads.html.j2"
_LIMIT = 64 << 20  # bytes


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One container of a workload. `version` is what its image says, `tag` the one that is followed."""

    namespace: str
    name: str
    type: str
    container: str
    version: str
    available_pods: int
    cv: str
    tag: str

    @property
    def cells(self) -> tuple[str | int, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


# As cvmanager called them.
HEADER = ("Namespace", "Name", "Type", "Container", "Version", "AvailablePods", "CV", "Tag")


def as_json(rows: Sequence[Row]) -> str:
    """A list of objects."""
    return json.dumps([dict(zip(HEADER, row.cells, strict=True)) for row in rows], indent=2) + "\n"


def as_page(rows: Sequence[Row]) -> str:
    """A table; every text in it is escaped."""
    from gitcd.rendering import sandbox

    values = {"header": HEADER, "rows": [row.cells for row in rows]}
    return sandbox.render(PAGE_TEMPLATE, values, limit=_LIMIT)
