"""Ranges of versions: npm's rules as the library knows them, held against an arithmetic of our own."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodesemver import compare

from gitcd.model.ranges import PATTERN, RangeError, check_range, parse_range
from gitcd.model.version import normalized, precedence

NUMBERS = st.integers(0, 4)
IDENTIFIERS = st.sampled_from(["0", "1", "2", "10", "alpha", "beta", "rc", "a-b", "1a", "-"])
PRE = st.one_of(st.just(""), st.lists(IDENTIFIERS, min_size=1, max_size=3).map(".".join))
CORES = st.tuples(NUMBERS, NUMBERS, NUMBERS)
# What npm's documentation says of each range, with versions at its edges of our own choice.
TABLE = [
    (">=1.2 <2", "1.2.0 1.9.9", "1.1.9 2.0.0 1.5.0-rc.1 2.0.0-rc.1"),
    (">=1.2, <2", "1.2.0 1.9.9", "1.1.9 2.0.0"),
    (">= 1.2 , < 2", "1.2.0", "2.0.0"),
    ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 1.2.3-rc.1"),
    ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
    ("^0.0.3", "0.0.3", "0.0.4"),
    ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.8.0", "1.2.3-beta.1 1.2.4-beta.2 2.0.0"),
    ("^0", "0.0.1 0.9.0", "1.0.0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"),
    ("~1.2", "1.2.0 1.2.9", "1.3.0"),
    ("~1", "1.0.0 1.9.0", "2.0.0"),
    ("~>1.2.3", "1.2.4", "1.3.0"),
    ("~1.2.3-beta.2", "1.2.3-beta.4 1.2.4", "1.2.4-beta.2"),
    ("1.2.3", "1.2.3", "1.2.4 1.2.3-rc.1"),
    ("=v1.2.3", "1.2.3", "1.2.4"),
    ("1.x", "1.0.0 1.99.0", "0.9.0 2.0.0"),
    ("1.2.*", "1.2.7", "1.3.0"),
    ("*", "0.0.0 99.0.0", "1.0.0-rc.1"),
    ("1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5"),
    ("1.2.3 - 2.3", "2.3.9", "2.4.0"),
    ("1.2.3 - 2", "2.9.9", "3.0.0"),
    ("1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0"),
    (">1.2.3-alpha.3", "1.2.3-alpha.7 3.4.5", "3.4.5-alpha.9 1.2.3-alpha.3"),
    (">=1.0.0-0 <2", "1.0.0-0 1.0.0-rc.1 1.5.0", "1.5.0-rc.1"),
]

# npm's own test data: rows of a range and a version, and of a higher and a lower version.
NPM = json.loads(Path(__file__).with_name("ranges_npm.json").read_text())


def text(core, pre=""):
    return ".".join(map(str, core)) + (f"-{pre}" if pre else "")


@pytest.mark.parametrize(("written", "inside", "outside"), TABLE, ids=[each[0] for each in TABLE])
def test_the_table(written, inside, outside):
    has = parse_range(written).has
    assert [each for each in inside.split() if not has(each)] == []
    assert [each for each in outside.split() if has(each)] == []


def _is_range(written):
    return bool(written) and not check_range(written)


@pytest.mark.parametrize(("where", "within", "least"), [("inside", True, 80), ("outside", False, 60)])
def test_npm_s_own_rows_that_are_ranges_and_versions_here(where, within, least):
    rows = [(written, version) for written, version in NPM[where] if _is_range(written) and normalized(version)]
    assert [row for row in rows if parse_range(row[0]).has(normalized(row[1])) is not within] == []
    assert len(rows) >= least, "a check of few rows is none"


def test_npm_s_own_rows_of_versions_in_order():
    rows = [(normalized(high), normalized(low)) for high, low in NPM["higher"] if normalized(high) and normalized(low)]
    assert [row for row in rows if precedence(row[0]) <= precedence(row[1])] == []
    assert len(rows) >= 15, "a check of few rows is none"


@pytest.mark.parametrize(
    "wrong",
    [" ", "foo", "latest", "1.2 || foo", "1 ||", "|| 1", ">", "~", ">=1.2.3.4", "1.2.3-01", ">=1 && <2", "1,", "\n1"],
)
def test_what_is_no_range_is_refused(wrong):
    assert check_range(wrong).startswith("it is no range of semantic versions")
    with pytest.raises(RangeError):
        parse_range(wrong)


def test_no_range_is_no_mistake_and_a_long_one_is():
    assert check_range("") == ""
    assert check_range(" || ".join(["1.2.3"] * 40)) != ""


@given(st.from_regex(re.compile(PATTERN, re.ASCII), fullmatch=True).filter(lambda each: 0 < len(each) <= 256))
def test_whatever_the_grammar_lets_through_the_library_reads(written):
    assert check_range(written) == ""


@given(CORES, CORES, CORES)
def test_bounds_are_compared_number_by_number(low, high, core):
    assert parse_range(f">={text(low)} <{text(high)}").has(text(core)) == (low <= core < high)
    assert parse_range(f">{text(low)}, <={text(high)}").has(text(core)) == (low < core <= high)
    assert parse_range(f"{text(low)} - {text(high)}").has(text(core)) == (low <= core <= high)
    assert parse_range(f"<{text(low)} || >{text(high)}").has(text(core)) == (core < low or core > high)


@given(CORES, CORES)
def test_caret_and_tilde_are_the_bounds_that_they_stand_for(low, core):
    major, minor, patch = low
    end = (major + 1, 0, 0) if major else (0, minor + 1, 0) if minor else (0, 0, patch + 1)
    assert parse_range(f"^{text(low)}").has(text(core)) == (low <= core < end)
    assert parse_range(f"~{text(low)}").has(text(core)) == (low <= core < (major, minor + 1, 0))
    assert parse_range(f"{major}.x").has(text(core)) == (core[0] == major)


@given(CORES, PRE, CORES, PRE)
def test_pre_releases_are_in_only_where_the_range_names_one_of_that_version(low, low_pre, core, pre):
    inside = parse_range(f">={text(low, low_pre)}").has(text(core, pre))
    above = precedence(text(core, pre)) >= precedence(text(low, low_pre))
    assert inside == (above and (not pre or (bool(low_pre) and low == core)))


@given(CORES, PRE, CORES, PRE)
def test_our_order_is_the_librarys(one, one_pre, other, other_pre):
    left, right = text(one, one_pre), text(other, other_pre)
    ours = (precedence(left) > precedence(right)) - (precedence(left) < precedence(right))
    assert ours == compare(left, right, loose=False)


@given(CORES, PRE, st.sampled_from(["", "v"]), st.sampled_from(["", "_build.7", "+5"]))
def test_a_tag_is_judged_as_the_version_that_it_is(core, pre, prefix, build):
    assert normalized(f"{prefix}{text(core, pre)}{build}") == text(core, pre)
    assert normalized(f"x{text(core, pre)}") == ""
