"""What measurements add up to, and what one look says: no cluster is needed for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model import schema
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Tally, Verdict
from gitcd.rollout.looks import of_job, of_late_job, of_samples, of_status
from gitcd.rollout.verification import Pending, Ruling, judge, overall, title

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMIT = timedelta(minutes=10)
HTTP = Verify("HTTP", service="tiles", interval=SECOND)
LETTERS = {"p": Verdict.PASS, "f": Verdict.FAIL, "?": Verdict.INCONCLUSIVE}


def measured(letters, interval=SECOND):
    """One measurement a letter: p, f or ?."""
    return [Measurement(NOW + n * interval, LETTERS[each], f"look {n}") for n, each in enumerate(letters)]


def judged(letters, *, limit=LIMIT, **spec):
    verify = replace(HTTP, **spec)
    looks = measured(letters, verify.interval)
    return judge(verify, looks, looks[-1].at if looks else NOW, Tally(), limit)


def verdict(letters, **spec):
    found = judged(letters, **spec)
    return found.verdict if isinstance(found, Ruling) else None


def test_the_first_look_is_due_at_once_and_the_next_after_the_interval():
    assert judged("", count=2) == Pending(NOW)
    assert judged("p", count=2, interval=30 * SECOND) == Pending(NOW + 30 * SECOND)


def test_one_pass_is_enough_where_nothing_else_is_said():
    found = judged("p")
    assert (found.verdict, found.message) == (Verdict.PASS, "check of Service tiles passed: look 0")


def test_evidence_is_what_the_message_does_not_say():
    one = judge(HTTP, [Measurement(NOW, Verdict.FAIL, "it failed\n| line 1\n| line 2")], NOW, Tally(), LIMIT)
    assert one.message == "check of Service tiles failed: it failed"
    assert one.evidence == ("| line 1", "| line 2")
    looks = [Measurement(NOW, Verdict.FAIL, text) for text in ("a\n| x", "b", "c\n| y")]
    found = judge(replace(HTTP, failure_limit=2), looks, NOW, Tally(), LIMIT)
    assert found.message == "check of Service tiles failed, 3 times where 2 are allowed: c"
    assert found.evidence == ("a", "| x", "b", "| y")


@pytest.mark.parametrize(
    ("letters", "spec", "wanted"),
    [
        ("f", {}, Verdict.FAIL),
        ("?", {}, Verdict.INCONCLUSIVE),
        ("pp", {"count": 3}, None),
        ("ppp", {"count": 3}, Verdict.PASS),
        ("ppf", {"count": 3}, Verdict.FAIL),
        ("f", {"failure_limit": 1}, None),
        ("ff", {"failure_limit": 1}, Verdict.FAIL),
        ("fp", {"failure_limit": 1}, Verdict.PASS),
        ("?f", {"failure_limit": 1, "inconclusive_limit": 1}, None),
        ("?f?", {"failure_limit": 1, "inconclusive_limit": 1}, Verdict.INCONCLUSIVE),
        ("?f?f", {"failure_limit": 1, "inconclusive_limit": 2}, Verdict.FAIL),
    ],
)
def test_limits_count_failures_and_unclear_looks_apart(letters, spec, wanted):
    assert verdict(letters, **spec) is wanted


def test_F47_something_that_flaps_is_not_promoted_by_a_lucky_answer():
    limits = {"count": 3, "failure_limit": 5}
    assert verdict("fpfp", **limits) is None
    assert verdict("fpfpfpp", **limits) is None
    assert verdict("fpfpfpfpfpf", **limits) is Verdict.FAIL
    assert verdict("fppp", **limits) is Verdict.PASS


def test_F47_a_window_that_ends_in_flapping_has_failed():
    found = judged("fpfp", count=2, failure_limit=100, limit=3 * SECOND)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "VerificationTimedOut")
    assert "1 of 2 passes in a row, and timeouts.verify (3s) leaves no time for the others: look 2" in found.message


def test_what_could_never_be_looked_at_is_inconclusive_and_never_passes():
    found = judged("????", count=1, inconclusive_limit=100, limit=3 * SECOND)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "VerificationTimedOut")
    assert judged("", count=3, limit=SECOND).verdict is Verdict.INCONCLUSIVE, "three looks do not fit into a second"


@pytest.mark.parametrize("service", ["localhost:80", "a/b", "http://a", "-a", "A"])
def test_T16_a_service_is_a_name_and_no_address(service):
    _, problems = schema.read(Verify, {"kind": "HTTP", "service": service})
    assert [each.pointer for each in problems] == ["service"]


letters = st.text("pf?", max_size=12)
specs = st.fixed_dictionaries(
    {"count": st.integers(1, 4), "failure_limit": st.integers(0, 4), "inconclusive_limit": st.integers(0, 4)}
)


@settings(max_examples=200)
@given(letters, specs, st.integers(0, 20))
def test_a_pass_needs_that_many_passes_in_a_row_at_the_end(looks, spec, seconds):
    found = judged(looks, limit=seconds * SECOND, **spec)
    if isinstance(found, Ruling) and found.verdict is Verdict.PASS:
        assert looks.endswith("p" * spec["count"])
        assert looks.count("f") <= spec["failure_limit"]
        assert looks.count("?") <= spec["inconclusive_limit"]
    if isinstance(found, Ruling) and found.verdict is Verdict.FAIL:
        assert "f" in looks, "what could not be looked at is never bad"
    if isinstance(found, Ruling) and found.verdict is Verdict.INCONCLUSIVE:
        assert "?" in looks or len(looks) < (spec["failure_limit"] + 1) * spec["count"]


@settings(max_examples=100)
@given(letters, specs)
def test_whoever_asks_again_with_more_looks_comes_to_an_end(looks, spec):
    """The number of looks is bounded by the limits alone, whatever the looks say."""
    taken = ""
    for each in looks.ljust(200, "?"):
        found = judged(taken, limit=timedelta(days=1), **spec)
        if isinstance(found, Ruling):
            break
        assert found.due >= NOW
        taken += each
    assert len(taken) <= (spec["failure_limit"] + spec["inconclusive_limit"] + 1) * spec["count"]


@given(letters, specs)
def test_nothing_is_decided_later_than_the_time_allows(looks, spec):
    verify = replace(HTTP, **spec)
    taken = measured(looks) or [Measurement(NOW, Verdict.PASS)]
    assert isinstance(judge(verify, taken, NOW + LIMIT + SECOND, Tally(), LIMIT), Ruling)


def ruling(verdict):
    return Ruling(verdict, "Word", f"it is {verdict}")


def test_all_checks_have_to_pass_and_a_failure_counts_at_once():
    waits = Pending(NOW + SECOND)
    passed, failed, unclear = map(ruling, Verdict)
    assert overall([passed, waits, failed]) is failed
    assert overall([passed, unclear, waits]) is waits
    assert overall([passed, unclear, passed]) is unclear
    assert overall([Pending(NOW + 2 * SECOND), waits]) is waits
    assert overall([passed, passed]).verdict is Verdict.PASS
    assert overall([]).verdict is Verdict.PASS


def test_a_check_is_called_by_its_name_or_by_what_it_looks_at():
    assert title(replace(HTTP, name="smoke")) == "check smoke"
    assert title(replace(HTTP, path="/healthz")) == "check of Service tiles/healthz"
    assert title(Verify("Image", image="example.com/smoke")) == "check of image example.com/smoke"
    assert title(Verify("Prometheus", query="up")) == "check of query up"


@given(st.integers(100, 599), st.integers(100, 599))
def test_a_status_passes_where_it_is_the_expected_one(status, expect):
    look = of_status(replace(HTTP, expect=expect), status, "Service tiles")
    assert (look.verdict is Verdict.PASS) == (status == expect)
    assert str(status) in look.evidence


def samples(*values):
    return [({"pod": f"tiles-{n}"}, value) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "bounds", "wanted", "evidence"),
    [
        ((0.5,), {"max": "0.9"}, Verdict.PASS, "0.5 is at most 0.9"),
        ((0.95, 0.2, 2), {"max": "0.9"}, Verdict.FAIL, "0.95 is not at most 0.9 for {pod=tiles-0}, and 1 more of 3"),
        ((5,), {"min": "6", "max": "7"}, Verdict.FAIL, "5 is not at least 6 and at most 7 for {pod=tiles-0}"),
        ((6, 7), {"min": "6", "max": "7"}, Verdict.PASS, "6, 7 is at least 6 and at most 7"),
        ((-1,), {"min": "-1.5"}, Verdict.PASS, "-1 is at least -1.5"),
        ((float("inf"),), {"max": "1"}, Verdict.FAIL, "inf is not at most 1 for {pod=tiles-0}"),
        ((float("-inf"),), {"max": "1"}, Verdict.PASS, "-inf is at most 1"),
        ((1, 2, 3, 4), {}, Verdict.PASS, "the query has the result 1, 2, 3, ..."),
        ((), {}, Verdict.INCONCLUSIVE, "the query has no result (onEmpty: Inconclusive)"),
        ((float("nan"),), {"max": "1"}, Verdict.INCONCLUSIVE, "the query has no result (onEmpty: Inconclusive)"),
        ((), {"on_empty": "Pass"}, Verdict.PASS, "the query has no result (onEmpty: Pass)"),
        ((), {"on_empty": "Fail"}, Verdict.FAIL, "the query has no result (onEmpty: Fail)"),
    ],
)
def test_every_sample_lies_within_the_bounds(values, bounds, wanted, evidence):
    look = of_samples(Verify("Prometheus", query="up", **bounds), samples(*values))
    assert (look.verdict, look.evidence) == (wanted, evidence)


def job(**condition):
    status = {"conditions": [{"status": "True", **condition}]} if condition else {}
    return {"metadata": {"name": "tiles-verify-1"}, "spec": {}, "status": status}


def pod(state=None, **status):
    containers = [{"name": "verify", "state": state}] if state else []
    return {"metadata": {"name": "tiles-verify-1-x"}, "status": {"containerStatuses": containers, **status}}


FAILED = {"type": "Failed", "reason": "BackoffLimitExceeded"}


@pytest.mark.parametrize(
    ("condition", "state", "wanted", "words"),
    [
        ({"type": "Complete"}, {"terminated": {"exitCode": 0}}, Verdict.PASS, "succeeded"),
        (FAILED, {"terminated": {"exitCode": 3, "reason": "Error"}}, Verdict.FAIL, "failed with exit code 3"),
        (FAILED, {"terminated": {"exitCode": 128, "reason": "StartError"}}, Verdict.INCONCLUSIVE, "could not run"),
        (FAILED, {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, Verdict.INCONCLUSIVE, "could not run"),
        (FAILED, None, Verdict.INCONCLUSIVE, "no container says why"),
        ({"type": "Failed", "reason": "DeadlineExceeded"}, None, Verdict.INCONCLUSIVE, "ended by its deadline"),
        ({}, {"waiting": {"reason": "ImagePullBackOff"}}, Verdict.INCONCLUSIVE, "does not start: ImagePullBackOff"),
        ({}, {"waiting": {"reason": "CreateContainerConfigError"}}, Verdict.INCONCLUSIVE, "does not start"),
        ({}, {"waiting": {"reason": "ContainerCreating"}}, None, ""),
        ({}, {"waiting": {"reason": "ErrImagePull"}}, None, ""),
        ({}, {"running": {}}, None, ""),
        ({"type": "Suspended"}, None, None, ""),
        ({"type": "FailureTarget", "reason": "BackoffLimitExceeded"}, {"terminated": {"exitCode": 3}}, None, ""),
    ],
)
def test_only_a_container_that_ran_to_its_end_speaks_of_the_version(condition, state, wanted, words):
    look = of_job(job(**condition), [pod(state)])
    assert (look and look.verdict) == wanted
    assert words in (look.evidence if look else "")


def test_a_job_without_pods_keeps_its_verdict():
    assert of_job(job(type="Complete"), []).verdict is Verdict.PASS
    assert of_job(job(), []) is None


def test_a_late_job_hangs_or_never_started():
    assert of_late_job("Job x", job(), [pod({"running": {}})]).verdict is Verdict.FAIL
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    look = of_late_job("Job x", job(), [pod(conditions=[unscheduled])])
    assert look.verdict is Verdict.INCONCLUSIVE
    assert look.evidence == "Job x: pod tiles-verify-1-x is not scheduled: Unschedulable: 0/2 nodes"
    look = of_late_job("Job x", job(), [], ["FailedCreate: exceeded quota"])
    assert look.evidence == "Job x: no pod was created in time: FailedCreate: exceeded quota"
    suspended = of_late_job("Job x", {**job(), "spec": {"suspend": True}}, [])
    assert suspended.evidence == "Job x: no pod was created in time, as the Job is suspended"
    assert of_late_job("Job x", job(), [pod()]).evidence == "Job x: pod tiles-verify-1-x did not start in time"
