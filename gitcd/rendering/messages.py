"""The message of a commit: what a person reads first, then the trailers that gitcd reads again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from gitcd.errors import RefusedError
from gitcd.model import trailers
from gitcd.model.plan import Direction, Outcome, OutcomeKind, PlannedCommit
from gitcd.model.reference import brief, short
from gitcd.redact import redact
from gitcd.rendering.text import message_body, moment, one_line

COMMIT_TEMPLATE = "commit-message.j2"
_SUBJECT_LENGTH = 72
_BODY_BYTES = 64 * 1024
# How a subject begins to tell of a command.
_SPOKEN = {"promote": "promote ", "rollback": "roll back ", "switch": "switch "}
_TRAILER_VALUE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Item:
    """One declaration as a template sees it. Every text is on one line; digests are short."""

    environment: str
    app: str  # namespace/name
    name: str
    old: str  # version or tag; empty where nothing was known
    new: str
    old_digest: str
    new_digest: str
    repository: str
    tag: str
    pushed_at: str
    backward: bool
    files: tuple[str, ...]

    @property
    def move(self) -> str:
        """From what to what, as short as it can be said."""
        if self.old and self.old != self.new:
            return f"{brief(self.old)} -> {brief(self.new)}"
        return brief(self.new)


def commit_message(
    commit: PlannedCommit,
    *,
    run: str = "",
    folder: Path | None = None,
    verb: str = "",
    note: str = "",
    by: str = "",
) -> str:
    """The whole message of a commit, with a final newline. The same commit always gets the same message.

    `run` names the run in a trailer; `folder` is the operator's template folder. `verb` is the command that asked for
    this, where it was not the tags, `by` the person, and `note` a sentence on why.

    Raises:
        ConfigError: the template is wrong.
        RefusedError: a name cannot stand in a trailer.
    """
    from gitcd.rendering import sandbox

    changed = [outcome for outcome in commit.outcomes if outcome.changed]
    items = tuple(_item(outcome, tagged=not verb) for outcome in changed)
    pin_only = commit.kind is OutcomeKind.PIN_ONLY
    words = "pin " if pin_only else _SPOKEN.get(verb, "")
    values = {
        "subject": _subject(commit.environments, items, words, ", content unchanged" if pin_only else ""),
        "note": one_line(note),
        "items": items,
        "environments": tuple(one_line(name) for name in commit.environments),
        "pin_only": pin_only,
    }
    text = message_body(redact(sandbox.render(COMMIT_TEMPLATE, values, folder=folder, limit=_BODY_BYTES)))
    block = _trailers(changed, run, verb, one_line(redact(by)))
    return f"{text or values['subject']}\n\n{block}\n"


def _trailers(outcomes: Sequence[Outcome], run: str, verb: str, by: str) -> str:
    moves = [trailers.Move(item.identity, item.resolved.digest) for item in outcomes if item.resolved]
    values = [text for move in moves for text in (*astuple(move.identity), move.digest)]
    for name in [*values, run or "-"]:
        if not _TRAILER_VALUE.fullmatch(name):
            raise RefusedError(f"{name!r} cannot stand in a commit trailer: it is empty or holds blanks")
    return trailers.render(moves, run=run, verb=verb, by=by)


def _item(outcome: Outcome, *, tagged: bool = True) -> Item:
    """`tagged`: whether it is the tag that names the image."""
    resolved = outcome.resolved
    digest = short(resolved.digest) if resolved else ""
    return Item(
        environment=one_line(outcome.identity.environment),
        app=one_line(outcome.identity.app),
        name=one_line(outcome.identity.name),
        old=one_line(outcome.old),
        new=one_line(resolved.version or resolved.tag if resolved else "") or digest,
        old_digest=one_line(short(outcome.old_digest)),
        new_digest=one_line(digest),
        repository=one_line(outcome.image_repo),
        tag=one_line(resolved.tag) if resolved and tagged else "",
        pushed_at=moment(resolved.pushed_at) if resolved and resolved.pushed_at else "",
        backward=outcome.direction is Direction.BACKWARD,
        files=tuple(sorted({one_line(change.path) for change in outcome.changes})),
    )


def _subject(environments: Sequence[str], items: Sequence[Item], verb: str, tail: str) -> str:
    """The most telling subject that is short enough."""
    return next(subject for subject in _subjects(environments, items, verb, tail) if len(subject) <= _SUBJECT_LENGTH)


def _subjects(environments: Sequence[str], items: Sequence[Item], verb: str, tail: str) -> Iterator[str]:
    images = "1 image" if len(items) == 1 else f"{len(items)} images"
    names = ", ".join(sorted({item.name for item in items}))
    moves = {item.move for item in items}
    where = [one_line(", ".join(environments)), f"{len(environments)} environments"]
    for place in where:
        if len(moves) == 1 and len(environments) == 1:
            yield f"{place}: {verb}{names} {moves.copy().pop()}{tail}"
        yield f"{place}: {verb}{images}{tail}"
    yield f"{verb}{images}{tail}"
