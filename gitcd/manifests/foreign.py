"""Objects of other tools as plain values, and the scalars that setter comments of Flux stand beside."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from gitcd.manifests import documents, setters, sites
from gitcd.manifests.chunks import EditRefused, split
from gitcd.manifests.compose import compose
from gitcd.manifests.cursor import Cursor
from gitcd.manifests.documents import Map, Seq, UnreadableError
from gitcd.manifests.files import read_plain
from gitcd.model.declaration import Origin
from gitcd.model.live import Ref
from gitcd.model.site import Form, Found

Part = Literal["", "tag", "name", "digest"]

_MARK = re.compile(
    rb"[ \t]*(?:,[ \t]+)?#[^\r\n]*"
    rb"\{[ \t]*\"\$imagepolicy\"[ \t]*:[ \t]*\"([^\":]+):([^\":]+)(?::(tag|name|digest))?\"[ \t]*\}"
)


@dataclass(frozen=True, slots=True)
class Object:
    """A Kubernetes object in a file of the tree."""

    origin: Origin
    kind: str
    group: str
    name: str
    namespace: str
    value: Map
    document: int = 0  # its document in the file, counted from 0
    pointer: str = ""  # where it stands in that, as an item of a list

    @property
    def title(self) -> str:
        return str(Ref(self.kind, self.namespace, self.name))

    def at(self, *steps: str) -> Any:
        """The value that the steps lead to; None where there is none."""
        value: Any = self.value
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def text(self, *steps: str) -> str:
        value = self.at(*steps)
        return value if isinstance(value, str) else ""

    def map(self, *steps: str) -> Mapping[str, Any]:
        return as_map(self.at(*steps))

    def items(self, *steps: str) -> list[Any]:
        return as_list(self.at(*steps))


@dataclass(frozen=True, slots=True)
class Mark:
    """A scalar beside a setter comment. `site` is the number of what was found there among the file's sites, or -1."""

    path: str
    document: int
    pointer: str
    line: int
    policy: tuple[str, str]  # namespace and name
    part: Part
    site: int


def as_map(value: object) -> Mapping[str, Any]:
    """The value where it is a map; nobody has checked what other tools are told."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def read_objects(path: str, data: bytes) -> Iterator[Object]:
    """The objects of a file, those of lists one by one; what cannot be read is passed over."""
    with suppress(UnreadableError):
        starts = [chunk.line for chunk in split(data)]
        for first_line, part in documents.split(documents.decode(data)):
            with suppress(UnreadableError):
                for value in documents.compose(part):
                    for pointer, item in _objects(value):
                        line = first_line + documents.start(item)[0] + 1
                        yield _object(item, Origin(path, line), max(bisect(starts, line) - 1, 0), pointer)


def find_marks(path: str, data: bytes, found: Found) -> Iterator[Mark]:
    """The marked scalars of a file; `found` is what `sites.find` finds in it."""
    if setters.WORD not in data:
        return
    known = ((number, site) for number, site in enumerate(found.sites) if site.form is not Form.PLACE)
    by_start = {span.start: number for number, site in known for span in site.spans.values()}
    for chunk in split(data):
        with suppress(EditRefused):
            document = compose(path, data, chunk)
            root = Cursor(document, document.root)
            for cursor in (scalar for collection in root.collections() for scalar in collection.scalars()):
                with suppress(EditRefused):
                    span = document.span(cursor.node)
                    if match := _MARK.match(document.raw, span.end - document.start):
                        namespace, name, part = (group.decode() if group else "" for group in match.groups())
                        number = by_start.get(span.start, -1)
                        policy = (namespace, name)
                        place = (path, document.number, cursor.pointer, cursor.line)
                        yield Mark(*place, policy, cast("Part", part), number)


def read_value(path: str, data: bytes) -> Any:
    """The plain value of a file with one document; None where it cannot be read."""
    return read_plain(path, data)[0]


def find_sites(path: str, data: bytes) -> Found:
    return sites.find(path, data)


def _objects(value: Any) -> Iterator[tuple[str, Map]]:
    if not isinstance(value, Map):
        return
    items = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(items, Seq):
        yield from ((f"/items/{number}", item) for number, item in enumerate(items) if isinstance(item, Map))
    else:
        yield "", value


def _object(item: Map, origin: Origin, document: int, pointer: str) -> Object:
    metadata = item.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    group, _, _ = str(item.get("apiVersion") or "").rpartition("/")
    name, namespace = (str(names.get(key) or "") for key in ("name", "namespace"))
    return Object(origin, str(item.get("kind") or ""), group, name, namespace, item, document, pointer)
