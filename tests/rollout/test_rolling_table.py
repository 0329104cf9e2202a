"""The table of RollingUpdate against a made-up cluster: pure, so every order of events is cheap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Identity, Origin, Spec
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import Strategy, Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout import rolling
from gitcd.rollout.actions import Apply, Delete, Measure
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.record import Record
from gitcd.rollout.table import Decision, Do, Failed, Finished, Wait, advance

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
NEW, OLD = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
REF = Ref("Deployment", "tiles", "tiles", "apps")
CHECK = Verify("HTTP", "answers", service="tiles", interval=timedelta(seconds=1), count=2)


def _workload(digest: str, ref: Ref = REF) -> dict[str, Any]:
    container = {"name": "tiles", "image": f"registry.example/tiles@{digest}"}
    return {
        "apiVersion": "apps/v1",
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": "1", "generation": 1},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def _release(*checks: Verify, ref: Ref = REF, **more: Any) -> Release:
    spec = Spec("registry.example/tiles", tag="prod", strategy=Strategy(verify=checks))
    manifest = Manifest(ref, "v1", _workload(NEW, ref), Origin("tiles.yaml"))
    return Release(Identity("prod", "tiles", "tiles"), spec, "v2", NEW, "c" * 40, (manifest,), **more)


@dataclass
class Cluster:
    """One workload. It becomes `fate` after some looks."""

    release: Release
    fate: State = State.CURRENT
    looks: int = 2
    live: dict[str, Any] = field(default_factory=lambda: _workload(OLD))
    record: Record = field(default_factory=Record)
    now: datetime = NOW
    measured: dict[str, list[Measurement]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=lambda: [Verdict.PASS] * 9)
    applied: int = 0

    def turn(self) -> Decision:
        decision = advance(rolling.table(self.release), self._facts())
        self.now += timedelta(seconds=1)
        if isinstance(decision, Do | Wait) and decision.step != self.record.step:
            self.record = Record("RollingUpdate", decision.step, NOW, self.now, 1, OLD, NEW, "c" * 40)
        for action in decision.actions if isinstance(decision, Do) else ():
            self._act(action)
        return decision

    def _facts(self) -> Facts:
        is_new = NEW in str(self.live)
        self.looks -= is_new
        state = self.fate if is_new and self.looks < 0 else State.IN_PROGRESS if is_new else State.CURRENT
        health = Health(REF, state, "CrashLoopBackOff" if state is State.FAILED else "", "pod tiles-1, container tiles")
        measured = {key: tuple(each) for key, each in self.measured.items()}
        return Facts(self.release, self.now, {REF: self.live}, {REF: health}, {}, measured, self.record)

    def _act(self, action: object) -> None:
        match action:
            case Apply(manifest):
                self.live, self.applied = dict(manifest.value), self.applied + 1
            case Measure(key, _, before):
                found = Measurement(self.now, self.verdicts.pop(0), "seen", before.of)
                self.measured.setdefault(key, []).append(found)
            case _:
                pytest.fail(f"{action} was not to be expected")

    def to_its_end(self) -> Decision:
        for _ in range(2000):
            decision = self.turn()
            if isinstance(decision, Finished | Failed):
                return decision
        pytest.fail("it does not end")


def test_it_applies_once_and_waits_for_health() -> None:
    cluster = Cluster(_release())
    assert cluster.to_its_end() == Finished()
    assert cluster.applied == 1


def test_what_fails_is_told_with_object_and_reason() -> None:
    decision = Cluster(_release(), fate=State.FAILED).to_its_end()
    assert isinstance(decision, Failed)
    assert decision.trouble.reason == "CrashLoopBackOff"
    assert decision.trouble.message == "pod tiles-1, container tiles"


def test_what_does_not_become_healthy_fails_when_its_time_is_over() -> None:
    decision = Cluster(_release(), looks=10_000).to_its_end()
    assert isinstance(decision, Failed)
    assert (decision.step, decision.trouble.reason, decision.trouble.blames) == ("Settle", "Timeout", True)


def test_what_is_paused_is_waited_for_without_end() -> None:
    cluster = Cluster(_release(), fate=State.SUSPENDED)
    assert all(not isinstance(cluster.turn(), Failed | Finished) for _ in range(1500))
    cluster.fate = State.CURRENT
    assert cluster.turn() == Finished()


def test_checks_follow_health() -> None:
    cluster = Cluster(_release(CHECK))
    assert cluster.to_its_end() == Finished()
    assert [len(each) for each in cluster.measured.values()] == [2]


def test_a_failed_check_blames_the_version() -> None:
    decision = Cluster(_release(CHECK), verdicts=[Verdict.FAIL] * 9).to_its_end()
    assert isinstance(decision, Failed)
    assert (decision.step, decision.trouble.reason, decision.trouble.blames) == ("Verify", "VerificationFailed", True)
    assert decision.trouble.message.endswith(" failed: seen")


def test_a_check_that_could_not_be_made_blames_nobody() -> None:
    decision = Cluster(_release(CHECK), verdicts=[Verdict.INCONCLUSIVE] * 9).to_its_end()
    assert isinstance(decision, Failed)
    assert (decision.trouble.reason, decision.trouble.blames) == ("VerificationInconclusive", False)


def test_who_goes_back_is_not_verified() -> None:
    assert [step.name for step in rolling.table(_release(CHECK, back=True)).steps] == ["Apply", "Settle"]


def test_what_somebody_else_applies_is_waited_for() -> None:
    cluster = Cluster(_release(external=True))
    assert all(isinstance(cluster.turn(), Wait) for _ in range(3))
    cluster.live = _workload(NEW)
    assert cluster.to_its_end() == Finished()
    assert cluster.applied == 0


def test_what_nobody_applies_is_not_the_fault_of_the_version() -> None:
    decision = Cluster(_release(external=True)).to_its_end()
    assert isinstance(decision, Failed)
    assert (decision.step, decision.trouble.reason, decision.trouble.blames) == ("Arrive", "NotApplied", False)


@given(
    kills=st.sets(st.integers(0, 12)),
    fate=st.sampled_from([State.CURRENT, State.FAILED]),
    verdict=st.sampled_from(list(Verdict)),
    looks=st.integers(0, 3),
    poison=st.builds(
        Record,
        st.sampled_from(["RollingUpdate", "Canary", ""]),
        st.sampled_from(["Apply", "Settle", "Verify", "Arrive", "x"]),
        st.none(),
        st.datetimes(timezones=st.just(UTC)) | st.none(),
        st.integers(0, 3),
        st.just(OLD),
        st.sampled_from([NEW, OLD]),
    ),
)
def test_killed_and_poisoned_it_ends_as_if_nothing_had_happened(
    kills: set[int], fate: State, verdict: Verdict, looks: int, poison: Record
) -> None:
    """Killed between any two turns, what was measured is forgotten; a record may hold anything."""
    undisturbed = Cluster(_release(CHECK), fate=fate, looks=looks, verdicts=[verdict] * 99)
    wanted = undisturbed.to_its_end()
    changed = {"manager": "gitcd", "time": NOW.isoformat(), "fieldsV1": {"f:spec": {"f:template": {}}}}
    live = _workload(OLD)
    live["metadata"]["managedFields"] = [changed]
    release = _release(CHECK)
    release.workloads[0].value["metadata"]["managedFields"] = [changed]  # type: ignore[index]
    cluster = Cluster(release, fate=fate, looks=looks, live=live, record=poison, verdicts=[verdict] * 99)
    for turn in range(200):
        if turn in kills:
            cluster.measured = {}
        decision = cluster.turn()
        if isinstance(decision, Finished | Failed):
            break
    assert type(decision) is type(wanted)
    if isinstance(decision, Failed) and isinstance(wanted, Failed):
        assert decision.trouble.reason == wanted.trouble.reason
    assert NEW in str(cluster.live)
    assert cluster.applied == 1


def _stateful(ready: bool, revision: str, seen: int = 1, **spec: Any) -> Facts:
    ref = replace(REF, kind="StatefulSet")
    live = _workload(NEW, ref)
    live["status"] = {"observedGeneration": seen, "updateRevision": "tiles-1"}
    live["spec"] |= spec
    owner = {"kind": "StatefulSet", "name": "tiles", "uid": "1", "apiVersion": "apps/v1", "controller": True}
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "tiles-0",
            "namespace": "tiles",
            "uid": "7",
            "resourceVersion": "9",
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [owner],
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }
    health = {ref: Health(ref, State.IN_PROGRESS)}
    return Facts(_release(ref=ref), NOW, {ref: live}, health, {ref: Around(pods=(pod,))})


STUCK = Delete(Ref("Pod", "tiles", "tiles-0"), "7", "9")


def test_a_stuck_pod_of_another_revision_is_deleted() -> None:
    facts = _stateful(ready=False, revision="tiles-0")
    assert advance(rolling.table(facts.release), facts) == Do("Settle", (STUCK,))


@pytest.mark.parametrize(
    "facts",
    [
        _stateful(ready=True, revision="tiles-0"),
        _stateful(ready=False, revision="tiles-1"),
        _stateful(ready=False, revision="tiles-0", updateStrategy={"type": "OnDelete"}),
        _stateful(ready=False, revision="tiles-0", updateStrategy={"rollingUpdate": {"partition": 1}}),
        _stateful(ready=False, revision="tiles-0", seen=0),
    ],
    ids=["it is ready", "it is of the new revision", "people delete them", "a part stays old", "nobody has looked"],
)
def test_other_pods_of_a_stateful_set_are_left_alone(facts: Facts) -> None:
    assert isinstance(advance(rolling.table(facts.release), facts), Wait)
