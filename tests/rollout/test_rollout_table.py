from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Identity, Spec
from gitcd.model.live import Ref
from gitcd.rollout.actions import Delete
from gitcd.rollout.facts import Facts, Order, Orders, Release
from gitcd.rollout.record import Record
from gitcd.rollout.table import Do, Failed, Finished, Step, Table, Trouble, Wait, advance, retreat

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
RELEASE = Release(
    Identity("prod", "tiles", "tiles"), Spec("registry.example/tiles", tag="prod"), "v2", DIGEST, "c" * 40, ()
)
ACTION = Delete(Ref("Pod", "tiles", "one"), "uid")


def _yes(_: Facts) -> bool:
    return True


def _no(_: Facts) -> bool:
    return False


def _step(name: str, *, done: bool = False, **more: object) -> Step:
    return Step(name, _yes if done else _no, timeout=timedelta(minutes=1), **more)  # type: ignore[arg-type]


def _facts(step: str = "", since: datetime | None = None, **more: object) -> Facts:
    record = Record("Test", step, NOW, since, 1, "", DIGEST, "c" * 40)
    return replace(Facts(RELEASE, NOW, record=record), **more)  # type: ignore[arg-type]


def _table(*steps: Step) -> Table:
    return Table("Test", steps)


def test_the_first_step_that_is_not_done_acts() -> None:
    table = _table(_step("One", done=True), _step("Two", action=lambda _: [ACTION]), _step("Three"))
    assert advance(table, _facts()) == Do("Two", (ACTION,))


def test_what_a_group_does_at_a_time_is_told_apart() -> None:
    table = _table(_step("One", action=lambda _: [ACTION], joint=_yes))
    assert advance(table, _facts()) == Do("One", (ACTION,), joint=True)


def test_it_is_finished_when_every_step_is_done() -> None:
    assert advance(_table(_step("One", done=True)), _facts()) == Finished()


def test_it_goes_on_at_the_recorded_step_where_an_earlier_one_would_begin_anew() -> None:
    table = _table(_step("One"), _step("Two", action=lambda _: [ACTION]))
    assert advance(table, _facts("Two")) == Do("Two", (ACTION,))


@pytest.mark.parametrize(
    "record",
    [
        Record("Test", "Two", NOW, NOW, 1, "", f"sha256:{'b' * 64}"),
        Record("Other", "Two", NOW, NOW, 1, "", DIGEST),
        Record("Test", "Four", NOW, NOW, 1, "", DIGEST),
    ],
    ids=["another digest", "another strategy", "no such step"],
)
def test_a_record_that_is_not_of_this_rollout_counts_for_nothing(record: Record) -> None:
    table = _table(_step("One", action=lambda _: [ACTION]), _step("Two"))
    assert advance(table, _facts(record=record)) == Do("One", (ACTION,))


@pytest.mark.parametrize(("strategy", "digest"), [("Test", f"sha256:{'b' * 64}"), ("Other", DIGEST)])
def test_a_step_of_another_rollout_takes_no_time_from_this_one(strategy: str, digest: str) -> None:
    facts = _facts("One", NOW - timedelta(hours=1))
    other = replace(facts, record=replace(facts.record, strategy=strategy, new_digest=digest))
    assert isinstance(advance(_table(_step("One")), facts), Failed)
    assert advance(_table(_step("One")), other) == Wait("One", "", NOW + timedelta(minutes=1))


def test_a_recorded_step_whose_ground_is_not_there_is_not_believed() -> None:
    table = _table(_step("One", action=lambda _: [ACTION]), _step("Two", precondition=lambda _: "nothing is ready"))
    assert advance(table, _facts("Two")) == Do("One", (ACTION,))


def test_a_precondition_is_waited_for() -> None:
    table = _table(_step("One", precondition=lambda _: "nothing is ready", action=lambda _: [ACTION]))
    assert advance(table, _facts()) == Wait("One", "nothing is ready", NOW + timedelta(minutes=1))


def test_trouble_comes_before_everything_else() -> None:
    trouble = Trouble("Broken", "it is broken")
    table = _table(_step("One", failed=lambda _: trouble, holds=lambda _: "paused", action=lambda _: [ACTION]))
    assert advance(table, _facts()) == Failed("One", trouble)


def test_a_step_that_takes_too_long_has_failed() -> None:
    decision = advance(_table(_step("One", action=lambda _: [ACTION])), _facts("One", NOW - timedelta(minutes=1)))
    assert decision == Failed("One", Trouble("Timeout", "step One was not done within 1m"))


def test_a_step_without_any_time_is_begun_before_it_is_too_late() -> None:
    table = _table(replace(_step("One", action=lambda _: [ACTION]), timeout=timedelta(0)))
    assert advance(table, _facts()) == Do("One", (ACTION,))
    assert isinstance(advance(table, _facts("One", NOW)), Failed)


def test_no_time_counts_while_something_holds() -> None:
    table = _table(_step("One", holds=lambda _: "waits for a person"))
    assert advance(table, _facts("One", NOW - timedelta(hours=1))) == Wait("One", "waits for a person")


def test_a_time_to_come_is_not_believed() -> None:
    facts = _facts("One", NOW + timedelta(days=1))
    assert facts.since("One") == NOW


def test_a_record_cannot_say_that_a_step_began_before_its_object_changed() -> None:
    entry = {"manager": "gitcd", "time": "2026-05-04T11:59:30Z", "fieldsV1": {"f:spec": {"f:template": {}}}}
    live = {Ref("Deployment", "tiles", "tiles", "apps"): {"metadata": {"managedFields": [entry]}}}
    table = _table(_step("One"))
    long_ago = _facts("One", NOW - timedelta(days=9000), live=live)
    assert advance(table, long_ago) == Wait("One", "", NOW + timedelta(seconds=30))


def test_who_pauses_stops_it_and_no_time_counts() -> None:
    orders = Orders(pause=Order(DIGEST, "ada"))
    facts = _facts("One", NOW - timedelta(hours=1), orders=orders)
    assert advance(_table(_step("One", action=lambda _: [ACTION])), facts) == Wait("One", "paused by ada")


def test_who_aborts_ends_it() -> None:
    orders = Orders(abort=Order(DIGEST, "ada", reason="too slow"))
    decision = advance(_table(_step("One")), _facts(orders=orders))
    assert decision == Failed("One", Trouble("Aborted", "aborted by ada: too slow"))


def test_an_order_about_another_digest_is_none() -> None:
    other = Order(f"sha256:{'b' * 64}", "ada")
    facts = _facts(orders=Orders(abort=other, pause=other))
    assert advance(_table(_step("One", action=lambda _: [ACTION])), facts) == Do("One", (ACTION,))


def test_what_was_begun_is_undone_from_the_end() -> None:
    first, second = replace(ACTION, uid="1"), replace(ACTION, uid="2")
    table = _table(
        _step("One", undo=lambda _: [first]),
        _step("Two", undo=lambda _: [second]),
        _step("Three", undo=lambda _: [ACTION]),
    )
    assert retreat(table, _facts(), "Two") == (second,)
    assert retreat(table, _facts(), "One") == (first,)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=4),
    st.sampled_from(["", "0", "1", "2", "3", "Other"]),
    st.integers(-10_000, 10_000),
)
def test_no_record_makes_a_done_step_act_or_a_healthy_one_fail(
    shapes: list[tuple[bool, bool, bool]], step: str, seconds: int
) -> None:
    steps = [
        _step(
            str(number),
            done=done,
            precondition=lambda _, blocked=blocked: "blocked" if blocked else "",
            action=lambda _, acts=acts: [ACTION] if acts else [],
        )
        for number, (done, blocked, acts) in enumerate(shapes)
    ]
    changed = {"manager": "gitcd", "time": NOW.isoformat(), "fieldsV1": {"f:spec": {"f:template": {}}}}
    live = {Ref("Deployment", "tiles", "tiles", "apps"): {"metadata": {"managedFields": [changed]}}}
    decision = advance(_table(*steps), _facts(step, NOW + timedelta(seconds=seconds), live=live))
    assert not isinstance(decision, Failed)
    if isinstance(decision, Do):
        done, blocked, acts = shapes[int(decision.step)]
        assert (done, blocked, acts) == (False, False, True)
    if isinstance(decision, Finished):
        first = int(step) if step.isdecimal() and int(step) < len(shapes) and not shapes[int(step)][1] else 0
        assert all(done for done, _, _ in shapes[first:])
