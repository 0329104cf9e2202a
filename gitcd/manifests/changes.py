"""Changes to one document: each knows its bytes, and what the tree must be once they are in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode

from gitcd.manifests.compose import Document, is_null, style_of
from gitcd.manifests.scalars import is_plain_string, spell

_LINE_END = re.compile(rb"\r\n|\n|\r|\Z")
_ALIAS = re.compile(rb"\s*:\s*\*[^\s,\[\]{}]+")
_COMMA = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace bytes `start` to `end` of a document by `new`."""

    start: int
    end: int
    new: bytes


def replace_scalar(document: Document, node: Node, text: str) -> Splice | None:
    """Give a scalar another text, in its own quotes; None where it holds that text already. Updates the node.

    Raises:
        EditRefused: the scalar or the text is not simple enough.
    """
    span = document.span(node)
    start, end = span.start - document.start, span.end - document.start
    style = style_of(node)
    if (node.value == text and (style or node.tag or is_plain_string(text))) or (not text and is_null(node)):
        return None
    new, new_style = _spelled(document, node, text, style)
    if start == end and document.raw[start - 1 : start] == b":":
        new = b" " + new
    node.value = text
    if new_style:
        node.style = new_style  # type: ignore[attr-defined]  # `span` let only scalars pass
    return Splice(start, end, new)


def insert_keys(document: Document, mapping: MappingNode, entries: Mapping[str, str], after: int | None) -> Splice:
    """Insert entries right behind entry number `after` in its own style, or as the first ones. Updates the mapping.

    Raises:
        EditRefused: the neighbour is not on one line, or a text is not simple enough.
    """
    like = ("", "") if after is None else tuple(style_of(node) for node in mapping.value[after])
    written = [_Entry.spelled(document, mapping, entry, like) for entry in entries.items()]
    splice = _first(document, mapping, written) if after is None else _behind(document, mapping, written, after)
    at = 0 if after is None else after + 1
    mapping.value[at:at] = [entry.nodes for entry in written]
    return splice


def remove_key(document: Document, mapping: MappingNode, at: int) -> Splice:
    """Remove entry number `at` with its line (or with its comma). Updates the mapping.

    Raises:
        EditRefused: the entry is not on one line, or a comment would go with it that may belong to another.
    """
    key, value = mapping.value[at]
    document.span(value)
    start, end = document.offset(key.start_mark.index), _entry_end(document, key, value)
    if mapping.flow_style:
        splice = _without_comma(document, mapping, at, start, end)
    else:
        splice = _without_line(document, mapping, at, start, end)
    del mapping.value[at]
    return splice


def _spelled(document: Document, node: Node, text: str, style: str) -> tuple[bytes, str]:
    try:
        return spell(text, style)
    except ValueError as error:
        raise document.refuse(node, f"cannot be written: {error}") from None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry to insert: its bytes, and the nodes that they must be read back as."""

    key: bytes
    value: bytes
    nodes: tuple[ScalarNode, ScalarNode]

    @classmethod
    def spelled(
        cls, document: Document, mapping: MappingNode, entry: tuple[str, str], styles: tuple[str, ...]
    ) -> _Entry:
        (key, key_style), (value, value_style) = (
            _spelled(document, mapping, text, style) for text, style in zip(entry, styles, strict=True)
        )
        return cls(key, value, (_untagged(entry[0], key_style), _untagged(entry[1], value_style)))

    def joined(self, colon: bytes = b": ") -> bytes:
        return self.key + colon + self.value


def _behind(document: Document, mapping: MappingNode, entries: Iterable[_Entry], after: int) -> Splice:
    key, value = mapping.value[after]
    for node in (key, value):
        document.span(node)
    start, end = document.offset(key.start_mark.index), _entry_end(document, key, value)
    if mapping.flow_style:
        colon = b":" if b'":"' in document.raw[start:end] else b": "
        comma = _comma(document, mapping, after)
        return Splice(end, end, b"".join(comma + entry.joined(colon) for entry in entries))
    return _new_lines(document, start, end, [entry.joined() for entry in entries])


def _first(document: Document, mapping: MappingNode, entries: Iterable[_Entry]) -> Splice:
    if mapping.flow_style:
        at = document.raw.index(b"{", document.offset(mapping.start_mark.index)) + 1
        new = b", ".join(entry.joined() for entry in entries)
        return Splice(at, at, new + (b", " if mapping.value else b""))
    first = document.offset(mapping.value[0][0].start_mark.index)
    start = _line_start(document.raw, first)
    indent = document.raw[start:first]
    if indent.strip(b" "):
        raise document.refuse(mapping, "has no line of its own where a key could be inserted")
    ending = _previous_ending(document.raw, first)
    start = _above_comments(document.raw, start)
    return Splice(start, start, b"".join(indent + entry.joined() + ending for entry in entries))


def _untagged(text: str, style: str) -> ScalarNode:
    """A scalar as the composer builds it where nobody wrote a tag."""
    return ScalarNode(None, text, style=style)  # type: ignore[arg-type]  # PyYAML's own type knows no absent tag


def _new_lines(document: Document, start: int, end: int, entries: Iterable[bytes]) -> Splice:
    raw = document.raw
    indent = b" " * _columns(raw, start)
    at, ending = _line_end(raw, end)
    if ending:
        at += len(ending)
        return Splice(at, at, b"".join(indent + entry + ending for entry in entries))
    return Splice(at, at, b"".join(_previous_ending(raw, start) + indent + entry for entry in entries))


def _above_comments(raw: bytes, start: int) -> int:
    """The start of the comment lines that stand right above a line."""
    while start:
        previous = _line_start(raw, start - len(_previous_ending(raw, start)))
        if not raw[previous:start].lstrip().startswith(b"#"):
            break
        start = previous
    return start


def _without_line(document: Document, mapping: MappingNode, at: int, start: int, end: int) -> Splice:
    raw = document.raw
    line_start = _line_start(raw, start)
    line_end, ending = _line_end(raw, end)
    if raw[line_start:start].strip(b" "):
        return _without_head(document, mapping, at, start, line_end)
    if ending or line_start == 0:
        return Splice(line_start, line_end + len(ending), b"")
    return Splice(line_start - len(_previous_ending(raw, start)), line_end, b"")


def _without_head(document: Document, mapping: MappingNode, at: int, start: int, line_end: int) -> Splice:
    """The entry shares its line with the dash of a list item: the next entry moves up to that place."""
    if at + 1 == len(mapping.value):
        raise document.refuse(mapping, "would be left empty")
    following = document.offset(mapping.value[at + 1][0].start_mark.index)
    if b"#" in document.raw[line_end:following]:
        raise document.refuse(mapping, "has a comment that would have to go")
    return Splice(start, following, b"")


def _without_comma(document: Document, mapping: MappingNode, at: int, start: int, end: int) -> Splice:
    if at:
        start = _entry_end(document, *mapping.value[at - 1])
    elif len(mapping.value) > 1:
        end = document.offset(mapping.value[1][0].start_mark.index)
    if b"#" in document.raw[start:end]:
        raise document.refuse(mapping, "has a comment that would have to go")
    return Splice(start, end, b"")


def _comma(document: Document, mapping: MappingNode, at: int) -> bytes:
    """The comma as it stands between two entries of this mapping."""
    for left, right in ((at - 1, at), (at, at + 1)):
        if left >= 0 and right < len(mapping.value):
            start = _entry_end(document, *mapping.value[left])
            end = document.offset(mapping.value[right][0].start_mark.index)
            if _COMMA.fullmatch(document.raw, start, end):
                return document.raw[start:end]
    return b", "


def _entry_end(document: Document, key: Node, value: Node) -> int:
    """Where an entry ends. A value behind an alias bears the marks of its anchor: there the alias is looked for."""
    if value.start_mark.index >= key.end_mark.index:
        return document.offset(value.end_mark.index)
    end = document.offset(key.end_mark.index)
    alias = _ALIAS.match(document.raw, end)
    return alias.end() if alias else end


def _columns(raw: bytes, at: int) -> int:
    return len(raw[_line_start(raw, at) : at].decode())


def _line_start(raw: bytes, at: int) -> int:
    return max(raw.rfind(b"\n", 0, at), raw.rfind(b"\r", 0, at)) + 1


def _line_end(raw: bytes, at: int) -> tuple[int, bytes]:
    """Where the line ends, and with which bytes; none at the end of the file."""
    match = _LINE_END.search(raw, at)
    return (match.start(), match[0]) if match else (len(raw), b"")


def _previous_ending(raw: bytes, at: int) -> bytes:
    start = _line_start(raw, at)
    if raw[:start].endswith(b"\r\n"):
        return b"\r\n"
    return raw[start - 1 : start] or b"\n"
