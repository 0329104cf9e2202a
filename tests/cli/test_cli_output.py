from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.cli import output
from gitcd.cli.terminal import Stream


def test_columns_are_aligned_and_lines_end_at_the_last_letter() -> None:
    text = output.table(["APP", "OLD", "NEW"], [["tiles", "1", "2"], ["a", "1.2.3", ""]])
    assert text == "APP    OLD    NEW\ntiles  1      2\na      1.2.3\n"


def test_wide_characters_take_two_columns() -> None:
    assert output.table(["A", "B"], [["日本", "x"], ["abc", "y"]]) == "A     B\n日本  x\nabc   y\n"


@pytest.mark.parametrize(
    ("kind", "words"), [("Bumped", "bumped"), ("PinOnly", "pin only"), ("RollingOut", "rolling out")]
)
def test_kinds_are_told_in_words(kind: str, words: str) -> None:
    assert output.worded(kind) == words


def test_no_rows_no_table() -> None:
    assert output.table(["APP"], []) == ""


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_row_is_a_line_whatever_stands_in_it(rows: list[list[str]]) -> None:
    text = output.table(["ONE", "TWO"], rows)
    lines = text.split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_documents_begin_with_version_and_kind(form, capfd) -> None:
    output.write_document(Stream("stdout"), output.document("Thing", name="é\x1b\u202e"), form)
    text = capfd.readouterr().out
    if form == "json":
        assert json.loads(text) == {"apiVersion": "gitcd.io/v1", "kind": "Thing", "name": "é\x1b\u202e"}
        assert text.isascii()
        assert "\x1b" not in text
    else:
        assert text.startswith("apiVersion: gitcd.io/v1\nkind: Thing\n")
        assert "\x1b" not in text


def test_names_stand_one_a_line(capfd) -> None:
    output.write_names(Stream("stdout"), ["prod/a/b", "prod/a/c"])
    assert capfd.readouterr().out == "prod/a/b\nprod/a/c\n"
