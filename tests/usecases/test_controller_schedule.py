"""When `gitcd run` looks at what: by intervals, by what was heard, and after trouble."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Origin
from gitcd.model.plan import Outcome, OutcomeKind, Plan
from gitcd.model.registry import Answers
from gitcd.model.tree import MemoryTree
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.usecases.context import Planned
from gitcd.usecases.controller_schedule import LONGEST, SHORTEST, Schedule


def declared(**intervals: str) -> Inputs:
    """Declarations by name, each of a repository of its own; `a_with_b` shares that of `b`."""
    files = {}
    for name, interval in intervals.items():
        own, _, other = name.partition("_with_")
        text = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: {own}, namespace: team}}
spec: {{imageRepo: registry.example.com/{other or own}, tag: env, interval: {interval}}}
"""
        files[f"{own}/cv.yaml"] = text.encode()
    return read_inputs(MemoryTree(files))


def planned(inputs: Inputs, *undecided: str) -> Planned:
    outcomes = tuple(
        Outcome(each.identity, Origin("x"), OutcomeKind.FAILED, transient=True)
        for each in inputs.declared
        if each.identity.name in undecided
    )
    return Planned(Plan("", outcomes), inputs, (), Answers({}))


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(draw=lambda low, high: (low + high) / 2)


def look(schedule: Schedule, now: float, inputs: Inputs, *undecided: str) -> set[str]:
    """Look at what is due; the answer is what that was."""
    part = schedule.begin(now)(inputs)
    schedule.end(planned(inputs, *undecided))
    chosen = part.identities if part else [each.identity for each in inputs.declared]
    return {each.name for each in chosen}


def test_each_is_looked_at_by_its_own_interval(schedule) -> None:
    inputs = declared(a="30s", b="1m", c="10m")
    assert schedule.next() == 0
    assert look(schedule, 1000, inputs) == {"a", "b", "c"}
    assert schedule.next() == 1030
    assert look(schedule, 1030, inputs) == {"a"}
    assert schedule.next() == 1060
    assert look(schedule, 1060, inputs) == {"a", "b"}
    assert look(schedule, 1601, inputs) == {"a", "b", "c"}


def test_those_that_are_due_soon_are_looked_at_together(schedule) -> None:
    inputs = declared(a="100s", b="104s")
    look(schedule, 0, inputs)
    assert look(schedule, 100, inputs) == {"a", "b"}


def test_those_that_share_an_image_are_looked_at_together(schedule) -> None:
    inputs = declared(a_with_b="30s", b="1h", c="1h")
    look(schedule, 0, inputs)
    assert look(schedule, 30, inputs) == {"a", "b"}


def test_one_that_is_new_is_due_and_one_that_is_gone_is_forgotten(schedule) -> None:
    look(schedule, 0, declared(a="1h", b="1h"))
    assert look(schedule, 10, declared(a="1h", c="1h")) == {"c"}
    assert look(schedule, 20, declared(a="1h", b="1h")) == {"b"}


def test_what_is_declared_is_looked_for_every_few_minutes(schedule) -> None:
    look(schedule, 0, declared(a="1h"))
    assert schedule.next() == LONGEST
    assert look(schedule, 300, declared(a="1h")) == set()
    look(schedule, 301, read_inputs(MemoryTree({})))
    assert schedule.next() == 301 + LONGEST


def test_no_interval_is_a_hot_loop(schedule) -> None:
    inputs = declared(a="0s")
    look(schedule, 0, inputs)
    assert schedule.next() == SHORTEST


def test_what_was_heard_of_is_looked_at_soon_and_alone(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    schedule.hear(("team", "a"), 50)
    schedule.hear(("team", "a"), 50.9)
    assert schedule.next() == 51
    assert look(schedule, 51, inputs) == {"a"}
    assert schedule.next() > 300


def test_F40_where_anything_may_have_changed_all_are_looked_at(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    schedule.hear(None, 50)
    assert schedule.next() == 51
    assert look(schedule, 51, inputs) == {"a", "b"}


def test_what_is_heard_during_a_look_has_another_one_follow(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    choose = schedule.begin(100)
    schedule.hear(("team", "b"), 101)
    choose(inputs)
    schedule.end(planned(inputs))
    assert schedule.next() == 102
    assert look(schedule, 102, inputs) == {"b"}


def test_a_look_that_fails_is_made_again_with_all_that_was_due(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    schedule.hear(("team", "a"), 50)
    pauses = []
    for now in (100, 200, 300):
        schedule.begin(now)
        schedule.fail()
        pauses.append(schedule.next() - now)
    assert pauses == [3.75, 7.5, 15]
    assert look(schedule, 400, inputs) == {"a"}


def test_the_pause_after_trouble_has_an_end(schedule) -> None:
    for _ in range(40):
        schedule.begin(0)
        schedule.fail()
    assert schedule.next() == 225


def test_what_could_not_be_decided_is_looked_at_again_after_a_pause(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    assert look(schedule, 0, inputs, "b") == {"a", "b"}
    assert schedule.next() == 3.75
    assert look(schedule, 4, inputs, "b") == {"b"}
    assert schedule.next() == 4 + 7.5
    assert look(schedule, 12, inputs) == {"b"}
    assert schedule.next() == 12 + LONGEST


def test_one_that_was_heard_of_and_could_not_be_decided_stays_due(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    schedule.hear(("team", "a"), 10)
    assert look(schedule, 11, inputs, "a") == {"a"}
    assert look(schedule, 20, inputs) == {"a"}


def test_whoever_begins_to_lead_looks_at_everything(schedule) -> None:
    inputs = declared(a="1h", b="1h")
    look(schedule, 0, inputs)
    schedule.forget()
    assert schedule.next() == 0
    assert look(schedule, 5, inputs) == {"a", "b"}


def test_a_declaration_that_cannot_be_read_is_always_reported(schedule) -> None:
    good = declared(a="1h")
    bad = replace(
        good, broken=(Outcome(replace(good.declared[0].identity, name="bad"), Origin("x"), OutcomeKind.FAILED),)
    )
    look(schedule, 0, bad)
    assert look(schedule, 10, bad) == {"bad"}


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=30))
def test_F38_whatever_is_missed_or_doubled_none_is_forgotten(steps: list[tuple[int, bool]]) -> None:
    """However looks are delayed, doubled or lost, each is looked at whenever its interval has passed."""
    schedule = Schedule(draw=lambda low, high: high)
    inputs = declared(a="30s", b="5m")
    intervals = {"a": 30, "b": 300}
    looked = dict.fromkeys(intervals, -1000.0)
    now = 0.0
    for seconds, works in steps:
        now += seconds
        part = schedule.begin(now)(inputs)
        chosen = {each.name for each in part.identities} if part else set(intervals)
        assert {name for name, at in looked.items() if now - at >= intervals[name]} <= chosen
        if works:
            schedule.end(planned(inputs))
            looked |= dict.fromkeys(chosen, now)
        else:
            schedule.fail()
