"""Scalars in no form that is known otherwise, which a setter comment of Flux tells what they are."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from gitcd.manifests import setters
from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.collect import Collector
from gitcd.manifests.cursor import Cursor
from gitcd.model.site import Form

_PARTS: dict[str, Literal["tag", "digest"]] = {"tag": "tag", "digest": "digest"}


def find(item: Cursor, collector: Collector) -> None:
    """Comes last: it leaves out what the others have found, but for keys of ConfigMaps, which may hold anything."""
    document = item.document
    if not setters.are_in(document):
        return
    images = [site for site in collector.sites if site.form is not Form.CONFIG]
    known = {span.start for site in images for span in site.spans.values()}
    for child in (child for collection in item.collections() for child in collection.scalars()):
        with suppress(EditRefused):  # over several lines: no comment can stand right behind it
            span = document.span(child.node)
            policy, part = setters.setter(document, span) if span.start not in known else ("", "")
            if policy and not part:
                collector.image(child, child.text, Form.MARKED)
            elif part in _PARTS:
                collector.part(child, span, _PARTS[part], policy)
