"""YAML that stands as a text inside YAML, such as `helm.values: |` of an Argo CD Application.

Of a literal block each line of the file is a line of the text behind one indentation. So what is found in the text has
exact positions in the file, and a line of it is changed where it stands.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from yaml.nodes import ScalarNode

from gitcd.manifests.changes import Splice
from gitcd.manifests.chunks import split
from gitcd.manifests.compose import Document, compose, style_of
from gitcd.manifests.cursor import Cursor
from gitcd.model.site import Site, Span

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True)
class Text:
    """A literal block. `starts` are the offsets in the document at which the text of each of its lines begins."""

    cursor: Cursor
    data: bytes
    starts: tuple[int, ...]

    @classmethod
    def of(cls, cursor: Cursor) -> Text | None:
        """The text that a scalar holds; None where it is no literal block of one document."""
        node, document = cursor.node, cursor.document
        if not isinstance(node, ScalarNode) or style_of(node) != "|" or node.tag is not None:
            return None
        data = node.value.encode()
        starts = _starts(document, node, data)
        return cls(cursor, data, starts) if starts and len(split(data)) == 1 else None

    def composed(self) -> Document:
        """Its tree.

        Raises:
            EditRefused: it is no YAML.
        """
        (chunk,) = split(self.data)
        return compose(self.cursor.document.path, self.data, chunk)

    def outer(self, site: Site) -> Site:
        """A site of the text as one of the file."""
        spans = {key: self._outer(span) for key, span in site.spans.items()}
        number, pointer = self.cursor.document.number, self.cursor.pointer + site.pointer
        return replace(site, document=number, pointer=pointer, line=self.line(site.line), spans=spans)

    def line(self, number: int) -> int:
        """The line of the file that is this one of the text."""
        return self.cursor.line + number

    def changed(self, new: bytes) -> list[Splice]:
        """The lines that differ, changed where they stand. Updates the node.

        Raises:
            EditRefused: there would be more or fewer lines.
        """
        document, node = self.cursor.document, self.cursor.node
        old_lines, new_lines = self.data.split(b"\n"), new.split(b"\n")
        if len(old_lines) != len(new_lines):
            raise document.refuse(node, "would get more or fewer lines")
        lines = zip(self.starts, old_lines, new_lines, strict=False)  # behind the last line break there is none
        node.value = new.decode()
        return [Splice(start, start + len(old), line) for start, old, line in lines if old != line]

    def _outer(self, span: Span) -> Span:
        begins = [0, *accumulate(len(line) + 1 for line in self.data.split(b"\n"))]
        line = bisect_right(begins, span.start) - 1
        start = self.cursor.document.start + self.starts[line] + span.start - begins[line]
        return Span(start, start + span.end - span.start, self.line(span.line), span.value)


def holder(root: Cursor, pointer: str) -> Cursor | None:
    """The scalar in which a pointer goes on, as through a text; None where it leads to a node by itself."""
    cursor: Cursor | None = root
    tokens = pointer.split("/")[1:]
    for token in tokens:
        if cursor is None:
            return None
        if isinstance(cursor.node, ScalarNode):
            return cursor
        cursor = cursor.step(token)
    return None


def _starts(document: Document, node: ScalarNode, data: bytes) -> tuple[int, ...]:
    """Where each line of the text begins; nothing where the file does not hold them one by one behind one indent."""
    lines = data.removesuffix(b"\n").split(b"\n")
    header = _LINE.match(document.raw, document.offset(node.start_mark.index))
    found = _lines(document.raw, header.end() if header else len(document.raw))
    there = [(start, raw) for (start, raw), _ in zip(found, lines, strict=False)]
    indent = next((len(raw) - len(line) for (_, raw), line in zip(there, lines, strict=False) if line.strip()), -1)
    if indent < 1 or len(there) != len(lines):
        return ()
    fits = (raw[indent:] == line and not raw[:indent].strip(b" ") for (_, raw), line in zip(there, lines, strict=True))
    return tuple(start + min(indent, len(raw)) for start, raw in there) if all(fits) else ()


def _lines(raw: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(raw) and (match := _LINE.match(raw, at)):
        yield at, match[1]
        at = match.end()
