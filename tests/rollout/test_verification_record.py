"""What a record says of a verification shortens it, and decides nothing: whoever may write a status could have lied."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.declaration import Identity, Origin, Spec, Timeouts
from gitcd.model.health import Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import Strategy, Verify
from gitcd.model.times import shown
from gitcd.model.verdict import Measurement, Tally, Verdict
from gitcd.rollout import record, rolling
from gitcd.rollout.actions import Measure
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.findings import Findings
from gitcd.rollout.record import MOST_CHECKS, Record
from gitcd.rollout.table import Decision, Do, Failed, Finished, Wait, advance
from gitcd.rollout.verification import Pending, Ruling, is_likely, judge, mark, tallied

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
DIGEST = f"sha256:{'b' * 64}"
REF = Ref("Deployment", "tiles", "tiles", "apps")
HTTP = Verify("HTTP", service="tiles", interval=30 * SECOND, count=4, failure_limit=1, inconclusive_limit=1)
LETTERS = {"p": Verdict.PASS, "f": Verdict.FAIL, "?": Verdict.INCONCLUSIVE}


def looks(letters: str, begin: datetime = NOW) -> list[Measurement]:
    return [Measurement(begin + n * SECOND, LETTERS[each], f"look {n}") for n, each in enumerate(letters)]


figures = st.integers(0, 10**9) | st.integers(0, 5)
moments = st.integers(-10_000, 10_000).map(lambda seconds: NOW + seconds * SECOND)
tallies = st.builds(Tally, st.just("x"), moments, moments, figures, figures, figures, figures)
specs = st.fixed_dictionaries(
    {"count": st.integers(1, 4), "failure_limit": st.integers(0, 3), "inconclusive_limit": st.integers(0, 3)}
)


@settings(max_examples=200)
@given(tallies, specs, st.text("pf?", max_size=5), st.integers(0, 1000))
def test_T31_a_verdict_needs_a_look_of_this_run(before: Tally, spec: Any, letters: str, seconds: int) -> None:
    taken = looks(letters)
    found = judge(replace(HTTP, **spec), taken, NOW + DAY, before, seconds * SECOND)
    if not letters:
        assert isinstance(found, Pending)
    if isinstance(found, Ruling) and found.verdict is Verdict.PASS:
        assert letters.endswith("p")
    if isinstance(found, Ruling) and found.verdict is Verdict.FAIL:
        assert "f" in letters


@settings(max_examples=200)
@given(st.text("pf?", min_size=40, max_size=40), specs, st.lists(st.integers(1, 39), max_size=5))
def test_it_comes_to_the_same_in_one_run_and_in_many(letters: str, spec: Any, ends: list[int]) -> None:
    """Every look is judged; some of them by a run that knows those before it by their figures alone."""
    verify, taken = replace(HTTP, interval=SECOND, **spec), looks(letters)
    before, mine = Tally(), list[Measurement]()
    for number, look in enumerate(taken, 1):
        mine.append(look)
        at_once = judge(verify, taken[:number], look.at, Tally(), DAY)
        resumed = judge(verify, mine, look.at, before, DAY)
        assert type(at_once) is type(resumed)
        if isinstance(at_once, Ruling) and isinstance(resumed, Ruling):
            assert at_once.verdict is resumed.verdict
            assert at_once.message == resumed.message
            return
        if number in ends:
            before, mine = tallied(before, mine), []
            assert judge(verify, [], look.at, before, DAY) == at_once


@given(st.text("pf?", min_size=1, max_size=20), st.integers(0, 20))
def test_what_was_measured_is_likely(letters: str, split: int) -> None:
    verify, taken = replace(HTTP, interval=SECOND), looks(letters)
    first = tallied(Tally("x"), taken[:split])
    whole = tallied(first, taken[split:])
    assert whole == tallied(Tally("x"), taken)
    kept = record.read(record.render(Record(checks={"Verify/0": whole}))).checks["Verify/0"]
    assert kept == whole
    assert is_likely(kept, verify, NOW - SECOND, taken[-1].at)


LIKELY = Tally("x", NOW, NOW + 60 * SECOND, passed=3, row=3)


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ({"passed": 5}, "five looks, half a minute between any two, take two minutes"),
        ({"row": 4}, "more passes in a row than passes"),
        ({"since": NOW + 61 * SECOND}, "it began after its end"),
        ({"last": NOW + DAY}, "it is of times to come"),
        ({"since": NOW - 20 * SECOND}, "the object became what it is after that"),
        ({"since": None}, "nobody knows when"),
        ({"passed": 0, "row": 0}, "nothing was measured"),
    ],
)
def test_T31_what_cannot_have_been_measured_is_not_believed(lie: dict[str, Any], why: str) -> None:
    assert is_likely(LIKELY, HTTP, NOW - 10 * SECOND, NOW + 90 * SECOND)
    assert not is_likely(replace(LIKELY, **lie), HTTP, NOW - 10 * SECOND, NOW + 90 * SECOND), why


def test_looks_without_time_between_them_may_be_many() -> None:
    assert is_likely(replace(LIKELY, passed=10**6), replace(HTTP, interval=timedelta()), None, NOW + DAY)


def workload(changed: datetime) -> dict[str, Any]:
    image = f"registry.example/tiles@{DIGEST}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "tiles",
            "namespace": "tiles",
            "managedFields": [{"time": shown(changed), "fieldsV1": {"f:spec": {"f:template": {}}}}],
        },
        "spec": {"template": {"spec": {"containers": [{"name": "tiles", "image": image}]}}},
    }


def release(*checks: Verify) -> Release:
    spec = Spec(
        "registry.example/tiles",
        tag="prod",
        strategy=Strategy(verify=checks),
        timeouts=Timeouts(verify=timedelta(minutes=5)),
    )
    manifest = Manifest(REF, "v1", workload(NOW), Origin("tiles.yaml"))
    return Release(Identity("prod", "tiles", "tiles"), spec, "v2", DIGEST, "c" * 40, (manifest,))


def decided(
    about: Release, found: Record, now: datetime, measured: dict[str, tuple[Measurement, ...]] | None = None
) -> Decision:
    """What a run decides that has found this record, and has measured so much itself."""
    health = {REF: Health(REF, State.CURRENT)}
    live = {REF: workload(NOW - 10 * SECOND)}
    facts = Facts(about, now, live, health, {}, measured or {}, found, earlier=found.checks)
    return advance(rolling.table(about), facts)


KEYS = st.sampled_from(["check", "of", "startedAt", "measuredAt", "passed", "failed", "inconclusive", "inARow"])
TIMES = moments.map(shown) | st.just("0001-01-01T00:00:00Z") | st.just("9999-12-31T23:59:59Z")
VALUES = st.none() | figures | TIMES | st.just("Verify/0") | st.just(mark("Verify/0", HTTP, DIGEST)) | st.floats()
TRUE_KEYS = {"check": "Verify/0", "of": mark("Verify/0", HTTP, DIGEST)}
CHECKS = st.lists(
    st.dictionaries(KEYS, VALUES).flatmap(lambda lies: st.sampled_from([lies, {**lies, **TRUE_KEYS}])), max_size=3
)


@settings(max_examples=300)
@given(CHECKS | VALUES, TIMES)
def test_T31_a_record_alone_neither_passes_nor_fails(checks: Any, since: str) -> None:
    """Whatever it says: the next thing that a run does is to measure, or to wait for the time between two looks."""
    said = {
        "strategy": "RollingUpdate",
        "step": "Verify",
        "stepStartedAt": since,
        "newDigest": DIGEST,
        "checks": checks,
    }
    for now in (NOW, NOW + DAY):
        decision = decided(release(HTTP), record.read(said), now)
        if isinstance(decision, Wait):
            assert decided(release(HTTP), record.read(said), now + HTTP.interval) != decision
        else:
            assert isinstance(decision, Do)
            assert [type(each) for each in decision.actions] == [Measure]


def test_a_run_goes_on_with_the_figures_and_needs_one_look_of_its_own() -> None:
    about = release(HTTP)
    true = Tally(mark("Verify/0", HTTP, DIGEST), NOW, NOW + 60 * SECOND, passed=3, row=3)
    found = Record("RollingUpdate", "Verify", NOW, NOW, 1, "", DIGEST, checks={"Verify/0": true})
    assert isinstance(decided(about, found, NOW + 61 * SECOND), Wait)
    asked = decided(about, found, NOW + 90 * SECOND)
    assert asked == Do("Verify", (Measure("Verify/0", HTTP, true),))
    own = {"Verify/0": (Measurement(NOW + 90 * SECOND, Verdict.PASS, of=true.of),)}
    assert decided(about, found, NOW + 91 * SECOND, own) == Finished()


def test_the_time_for_the_checks_is_that_of_all_runs() -> None:
    about = release(HTTP)
    true = Tally(mark("Verify/0", HTTP, DIGEST), NOW, NOW + 30 * SECOND, passed=1, failed=1)
    found = Record("RollingUpdate", "Verify", NOW, NOW, 1, "", DIGEST, checks={"Verify/0": true})
    late = NOW + timedelta(minutes=9)
    assert isinstance(decided(about, found, late), Do), "however late it is, it is looked at once more"
    for own, blames in ((Verdict.FAIL, True), (Verdict.INCONCLUSIVE, False), (Verdict.PASS, False)):
        decision = decided(about, found, late, {"Verify/0": (Measurement(late, own, "seen", true.of),)})
        assert isinstance(decision, Failed)
        assert decision.trouble.blames is blames, own


def test_a_check_that_was_changed_begins_anew() -> None:
    old = Tally(mark("Verify/0", HTTP, DIGEST), NOW, NOW + 60 * SECOND, passed=3, row=3)
    found = Record("RollingUpdate", "Verify", NOW, NOW, 1, "", DIGEST, checks={"Verify/0": old})
    changed = replace(HTTP, path="/other")
    asked = decided(release(changed), found, NOW + 61 * SECOND)
    assert asked == Do("Verify", (Measure("Verify/0", changed, Tally(mark("Verify/0", changed, DIGEST))),))


def test_a_record_keeps_the_figures_of_the_last_verification_alone() -> None:
    findings = Findings()
    noted = {"Verify1/0": Tally("a", passed=2), "Verify1/1": Tally("b", passed=1)}
    assert findings.recall(Record(checks=noted)) == noted
    assert findings.checks(noted) == noted
    asked = Measure("Verify1/0", HTTP, noted["Verify1/0"])
    assert findings.number(asked) == 2
    findings.note(asked, None)
    findings.note(asked, Measurement(NOW, Verdict.PASS))
    assert findings.number(asked) == 3
    assert {key: tally.total for key, tally in findings.checks(noted).items()} == {"Verify1/0": 3, "Verify1/1": 1}
    for number in range(20):
        findings.note(Measure(f"Verify2/{number}", HTTP), Measurement(NOW, Verdict.PASS))
    kept = findings.checks(noted)
    assert len(kept) == MOST_CHECKS
    assert {key.partition("/")[0] for key in kept} == {"Verify2"}
    assert findings.recall(Record()) == noted


def test_of_a_check_that_one_look_decides_nothing_is_kept() -> None:
    findings = Findings()
    findings.note(Measure("Verify/0", Verify("HTTP", service="tiles")), Measurement(NOW, Verdict.PASS))
    assert findings.checks({}) == {}
