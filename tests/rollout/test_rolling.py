"""RollingUpdate on the real control plane; what is seen is read from the API server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gitcd.model.live import Manifest
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import POLL
from tests.support.containerversions import BASE
from tests.support.rollouts import Rollouts, back_to, digest, image

pytestmark = pytest.mark.slow


def test_a_release_goes_live(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    (rolled,) = roll_out([rollouts.release("app", "1.0.0")], rollouts.means())
    assert rolled.end is End.DONE
    assert rollouts.live_image("app") == image("app", "1.0.0")
    status = rollouts.status("app")
    assert status["lastGood"]["digest"] == status["applied"]["digest"] == digest("1.0.0")
    assert "rollout" not in status
    assert [each["observedGeneration"] for each in status["conditions"]] == [1]
    assert "observedGeneration" not in status  # that is for who plans
    assert rollouts.history("app") == [(digest("1.0.0"), "Succeeded")]
    assert rollouts.conditions("app") == {"Verified": ("True", "Healthy")}


def test_time_counts_though_no_declaration_is_there_to_keep_it(rollouts: Rollouts) -> None:
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    bad = rollouts.release("app", "bad-never", timeouts={"rollout": "2s"})
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good), seconds=20))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Timeout"
    assert rollouts.live_image("app") == image("app", "1.0.0")


def test_T31_a_time_to_come_does_not_put_the_deadline_off(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    bad = rollouts.release("app", "bad-never", timeouts={"rollout": "3s"})
    (rolled,) = roll_out([bad], rollouts.means(seconds=1))
    assert rolled.end is End.PROGRESSING
    path = f"{BASE}/namespaces/{rollouts.namespace}/containerversions/app/status?fieldManager=gitcd-apply"
    ahead = {"status": {"rollout": {"step": "Settle", "stepStartedAt": "2099-01-01T00:00:00Z"}}}
    rollouts.plane.request("PATCH", path, ahead, kind="merge-patch+json")
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good), seconds=20))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Timeout"


def test_F45_a_crash_loop_is_taken_back_within_seconds(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    bad = rollouts.release("app", "bad-crash")
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good), seconds=20))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "CrashLoopBackOff"
    assert "container app: CrashLoopBackOff" in rolled.trouble.message
    assert rollouts.live_image("app") == image("app", "1.0.0")
    assert rollouts.history("app") == [
        (digest("1.0.0"), "Succeeded"),
        (digest("bad-crash"), "RolledBack"),
        (digest("1.0.0"), "Succeeded"),
    ]
    assert rollouts.conditions("app") == {"Verified": ("True", "Healthy")}
    assert "CrashLoopBackOff" in dict(rollouts.events("app"))


@pytest.mark.parametrize(("version", "reason"), [("bad-crash", "CrashLoopBackOff"), ("bad-pull", "ImagePullBackOff")])
def test_F45_what_a_pod_shows_is_told_at_the_next_look(rollouts: Rollouts, version: str, reason: str) -> None:
    """Within five seconds, that is: a look is taken each second, and there is one pause at most after it is shown."""
    rollouts.declare("app")
    pauses: list[tuple[float, bool]] = []

    def sleep(seconds: float) -> None:
        pods = rollouts.plane.get(f"/api/v1/namespaces/{rollouts.namespace}/pods")["items"]
        pauses.append((seconds, reason in str([pod["status"].get("containerStatuses") for pod in pods])))
        time.sleep(seconds)

    release = rollouts.release("app", version, more={"progressDeadlineSeconds": 600})
    (rolled,) = roll_out([release], rollouts.means(sleep=sleep, poll=POLL))
    assert rolled.trouble is not None
    assert rolled.trouble.reason == reason
    assert sum(is_shown for _, is_shown in pauses) <= 1
    assert max(seconds for seconds, _ in pauses) <= POLL.total_seconds() == 1


@pytest.mark.parametrize(
    ("version", "workload", "spec", "reason", "told"),
    [
        ("bad-pull", {}, {}, "ImagePullBackOff", "manifest unknown"),
        ("bad-never", {"progressDeadlineSeconds": 2}, {}, "ProgressDeadlineExceeded", "pod app-"),
        ("bad-never", {}, {"timeouts": {"rollout": "2s"}}, "Timeout", "step Settle was not done within 2s"),
    ],
    ids=["cannot pull", "is never ready", "takes too long"],
)
def test_F45_it_fails_early_and_says_why(
    rollouts: Rollouts, version: str, workload: dict[str, Any], spec: dict[str, Any], reason: str, told: str
) -> None:
    rollouts.declare("app", **spec)
    good = rollouts.release("app", "1.0.0", **spec)
    bad = rollouts.release("app", version, more=workload, **spec)
    roll_out([good], rollouts.means())
    began = time.monotonic()
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good), seconds=30))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == reason
    assert told in rolled.trouble.message
    assert time.monotonic() - began < 20
    assert rollouts.live_image("app") == image("app", "1.0.0")


def test_F45_what_cannot_be_scheduled_says_so_when_its_time_is_over(rollouts: Rollouts) -> None:
    spec = {"timeouts": {"rollout": "3s"}}
    rollouts.declare("app", **spec)
    big = rollouts.release("app", "1.0.0", cpu="1000", **spec)
    (rolled,) = roll_out([big], rollouts.means())
    assert rolled.trouble is not None
    assert (rolled.end, rolled.trouble.reason) == (End.FAILED, "Timeout")
    assert "Unschedulable" in rolled.trouble.message


def test_F49_what_others_changed_by_hand_is_left_to_them(rollouts: Rollouts) -> None:
    """Replicas that somebody set are not fought over: the rollout writes what the manifest says, and nothing else."""
    rollouts.declare("app")
    roll_out([rollouts.release("app", "1.0.0")], rollouts.means())
    path = f"/apis/apps/v1/namespaces/{rollouts.namespace}/deployments/app"
    rollouts.plane.request("PATCH", path, {"metadata": {"annotations": {"by": "hand"}}}, kind="merge-patch+json")
    (rolled,) = roll_out([rollouts.release("app", "1.1.0")], rollouts.means())
    assert rolled.end is End.DONE
    assert rollouts.plane.get(path)["metadata"]["annotations"]["by"] == "hand"


def test_a_poisoned_record_neither_fails_nor_spares_a_rollout(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    roll_out([rollouts.release("app", "1.0.0")], rollouts.means())
    release = rollouts.release("app", "1.1.0")
    poison = {
        "strategy": "RollingUpdate",
        "step": "Verify",
        "startedAt": "1970-01-01T00:00:00Z",
        "stepStartedAt": "1970-01-01T00:00:00Z",
        "newDigest": release.digest,
    }
    path = f"{BASE}/namespaces/{rollouts.namespace}/containerversions/app/status"
    rollouts.plane.request("PATCH", path, {"status": {"rollout": poison}}, kind="merge-patch+json")
    (rolled,) = roll_out([release], rollouts.means())
    assert rolled.end is End.DONE
    assert rollouts.live_image("app") == image("app", "1.1.0")


def test_F39_a_conflict_is_told_with_its_owner_and_stops_no_other(rollouts: Rollouts) -> None:
    for name in ("app", "other"):
        rollouts.declare(name)
    roll_out([rollouts.release(name, "1.0.0") for name in ("app", "other")], rollouts.means())
    path = f"/apis/apps/v1/namespaces/{rollouts.namespace}/deployments/app"
    hand = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image("app", "0.9.0")}]}}}}
    rollouts.plane.request("PATCH", f"{path}?fieldManager=hand", hand, kind="strategic-merge-patch+json")

    def carry(manifest: Manifest) -> None:
        rollouts.objects.apply(manifest)

    releases = [rollouts.release(name, "1.1.0") for name in ("app", "other")]
    refused, done = roll_out(releases, rollouts.means(carry=carry))
    assert (refused.end, done.end) == (End.REFUSED, End.DONE)
    assert refused.trouble is not None
    assert "hand" in refused.trouble.message
    assert rollouts.live_image("app") == image("app", "0.9.0")
    assert rollouts.conditions("app")["Stalled"] == ("True", "Refused")


def test_many_are_taken_live_at_a_time(rollouts: Rollouts) -> None:
    names = [f"app{number}" for number in range(12)]
    for name in names:
        rollouts.declare(name)
    rolled = roll_out([rollouts.release(name, "1.0.0") for name in names], rollouts.means())
    assert {each.end for each in rolled} == {End.DONE}
    assert {rollouts.status(name)["history"][0]["result"] for name in names} == {"Succeeded"}
