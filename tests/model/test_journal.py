from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.journal import LONGEST_LINE, Entry, NoEntryError, parse

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
ENTRY = Entry(MOMENT, "run", "ann", "h.io/team/app", "env-prod", OLD, NEW)
DIGESTS = st.sampled_from(["", OLD, NEW])
ANY_TEXT = st.text(st.characters(), max_size=512)  # lone surrogates too: names come from the environment
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]), min_value=datetime(1000, 1, 1)),  # noqa: DTZ001 - hypothesis wants it so
    *[ANY_TEXT] * 3,
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True),
    DIGESTS,
    DIGESTS,
    ANY_TEXT,
)
def test_an_entry_comes_back_as_it_was_written(time, run, by, repository, tag, old, new, caller) -> None:
    time = time.replace(microsecond=time.microsecond // 1000 * 1000).astimezone(UTC)
    entry = Entry(time, run, by, repository, tag, old, new, caller)
    line = entry.line()
    assert parse(line) == entry
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1 < LONGEST_LINE


def test_the_longest_texts_still_fit_and_longer_ones_are_cut() -> None:
    text = "\U0001f600" * 600
    entry = parse(Entry(MOMENT, text, text, "r", "t", OLD, NEW, text).line())
    assert {len(each) for each in (entry.run, entry.by, entry.caller)} == {512}


def test_a_line_reads_like_this() -> None:
    assert json.loads(ENTRY.line()) == {
        "apiVersion": "gitcd.io/v1",
        "kind": "TagMove",
        "time": "2026-02-03T04:05:06.789Z",
        "run": "run",
        "by": "ann",
        "repository": "h.io/team/app",
        "tag": "env-prod",
        "old": OLD,
        "new": NEW,
    }


@given(st.binary(max_size=99) | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_entry_is_said_and_nothing_else_is_raised(line: bytes) -> None:
    with pytest.raises(NoEntryError):
        parse(line)


@given(st.sampled_from(["time", "run", "by", "caller", "repository", "tag", "old", "new", "kind", "apiVersion"]), JSON)
def test_a_field_of_another_kind_is_no_entry(name: str, value: object) -> None:
    document = json.loads(ENTRY.line())
    if isinstance(value, str):
        value = [value]
    with pytest.raises(NoEntryError):
        parse(json.dumps(document | {name: value}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "2026-02-03T04:05:06"), ("time", "yesterday"), ("time", "9999-12-31T23:59:59-12:00"),
        ("tag", "a b"), ("tag", ""), ("old", "sha256:1"), ("new", NEW.upper()), ("by", "x" * 513),
    ],
)  # fmt: skip
def test_a_field_with_a_wrong_text_is_no_entry(field: str, value: str) -> None:
    with pytest.raises(NoEntryError):
        parse(json.dumps(json.loads(ENTRY.line()) | {field: value}).encode())


@pytest.mark.parametrize("line", [b"[" * 60_000, b"9" * 60_000, b" " * (LONGEST_LINE + 1), b'{"a":' * 10_000])
def test_a_line_that_means_harm_is_no_entry(line: bytes) -> None:
    with pytest.raises(NoEntryError):
        parse(line)
