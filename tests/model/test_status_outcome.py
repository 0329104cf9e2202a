"""From outcomes to statuses and events, without a cluster."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd import redact
from gitcd.model import schema
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import BROKEN, CHANGING, Outcome, OutcomeKind, Resolved
from gitcd.model.status import OWNED, Status
from gitcd.model.status_outcome import note_of, status_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
RESOLVED = Resolved("env-dev", "1.1.0", DIGEST, NOW)


def outcome(kind=OutcomeKind.CURRENT, **more):
    return Outcome(Identity("dev", "team", "app"), Origin("x"), kind, **{"resolved": RESOLVED, **more})


def states(status):
    return {each["type"]: each["status"] for each in status["conditions"]}


OUTCOMES = st.builds(
    outcome,
    st.sampled_from(list(OutcomeKind)),
    reason=st.sampled_from(["", "TooYoung", "Held", "TagNotFound"]),
    message=st.text(max_size=5000),
    remedy=st.sampled_from(["", "Do this."]),
    transient=st.booleans(),
    resolved=st.sampled_from([None, RESOLVED, Resolved("t", "", DIGEST)]),
)


@given(OUTCOMES, st.integers(1, 1000))
def test_a_status_is_what_the_definition_takes(each, generation):
    status = status_of(each, generation, {}, NOW)
    assert schema.validate(Status, status) == []
    assert set(status) <= set(OWNED)


@given(OUTCOMES)
def test_the_same_outcome_again_changes_nothing(each):
    status = status_of(each, 1, {}, NOW)
    assert status_of(each, 1, status, NOW + timedelta(days=1)) is None
    assert status_of(each, 2, status, NOW + timedelta(days=1)) is not None


@given(OUTCOMES)
def test_conditions_never_contradict_each_other(each):
    found = states(status_of(each, 1, {}, NOW))
    assert (found["Ready"], found["Reconciling"], found["Stalled"]) in {
        ("True", "False", "False"),
        ("False", "True", "False"),
        ("False", "False", "True"),
        ("Unknown", "True", "False"),
    }
    if each.kind in BROKEN:
        assert found["Ready"] != "True"


@given(OUTCOMES, OUTCOMES)
def test_times_change_with_the_status_of_a_condition_alone(one, other):
    before = status_of(one, 1, {}, NOW)
    after = status_of(other, 1, before, NOW + timedelta(hours=1))
    for each in (after or before)["conditions"]:
        same = states(before)[each["type"]] == each["status"]
        assert (each["lastTransitionTime"] == "2026-11-22T12:00:00Z") is same


@pytest.mark.parametrize("kind", sorted(CHANGING))
def test_what_was_committed_is_as_current_as_what_was_before(kind):
    moved = status_of(outcome(kind, reason=kind.value, old="1.0.0"), 1, {}, NOW)
    assert status_of(outcome(), 1, moved, NOW) is None


def test_a_pull_request_is_named():
    url = "https://git.example.com/atlas/config/pulls/7"
    proposed = outcome(OutcomeKind.PROPOSED, reason="Bumped", old="1.0.0", proposal="gitcd/dev", pull=url)
    ready, reconciling, _ = status_of(proposed, 1, {}, NOW)["conditions"]
    assert (ready["status"], ready["reason"], reconciling["status"]) == ("False", "Proposed", "True")
    assert ready["message"] == f"1.0.0 -> 1.1.0 ({'a' * 12}) waits until {url} is merged"
    assert note_of(proposed, {}).text == ready["message"]


def test_an_age_in_a_message_is_no_change():
    blocked = outcome(OutcomeKind.BLOCKED, reason="TooYoung", message="pushed 5m ago")
    status = status_of(blocked, 1, {}, NOW)
    assert states(status)["Reconciling"] == "True"
    later = outcome(OutcomeKind.BLOCKED, reason="TooYoung", message="pushed 9m ago")
    assert status_of(later, 1, status, NOW) is None
    failed = outcome(OutcomeKind.FAILED, reason="MatchedNothing", message="one")
    assert status_of(
        outcome(OutcomeKind.FAILED, reason="MatchedNothing", message="two"), 1, status_of(failed, 1, {}, NOW), NOW
    )


def test_while_the_registry_is_in_trouble_its_last_word_stands():
    status = status_of(outcome(), 1, {}, NOW)
    trouble = outcome(OutcomeKind.FAILED, reason="Throttled", transient=True, resolved=None)
    after = status_of(trouble, 1, status, NOW)
    assert after["resolved"] == status["resolved"]
    gone = status_of(outcome(OutcomeKind.FAILED, reason="TagNotFound", resolved=None), 1, status, NOW)
    assert "resolved" not in gone


def test_what_others_wrote_beside_is_no_change():
    status = status_of(outcome(), 1, {}, NOW)
    more = {"type": "Verified", "status": "False", "reason": "No"}
    assert status_of(outcome(), 1, {**status, "conditions": [*status["conditions"], more]}, NOW) is None


@pytest.mark.parametrize(
    "present",
    [{"conditions": [{}]}, {"conditions": None}, {"conditions": [{"type": "Ready"}], "resolved": None}, {"observedGeneration": "x"}],
)  # fmt: skip
def test_an_odd_status_is_written_over(present):
    assert status_of(outcome(), 1, present, NOW)


def test_nothing_secret_and_nothing_that_steers_a_terminal_goes_into_a_cluster():
    redact.register("correct-horse-battery")
    broken = outcome(OutcomeKind.FAILED, reason="Odd", message="correct-horse-battery \x1b[2J\udcff\u202e!")
    texts = [status_of(broken, 1, {}, NOW)["conditions"][0]["message"], note_of(broken, {}).text]
    assert texts == ["*** [2J\ufffd!"] * 2


class TestNotes:
    def test_a_bump_is_told(self):
        note = note_of(outcome(OutcomeKind.BUMPED, old="1.0.0"), {})
        assert (note.type, note.reason, note.text) == ("Normal", "Bumped", f"1.0.0 -> 1.1.0 ({'a' * 12})")

    def test_to_be_current_from_the_beginning_is_no_news(self):
        assert note_of(outcome(), {}) is None

    def test_to_be_current_again_is(self):
        broken = status_of(outcome(OutcomeKind.FAILED, reason="TagNotFound"), 1, {}, NOW)
        assert note_of(outcome(), broken).reason == "Current"

    @pytest.mark.parametrize("kind", sorted(BROKEN))
    def test_what_is_broken_is_a_warning_and_told_once(self, kind):
        broken = outcome(kind, reason="TagNotFound", message="mé" * 3000)
        note = note_of(broken, {})
        assert (note.type, len(note.text.encode())) == ("Warning", 1024)
        assert note_of(broken, status_of(broken, 1, {}, NOW)) is None


def _after_a_rollout_that_failed(present):
    """What the status holds when the writer of rollouts has said that somebody must act."""
    told = {"status": "True", "reason": "CrashLoopBackOff", "message": "pod app-1", "lastTransitionTime": "x"}
    kept = [each for each in present["conditions"] if each["type"] != "Stalled"]
    verified = {**told, "type": "Verified", "status": "False"}
    return {**present, "conditions": [*kept, verified, {**told, "type": "Stalled"}]}


def test_who_plans_leaves_alone_what_a_rollout_has_come_to():
    present = _after_a_rollout_that_failed(status_of(outcome(), 1, {}, NOW))
    assert status_of(outcome(), 1, present, NOW) is None
    moved = status_of(outcome(OutcomeKind.HELD, reason="Rejected", message="no"), 1, present, NOW)
    assert "Stalled" not in states(moved)


def test_a_plan_that_fails_is_told_whatever_a_rollout_has_come_to():
    present = _after_a_rollout_that_failed(status_of(outcome(), 1, {}, NOW))
    broken = status_of(outcome(OutcomeKind.FAILED, reason="TagNotFound", message="no"), 1, present, NOW)
    assert states(broken)["Stalled"] == "True"
    healed = status_of(outcome(), 1, {**present, "conditions": [*broken["conditions"]]}, NOW)
    assert states(healed)["Stalled"] == "False"
