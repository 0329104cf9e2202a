"""Who moved what, when and to where: the changes of what declarations deploy, newest first, from git alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.errors import ConfigError, TransientError
from gitcd.git.history import History, Landed, MissingHistory
from gitcd.model.declaration import Identity
from gitcd.model.memory import FORGETFUL
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.overview import LiveImages
from gitcd.planning.survey import survey
from gitcd.usecases.context import Selection
from gitcd.usecases.keeping import Source
from gitcd.usecases.planner import check_selection
from gitcd.usecases.status import provenance
from gitcd.usecases.status_past import Past, Subject

_BY_ADDRESS = "Name the repository by its address."
_BATCH = 100  # commits and declarations that are looked at together


@dataclass(frozen=True, slots=True)
class Event:
    """One declaration came to deploy something else, in one commit. Names are versions or tags, of several all."""

    identity: Identity
    commit: str
    when: datetime
    by: str
    act: str
    subject: str
    old: str
    new: str
    old_digest: str
    new_digest: str


@dataclass(frozen=True, slots=True)
class _Step:
    """A commit that touched a declaration's files, and the one before it that did."""

    subject: Subject
    landed: Landed
    before: Landed | None


def events(source: Source, selection: Selection, most: int) -> list[Event]:
    """The newest changes of the selected declarations, at most so many (0: all that there are).

    Raises:
        ConfigError: gitcd.yaml is not valid, the selection meets nothing, or there is no history.
        TransientError: the history is not to be had.
    """
    inputs = read_inputs(source.tree, source.memory)
    check_selection(selection, inputs)
    permitted, _ = limit(inputs.declared, source.limits)
    chosen = [each for each in permitted if selection.takes(each.identity)]
    if not chosen:
        return []
    history = source.recollect()
    if history is None:
        raise ConfigError("this folder has no git history", remedy=_BY_ADDRESS)
    if not isinstance(history, History):
        raise _missing(history.reason)
    memory = FORGETFUL if selection.apps else source.memory
    subjects = [Subject.of(each) for each in survey(chosen, source.tree, inputs.scopes, memory)]
    past = Past(history, inputs.scopes, subjects)
    found: list[Event] = []
    steps = _steps(past, subjects)
    for start in range(0, len(steps), _BATCH):
        found += _changes(past, steps[start : start + _BATCH])
        if most and len(found) > most:  # one more, which tells what the last one goes back to
            break
    found = _with_reverts(found)
    return found[:most] if most else found


def _steps(past: Past, subjects: Sequence[Subject]) -> list[_Step]:
    """All steps of all declarations, newest first."""
    found = []
    for subject in subjects:
        trail = past.trail(subject)  # empty where nothing is owned, or nobody has committed it yet
        found += [_Step(subject, landed, before) for landed, before in zip(trail, (*trail[1:], None), strict=False)]
    return sorted(found, key=lambda step: step.landed.place)


def _changes(past: Past, steps: Sequence[_Step]) -> Iterator[Event]:
    wanted = [(step.subject, landed) for step in steps for landed in (step.landed, step.before) if landed]
    standings = past.standings(wanted)
    if isinstance(standings, MissingHistory):
        raise _missing(standings.reason)
    for step in steps:
        identity = step.subject.identity
        new = standings[identity, step.landed.commit.oid]
        old = standings[identity, step.before.commit.oid] if step.before else LiveImages()
        if new.images != old.images:
            yield _event(step, old, new)


def _event(step: _Step, old: LiveImages, new: LiveImages) -> Event:
    identity, commit = step.subject.identity, step.landed.commit
    told = provenance(step.landed, identity, new.digest, first=not old.images)
    is_ours = told.act not in {"added", "edited"}
    act = "pinned" if is_ours and old.images and _same_content(old, new) else told.act
    act = "removed" if not new.images else act
    return Event(
        identity, commit.oid, step.landed.when, told.by, act, commit.subject,
        old.name, new.name, old.digest, new.digest,
    )  # fmt: skip


def _same_content(old: LiveImages, new: LiveImages) -> bool:
    """Whether only the spelling changed, as far as git tells: the digest is the same, or came to a version that was."""
    return (old.digest or new.digest) == new.digest and (old.digest == new.digest or old.name == new.name)


def _with_reverts(found: Sequence[Event]) -> list[Event]:
    """The same; what a person wrote is a revert where it goes back to what stood before the change before it."""
    before: dict[Identity, Event] = {}
    told = []
    for event in reversed(found):
        last = before.get(event.identity)
        back = last and last.old and (event.new_digest or event.new) == (last.old_digest or last.old)
        told.append(replace(event, act="reverted") if back and event.act == "edited" else event)
        before[event.identity] = event
    return told[::-1]


def _missing(reason: str) -> TransientError:
    return TransientError(f"the history is missing: {reason}", remedy=_BY_ADDRESS)
