"""What the finders share: they hand in what they see, the collector judges whether it is a site or a refusal."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.compose import is_null
from gitcd.manifests.cursor import Cursor
from gitcd.manifests.setters import policy
from gitcd.model.reference import Reference, Repository, is_digest, split_reference
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.site import Form, Found, Owner, Refusal, Service, Site, Span

_TEMPLATE = re.compile(r"\{\{|\$[({A-Za-z_]")


@dataclass(slots=True)
class Collector:
    """Collects for one file. `needles`: None for everything, else what a spot must hold to be worth a refusal."""

    needles: Collection[bytes] | None
    sites: list[Site] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    owner: Owner = field(default_factory=Owner)

    def enter(self, owner: Owner) -> None:
        self.owner = owner

    def found(self) -> Found:
        return Found(tuple(self.sites), tuple(self.services), tuple(dict.fromkeys(self.refusals)))

    def image(self, cursor: Cursor, text: str, form: Form = Form.IMAGE, **of_workload: Any) -> None:
        """A scalar that may end in a whole reference, `text`."""
        text = text.strip()
        try:
            name, tag, digest = split_reference(text)
        except NotAReference:
            if _is_template(text):
                self._filled_in(cursor, [cursor], f"{text!r} is a template, not an image reference")
            elif self.needles is not None:
                self._refuse(cursor, [cursor], f"{text!r} is malformed, not an image reference")
            return
        if not cursor.text.endswith(text):
            self._refuse(cursor, [cursor], "ends in white space or a line break; write the reference on one line")
            return
        self._add(cursor, form, {"image": cursor}, Reference(Repository.parse(name), tag, digest), **of_workload)

    def entry(self, cursor: Cursor, form: Form, parts: Mapping[str, Cursor | None], name: str) -> None:
        """A mapping that holds repository, tag and digest apart; `name` is the repository as written."""
        present = {key: part for key, part in parts.items() if part is not None}
        tag_key = "newTag" if form is Form.KUSTOMIZE else "tag"
        tag, _, joined = text_of(present.get(tag_key)).partition("@")
        try:
            repository = Repository.parse(name)
        except NotAReference:
            return
        if _is_template(tag):
            self._filled_in(cursor, present.values(), f"the tag {tag!r} is a template")
            return
        self._add(cursor, form, present, Reference(repository, tag, text_of(present.get("digest")) or joined))

    def config(self, cursor: Cursor, *, insertion: bool) -> None:
        """A key of a ConfigMap, or the map in which a key can be inserted."""
        if cursor.doubt:
            self._refuse(cursor, [cursor], cursor.doubt.reason, cursor.doubt.line)
            return
        document, spans = cursor.document, {}
        if not insertion:
            # Most values of ConfigMaps are whole files in block scalars. Nobody's version stands there; an edit of
            # such a key is refused for want of a span.
            with suppress(EditRefused):
                spans = {"value": document.span(cursor.node)}
        where = (document.path, document.number, cursor.pointer, Form.CONFIG, cursor.line)
        self.sites.append(Site(*where, value=None if insertion else cursor.text, owner=self.owner, spans=spans))

    def part(self, cursor: Cursor, span: Span, format_: Literal["tag", "digest"], marker: str) -> None:
        """A scalar that is a part of a reference, by a setter comment alone."""
        if not cursor.doubt:
            document = cursor.document
            where = (document.path, document.number, cursor.pointer, Form.PLACE, span.line)
            said = Site(*where, value=cursor.text, owner=self.owner, spans={"value": span})
            self.sites.append(replace(said, marker=marker, format=format_))

    def pass_over(self, cursor: Cursor, reason: str) -> None:
        """An object that is not looked into; whoever asked for it by name is told."""
        if self.needles is not None and self.owner.name.encode() in self.needles:
            self.refusals.append(Refusal(cursor.document.path, cursor.line, reason))

    def pass_by(self, cursor: Cursor, reason: str) -> None:
        """A text that cannot be looked into, and may hold an image."""
        if self.needles is not None:
            self._filled_in(cursor, [cursor], f"{reason}; write valuesObject")

    def _add(
        self, cursor: Cursor, form: Form, parts: Mapping[str, Cursor], reference: Reference, **of_workload: Any
    ) -> None:
        document = cursor.document
        doubt = next((part.doubt for part in parts.values() if part.doubt), cursor.doubt)
        if doubt:
            self._refuse(cursor, parts.values(), doubt.reason, doubt.line)
            return
        if reference.digest and not is_digest(reference.digest):
            self._refuse(cursor, parts.values(), f"{reference.digest!r} is not a digest")
            return
        try:
            spans = {key: document.span(part.node) for key, part in parts.items()}
        except EditRefused as error:
            self._refuse(cursor, parts.values(), error.refusal.reason, error.refusal.line)
            return
        self.sites.append(
            Site(
                document.path,
                document.number,
                cursor.pointer,
                form,
                min(span.line for span in spans.values()),
                reference.repository,
                reference.tag,
                reference.digest,
                owner=self.owner,
                marker=next(filter(None, (policy(document, span) for span in spans.values())), ""),
                spans=spans,
                **of_workload,
            ),
        )

    def _filled_in(self, cursor: Cursor, parts: Collection[Cursor], reason: str) -> None:
        """A spot whose image stands elsewhere: in an ApplicationSet a few lines above, where a place can name it."""
        if self.owner.kind != "ApplicationSet":
            self._refuse(cursor, parts, reason)

    def _refuse(self, cursor: Cursor, parts: Collection[Cursor], reason: str, line: int = 0) -> None:
        text = "\n".join(part.text for part in parts).encode(errors="replace")
        if self.needles is None or any(_names(needle, text) for needle in self.needles):
            self.refusals.append(Refusal(cursor.document.path, line or cursor.line, reason))


def text_of(cursor: Cursor | None) -> str:
    """The text of a scalar; empty where it is absent or null."""
    return "" if cursor is None or is_null(cursor.node) else cursor.text


def _is_template(text: str) -> bool:
    """Whether another tool puts a value here: Helm and Argo CD by braces, Flux, make and a shell by a dollar."""
    return bool(_TEMPLATE.search(text))


def _names(needle: bytes, text: bytes) -> bool:
    """Whether the needle stands in the text as a whole name, not as part of a longer one."""
    return bool(re.search(rb"(?<![a-z0-9._-])" + re.escape(needle) + rb"(?![a-z0-9_/-])", text))
