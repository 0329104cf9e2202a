"""One document as a tree of nodes with exact byte positions.

PyYAML's C parser (libyaml) builds the tree. Its marks count characters; they are turned into byte offsets here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import is_

import yaml
from yaml._yaml import CParser
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gitcd.manifests.chunks import Chunk, EditRefused
from gitcd.model.site import Refusal, Span

MAX_DEPTH = 64
MAX_NODES = 150_000
MERGE = "<<"
STR_TAG = "tag:yaml.org,2002:str"
_ALIAS_BUDGET = 20_000  # how many nodes may be met again through aliases: far more than people write
_SUSPICIOUS_START = re.compile(rb"[ ?:-]{33}")
_SUSPICIOUS_LINE = re.compile(rb"\n[ ?:-]{33}")
_FOREIGN_BREAK = re.compile("[\x85\u2028\u2029]")
_PROPERTIES = re.compile(rb"(?:[&!]\S*[ \t]+)+")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_QUOTES = {"'": "single-quoted", '"': "double-quoted", "|": "block", ">": "folded block"}


class _Composer(CParser):
    """Builds nodes without guessing types: a node's `tag` is None unless the text itself names one."""

    def resolve(self, _kind: type[Node], _value: object, _implicit: object) -> None:
        return None

    # Called for every node, for nothing: functions of C take half the time of ours.
    descend_resolver = staticmethod(is_)
    ascend_resolver = bool


@dataclass(slots=True)
class Fields:
    """A mapping's entries, merge keys applied; `twice` is the key node that repeats another."""

    nodes: dict[str, Node]
    twice: Node | None = None


@dataclass(slots=True)
class Document:
    """A composed document. `start` is the offset of its first byte in the file."""

    path: str
    number: int
    start: int
    first_line: int
    raw: bytes
    root: Node
    text: str | None  # None where every character is one byte
    _fields: dict[int, Fields | None] = field(default_factory=dict)
    _spent: int = 0
    _known: tuple[int, int] = (0, 0)

    def line(self, node: Node) -> int:
        return self.first_line + line_of(node)

    def offset(self, index: int) -> int:
        """Byte offset in the document of its character number `index`."""
        if self.text is None:
            return index
        known, offset = self._known  # spots are asked for nearly in order: counting from the last one is cheap
        if index >= known:
            offset += len(self.text[known:index].encode())
        else:
            offset -= len(self.text[index:known].encode())
        self._known = index, offset
        return offset

    def refuse(self, node: Node, reason: str) -> EditRefused:
        return EditRefused(Refusal(self.path, self.line(node), reason))

    def fields(self, node: MappingNode) -> Fields:
        """The mapping's entries by key.

        Raises:
            EditRefused: a merge key that merges the mapping into itself or no mapping at all.
        """
        key = id(node)
        if key not in self._fields:
            self._fields[key] = None
            self._fields[key] = self._read_fields(node)
        known = self._fields[key]
        if known is None:
            raise self.refuse(node, "is merged into itself")
        return known

    def _read_fields(self, node: MappingNode) -> Fields:
        result = Fields({})
        merged: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                continue
            merges = is_merge(key)
            if merges and not merged:
                merged = value.value if isinstance(value, SequenceNode) else [value]
                continue
            if merges or key.value in result.nodes:
                result.twice = result.twice or key
            result.nodes[key.value] = value
        for source in merged:
            if not isinstance(source, MappingNode):
                raise self.refuse(node, "has a merge key that names no mapping")
            inherited = self.fields(source)
            self.spend(node, len(inherited.nodes))
            result.nodes = {**inherited.nodes, **result.nodes}
            result.twice = result.twice or inherited.twice
        return result

    def spend(self, node: Node, amount: int = 1) -> None:
        """Count work that only aliases cause.

        Raises:
            EditRefused: the aliases multiply beyond all reason.
        """
        self._spent += amount
        if self._spent > _ALIAS_BUDGET:
            raise self.refuse(node, f"its aliases expand to more than {_ALIAS_BUDGET} nodes")

    def span(self, node: Node) -> Span:
        """The bytes of a scalar, its quotes included, its anchor and tag not; offsets are those of the file.

        Raises:
            EditRefused: the bytes are not simply the value: blocks, several lines, escapes, foreign tags.
        """
        if not isinstance(node, ScalarNode):
            raise self.refuse(node, "is not a scalar")
        start, end = self.offset(node.start_mark.index), self.offset(node.end_mark.index)
        if properties := _PROPERTIES.match(self.raw, start, end):
            start = properties.end()
        self._check_spelling(node, self.raw[start:end])
        return Span(self.start + start, self.start + end, self.line(node), node.value)

    def _check_spelling(self, node: ScalarNode, spelled: bytes) -> None:
        if node.tag not in {None, STR_TAG}:
            raise self.refuse(node, f"carries the tag {node.tag}")
        style = style_of(node)
        if style in {"|", ">"} or b"\n" in spelled or b"\r" in spelled:
            raise self.refuse(
                node, f"is a {_QUOTES.get(style, 'plain')} scalar over several lines; write it on one line"
            )
        value = node.value.replace("'", "''") if style == "'" else node.value
        if spelled != f"{style}{value}{style}".encode():
            raise self.refuse(node, "is not spelled as its value (an escape, or an anchor or tag without text)")


def compose(path: str, data: bytes, chunk: Chunk) -> Document:
    """Parse one document of a file.

    Raises:
        EditRefused: it is not UTF-8, not YAML, too deep, or means different things to different YAML versions.
    """
    raw = data[chunk.start : chunk.end]
    text = None if raw.isascii() else _decoded(path, raw, chunk)
    try:
        _check_size(path, raw, chunk)
        root = _Composer(raw).get_single_node()
    except yaml.YAMLError as error:
        raise EditRefused(_unparsable(path, raw, chunk, error)) from None
    if root is None:
        raise EditRefused(Refusal(path, chunk.line, "is an empty document"))
    return Document(path, chunk.number, chunk.start, chunk.line, raw, root, text)


def is_merge(key: Node) -> bool:
    return key.value == MERGE and key.tag is None and not style_of(key)


def line_of(item: Node | Event) -> int:
    """The line on which a node or an event starts, counted from 0 within its document."""
    return int(item.start_mark.line)  # type: ignore[union-attr]  # libyaml marks everything


def style_of(node: Node) -> str:
    """The character that opens the scalar: quote, `|`, `>`, or nothing for a plain one (and for collections)."""
    return getattr(node, "style", None) or ""


def is_null(node: Node | None) -> bool:
    """Whether the node is absent or a null, spelled in any way."""
    return node is None or (isinstance(node, ScalarNode) and not node.style and node.value in _NULLS)


def _decoded(path: str, raw: bytes, chunk: Chunk) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = chunk.line + raw.count(b"\n", 0, error.start)
        raise EditRefused(Refusal(path, line, "is not valid UTF-8")) from None
    if match := _FOREIGN_BREAK.search(text):
        line = chunk.line + text.count("\n", 0, match.start())
        reason = f"holds U+{ord(match[0]):04X}, which ends a line in YAML 1.1 and does not in YAML 1.2"
        raise EditRefused(Refusal(path, line, reason))
    return text


def _check_size(path: str, raw: bytes, chunk: Chunk) -> None:
    """Keep the composer out of hostile depths and numbers: a cheap bound first, then events, which do not recurse."""
    if not _may_be_hostile(raw.replace(b"\r", b"\n") if b"\r" in raw else raw):
        return
    parser, depth, nodes = CParser(raw), 0, 0
    while event := parser.get_event():
        nodes += isinstance(event, NodeEvent)
        if nodes > MAX_NODES:
            raise EditRefused(Refusal(path, chunk.line, f"holds more than {MAX_NODES} nodes"))
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = chunk.line + line_of(event)
                raise EditRefused(Refusal(path, line, f"is nested more than {MAX_DEPTH} levels deep"))
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _may_be_hostile(raw: bytes) -> bool:
    """False where size, brackets and indentation keep the document near the limits, whatever its text is."""
    brackets = raw.count(b"[") + raw.count(b"{")
    return bool(
        len(raw) > 2 * MAX_NODES
        or brackets > MAX_DEPTH // 2
        or _SUSPICIOUS_START.match(raw)
        or _SUSPICIOUS_LINE.search(raw)
    )


def _unparsable(path: str, raw: bytes, chunk: Chunk, error: yaml.YAMLError) -> Refusal:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    before = 0 if mark else raw.count(b"\n", 0, getattr(error, "position", 0))
    line = chunk.line + (mark.line if mark else before)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unknown error"
    hint = "; it looks like a template" if b"{{" in raw else ""
    return Refusal(path, line, f"cannot be parsed: {problem}{hint}")
