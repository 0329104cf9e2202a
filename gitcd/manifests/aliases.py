"""A change to an anchored node changes every place that an alias leads to it from: all must be wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from yaml._yaml import CParser
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.compose import MAX_DEPTH, MERGE, Document, line_of
from gitcd.manifests.cursor import Cursor, escape
from gitcd.model.site import Refusal

_MAX_ROUTES = 1000
_HOLDERS = ("/x-", "/.")

# (parent, step from it, line of the alias or 0 where the node itself stands)
_Edge = tuple[Node, str, int]


def check_aliases(document: Document, touched: Iterable[Node], pointers: Collection[str]) -> None:
    """Make sure that the edits at `pointers` name every place that changes with the touched nodes.

    Raises:
        EditRefused: another place would change too; the reason names the lines of its aliases.
    """
    if b"&" not in document.raw or b"*" not in document.raw:
        return
    edges = _edges(document)
    root = Cursor(document, document.root)
    for node in touched:
        routes = [route for route in _routes(document, edges, node) if _leads_to(root, route[0], node)]
        unwanted = [
            (pointer, line) for pointer, line in routes if not _is_covered(pointer, pointers, at_anchor=not line)
        ]
        if unwanted and any(line for _, line in routes):
            lines = sorted({line or document.line(node) for _, line in unwanted})
            where = ", ".join(str(line) for line in lines)
            raise document.refuse(node, f"is shared through an anchor, and its use on line {where} is not to change")


def _is_covered(pointer: str, pointers: Collection[str], *, at_anchor: bool) -> bool:
    """Whether a place is to change too; an anchor in a top-level `x-` or `.` key stands there only to be shared."""
    return pointer in pointers or (at_anchor and pointer.startswith(_HOLDERS))


def _edges(document: Document) -> dict[int, list[_Edge]]:
    """For every node the edges that lead to it, in document order: the first is where it stands itself."""
    aliases = _alias_lines(document)
    edges: defaultdict[int, list[_Edge]] = defaultdict(list)
    stack: list[tuple[Node, Node, str]] = [(document.root, document.root, "")]
    while stack:
        node, parent, step = stack.pop()
        known = id(node) in edges
        edges[id(node)].append((parent, step, next(aliases, document.first_line) if known else 0))
        if not known and not isinstance(node, ScalarNode):
            stack += [(child, node, name) for child, name in reversed(list(_children(node)))]
    return edges


def _children(node: Node) -> Iterator[tuple[Node, str]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key, "?"
            yield value, escape(key.value) if isinstance(key, ScalarNode) else "?"
    else:
        for index, item in enumerate(node.value):
            yield item, str(index)


def _alias_lines(document: Document) -> Iterator[int]:
    parser = CParser(document.raw)
    while event := parser.get_event():
        if isinstance(event, AliasEvent):
            yield document.first_line + line_of(event)


def _routes(document: Document, edges: dict[int, list[_Edge]], node: Node) -> Iterator[tuple[str, int]]:
    """Every way from the root to the node: its pointer with merge keys left out, and the line of an alias on it."""
    stack: list[tuple[Node, tuple[str, ...], int]] = [(node, (), 0)]
    found = 0
    while stack:
        here, steps, line = stack.pop()
        if here is document.root:
            found += 1
            yield "".join(f"/{step}" for step in _without_merges(steps)), line
        elif len(steps) <= MAX_DEPTH:
            stack += [(parent, (step, *steps), alias or line) for parent, step, alias in edges[id(here)]]
        if found > _MAX_ROUTES or len(stack) > _MAX_ROUTES:
            raise EditRefused(Refusal(document.path, document.line(node), "is shared by too many aliases"))


def _without_merges(steps: tuple[str, ...]) -> Iterator[str]:
    for at, step in enumerate(steps):
        merged_list = at and steps[at - 1] == MERGE and step.isdecimal()
        if step != MERGE and not merged_list:
            yield step


def _leads_to(root: Cursor, pointer: str, node: Node) -> bool:
    """False where a merge is overridden, so that the way ends at another node. Keys of maps are always reached."""
    if "/?" in pointer:
        return True
    cursor = root.find(pointer)
    return cursor is not None and cursor.node is node
