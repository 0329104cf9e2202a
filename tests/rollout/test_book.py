"""What the status tells of rollouts: always as the definition takes it, whatever it told before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model import schema
from gitcd.model.declaration import History, Identity, Spec
from gitcd.model.status import Status
from gitcd.rollout import book, record
from gitcd.rollout.book import Page, Result
from gitcd.rollout.facts import Order, Release
from gitcd.rollout.record import Record
from gitcd.rollout.table import Trouble

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
NEW, OLD = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
RELEASE = Release(
    Identity("prod", "tiles", "tiles"), Spec("registry.example/tiles", tag="prod"), "v2", NEW, "c" * 40, ()
)
TROUBLE = Trouble("CrashLoopBackOff", "pod tiles-1, container tiles", log=("panic: no zoom level",))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9) | st.just("1970-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["digest", "x"]), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["strategy", "step", "startedAt", "stepStartedAt", "attempt", "oldDigest", "newDigest", "commit", "x"]
)


def _record(digest: str = NEW, step: str = "Settle") -> Record:
    return Record("RollingUpdate", step, NOW, NOW, 1, OLD, digest, "c" * 40)


def _page(*steps: Callable[[Page, datetime], Page]) -> Page:
    page = Page()
    for number, step in enumerate(steps):
        page = step(page, NOW + timedelta(minutes=number))
    return page


def begin(page: Page, now: datetime) -> Page:
    return book.begun(page, _record(), RELEASE, now)


def stop(page: Page, now: datetime) -> Page:
    return book.failed(page, RELEASE, Trouble("Drift", "somebody has switched it", blames=False), now)


def succeed(page: Page, now: datetime) -> Page:
    return book.succeeded(page, RELEASE, now)


def fail(page: Page, now: datetime) -> Page:
    return book.failed(page, RELEASE, TROUBLE, now)


def _results(page: Page) -> list[str]:
    return [each["result"] for each in page.fields.get("history", [])]


@given(st.dictionaries(KEYS, JSON) | JSON)
def test_whatever_a_record_holds_is_read(value: Any) -> None:
    assert record.read(record.render(record.read(value))) == record.read(value)


@given(st.lists(st.sampled_from([begin, succeed, fail]), min_size=1, max_size=30))
def test_it_is_always_what_the_definition_takes(steps: list[Callable[[Page, datetime], Page]]) -> None:
    page = _page(*steps)
    conditions = [{**each, "observedGeneration": 1} for each in page.conditions]
    status = {**page.fields, "conditions": conditions}
    assert schema.validate(Status, status) == []
    assert len(_results(page)) <= RELEASE.spec.history.limit


def test_a_rollout_ends_as_a_line_of_history() -> None:
    page = _page(begin, succeed)
    assert "rollout" not in page.fields
    assert page.good == page.fields["applied"]["digest"] == NEW
    (entry,) = page.fields["history"]
    assert (entry["version"], entry["result"], entry["startedAt"]) == ("v2", "Succeeded", "2026-05-04T12:00:00Z")


def test_what_ran_before_anybody_looked_is_a_line_of_history_too() -> None:
    """Where somebody else applies, all may be over when gitcd looks: then it tells that once, not again and again."""
    assert _results(_page(succeed)) == _results(_page(succeed, succeed)) == ["Succeeded"]
    assert _results(_page(begin, fail, succeed)) == ["Succeeded", "Failed"]
    other = book.succeeded(_page(begin, succeed), replace(RELEASE, digest=OLD), NOW)
    assert [each["digest"] for each in other.fields["history"]] == [OLD, NEW]


def test_what_failed_tells_why_and_waits() -> None:
    page = _page(begin, fail)
    assert _results(page) == ["Failed"]
    assert page.fields["history"][0]["message"] == "v2: pod tiles-1, container tiles\n  panic: no zoom level"
    assert {each["type"]: each["status"] for each in page.conditions} == {"Verified": "False", "Stalled": "True"}
    assert page.is_given_up(RELEASE)


def test_what_nobody_could_tell_blames_nobody_and_is_tried_again() -> None:
    page = book.failed(_page(begin), RELEASE, replace(TROUBLE, blames=False), NOW)
    assert _results(page) == ["Inconclusive"]
    assert {each["type"]: each["status"] for each in page.conditions} == {"Verified": "Unknown", "Stalled": "True"}
    assert not page.is_given_up(RELEASE)


@pytest.mark.parametrize(
    ("retry", "given_up"),
    [
        (None, True),
        (Order(NEW, time="2026-05-04T12:00:00Z"), True),
        (Order(NEW, time="2026-05-04T12:05:00Z"), False),
        (Order(OLD, time="2026-05-04T12:05:00Z"), True),
    ],
    ids=["nobody says so", "said before", "said since", "said of another digest"],
)
def test_who_was_given_up_is_tried_again_where_somebody_says_so_since(retry: Order | None, given_up: bool) -> None:
    assert _page(begin, fail).is_given_up(RELEASE, retry) is given_up


def test_another_digest_is_never_given_up() -> None:
    assert not _page(begin, fail).is_given_up(replace(RELEASE, digest=OLD))


def test_the_same_end_again_takes_no_second_line() -> None:
    assert _results(_page(begin, fail, begin, fail)) == ["Failed"]


@pytest.mark.parametrize(("rejected", "result"), [({}, Result.SUPERSEDED), ({OLD: "it crashed"}, Result.ROLLED_BACK)])
def test_what_was_under_way_ends_when_another_begins(rejected: dict[str, str], result: Result) -> None:
    page = book.begun(Page(), replace(_record(OLD), version="v1"), RELEASE, NOW)
    page = book.begun(page, _record(), replace(RELEASE, rejected=rejected), NOW)
    assert _results(page) == [result]
    assert page.fields["history"][0]["version"] == "v1"
    assert page.fields["history"][0].get("message", "") == rejected.get(OLD, "")
    assert page.record.new_digest == NEW


def test_history_may_be_switched_off() -> None:
    release = replace(RELEASE, spec=replace(RELEASE.spec, history=History(enabled=False)))
    page = book.succeeded(book.begun(Page(), _record(), release, NOW), release, NOW)
    assert "history" not in page.fields
    assert "rollout" not in page.fields


def test_what_was_found_good_is_so_since_the_first_time() -> None:
    page = _page(succeed, succeed)
    assert page == _page(succeed)
    assert page.fields["lastGood"]["time"] == "2026-05-04T12:00:00Z"


def test_a_condition_keeps_its_time_while_its_status_does() -> None:
    page = _page(begin, fail, fail)
    assert {each["lastTransitionTime"] for each in page.conditions} == {"2026-05-04T12:01:00Z"}


def test_what_is_stopped_from_the_start_is_no_end_of_what_went_on_before() -> None:
    before = Page({"rollout": record.render(_record(OLD))})
    first, second = book.failed(before, RELEASE, TROUBLE, NOW), stop(before, NOW)
    assert [each["digest"] for each in first.fields["history"]] == [OLD]
    assert [(each["digest"], each["result"]) for each in second.fields["history"]] == [
        (NEW, Result.INCONCLUSIVE),
        (OLD, Result.SUPERSEDED),
    ]


def test_what_is_said_again_and_again_changes_nothing() -> None:
    page = _page(begin, stop)
    again = _page(begin, stop, stop, stop)
    assert again == page
    other = book.failed(page, RELEASE, Trouble("Drift", "another one has", blames=False), NOW + timedelta(hours=1))
    assert [each["message"] for each in other.fields["history"]] == ["v2: another one has"]
