"""What a pull request says: a title, a body from a template, and a seal by which its content is known again.

The template is given finished Markdown: every text from outside is in code already. The forge's limit is kept by giving
the template less, never by cutting what it made, so no table, fence or tag is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gitcd.model import trailers
from gitcd.model.declaration import Identity
from gitcd.model.evidence import Evidence, ScanStatus
from gitcd.model.plan import FileChange, Outcome, OutcomeKind, PlannedPull
from gitcd.model.pull import Limits, PullContent, seal
from gitcd.model.reference import short
from gitcd.redact import redact
from gitcd.rendering.diff import unified
from gitcd.rendering.pull_markup import code, compare_link, fenced, html_code
from gitcd.rendering.text import moment, one_line

_REPEATED = (trailers.ENVIRONMENT, trailers.APP, trailers.DIGEST, trailers.VERB)
# A person is named where nobody is called by it, and no comment is closed.
_TRAILER = re.compile(rf"({'|'.join(_REPEATED)}): [A-Za-z0-9._:/-]+(?<!-)|{trailers.BY}: \w+([ .-]?\w+)*")
PULL_TEMPLATE = "pull-request.j2"
_MOST_TEXT = 1 << 20  # bytes of a body before it is fitted to a forge
_FEWEST_LINES = 8  # of a diff that is shown in part


_FRAME = 80  # bytes around a diff in our template; another may take more, and then less is shown


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the images of one move come from, as labels and a journal of tags say; empty: not known."""

    source: str = ""
    old_revision: str = ""
    new_revision: str = ""
    moved_by: str = ""


@dataclass(frozen=True, slots=True)
class RenderedObject:
    """An object that a manifest renders into, and how it changes, as lines of a diff."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Details:
    """What is known about a pull request besides its plan.

    `restarts` are the workloads whose pods will be replaced, by the file that they stand in; `notes` are sentences of
    ours, with whatever is from outside in them in code.
    """

    provenance: Mapping[Identity, Provenance] = field(default_factory=dict)
    restarts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rendered: Sequence[RenderedObject] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PullItem:
    """One image as a template sees it: Markdown that can stand in the cell of a table; empty where nothing is known."""

    app: str
    environment: str
    change: str  # from version to version
    digest: str  # from digest to digest
    image: str
    pushed_at: str
    direction: str  # forward, backward, or nothing
    pin_only: bool  # whether the content stays the same
    moved_by: str
    source: str  # a link that compares the sources of both images
    scan: str


@dataclass(frozen=True, slots=True)
class PullDiff:
    """How one file or object changes. `summary` is HTML, `title` the same as Markdown, `text` a fenced block."""

    summary: str
    title: str
    text: str
    lines: tuple[str, ...] = ()


def pull_content(
    pull: PlannedPull, limits: Limits, details: Details | None = None, *, folder: Path | None = None
) -> PullContent:
    """What the pull request shall say, within the forge's limits. The same plan always says the same.

    `folder` is the operator's template folder.

    Raises:
        ConfigError: the template is wrong.
    """
    title = one_line(pull.commit.message.partition("\n")[0])
    if len(title) > limits.title:
        title = f"{title[: limits.title - 1]}…"
    tail = f"\n\n{seal(pull.id, hidden=limits.hides_comments)}\n"
    page = _page(pull, details or Details(), collapsible=limits.hides_comments, folder=folder)
    memory = _memory(pull) if limits.hides_comments else ""
    if _size(memory) > limits.body // 2:
        memory = ""
    return PullContent(title, page.fitted(limits.body - _size(memory + tail)) + memory + tail)


def _memory(pull: PlannedPull) -> str:
    """The commit's trailers once more, unseen: a forge may make the message of a squashed commit of this text."""
    lines = [line for line in pull.commit.message.split("\n") if _TRAILER.fullmatch(line)]
    return "\n".join(["\n\n<!--", *lines, "-->"]) if lines else ""


@dataclass(frozen=True, slots=True)
class _Page:
    """All that a body may say."""

    values: Mapping[str, Any]
    items: Sequence[PullItem]
    diffs: Sequence[PullDiff]
    restarts: Sequence[str]
    folder: Path | None

    def text(self, items: int, diffs: Sequence[PullDiff]) -> str:
        """The body with the first images and with these diffs."""
        from gitcd.rendering import sandbox

        part = {
            "items": self.items[:items],
            "more_items": len(self.items) - items,
            "restarts": self.restarts if items == len(self.items) else self.restarts[:items],
            "diffs": diffs,
            "more_diffs": len(self.diffs) - len(diffs),
        }
        values = {**self.values, **part}
        return redact(sandbox.render(PULL_TEMPLATE, values, folder=self.folder, limit=_MOST_TEXT)).strip()

    def fitted(self, room: int) -> str:
        """As much as fits into so many bytes: first diffs are left out, then images."""
        if _size(text := self.text(len(self.items), self.diffs)) <= room:
            return text
        items = self._most(room)
        bare = self.text(items, ())
        if _size(bare) > room:
            return f"{len(self.items)} images; the commit tells which."[:room]
        return self._filled(items, room - _size(bare), room) or bare

    def _most(self, room: int) -> int:
        """The largest number of images that fits without any diff."""
        low, high = 0, len(self.items)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _size(self.text(middle, ())) <= room else (low, middle - 1)
        return low

    def _filled(self, items: int, left: int, room: int) -> str:
        """The text with as many diffs as fit, the last one in part; empty where none does."""
        shown: list[PullDiff] = []
        for diff in self.diffs:
            cost = _size(diff.summary) + _size(diff.text) + _FRAME
            if cost > left:
                shown += _in_part(diff, left - cost + _size(diff.text))
                break
            shown.append(diff)
            left -= cost
        while shown:
            if _size(text := self.text(items, shown)) <= room:
                return text
            shown.pop()
        return ""


def _page(pull: PlannedPull, details: Details, *, collapsible: bool, folder: Path | None) -> _Page:
    values = {
        "environment": code(pull.environment),
        "branch": code(pull.branch),
        "pin_only": pull.commit.kind is OutcomeKind.PIN_ONLY,
        "why": code(_why(pull.commit.message)),
        "collapsible": collapsible,
        "notes": tuple(details.notes),
    }
    items = [_item(outcome, details.provenance.get(outcome.identity)) for outcome in pull.commit.outcomes]
    restarts = sorted({code(name) for names in details.restarts.values() for name in names})
    return _Page(values, items, list(_diffs(pull, details)), restarts, folder)


def _why(message: str) -> str:
    """The sentence below the subject of a commit that a command has asked for, and no tag."""
    return one_line(message.partition("\n\n")[2].partition("\n\n")[0]) if trailers.verbs(message) else ""


def _in_part(diff: PullDiff, left: int) -> list[PullDiff]:
    """The first lines of a diff, if enough of them fit."""
    kept: list[str] = []
    left -= 2 * _FRAME
    for line in diff.lines:
        left -= _size(line) + 1
        if left < 0:
            break
        kept.append(line)
    if len(kept) < _FEWEST_LINES:
        return []
    rest = f"… and {len(diff.lines) - len(kept)} more lines"
    return [replace(diff, text=fenced([*kept, rest], "diff"))]


def _size(text: str) -> int:
    """Bytes of UTF-8: never fewer than characters, however a forge counts them."""
    return len(text.encode())


def _diffs(pull: PlannedPull, details: Details) -> Iterator[PullDiff]:
    for change in pull.commit.files:
        restarts = details.restarts.get(change.path, ())
        yield _diff(change.path, _lines(change), [f"restarts {name}" for name in restarts])
    for each in details.rendered:
        yield _diff(each.name, each.lines, ["as rendered"])


def _diff(name: str, lines: tuple[str, ...], remarks: Sequence[str]) -> PullDiff:
    lines = tuple(redact(line) for line in lines)
    remark, marked = (", ".join(map(each, remarks)) for each in (html_code, code))
    return PullDiff(
        f"{html_code(name)}{': ' if remark else ''}{remark}",
        f"{code(name)}{': ' if marked else ''}{marked}",
        fenced(lines, "diff"),
        lines,
    )


def _lines(change: FileChange) -> tuple[str, ...]:
    """The diff of a file, without the head that a forge shows anyway."""
    text = b"".join(unified([change])).decode(errors="replace").split("\n")
    start = next((number for number, line in enumerate(text) if line.startswith("@@ ")), 0)
    return tuple(text[start:-1])


def _item(outcome: Outcome, provenance: Provenance | None) -> PullItem:
    resolved, known = outcome.resolved, provenance or Provenance()
    digest = resolved.digest if resolved else ""
    new = (resolved.version or resolved.tag if resolved else "") or short(digest)
    return PullItem(
        app=code(outcome.identity.app),
        environment=code(outcome.identity.environment),
        change=_from_to(outcome.old, new),
        digest=_from_to(short(outcome.old_digest), short(digest)),
        image=code(outcome.image_repo),
        pushed_at=moment(resolved.pushed_at) if resolved and resolved.pushed_at else "",
        direction=str(outcome.direction) if outcome.kind is OutcomeKind.BUMPED else "",
        pin_only=outcome.kind is OutcomeKind.PIN_ONLY,
        moved_by=code(known.moved_by),
        source=compare_link(known.source, known.old_revision, known.new_revision),
        scan=_scan(outcome.evidence),
    )


def _from_to(old: str, new: str) -> str:
    return f"{code(old)} → {code(new)}" if old and old != new else code(new)


def _scan(evidence: Evidence | None) -> str:
    """What a scan found, and how that differs from the image that is replaced."""
    if evidence is None or evidence.scan is None or evidence.scan.status is not ScanStatus.DONE:
        return ""
    delta = evidence.delta
    if delta is None:
        return str(evidence.scan.findings)
    changed = ", ".join(f"{number:+d} {severity}" for severity, number in reversed(delta.counts.items()) if number)
    return f"{evidence.scan.findings} ({changed or 'as before'})"
