"""Strategies as tables of steps, and the one rule by which all of them advance.

What a step does follows from what is seen, never from what was done before: an action is whatever is still lacking, so
a run that was killed is continued by the next one, from the same facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from gitcd.model.duration import format_duration
from gitcd.model.health import Health, State
from gitcd.model.live import Ref
from gitcd.rollout.actions import Action
from gitcd.rollout.facts import Facts

RETREAT = "Retreat"  # what a record says while a release that failed is being taken back


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a rollout failed: `reason` one word in CamelCase, `message` a sentence, `log` what was seen, line by line.

    `health` tells which object, pod and container it is about, where it is about one. `blames`: whether the version is
    at fault, so that it is taken back; what could not be found out is nobody's fault.
    """

    reason: str
    message: str
    health: Health | None = None
    log: tuple[str, ...] = ()
    blames: bool = True


class Test(Protocol):
    """A question about the facts."""

    def __call__(self, facts: Facts, /) -> bool: ...


class Say(Protocol):
    """A sentence about the facts; empty: there is nothing to say."""

    def __call__(self, facts: Facts, /) -> str: ...


def _nothing(_: Facts) -> tuple[Action, ...]:
    return ()


def _never(_: Facts) -> bool:
    return False


def _no_word(_: Facts) -> str:
    return ""


def _no_trouble(_: Facts) -> Trouble | None:
    return None


def _late(facts: Facts, name: str, timeout: timedelta) -> Trouble:
    unfinished = [each for each in facts.health.values() if each.state is not State.CURRENT]
    waited = f"step {name} was not done within {format_duration(timeout)}"
    if not unfinished:
        return Trouble("Timeout", waited)
    first = unfinished[0]
    return Trouble("Timeout", f"{waited}: {first.told}", first)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a table.

    `done`: nothing is left to do, now and for as long as later steps want it so. `action`: what is lacking for that.
    `precondition`: what has to be waited for before anything may be done here. `failed`: it will never be done.
    `holds`: what keeps it from going on that is nobody's failure, a pause or a person's word to come; no time counts
    meanwhile. `undo`: what has to be taken out of the way once the rollout has failed at this step or a later one.
    `late`: the trouble where `timeout` is over; None: that of what is not healthy. `says`: what is waited for, where
    that is not the health of something. `owes`: this run has to take a look first, however late it is. `joint`: whether
    all of a group do what is to be done here at a time, once each has come so far.
    """

    name: str
    done: Test
    action: Callable[[Facts], Sequence[Action]] = _nothing
    precondition: Say = _no_word
    failed: Callable[[Facts], Trouble | None] = _no_trouble
    holds: Say = _no_word
    undo: Callable[[Facts], Sequence[Action]] = _nothing
    late: Callable[[Facts], Trouble] | None = None
    says: Say = _no_word
    owes: Test = _never
    joint: Test = _never
    timeout: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Table:
    """The steps of one release. `strategy` is its name in records, `watched` are objects besides the release's own.

    `due`: there is something to do although the release runs and was found good. `expects`: there will be, in time.
    `retreating`: what is there agrees with a record that says that the release is being taken back. `joined`: its joint
    step is done. `sweep`: what is left to be cleared away once it has failed and stays as it is.
    """

    strategy: str
    steps: tuple[Step, ...]
    watched: tuple[Ref, ...] = ()
    due: Test = _never
    expects: Test = _never
    retreating: Test = _never
    joined: Test = _never
    sweep: Callable[[Facts], Sequence[Action]] = _nothing


@dataclass(frozen=True, slots=True)
class Do:
    """Do this now, after it was recorded that the step has begun; then look again.

    `joint`: not before all of the group have come so far.
    """

    step: str
    actions: tuple[Action, ...]
    joint: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later. No deadline: a pause, or a person's word, for which no time counts."""

    step: str
    why: str = ""
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    step: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything is as the commit says."""


Decision = Do | Wait | Failed | Finished


def advance(table: Table, facts: Facts) -> Decision:
    """What to do next: at the first step, from the recorded one on, that is not done.

    How long a step of the same name took another rollout says nothing about this one.
    """
    if not facts.record.is_of(table.strategy, facts.release.digest):
        facts = replace(facts, record=replace(facts.record, since=None))
    for step in table.steps[_first(table, facts) :]:
        if not step.done(facts):
            return _ordered(step, facts) or _at(step, facts)
    return Finished()


def retreat(table: Table, facts: Facts, failed: str) -> tuple[Action, ...]:
    """What has to be taken out of the way after a failure, of the latest step first that has something to undo."""
    names = [step.name for step in table.steps]
    begun = table.steps[: names.index(failed) + 1] if failed in names else table.steps
    undone = (tuple(step.undo(facts)) for step in reversed(begun))
    return next((actions for actions in undone if actions), ())


def _first(table: Table, facts: Facts) -> int:
    """Where to go on: at the recorded step, if the record is of this rollout and the facts agree, else at the start."""
    if not facts.record.is_of(table.strategy, facts.release.digest):
        return 0
    for number, step in enumerate(table.steps):
        if step.name == facts.record.step:
            return 0 if step.precondition(facts) else number
    return 0


def _ordered(step: Step, facts: Facts) -> Decision | None:
    """What a person says about this digest."""
    digest = facts.release.digest
    if (abort := facts.orders.abort) and abort.digest == digest:
        because = f": {abort.reason}" if abort.reason else ""
        return Failed(step.name, Trouble("Aborted", f"aborted by {abort.by or 'somebody'}{because}"))
    if (pause := facts.orders.pause) and pause.digest == digest:
        return Wait(step.name, f"paused by {pause.by or 'somebody'}")
    return None


def _at(step: Step, facts: Facts) -> Decision:
    if trouble := step.failed(facts):
        return Failed(step.name, trouble)
    if why := step.holds(facts):
        return Wait(step.name, why)
    deadline = facts.since(step.name) + step.timeout
    if facts.now >= deadline and facts.record.step == step.name and not step.owes(facts):
        return Failed(step.name, step.late(facts) if step.late else _late(facts, step.name, step.timeout))
    if why := step.precondition(facts):
        return Wait(step.name, why, deadline)
    if actions := tuple(step.action(facts)):
        return Do(step.name, actions, step.joint(facts))
    return Wait(step.name, step.says(facts) or _unfinished(facts), deadline)


def _unfinished(facts: Facts) -> str:
    """What is being waited for, as far as health tells."""
    waiting = (each for each in facts.health.values() if each.state is not State.CURRENT)
    return next((each.told for each in waiting), "")
