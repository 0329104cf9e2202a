"""The rules of gates by themselves, over all that can be asked and answered."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Gates
from gitcd.model.evidence import SEVERITIES, Evidence, Findings, Referrer, Scan, ScanStatus, Signing, SigningStatus
from gitcd.model.layout import EnvironmentGates
from gitcd.model.plan import Direction
from gitcd.model.registry import Failure, Image
from gitcd.planning import gates

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SEVERITY = st.sampled_from(SEVERITIES)
OPTIONAL = st.sampled_from(("", *SEVERITIES))
FINDINGS = st.builds(Findings, *[st.integers(0, 5)] * 6)
FAILURE = st.builds(Failure, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.booleans())
SCAN = st.builds(Scan, st.sampled_from(ScanStatus), FINDINGS, st.text(max_size=5))
SIGNING = st.builds(
    Signing,
    st.sampled_from(SigningStatus),
    st.lists(st.text(max_size=5), max_size=2).map(tuple),
    st.lists(st.builds(Referrer, st.text(max_size=5), st.text(max_size=5)), max_size=2).map(tuple),
    st.text(max_size=5),
)


def test_severities_go_from_the_mildest_to_the_worst():
    assert SEVERITIES == ("UNDEFINED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")


@given(SCAN | FAILURE, SEVERITY)
def test_T15_only_a_scan_that_is_done_and_mild_enough_opens_the_gate(scan, limit):
    worst = max(
        (SEVERITIES.index(each) for each, number in getattr(scan, "findings", Findings()).counts.items() if number),
        default=0,
    )
    fine = isinstance(scan, Scan) and scan.status is ScanStatus.DONE and worst <= SEVERITIES.index(limit)
    assert (gates.check_scan(scan, limit) is None) is fine


@given(SIGNING | FAILURE)
def test_T15_only_a_signature_of_the_registry_opens_the_gate(signing):
    fine = isinstance(signing, Signing) and signing.status is SigningStatus.SIGNED
    assert (gates.check_signing(signing) is None) is fine


@given(SCAN, SEVERITY, SEVERITY)
def test_a_stricter_limit_never_lets_more_pass(scan, one, other):
    strict, loose = sorted((one, other), key=SEVERITIES.index)
    assert gates.check_scan(scan, strict) or not gates.check_scan(scan, loose)


@given(OPTIONAL, OPTIONAL, st.booleans(), st.booleans())
def test_the_stricter_of_declaration_and_environment_is_asked(own, environment, sign, signed):
    asked = gates.asked(
        Gates(max_severity=own, require_signed=sign),
        EnvironmentGates(max_severity=environment, require_signed=signed),
    )
    limits = [SEVERITIES.index(each) for each in (own, environment) if each]
    assert asked.max_severity == (SEVERITIES[min(limits)] if limits else "")
    assert asked.signed is (sign or signed)
    assert bool(asked) is bool(limits or sign or signed)


@given(FAILURE)
def test_F5_what_cannot_be_checked_says_why_and_what_to_do(failure):
    for block in (gates.check_scan(failure, "LOW"), gates.check_signing(failure)):
        assert block.reason == "GateUnchecked"
        assert block.message.endswith(f"which cannot be checked: {failure.message}")
        assert (block.remedy, block.transient) == (failure.remedy, failure.transient)


@pytest.mark.parametrize(
    ("findings", "limit", "shown"),
    [
        (Findings(critical=1, high=2, low=7), "MEDIUM", "1 CRITICAL, 2 HIGH"),
        (Findings(undefined=3, informational=1), "UNDEFINED", "1 INFORMATIONAL"),
        (Findings(critical=9), "HIGH", "9 CRITICAL"),
    ],
)
def test_only_what_is_too_severe_is_counted_in_the_message(findings, limit, shown):
    block = gates.check_scan(Scan(ScanStatus.DONE, findings), limit)
    assert block.message == f"gates.maxSeverity is {limit}, and it has {shown}"


class TestFindings:
    @given(FINDINGS, FINDINGS)
    def test_the_most_of_two_is_no_less_than_either(self, one, other):
        most = one.most(other)
        assert most == other.most(one)
        assert all(most.counts[each] == max(one.counts[each], other.counts[each]) for each in SEVERITIES)

    @given(FINDINGS, SEVERITY)
    def test_worse_is_what_stands_above(self, findings, limit):
        worse = findings.worse_than(limit)
        above = SEVERITIES[SEVERITIES.index(limit) + 1 :]
        assert worse.counts == {each: findings.counts[each] if each in above else 0 for each in SEVERITIES}
        assert bool(worse) is any(findings.counts[each] for each in above)

    @given(FINDINGS, FINDINGS)
    def test_a_difference_is_known_of_two_finished_scans_only(self, new, old):
        delta = Evidence(Scan(ScanStatus.DONE, new), Scan(ScanStatus.DONE, old)).delta
        assert delta is not None
        assert delta.counts == {each: new.counts[each] - old.counts[each] for each in SEVERITIES}
        assert Evidence(Scan(ScanStatus.DONE, new)).delta is None
        assert Evidence(Scan(ScanStatus.DONE, new), Scan(ScanStatus.RUNNING, old)).delta is None

    def test_they_are_shown_the_worst_first(self):
        assert str(Findings(low=2, critical=1)) == "1 CRITICAL, 2 LOW"
        assert str(Findings()) == "no findings"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, Direction.BACKWARD), (0, Direction.FORWARD), (1, Direction.FORWARD)]
)
def test_T30_only_what_was_pushed_before_goes_back(seconds, expected):
    old, new = Image("sha256:1", pushed_at=NOW), Image("sha256:2", pushed_at=NOW + timedelta(seconds=seconds))
    assert gates.direction(old, new) is expected
    asked = Gates(allow_downgrade=False), EnvironmentGates(), new, expected, NOW + timedelta(days=1)
    assert bool(gates.check(*asked)) is (expected is Direction.BACKWARD)


@pytest.mark.parametrize(("age", "reason"), [(-1, "AgeUnknown"), (0, "TooYoung"), (59, "TooYoung"), (60, None)])
def test_an_image_of_the_very_age_that_is_asked_passes(age, reason):
    new = Image("sha256:2", pushed_at=NOW - timedelta(seconds=age))
    block = gates.check(Gates(min_age=timedelta(minutes=1)), EnvironmentGates(), new, Direction.FORWARD, NOW)
    assert (block.reason if block else None) == reason
