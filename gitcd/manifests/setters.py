"""Setter comments, by which Flux knows the spots that it updates.

`{"$imagepolicy": "NAMESPACE:NAME"}` marks a scalar that is a whole reference; with `:tag`, `:name` or `:digest` behind
the name, one that is a part. https://fluxcd.io/flux/guides/image-update/#configure-image-update-for-custom-resources
"""

from __future__ import annotations

import re

from gitcd.manifests.compose import Document
from gitcd.model.site import Span

WORD = b"$imagepolicy"
_LINE = re.compile(rb"[^\r\n]*")
_COMMENT = re.compile(rb"[ \t]*(?:,[ \t]+)?#(.*)")  # behind a comma of the flow style it still is the scalar's
_SETTER = re.compile(rb"\{\s*\"\$imagepolicy\"\s*:\s*\"([^\":]+:[^\":]+)(?::([a-z]+))?\"\s*\}")
_UNREADABLE = "?"


def are_in(document: Document) -> bool:
    """Whether there may be any in a document at all."""
    return WORD in document.raw


def policy(document: Document, span: Span) -> str:
    """The policy that a comment on the line of a scalar names; empty: there is none."""
    if not are_in(document):
        return ""
    comment = _rest(document, span).partition(b"#")[2]
    if WORD not in comment:
        return ""
    setter = _SETTER.search(comment)
    return setter[1].decode(errors="replace") if setter else _UNREADABLE


def setter(document: Document, span: Span) -> tuple[str, str]:
    """The policy and the part of a comment right behind a scalar: no part is the whole, no policy is no comment."""
    comment = _COMMENT.fullmatch(_rest(document, span))
    found = _SETTER.search(comment[1]) if comment else None
    return (found[1].decode(errors="replace"), (found[2] or b"").decode()) if found else ("", "")


def _rest(document: Document, span: Span) -> bytes:
    """What stands behind a scalar on its line."""
    rest = _LINE.match(document.raw, span.end - document.start)
    return rest[0] if rest else b""
