"""Files that hold documents of cvmanager and kcd, with those as documents of today, and all else byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, SequenceNode

from gitcd.manifests import documents
from gitcd.manifests.chunks import Chunk, EditRefused, split
from gitcd.manifests.compose import Document, compose
from gitcd.manifests.documents import Map, Seq, UnreadableError
from gitcd.manifests.restate import Edit, Restater, UnfitError, apply
from gitcd.model import legacy
from gitcd.model.site import Refusal

_OF_SERVERS = frozenset(
    {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "ownerReferences"}
)
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ITEMS = "items"

_Pairs = list[tuple[Node, Map, dict[str, Any]]]


def modernise(path: str, data: bytes) -> bytes:
    """The file with every legacy document in the form of today. Comments stay, and so does whatever else stands there.

    What a server added to an exported object (its uid, its status and so on) is left out.

    Raises:
        EditRefused: a document cannot be read, or not be written so that it reads back as wanted.
    """
    pieces, done = [], 0
    for chunk in split(data):
        if legacy.GROUP.encode() in data[chunk.start : chunk.end]:
            pieces += [data[done : chunk.start], _modernised(path, data, chunk)]
            done = chunk.end
    return b"".join([*pieces, data[done:]])


def _modernised(path: str, data: bytes, chunk: Chunk) -> bytes:
    document = compose(path, data, chunk)
    text = document.raw.decode()
    value = _value(document, text)
    wanted = _today(value)
    if wanted == value:
        return document.raw
    pairs = list(_pairs(document.root, value, wanted))
    for ways in (_piece_by_piece, _with_new_spec, _all_anew):
        try:
            new = apply(text, ways(document.root, text, pairs, wanted))
            if list(documents.compose(new)) == [wanted]:
                return new.encode()
        except (UnfitError, UnreadableError, ValueError):
            continue
    raise document.refuse(document.root, "cannot be written so that it reads back as wanted")


def _value(document: Document, text: str) -> Any:
    try:
        (value,) = documents.compose(text)
    except (UnreadableError, ValueError) as error:
        raise document.refuse(document.root, f"cannot be read: {error}") from None
    if isinstance(value, Map) and value.faults:
        raise EditRefused(Refusal(document.path, document.first_line + value.faults[0][1][0], value.faults[0][0]))
    return value


def _today(value: Any) -> Any:
    """The value with its legacy documents, or those among its items, in the form of today."""
    if not isinstance(value, Map):
        return value
    if legacy.is_legacy(value):
        document = legacy.modernise(value).document
        return value if document is None else _of_files(document)
    if isinstance(items := value.get(_ITEMS), Seq) and str(value.get("kind", "")).endswith("List"):
        return {**value, _ITEMS: [_today(item) for item in items]}
    return value


def _of_files(document: dict[str, Any]) -> dict[str, Any]:
    """Without what only servers write, where the document is an object that a server has given out."""
    metadata = document["metadata"]
    if "uid" not in metadata:
        return document
    kept = {key: item for key, item in metadata.items() if key not in _OF_SERVERS}
    annotations = kept.pop("annotations", None) or {}
    if rest := {key: item for key, item in annotations.items() if key != _APPLIED}:
        kept["annotations"] = rest
    return {**document, "metadata": kept}


def _pairs(node: Node, value: Any, wanted: Any) -> Iterator[tuple[Node, Map, dict[str, Any]]]:
    """Each document that changes: its node, what it says, and what it shall say."""
    if legacy.is_legacy(value):
        yield node, value, wanted
        return
    (items,) = (item for key, item in node.value if key.value == _ITEMS)
    if not isinstance(items, SequenceNode):
        raise UnfitError
    for item, old, new in zip(items.value, value[_ITEMS], wanted[_ITEMS], strict=True):
        if old != new:
            yield item, old, new


def _renames(way: tuple[str, ...]) -> Mapping[str, str]:
    return legacy.SUCCESSORS if way == ("spec",) else {}


def _piece_by_piece(_root: Node, text: str, pairs: _Pairs, _wanted: Any) -> list[Edit]:
    restater = Restater(text, _renames)
    edits: list[Edit] = []
    for node, old, new in pairs:
        is_flow = isinstance(node, MappingNode) and node.flow_style
        edits += [restater.whole(node, _plain(new))] if is_flow else restater.map(node, old, new)
    return edits


def _with_new_spec(_root: Node, text: str, pairs: _Pairs, _wanted: Any) -> list[Edit]:
    restater = Restater(text, _renames)
    edits: list[Edit] = []
    for node, old, new in pairs:
        assert isinstance(node, MappingNode)  # noqa: S101 - its value is a map
        edits += restater.map(node, old, {**new, "spec": old["spec"]})
        edits += restater.replaced(node, "spec", new["spec"])
    return edits


def _all_anew(root: Node, text: str, _pairs: _Pairs, wanted: Any) -> list[Edit]:
    return [Restater(text, _renames).whole(root, _plain(wanted))]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
