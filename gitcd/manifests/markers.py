"""Setter comments, by which Flux knows the spots that it updates.

`{"$imagepolicy": "NAMESPACE:NAME"}` marks a scalar that is a whole reference; with `:tag`, `:name` or `:digest` behind
the name, one that is a part. https://fluxcd.io/flux/guides/image-update/#configure-image-update-for-custom-resources
"""

from __future__ import annotations

import re
from contextlib import suppress

from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.collect import Collector
from gitcd.manifests.cursor import Cursor
from gitcd.model.site import Form

_MARKER = b"$imagepolicy"
_WHOLE = re.compile(rb"[ \t]*#[^\r\n]*\{[ \t]*\"\$imagepolicy\"[ \t]*:[ \t]*\"[^\":]+:[^\":]+\"[ \t]*\}")


def find(item: Cursor, collector: Collector) -> None:
    """Whole references in no form that is known otherwise. Comes last: it leaves out what the others have found."""
    document = item.document
    if _MARKER not in document.raw:
        return
    known = {span.start for site in collector.sites for span in site.spans.values()}
    for child in (child for collection in item.collections() for child in collection.scalars()):
        with suppress(EditRefused):  # over several lines: no comment can stand right behind it
            span = document.span(child.node)
            if span.start not in known and _WHOLE.match(document.raw, span.end - document.start):
                collector.image(child, child.text, Form.MARKED)
