"""YAML text to plain values with the place of every key: what declarations, layout and holds are read from.

Structure comes from libyaml's events, so nothing is ever constructed; plain scalars follow the core schema of YAML 1.2
(section 10.3.2): `on`, `yes` and dates are text. A document is bounded in depth and in size, both with what its aliases
stand for, and in what merge keys copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from gitcd.manifests.core_schema import scalar
from gitcd.model.problem import Steps

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 150_000
MAX_TEXT = 1 << 24  # characters of scalars
MAX_MERGED = 10_000
_MAX_FAULTS = 100
_MAX_SHOWN = 60

_MARKER = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_TEXT_TAGS = {"!", "tag:yaml.org,2002:str"}
_COLLECTION_TAGS = {None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}

Mark = tuple[int, int]  # line and column, both from 0
Fault = tuple[str, Mark]


class Map(dict[str, Any]):
    """A map of a document that remembers where its keys stand and what was wrong in it or below."""

    __slots__ = ("faults", "marks")

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[str, Mark] = {}
        self.faults: tuple[Fault, ...] = ()


class Seq(list[Any]):
    """A list of a document that remembers where its items stand."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[Mark] = []


class UnreadableError(Exception):
    """The text is no YAML, or more of it than is read."""

    def __init__(self, message: str, mark: Mark = (0, 0), remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.mark, self.remedy = message, mark, remedy


def split(text: str) -> Iterator[tuple[int, str]]:
    """The documents of a file, each with its first line (from 0); a line of `---` always ends one."""
    starts = [0, *(match.start() for match in _MARKER.finditer(text) if match.start())]
    line = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield line, text[start:end]
        line += text.count("\n", start, end)


def decode(data: bytes, limit: int = MAX_BYTES) -> str:
    """The text of a file.

    Raises:
        UnreadableError: the file is too large or not UTF-8.
    """
    if len(data) > limit:
        raise UnreadableError(f"the file has {len(data)} bytes, at most {limit} are read", remedy="split the file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            "the file is not UTF-8", (data.count(b"\n", 0, error.start), 0), "save it as UTF-8"
        ) from None


def _hint(text: str, line: int, column: int) -> str:
    """What is to be done where the parser stopped, if that is plain to see."""
    there = text.split("\n")[line : line + 1]
    return "indent by spaces: a tab stands there" if there and there[0][column:].startswith("\t") else ""


def compose(text: str, plain: Callable[[str], Any] | None = None) -> Iterator[Any]:
    """The documents of a text, in order: Map, Seq or a scalar each.

    `plain` says what plain scalars are worth, in place of the core schema, and then keys are such scalars, too; what it
    makes of a key is written as text.

    Raises:
        UnreadableError: at the first document that cannot be read; its mark counts within the text.
    """
    try:
        parser = CParser(text)
        reader = _Reader(parser, plain or scalar, types_keys=plain is not None)
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                yield reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line, mark.column) if mark else (0, 0)
        raise UnreadableError(f"not YAML: {error.problem or error.context}", place, _hint(text, *place)) from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"not YAML: {str(error).splitlines()[0]}") from None


def locate(value: Any, steps: Steps) -> Mark:
    """Where the key or item that the steps lead to stands, or the nearest thing above it that stands anywhere."""
    mark = start(value) if isinstance(value, Map) else (0, 0)
    for step in steps:
        if isinstance(value, Map) and step in value.marks:
            mark, value = value.marks[str(step)], value[str(step)]
        elif isinstance(value, Seq) and isinstance(step, int) and step < len(value):
            mark, value = value.marks[step], value[step]
        else:
            break
    return mark


def start(value: Map) -> Mark:
    """Where the first key of a map stands."""
    return next(iter(value.marks.values()), (0, 0))


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor names, and how much that is: aliases of aliases stand for more than anybody could hold."""

    value: Any
    nodes: int
    text: int
    height: int


@dataclass(slots=True)
class _Reader:
    """Turns the events of one text into values; what is wrong with single nodes is collected in `faults`."""

    parser: Any
    plain: Callable[[str], Any]
    types_keys: bool = False
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    nodes: int = 0
    text: int = 0
    deepest: int = 0
    merged: int = 0

    def document(self) -> Any:
        self.anchors, self.faults = {}, []
        value = self._node(self._next(), 0)
        self.parser.get_event()
        return value

    def _next(self) -> Any:
        event = self.parser.get_event()
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._too_much(event)
        return event

    def _text(self, event: ScalarEvent) -> str:
        text: str = event.value
        self.text += len(text)
        if self.text > MAX_TEXT:
            raise self._too_much(event)
        return text

    def _too_much(self, event: Any) -> UnreadableError:
        most = f"{MAX_NODES} values" if self.nodes > MAX_NODES else f"{MAX_TEXT} characters"
        return UnreadableError(f"more than {most} stand here", _mark(event), "split the file")

    def _reach(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise UnreadableError(f"nested more than {MAX_DEPTH} levels deep", _mark(event))
        self.deepest = max(self.deepest, depth)

    def _node(self, event: Any, depth: int) -> Any:
        if type(event) is AliasEvent:
            return self._alias(event, depth)
        if not event.anchor:
            is_scalar = type(event) is ScalarEvent  # most are
            return self._scalar(event, self._text(event)) if is_scalar else self._plain_node(event, depth)
        nodes, text, deepest, self.deepest = self.nodes, self.text, self.deepest, depth
        value = self._plain_node(event, depth)
        self.anchors[event.anchor] = _Anchored(value, self.nodes - nodes, self.text - text, self.deepest - depth)
        self.deepest = max(deepest, self.deepest)
        return value

    def _plain_node(self, event: Any, depth: int) -> Any:
        if type(event) is ScalarEvent:
            return self._scalar(event, self._text(event))
        self._reach(event, depth + 1)
        if event.tag not in _COLLECTION_TAGS:
            self._fault(f"the tag {event.tag[:_MAX_SHOWN]!r} is refused", event)
        return self._map(depth + 1) if type(event) is MappingStartEvent else self._seq(depth + 1)

    def _scalar(self, event: ScalarEvent, text: str) -> Any:
        if event.tag is None:
            return self.plain(text) if event.implicit[0] else text
        if event.tag not in _TEXT_TAGS:
            self._fault(f"the tag {event.tag[:_MAX_SHOWN]!r} is refused", event)
        return text

    def _alias(self, event: Any, depth: int) -> Any:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            self._fault(f"no anchor {event.anchor[:_MAX_SHOWN]!r} is complete before this alias", event)
            return None
        self.nodes += anchored.nodes
        self.text += anchored.text
        if self.nodes > MAX_NODES or self.text > MAX_TEXT:
            raise self._too_much(event)
        self._reach(event, depth + anchored.height)
        return anchored.value

    def _seq(self, depth: int) -> Seq:
        items = Seq()
        while type(event := self._next()) is not SequenceEndEvent:
            items.marks.append(_mark(event))
            items.append(self._node(event, depth))
        return items

    def _map(self, depth: int) -> Map:
        entries, merges, faultless = Map(), list[tuple[Any, Event]](), len(self.faults)
        marks = entries.marks
        while type(event := self._next()) is not MappingEndEvent:
            is_scalar = type(event) is ScalarEvent
            key = self._key(event) if is_scalar else self._node(event, depth)
            value = self._node(self._next(), depth)
            if is_scalar and key == "<<" and event.implicit[0]:
                merges.append((value, event))
            elif not isinstance(key, str):
                self._fault("a key must be plain text", event)
            elif key in entries:
                self._fault(f"the key {key[:_MAX_SHOWN]!r} stands here a second time", event)
            else:
                entries[key] = value
                marks[key] = _mark(event)
        for value, event in merges:
            self._merge(entries, value, event)
        if len(self.faults) > faultless:
            entries.faults = tuple(self.faults[faultless:])
        return entries

    def _key(self, event: ScalarEvent) -> str | None:
        text = self._text(event)
        if not self.types_keys or text == "<<":
            return text
        value = self._scalar(event, text)
        if value is None or type(value) is str:
            return value
        if type(value) is bool:
            return "true" if value else "false"
        return str(value)

    def _merge(self, entries: Map, value: Any, event: Event) -> None:
        for source in value if isinstance(value, Seq) else [value]:
            if not isinstance(source, Map):
                self._fault("a merge key takes a map or a list of maps", event)
                return
            self.merged += len(source) + 1
            if self.merged > MAX_MERGED:
                raise UnreadableError(f"merge keys copy more than {MAX_MERGED} values", _mark(event))
            for key in source.keys() - entries.keys():
                entries[key] = source[key]
                entries.marks[key] = _mark(event)

    def _fault(self, message: str, event: Event) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append((message, _mark(event)))


def _mark(event: Event) -> Mark:
    mark = event.start_mark
    return (mark.line, mark.column) if mark else (0, 0)
