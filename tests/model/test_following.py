"""Which tag a rule chooses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Follow, Newest
from gitcd.model.following import NONE_FOLLOWED, Catalogue, agreed_tag, described
from gitcd.model.ranges import parse_range
from gitcd.model.reference import Repository
from gitcd.model.registry import Candidate, Failure, Image
from gitcd.model.version import normalized, precedence

REPOSITORY = Repository("r.example.com", "team/app")
START = datetime(2026, 1, 1, tzinfo=UTC)


def tags(*names):
    return [Candidate(name) for name in names]


def pushed(*names):
    """Tags of one image each, in the order of their pushes."""
    return [
        Candidate(name, Image(f"sha256:{number:064}", (name,), START + timedelta(hours=number)))
        for number, name in enumerate(names)
    ]


def choose(follow, candidates):
    return Catalogue(REPOSITORY, candidates).choose(follow)


def chosen(candidates, **rule):
    found = choose(Follow(**rule), candidates)
    return found.reason if isinstance(found, Failure) else found.tag


@pytest.mark.parametrize(
    ("semver", "listed", "expected"),
    [
        (">=1.2 <2", "1.2.0 1.10.0 1.9.0 2.0.0 latest", "1.10.0"),
        (">=1.2 <2", "v1.3.0 1.2.9", "v1.3.0"),
        ("^1", "1.4.0 1.5.0-rc.1", "1.4.0"),
        ("^1.5.0-rc.1", "1.4.0 1.5.0-rc.1 1.5.0-rc.2 1.6.0-rc.1", "1.5.0-rc.2"),
        ("^1", "1.4.0-amd64 1.3.0 1.4", "1.3.0"),
        ("^1", "1.4.0_build.7 1.3.0", "1.4.0_build.7"),
        ("^1", "v1.4.0 1.4.0", "1.4.0"),
        ("*", "99999999999999999999.0.0 2.0.0", "99999999999999999999.0.0"),
        ("^3", "1.0.0 2.0.0", NONE_FOLLOWED),
        ("^3", "latest main", NONE_FOLLOWED),
        ("^3", "", NONE_FOLLOWED),
    ],
)
def test_the_highest_version_in_the_range(semver, listed, expected):
    assert chosen(tags(*listed.split()), semver=semver) == expected


def test_of_equal_versions_the_one_pushed_last_is_followed():
    assert chosen(pushed("1.2.0_b2", "1.2.0_b1"), semver="^1") == "1.2.0_b1"


def spellings(candidates):
    return [each.tag for each in Catalogue(REPOSITORY, candidates).equals(Follow(semver="^1"))]


def test_of_equal_versions_all_are_told_where_nobody_knows_which_is_the_last():
    assert spellings(tags("v1.2.0", "1.2.0", "1.2.0_b1", "1.1.0")) == ["1.2.0", "v1.2.0", "1.2.0_b1"]
    assert spellings(pushed("v1.2.0", "1.2.0")) == ["1.2.0"]
    first, second = pushed("v1.2.0", "1.2.0")
    twin = Candidate("1.2.0", first.image)
    assert spellings([first, twin]) == ["1.2.0"]
    at_once = Candidate("1.2.0", replace(second.image, pushed_at=first.image.pushed_at))
    assert spellings([first, at_once]) == ["1.2.0", "v1.2.0"]


def test_spellings_of_a_version_have_to_name_one_image():
    one, other = (Image(f"sha256:{number:064}") for number in range(2))
    assert agreed_tag(REPOSITORY, ["1.2.0"], {}) == "1.2.0"
    assert agreed_tag(REPOSITORY, ["1.2.0", "v1.2.0"], {"1.2.0": one, "v1.2.0": one}) == "1.2.0"
    found = agreed_tag(REPOSITORY, ["1.2.0", "v1.2.0"], {"1.2.0": one, "v1.2.0": other})
    assert (found.reason, found.transient, "spec.follow.deny" in found.remedy) == ("AmbiguousVersion", False, True)
    assert "1.2.0 (000000000000) and v1.2.0 (000000000000)" in found.message
    busy = Failure("Throttled", "later", transient=True)
    assert agreed_tag(REPOSITORY, ["1.2.0", "v1.2.0"], {"1.2.0": one, "v1.2.0": busy}) == busy


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, "1.4.0"),
        ({"deny": r"1\.4\..*"}, "1.3.0"),
        ({"allow": r"1\.[12]\..*"}, "1.2.0"),
        ({"allow": r"1\..*", "deny": r".*\.0"}, NONE_FOLLOWED),
        ({"deny": "1"}, "1.4.0"),
    ],
)
def test_bounds_match_a_tag_as_a_whole(bounds, expected):
    assert chosen(pushed("1.2.0", "1.3.0", "1.4.0"), semver="^1", **bounds) == expected


def test_the_newest_is_the_one_pushed_last_among_those_that_match():
    listed = pushed("main-9", "main-1", "feature-3")
    assert chosen(listed, newest=Newest("main-.*")) == "main-1"
    assert chosen(listed, newest=Newest(".*")) == "feature-3"
    assert chosen(listed, newest=Newest(".*"), deny="feature-.*") == "main-1"
    assert chosen(listed, newest=Newest("main")) == NONE_FOLLOWED


def test_who_knows_no_push_time_is_not_guessed_at():
    assert chosen(tags("main-1", "main-2"), newest=Newest("main-.*")) == "PushTimeUnknown"


def test_what_is_there_instead_is_told():
    listed = tags("2.0.0", "1.0.0", "0.9.0", "0.8.0", "0.7.0", "0.6.0", "latest")
    found = choose(Follow(semver=">=7"), listed)
    assert found.message == (
        "r.example.com/team/app has no tag that is followed: the highest version in >=7; "
        "its versions are 2.0.0, 1.0.0, 0.9.0, 0.8.0, 0.7.0 and 1 lower one"
    )
    assert "none of its 1 tags" in choose(Follow(semver=">=7"), tags("latest")).message


def test_rules_in_words():
    assert described(Follow(semver="^1", allow="a.*", deny="b.*")) == (
        "the highest version in ^1 of those that match a.* but none that matches b.*"
    )
    assert described(Follow(newest=Newest("x"))) == "the newest tag that matches x"


VERSIONS = st.builds(
    "{}{}.{}.{}{}".format,
    st.sampled_from(["", "v"]), *[st.integers(0, 3)] * 3, st.sampled_from(["", "-rc.1", "-rc.2", "_b"]),
)  # fmt: skip
RANGES = st.sampled_from(["*", "^1", "~1.2", ">=1.1 <3", "1.x || 3.x", "^1.2.0-rc.1", ">2"])


@given(st.lists(st.one_of(VERSIONS, st.sampled_from(["latest", "1.2", "x"])), unique=True), RANGES, st.randoms())
def test_no_version_in_the_range_is_higher_whatever_the_order(names, semver, dice):
    found = choose(Follow(semver=semver), tags(*names))
    inside = [name for name in names if precedence(name) and parse_range(semver).has(normalized(name))]
    if not inside:
        assert isinstance(found, Failure)
        return
    assert found.tag in inside
    assert precedence(found.tag) == max(map(precedence, inside))
    dice.shuffle(names)
    assert choose(Follow(semver=semver), tags(*names)) == found


def test_T32_many_rules_share_the_work_of_putting_tags_in_order(monkeypatch):
    judged = []

    def counted(tag):
        judged.append(tag)
        return precedence(tag)

    monkeypatch.setattr("gitcd.model.following.precedence", counted)
    catalogue = Catalogue(REPOSITORY, tags(*(f"1.{number}.0" for number in range(500))))
    found = [catalogue.choose(Follow(semver=f"~1.{number}")).tag for number in range(100)]
    assert found == [f"1.{number}.0" for number in range(100)]
    assert len(judged) == 500
