"""Say the content of a block map anew with what stays left as it is: lines, comments, quotes, order.

Entries whose value is the same are not touched. Others are renamed, respelled, written anew or taken away; their
comments stay. What is new stands at the end of its map. Texts are cut by the marks that YAML nodes carry; whether the
outcome says what it should is for the caller to check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from gitcd.manifests.compose import style_of
from gitcd.manifests.dump import to_yaml
from gitcd.manifests.scalars import spell

_COMMENT = re.compile(r"(?:(?<=[ \t\r\n])|^)#[^\r\n]*")

Edit = tuple[int, int, str]  # start and end in the text, and what comes in place of that
Renames = Callable[[tuple[str, ...]], Mapping[str, str]]


class UnfitError(Exception):
    """The text is not of a form that can be restated piece by piece."""


class Restater:
    """Restates maps of one text. `renames` answers, for the way to a map, which of its keys have other names now."""

    def __init__(self, text: str, renames: Renames) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._renames = renames

    def map(self, node: Node, old: Mapping[str, Any], new: Mapping[str, Any], way: tuple[str, ...] = ()) -> list[Edit]:
        """The edits after which the map says the new value.

        Raises:
            UnfitError: it is no block map, or a spot of it stands otherwise than one line to a key.
        """
        if not isinstance(node, MappingNode) or node.flow_style or not node.value:
            raise UnfitError
        names = self._names(old, new, way)
        entries = [(key, value, names.get(key.value)) for key, value in node.value]
        added = [key for key in new if key not in names.values()]
        edits: list[Edit] = []
        for number, (key, value, name) in enumerate(entries):
            last = number == len(entries) - 1
            tail = _written({each: new[each] for each in added}) if last and added else []
            if name is None:
                edits.append(self._without(key, value, tail))
            else:
                edits += self._entry(key, value, (old[key.value], name, new[name]), way)
                if tail:
                    end = self._line_end(self._end(value, key))
                    edits.append((end, end, self._joined(key, ["", *tail])))
        return edits

    def whole(self, node: Node, new: object) -> Edit:
        """The edit that writes a node anew in block style, from its column on, with the comments in it above."""
        start, end = node.start_mark.index, node.end_mark.index
        comments = [text for _, text in self._comments(node, start, end)]
        written = self._joined(node, [*comments, *to_yaml(new).splitlines()])
        return start, end, written if self._text[end : end + 1] in {"\r", "\n", " "} else written + self._newline

    def replaced(self, node: MappingNode, key: str, new: object) -> list[Edit]:
        """The edit that writes the value of one key anew."""
        for each, value in node.value:
            if each.value == key and not node.flow_style:
                return [self._anew(each, value, key, new)]
        raise UnfitError

    def _names(self, old: Mapping[str, Any], new: Mapping[str, Any], way: tuple[str, ...]) -> dict[str, str]:
        """Under which of the new keys each old one goes on; the first to claim one has it."""
        found = {key: key for key in old if key in new}
        for key, name in self._renames(way).items():
            if key in old and key not in found and name in new and name not in found.values():
                found[key] = name
        return found

    def _entry(self, key: Node, value: Node, change: tuple[Any, str, Any], way: tuple[str, ...]) -> Iterator[Edit]:
        before, name, after = change
        renamed = (key.start_mark.index, key.end_mark.index, name)
        if before == after:
            yield from [] if key.value == name else [renamed]
        elif (
            isinstance(value, ScalarNode) and isinstance(after, str | int | float) and style_of(value) not in {"|", ">"}
        ):
            yield from [] if key.value == name else [renamed]
            yield self._respelled(value, after)
        elif isinstance(before, dict) and isinstance(after, dict) and isinstance(value, MappingNode):
            try:
                inner = self.map(value, before, after, (*way, name))
            except UnfitError:
                yield self._anew(key, value, name, after)
            else:
                yield from [] if key.value == name else [renamed]
                yield from inner
        else:
            yield self._anew(key, value, name, after)

    def _respelled(self, node: ScalarNode, after: object) -> Edit:
        start, end = node.start_mark.index, node.end_mark.index
        style = style_of(node)
        text = spell(after, style)[0].decode() if style and isinstance(after, str) else _inline(after)
        return start, end, text if end > start else f" {text}"

    def _anew(self, key: Node, value: Node, name: str, after: object) -> Edit:
        """An entry written anew; the comment on its first line stays there, the others come before it."""
        start, end = key.start_mark.index, self._line_end(self._end(value, key))
        beside, above = self._split_comments(key, value, start, end)
        first, *rest = _written({name: after})
        return start, end, self._joined(key, [*above, f"{first}  {beside}" if beside else first, *rest])

    def _without(self, key: Node, value: Node, tail: Sequence[str]) -> Edit:
        start, end = key.start_mark.index, self._line_end(self._end(value, key))
        comments = [text for _, text in self._comments_of(key, value, start, end)]
        if comments or tail:
            return start, end, self._joined(key, [*comments, *tail])
        begin = self._text.rfind("\n", 0, start)
        if begin < 0 and not start:
            return start, self._text.find("\n", end) + 1 or end, ""
        if self._text[begin + 1 : start].strip(" "):
            raise UnfitError
        return max(begin - self._text.startswith("\r\n", begin - 1), 0), end, ""

    def _joined(self, key: Node, lines: Sequence[str]) -> str:
        """The lines one below the other in the column of the key; the first one is there already."""
        return f"{self._newline}{' ' * key.start_mark.column}".join(lines)

    def _end(self, node: Node, key: Node) -> int:
        """Where the content of a value ends."""
        if isinstance(node, CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(last[1], last[0]) if isinstance(node, MappingNode) else self._end(last, last)
        end = int(node.end_mark.index)
        return max(len(self._text[:end].rstrip()), int(key.end_mark.index))

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        if end < 0:
            return len(self._text)
        return end - self._text.startswith("\r\n", end - 1)

    def _split_comments(self, key: Node, value: Node, start: int, end: int) -> tuple[str, list[str]]:
        first_end = self._line_end(start)
        found = list(self._comments_of(key, value, start, end))
        beside = [text for at, text in found if at < first_end]
        return "".join(beside), [text for at, text in found if at >= first_end]

    def _comments_of(self, key: Node, value: Node, start: int, end: int) -> Iterator[tuple[int, str]]:
        spans = [(key.start_mark.index, key.end_mark.index), *_scalars(value)]
        return self._outside(spans, start, end)

    def _comments(self, node: Node, start: int, end: int) -> Iterator[tuple[int, str]]:
        return self._outside(list(_scalars(node)), start, end)

    def _outside(self, spans: Sequence[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, str]]:
        at = start
        while match := _COMMENT.search(self._text, at, end):
            inside = next((stop for begin, stop in spans if begin <= match.start() < stop), None)
            if inside is None:
                yield match.start(), match[0].rstrip()
            at = match.end() if inside is None else inside


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text with all edits made; of two at one spot the first one given comes first.

    Raises:
        UnfitError: edits overlap.
    """
    pieces, done = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        if start < done:
            raise UnfitError
        pieces += [text[done:start], new]
        done = end
    return "".join([*pieces, text[done:]])


def _written(entries: Mapping[str, object]) -> list[str]:
    return to_yaml(dict(entries)).splitlines()


def _inline(value: object) -> str:
    return to_yaml([value]).removeprefix("- ").rstrip("\n")


def _scalars(node: Node) -> Iterator[tuple[int, int]]:
    """Start and end of every scalar here and below; in those no comment can stand."""
    if isinstance(node, ScalarNode):
        yield node.start_mark.index, node.end_mark.index
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _scalars(item)
