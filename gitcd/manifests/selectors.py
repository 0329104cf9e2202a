"""Services: what they select, found and changed in a file like any other scalar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitcd.manifests.chunks import EditRefused, split, unreadable
from gitcd.manifests.compose import compose
from gitcd.manifests.cursor import Cursor, escape
from gitcd.manifests.splice import write
from gitcd.model.site import Form, Refusal, Site, SiteEdit


def selectors(path: str, data: bytes, namespace: str, name: str) -> list[Mapping[str, Site]]:
    """The selectors of all Services of that name in one file, each as the scalars that it is made of, by label.

    An object that names no namespace is of any.

    Raises:
        EditRefused: the file, or one of the scalars, is nothing that could be changed exactly.
    """
    if name.encode() not in data:
        return []
    if refusal := unreadable(path, data):
        raise EditRefused(refusal)
    found: list[Mapping[str, Site]] = []
    for chunk in split(data):
        if name.encode() in data[chunk.start : chunk.end]:
            document = compose(path, data, chunk)
            found += [
                dict(_labels(each))
                for each in _objects(Cursor(document, document.root))
                if _is_it(each, namespace, name)
            ]
    return found


def reselect(path: str, data: bytes, changes: Mapping[str, Mapping[str, str]], namespace: str) -> bytes:
    """The file with other values in the selectors of these Services, by name and label.

    Raises:
        EditRefused: a value cannot be changed exactly, or a Service does not select by that label.
    """
    edits = []
    for name, labels in changes.items():
        for selector in selectors(path, data, namespace, name):
            if missing := labels.keys() - selector.keys():
                raise EditRefused(Refusal(path, 0, f"Service {name} does not select by {min(missing)}"))
            edits += [SiteEdit(selector[key], value=value) for key, value in labels.items()]
    return write(path, data, edits) if edits else data


def _objects(root: Cursor) -> Iterator[Cursor]:
    if (sops := root.get("sops")) is not None:
        raise EditRefused(Refusal(root.document.path, sops.line, "is encrypted with SOPS; any change breaks its MAC"))
    items = root.get("items") if root.value("kind").endswith("List") else None
    return items.items() if items else iter((root,))


def _is_it(item: Cursor, namespace: str, name: str) -> bool:
    kind = item.value("apiVersion"), item.value("kind"), item.value("metadata", "name")
    return kind == ("v1", "Service", name) and item.value("metadata", "namespace") in {"", namespace}


def _labels(item: Cursor) -> Iterator[tuple[str, Site]]:
    selector = item.at("spec", "selector")
    for key, cursor in selector.children() if selector else ():
        if cursor.doubt:
            raise EditRefused(cursor.doubt)
        document, pointer = cursor.document, f"{item.pointer}/spec/selector/{escape(key)}"
        spans = {"value": document.span(cursor.node)}
        yield (
            key,
            Site(document.path, document.number, pointer, Form.PLACE, cursor.line, value=cursor.text, spans=spans),
        )
