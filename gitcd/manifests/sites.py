"""Find: everything in one file that may hold an image, as sites with exact positions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from itertools import chain

from yaml.nodes import ScalarNode

from gitcd.manifests import configmaps, helm, kustomize, markers, workloads
from gitcd.manifests.chunks import Chunk, EditRefused, is_disguised, split, unreadable
from gitcd.manifests.collect import Collector
from gitcd.manifests.compose import compose
from gitcd.manifests.cursor import Cursor
from gitcd.model.declaration import Place
from gitcd.model.escapes import spelled_out
from gitcd.model.site import Form, Found, Owner, Refusal, Site

_MAX_LISTS = 8
_FINDERS: tuple[Callable[[Cursor, Collector], None], ...] = (
    workloads.find,
    kustomize.find,
    helm.find,
    configmaps.find,
    markers.find,
)


def find(path: str, data: bytes, needles: Collection[bytes] | None = None) -> Found:
    """Find all sites, Services and reasons to keep out in one file.

    Args:
        path: the file's path, for messages and because kustomize knows its file by name.
        data: its bytes.
        needles: where given, only documents that hold one of them are parsed.
    """
    if needles is not None:
        needles = _mentioned(needles, data)
        if not needles and not is_disguised(data):
            return Found()
    if refusal := unreadable(path, data):
        return Found(refusals=(refusal,))
    collector = Collector(needles)
    for chunk in split(data):
        if needles is None or _mentioned(needles, data[chunk.start : chunk.end]):
            _read(path, data, chunk, collector)
    return collector.found()


def locate(path: str, data: bytes, place: Place) -> Site | Refusal:
    """Find the one scalar that a declaration names by document and JSON pointer."""
    try:
        cursor = _place(path, data, place)
        return Site(
            path,
            place.document,
            place.pointer,
            Form.PLACE,
            cursor.line,
            value=cursor.text,
            owner=_owner(Cursor(cursor.document, cursor.document.root)),
            spans={"value": cursor.document.span(cursor.node)},
            format=place.format,
        )
    except EditRefused as error:
        return error.refusal


def config_site(path: str, data: bytes, namespace: str, name: str, key: str) -> Site | Refusal | None:
    """The site of one key of one ConfigMap.

    Where the ConfigMap lacks the key this is the site that stands for its `data` (value None): an edit of it names
    the key. None where the file has no such ConfigMap; an empty namespace on either side fits any.
    """
    found = find(path, data, [name.encode()])
    sites = [
        site
        for site in found.sites
        if site.form is Form.CONFIG
        and site.owner.name == name
        and (not namespace or site.owner.namespace in {"", namespace})
    ]
    wanted = {configmaps.pointer(key), configmaps.DATA}
    fitting = [site for site in sites if site.pointer in wanted]
    return max(fitting, key=lambda site: site.value is not None, default=next(iter(found.refusals), None))


def _mentioned(needles: Collection[bytes], data: bytes) -> list[bytes]:
    """Those of the needles that occur in the bytes, spelled plainly or by escapes."""
    resolved = spelled_out(data)
    return [needle for needle in needles if needle in data or needle in resolved]


def _read(path: str, data: bytes, chunk: Chunk, collector: Collector) -> None:
    """Collect from one document: all that it holds, or one refusal."""
    before = len(collector.sites), len(collector.services)
    try:
        document = compose(path, data, chunk)
        root = Cursor(document, document.root)
        if (sops := root.get("sops")) is not None:
            collector.refusals.append(Refusal(path, sops.line, "is encrypted with SOPS; any change breaks its MAC"))
            return
        for item in _objects(root):
            collector.enter(_owner(item))
            for finder in _FINDERS:
                finder(item, collector)
    except EditRefused as error:
        del collector.sites[before[0] :], collector.services[before[1] :]
        collector.refusals.append(error.refusal)


def _objects(root: Cursor, depth: int = 0) -> Iterator[Cursor]:
    """The document itself, or the items of a `kind: List` in place of it."""
    items = root.get("items") if root.value("kind").endswith("List") else None
    if items is None:
        return iter((root,))
    if depth > _MAX_LISTS:
        raise root.document.refuse(root.node, f"holds lists more than {_MAX_LISTS} levels deep")
    return chain.from_iterable(_objects(item, depth + 1) for item in items.items())


def _owner(item: Cursor) -> Owner:
    kind = item.value("kind")
    template = workloads.template(item) if kind else None
    labels, pod_labels = _labels(item), _labels(template)
    return Owner(
        sys.intern(kind),
        sys.intern(item.value("metadata", "name")),
        sys.intern(item.value("metadata", "namespace")),
        sys.intern(item.value("apiVersion")),
        labels,
        labels if pod_labels == labels else pod_labels,
    )


def _labels(item: Cursor | None) -> dict[str, str]:
    """The labels of an object or a pod template. Their words are those of thousands of others, and are held once."""
    labels = item and item.at("metadata", "labels")
    return {sys.intern(key): sys.intern(text) for key, text in labels.texts().items()} if labels else {}


def _place(path: str, data: bytes, place: Place) -> Cursor:
    if refusal := unreadable(path, data):
        raise EditRefused(refusal)
    chunks = split(data)
    if place.document >= len(chunks):
        raise EditRefused(Refusal(path, 0, f"has {len(chunks)} documents, there is no document {place.document}"))
    document = compose(path, data, chunks[place.document])
    root = Cursor(document, document.root)
    if root.get("sops"):
        raise document.refuse(document.root, "is encrypted with SOPS; any change breaks its MAC")
    cursor = root.find(place.pointer)
    if cursor is None:
        raise document.refuse(document.root, f"has nothing at {place.pointer}")
    if cursor.doubt:
        raise EditRefused(cursor.doubt)
    if not isinstance(cursor.node, ScalarNode):
        raise document.refuse(cursor.node, f"{place.pointer} leads to no scalar")
    return cursor
