"""Write: splice new text into the bytes, parse the result, compare, or refuse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from yaml.nodes import MappingNode, Node, ScalarNode

from gitcd.manifests.aliases import check_aliases
from gitcd.manifests.changes import Splice, insert_keys, remove_key, replace_scalar
from gitcd.manifests.chunks import Chunk, EditRefused, split, unreadable
from gitcd.manifests.collect import Collector
from gitcd.manifests.compose import Document, compose, is_merge
from gitcd.manifests.cursor import Cursor
from gitcd.manifests.helm import in_text
from gitcd.manifests.texts import Text, holder
from gitcd.manifests.verify import difference
from gitcd.model.reference import suffix
from gitcd.model.site import Form, Refusal, Site, SiteEdit


def write(path: str, data: bytes, edits: Sequence[SiteEdit]) -> bytes:
    """Make all edits at once; their sites must have been found in exactly these bytes.

    Raises:
        EditRefused: an edit cannot be made exactly, or the sites do not fit the bytes. Nothing is written then.
    """
    if refusal := unreadable(path, data):
        raise EditRefused(refusal)
    by_document: defaultdict[int, list[SiteEdit]] = defaultdict(list)
    for edit in edits:
        by_document[edit.site.document].append(edit)
    chunks = split(data)
    pieces, done = [], 0
    for number in sorted(by_document):
        if number >= len(chunks):
            raise EditRefused(Refusal(path, 0, f"has no document {number}; it has changed since it was read"))
        chunk = chunks[number]
        pieces += [data[done : chunk.start], _write_document(path, data, chunk, by_document[number])]
        done = chunk.end
    return b"".join([*pieces, data[done:]])


def _write_document(path: str, data: bytes, chunk: Chunk, edits: Sequence[SiteEdit]) -> bytes:
    document = compose(path, data, chunk)
    writer = _Writer(document)
    inside: defaultdict[str, list[SiteEdit]] = defaultdict(list)
    root = Cursor(document, document.root)
    for edit in edits:
        if text := holder(root, edit.site.pointer):
            inside[text.pointer].append(edit)
        else:
            writer.make(edit)
    splices = [splice for pointer, each in inside.items() for splice in _in_text(root, pointer, each)]
    splices += writer.finish()
    if not splices:
        return document.raw
    new = _spliced(document, splices)
    try:
        reread = compose(path, new, Chunk(chunk.number, 0, len(new), chunk.line))
    except EditRefused as error:
        raise _inexact(edits, error.refusal.reason) from None
    if different := difference(document.root, reread.root):
        raise _inexact(edits, f"something else at line {reread.line(different)}")
    return new


def _in_text(root: Cursor, pointer: str, edits: Sequence[SiteEdit]) -> list[Splice]:
    """The same inside a text, which is written as a document by itself first."""
    cursor, first = root.find(pointer), edits[0].site
    text = Text.of(cursor) if cursor and not cursor.doubt else None
    if cursor is None or text is None:
        raise EditRefused(Refusal(first.path, first.line, "has changed since it was read"))
    check_aliases(root.document, [cursor.node], {pointer})
    inner = {site.spot: (site.spans, one) for site, one in in_text(text, Collector(None))}
    moved = []
    for edit in edits:
        spans, site = inner.get(edit.site.spot, ({}, edit.site))
        if spans != edit.site.spans:
            raise EditRefused(Refusal(first.path, edit.site.line, "has changed since it was read"))
        moved.append(replace(edit, site=site))
    return text.changed(write(first.path, text.data, moved))


def _inexact(edits: Sequence[SiteEdit], instead: str) -> EditRefused:
    site = edits[0].site
    return EditRefused(Refusal(site.path, site.line, f"would not read back as wanted ({instead})"))


def _spliced(document: Document, splices: Sequence[Splice]) -> bytes:
    pieces, done = [], 0
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        if splice.start < done:
            raise document.refuse(document.root, "would be changed twice in one spot")
        pieces += [document.raw[done : splice.start], splice.new]
        done = splice.end
    return b"".join([*pieces, document.raw[done:]])


class _Writer:
    """Turns the edits of one document into splices; the document's nodes become what is wanted."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._root = Cursor(document, document.root)
        self._wanted: dict[int, tuple[Node, str]] = {}
        self._pointers: set[str] = set()
        self._contents: dict[str, tuple[str, str]] = {}
        self._inserted: dict[int, tuple[MappingNode, int | None, dict[str, str]]] = {}
        self._removed: dict[int, tuple[MappingNode, int]] = {}

    def make(self, edit: SiteEdit) -> None:
        """Take one edit on; a spot may be named twice if both want the same."""
        site = edit.site
        match site.form:
            case Form.IMAGE | Form.MARKED:
                name = site.spans["image"].value.removesuffix(suffix(site.tag, site.digest))
                self._set(site, "image", name + suffix(*self._content(edit)))
            case Form.KUSTOMIZE:
                self._kustomize(edit)
            case Form.HELM:
                self._helm(edit)
            case Form.CONFIG if site.value is None:
                self._insert_config(edit)
            case Form.CONFIG | Form.PLACE:
                self._set(site, "value", edit.value)

    def finish(self) -> list[Splice]:
        """All splices, from the document as it was composed; only then the nodes change."""
        touched = [node for node, _ in self._wanted.values()]
        touched += [mapping for mapping, *_ in self._inserted.values()]
        touched += [mapping for mapping, _ in self._removed.values()]
        check_aliases(self._document, touched, self._pointers)
        splices = [
            insert_keys(self._document, mapping, keys, after) for mapping, after, keys in self._inserted.values()
        ]
        splices += [remove_key(self._document, mapping, at) for mapping, at in self._removed.values()]
        scalars = [replace_scalar(self._document, node, text) for node, text in self._wanted.values()]
        return splices + [splice for splice in scalars if splice]

    def _kustomize(self, edit: SiteEdit) -> None:
        site = edit.site
        tag, digest = self._content(edit)
        self._node(site, _name_key(site))
        mapping = self._mapping(site)
        wanted = {key: text for key, text in (("newTag", tag), ("digest", digest)) if text}
        present = [key for key in ("newTag", "digest") if key in site.spans]
        missing = {key: text for key, text in wanted.items() if key not in present}
        surplus = [key for key in present if key not in wanted]
        for key in present:
            if key in wanted:
                self._set(site, key, wanted[key])
        if missing and surplus:
            self._rename(site, mapping, surplus[0], *missing.popitem())
        elif missing:
            siblings = [key for key in ("name", "newName", "newTag") if key in site.spans and key not in missing]
            after = self._own(mapping, siblings[-1] if "digest" in missing else _name_key(site))
            self._insert(site, mapping, missing, after)
        elif surplus:
            self._node(site, surplus[0])
            self._removed[id(mapping)] = (mapping, self._own(mapping, surplus[0]))

    def _helm(self, edit: SiteEdit) -> None:
        site = edit.site
        tag, digest = self._content(edit)
        self._node(site, "repository")
        if site.has_digest_key:
            self._set(site, "digest", digest)
        elif digest and not tag:
            raise self._refuse(site, "has no digest key, and a chart would join a bare digest with a colon")
        if tag and "tag" not in site.spans:
            raise self._refuse(site, "has no tag key")
        if tag:
            self._set(site, "tag", tag if site.has_digest_key or not digest else f"{tag}@{digest}")
        elif "tag" in site.spans and "@" in site.spans["tag"].value:
            self._set(site, "tag", site.tag)

    def _insert_config(self, edit: SiteEdit) -> None:
        site, key = edit.site, edit.key
        mapping = self._mapping(site)
        if not key or key in self._document.fields(mapping).nodes:
            raise self._refuse(site, f"has the key {key!r} already" if key else "was given no key to insert")
        after = max((at for at, pair in enumerate(mapping.value) if self._is_simple(pair)), default=None)
        self._insert(site, mapping, {key: edit.value}, after)

    def _set(self, site: Site, key: str, text: str) -> None:
        node, pointer = self._spot(site, key)
        known = self._wanted.setdefault(id(node), (node, text))
        if known[1] != text:
            raise self._refuse(site, f"would have to be {known[1]!r} and {text!r} at once")
        self._pointers.add(pointer)

    def _rename(self, site: Site, mapping: MappingNode, old: str, new: str, text: str) -> None:
        self._set(site, old, text)
        key = mapping.value[self._own(mapping, old)][0]
        self._wanted[id(key)] = (key, new)

    def _insert(self, site: Site, mapping: MappingNode, entries: Mapping[str, str], after: int | None) -> None:
        *_, inserted = self._inserted.setdefault(id(mapping), (mapping, after, {}))
        for key, text in entries.items():
            if inserted.setdefault(key, text) != text:
                raise self._refuse(site, f"would have to be {inserted[key]!r} and {text!r} at once")

    def _node(self, site: Site, key: str) -> Node:
        return self._spot(site, key)[0]

    def _spot(self, site: Site, key: str) -> tuple[Node, str]:
        """The node of a site's scalar, if it still is what was found, and its pointer."""
        span = site.spans.get(key)
        if span is None:
            raise self._refuse(site, f"{site.pointer} is not a scalar on one line")
        for cursor in self._candidates(site, key):
            if cursor.doubt:
                raise EditRefused(cursor.doubt)
            if self._document.span(cursor.node) == span:
                return cursor.node, cursor.pointer
        raise self._refuse(site, "has changed since it was read")

    def _candidates(self, site: Site, key: str) -> Iterator[Cursor]:
        cursor = self._root.find(site.pointer)
        if cursor is None:
            return
        if isinstance(cursor.node, ScalarNode):
            yield cursor
        elif child := cursor.get(key):
            yield child
        if site.form is Form.HELM and (parameters := self._root.find(site.pointer.rpartition("/")[0])):  # Argo CD
            yield from (value for item in parameters.items() if (value := item.get("value")))

    def _mapping(self, site: Site) -> MappingNode:
        cursor = self._root.find(site.pointer)
        if cursor is None or not isinstance(cursor.node, MappingNode) or (not site.spans and cursor.line != site.line):
            raise self._refuse(site, "has changed since it was read")
        return cursor.node

    def _own(self, mapping: MappingNode, key: str) -> int:
        for at, (node, _) in enumerate(mapping.value):
            if node.value == key:
                return at
        raise self._document.refuse(mapping, f"inherits {key!r} through a merge key")

    def _is_simple(self, pair: tuple[Node, Node]) -> bool:
        try:
            return all(self._document.span(node).start >= 0 and not is_merge(node) for node in pair)
        except EditRefused:
            return False

    def _content(self, edit: SiteEdit) -> tuple[str, str]:
        if not edit.tag and not edit.digest:
            raise self._refuse(edit.site, "would be left without tag and digest")
        wanted = (edit.tag, edit.digest)
        if (known := self._contents.setdefault(edit.site.pointer, wanted)) != wanted:
            raise self._refuse(edit.site, f"would have to be {suffix(*known)} and {suffix(*wanted)} at once")
        return wanted

    def _refuse(self, site: Site, reason: str) -> EditRefused:
        return EditRefused(Refusal(site.path, site.line, reason))


def _name_key(site: Site) -> str:
    return "newName" if "newName" in site.spans else "name"
