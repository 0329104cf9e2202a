"""Files of the config repository to model values: declarations, gitcd.yaml and hold files, with every fault placed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, TypeVar

from gitcd.manifests import documents
from gitcd.manifests.documents import Map, Seq, UnreadableError
from gitcd.manifests.dump import to_yaml
from gitcd.manifests.files import File, placed, read_plain, subject_of
from gitcd.model import legacy, schema
from gitcd.model.declaration import API_VERSION, GROUP, KIND, ContainerVersion, Document, Origin
from gitcd.model.faults import shown
from gitcd.model.hold import Hold
from gitcd.model.layout import KIND as LAYOUT_KIND
from gitcd.model.layout import ConfigRepository
from gitcd.model.problem import Problem

NEEDLES = (KIND, f"{GROUP}/v", f"{legacy.GROUP}/v")
_ALIKE = 0.8
_MAX_SHOWN = 60

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What a file declares; `alone`: it holds one declaration and nothing else.

    `old` are the lines at which declarations of old kinds begin, and `lost` the fields of those that say nothing any
    more; both are known of files that were read just now only, not of those that are remembered.
    """

    declarations: tuple[ContainerVersion, ...] = ()
    problems: tuple[Problem, ...] = ()
    alone: bool = False
    old: tuple[int, ...] = ()
    lost: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """That a declaration belongs to a group, as far as it can be read; `subject` is its `namespace/name`."""

    subject: str
    environment: str
    group: str


def mentions_declaration(data: bytes) -> bool:
    """Whether a file can hold a declaration at all; far cheaper than reading it."""
    return any(needle.encode() in data for needle in NEEDLES)


def read_declarations(path: str, data: bytes) -> ReadResult:
    """All ContainerVersions of a file, and all that is wrong with them; other documents are passed over."""
    if not mentions_declaration(data):
        return ReadResult()
    file = _File(path)
    try:
        text = documents.decode(data)
    except UnreadableError as error:
        return ReadResult(problems=(file.unreadable(error),))
    parts = list(documents.split(text))
    for first_line, part in parts:
        if any(needle in part for needle in NEEDLES):
            file.first_line = first_line
            file.read(part)
    alone = len(parts) == file.documents == len(file.declarations) == 1 and not file.problems
    return ReadResult(tuple(file.declarations), tuple(file.problems), alone, tuple(file.old), tuple(file.lost))


def read_memberships(data: bytes) -> Iterator[Membership]:
    """The groups that the declarations of a file name, be the declarations valid or not."""
    try:
        text = documents.decode(data)
    except UnreadableError:
        return
    for _, part in documents.split(text):
        with suppress(UnreadableError):
            for item in (item for value in documents.compose(part) for item in _candidates(value) if _claim(item)):
                if group := _text(item, "spec", "strategy", "group"):
                    yield Membership(subject_of(item), _text(item, "spec", "environment"), group)


def read_layout(path: str, data: bytes) -> tuple[ConfigRepository | None, tuple[Problem, ...]]:
    """The layout that gitcd.yaml describes, or None and what is wrong with it."""
    return read_single(ConfigRepository, path, data)


def read_hold(path: str, data: bytes) -> tuple[Hold | None, tuple[Problem, ...]]:
    """What a hold file says, or None and what is wrong with it."""
    return read_single(Hold, path, data)


def read_single(cls: type[T], path: str, data: bytes) -> tuple[T | None, tuple[Problem, ...]]:
    """The one document of a file, as an instance of a class of the schema, or None and what is wrong with it."""
    value, faults = read_plain(path, data)
    if value is None:
        return None, faults
    instance, problems = schema.read(cls, value)
    return (None if faults else instance), (*faults, *(placed(path, value, problem) for problem in problems))


def placed_in(declaration: ContainerVersion, data: bytes, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Problems of a declaration that was read from these bytes, with the line and column of their fields."""
    file = _File(declaration.origin.path)
    for first_line, part in documents.split(documents.decode(data)):
        file.first_line = first_line
        for item in (item for value in documents.compose(part) for item in _candidates(value)):
            if first_line + documents.start(item)[0] + 1 == declaration.origin.line:
                yield from (file.placed(item, problem) for problem in problems)
                return


def render_hold(hold: Hold) -> bytes:
    """A hold file: block style, keys in the order of the schema, without what equals a default."""
    return to_yaml(schema.plain(hold)).encode()


@dataclass(slots=True)
class _File(File):
    """What a file has yielded so far; `documents` counts the values that were read, the items of a list one by one."""

    documents: int = 0
    declarations: list[ContainerVersion] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    old: list[int] = field(default_factory=list)
    lost: list[Problem] = field(default_factory=list)

    def read(self, part: str) -> None:
        """Read one stretch of the file between document markers."""
        try:
            for value in documents.compose(part):
                self.documents += max(len(_candidates(value)), 1)
                self._read_document(value)
        except UnreadableError as error:
            self.problems.append(self.unreadable(error))

    def _read_document(self, value: Any) -> None:
        claimed = [(item, claim) for item in _candidates(value) if (claim := _claim(item))]
        inside = {fault for item, _ in claimed for fault in item.faults}
        outside = [fault for fault in value.faults if fault not in inside] if claimed else []
        self.problems += [self.at(mark, message) for message, mark in outside]
        for item, claim in claimed:
            if isinstance(claim, Problem):
                self.problems.append(self.placed(item, claim))
            else:
                self._read_declaration(item, usable=not outside)

    def _read_declaration(self, item: Map, *, usable: bool) -> None:
        document, problems = self._modern(item).read() if legacy.is_legacy(item) else schema.read(Document, item)
        found = (*self.faults(item), *(self.placed(item, problem) for problem in problems))
        self.problems += found
        if document and usable and not found:
            origin = Origin(self.path, self.first_line + documents.start(item)[0] + 1)
            self.declarations.append(ContainerVersion(document.metadata, document.spec, origin))

    def _modern(self, item: Map) -> legacy.Modern:
        modern = legacy.modernise(item)
        self.old.append(self.first_line + documents.start(item)[0] + 1)
        self.lost += [self.placed(item, problem) for problem in modern.lost]
        return modern


def _candidates(value: Any) -> list[Map]:
    """The document itself, or the items of a `kind: List`."""
    if not isinstance(value, Map):
        return []
    kind, items = value.get("kind"), value.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, Seq):
        return [item for item in items if isinstance(item, Map)]
    return [value]


def _claim(item: Map) -> bool | Problem:
    """Whether the object is a declaration of ours: yes, no, or nearly."""
    kind, version = item.get("kind"), item.get("apiVersion")
    group = version.partition("/")[0] if isinstance(version, str) else ""
    if version == legacy.API_VERSION:
        return legacy.is_legacy(item)
    if kind != KIND:
        if group != GROUP or kind == LAYOUT_KIND:
            return False
        return Problem(f"{shown(kind)} is not a kind of {version}", f"wanted: kind: {KIND}", ("kind",))
    if version is None:
        return Problem("is missing", f"write apiVersion: {API_VERSION}", ("apiVersion",))
    if group in {GROUP, ""}:
        message = f"{shown(version)} is not a version that is read here"
        return version == API_VERSION or Problem(message, f"write apiVersion: {API_VERSION}", ("apiVersion",))
    if group == legacy.GROUP:
        message = f"{shown(version)} is not a version that is read here"
        return Problem(message, f"wanted: {legacy.API_VERSION} or {API_VERSION}", ("apiVersion",))
    if SequenceMatcher(None, group[:_MAX_SHOWN], GROUP).ratio() >= _ALIKE:
        return Problem(f"{shown(version)} is not known", f"did you mean {API_VERSION}?", ("apiVersion",))
    return False


def _text(value: Any, *steps: str) -> str:
    """The text that the steps lead to; empty where there is none."""
    for step in steps:
        value = value.get(step) if isinstance(value, Map) else None
    return value if isinstance(value, str) else ""
