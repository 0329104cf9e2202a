"""A spot in a document: a node, the pointer that leads there, and whether the way is unambiguous."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gitcd.manifests.compose import MAX_DEPTH, Document, Fields
from gitcd.model.site import Refusal

_INDEX = re.compile("0|[1-9][0-9]{0,6}")


@dataclass(slots=True)
class Cursor:
    """`doubt` is set where a key on the way occurs twice: what lies there may be read, never written."""

    document: Document
    node: Node
    pointer: str = ""
    doubt: Refusal | None = None

    @property
    def text(self) -> str:
        """The scalar's characters; empty where there is no scalar."""
        return self.node.value if isinstance(self.node, ScalarNode) else ""

    @property
    def line(self) -> int:
        return self.document.line(self.node)

    def get(self, key: str) -> Cursor | None:
        """The value of a key, merge keys applied."""
        if not isinstance(self.node, MappingNode):
            return None
        fields = self.document.fields(self.node)
        child = fields.nodes.get(key)
        if child is None:
            return None
        return Cursor(self.document, child, f"{self.pointer}/{escape(key)}", self._doubt(fields))

    def at(self, *keys: str) -> Cursor | None:
        cursor: Cursor | None = self
        for key in keys:
            cursor = cursor and cursor.get(key)
        return cursor

    def value(self, *keys: str) -> str:
        """The text of the scalar that the keys lead to; empty where there is none."""
        cursor = self.at(*keys)
        return cursor.text if cursor else ""

    def items(self) -> Iterator[Cursor]:
        """The items of a sequence; nothing for anything else."""
        if isinstance(self.node, SequenceNode):
            for index, item in enumerate(self.node.value):
                yield Cursor(self.document, item, f"{self.pointer}/{index}", self.doubt)

    def children(self) -> Iterator[tuple[str, Cursor]]:
        """The entries of a mapping by key; nothing for anything else."""
        if isinstance(self.node, MappingNode):
            fields = self.document.fields(self.node)
            doubt = self._doubt(fields)
            for key, child in fields.nodes.items():
                yield key, Cursor(self.document, child, f"{self.pointer}/{escape(key)}", doubt)

    def scalars(self) -> Iterator[Cursor]:
        """The scalars right below, in a mapping or a sequence."""
        below = (child for _, child in self.children()) if isinstance(self.node, MappingNode) else self.items()
        return (child for child in below if isinstance(child.node, ScalarNode))

    def texts(self) -> dict[str, str]:
        """The entries of a mapping that are scalars."""
        return {key: child.text for key, child in self.children() if isinstance(child.node, ScalarNode)}

    def find(self, pointer: str) -> Cursor | None:
        """What a JSON pointer (RFC 6901) leads to from here."""
        cursor: Cursor | None = self
        for token in pointer.split("/")[1:]:
            if cursor is None:
                return None
            cursor = cursor.step(token)
        return cursor

    def mappings(self) -> Iterator[Cursor]:
        """Every mapping here and below. Raises as `collections` does."""
        return (cursor for cursor in self.collections() if isinstance(cursor.node, MappingNode))

    def collections(self) -> Iterator[Cursor]:
        """Every mapping and sequence here and below, itself first.

        Raises:
            EditRefused: aliases make the tree endless or unreasonably large.
        """
        seen: set[int] = set()
        stack = [(self, 0)]
        while stack:
            cursor, depth = stack.pop()
            if id(cursor.node) in seen:
                self.document.spend(cursor.node)
            seen.add(id(cursor.node))
            if depth > MAX_DEPTH:
                raise self.document.refuse(cursor.node, f"is nested more than {MAX_DEPTH} levels deep")
            yield cursor
            stack += [(child, depth + 1) for child in reversed(list(_collections(cursor)))]

    def step(self, token: str) -> Cursor | None:
        """One token of a JSON pointer further."""
        if not isinstance(self.node, SequenceNode):
            return self.get(token.replace("~1", "/").replace("~0", "~"))
        if not _INDEX.fullmatch(token) or int(token) >= len(self.node.value):
            return None
        return Cursor(self.document, self.node.value[int(token)], f"{self.pointer}/{token}", self.doubt)

    def _doubt(self, fields: Fields) -> Refusal | None:
        twice = fields.twice
        if self.doubt or twice is None:
            return self.doubt
        return Refusal(self.document.path, self.document.line(twice), f"the key {twice.value!r} occurs twice")


def escape(key: str) -> str:
    """A key as a token of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _collections(cursor: Cursor) -> Iterator[Cursor]:
    if isinstance(cursor.node, MappingNode):
        nodes: Iterable[tuple[str, Node]] = cursor.document.fields(cursor.node).nodes.items()
    else:
        nodes = ((str(index), item) for index, item in enumerate(cursor.node.value))
    for step, node in nodes:
        if not isinstance(node, ScalarNode) and (child := cursor.step(escape(step))):
            yield child
