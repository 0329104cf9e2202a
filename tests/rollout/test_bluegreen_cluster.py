"""ServiceBlueGreen with real git on the real control plane; all that is seen is asked of git and of the API server."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from gitcd.model.live import Manifest
from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import Question
from tests.support.mortal import Killed, mortal
from tests.support.rollouts import Rollouts
from tests.support.scenes import digest
from tests.support.slotrollouts import Slots, slots_of
from tests.usecases.test_rollback import back

pytestmark = pytest.mark.slow

OLD = {
    "live": ["blue", "blue"],
    "preview": ["green", "green"],
    "blue": ["1.0.0", "1.0.0", 1],
    "green": ["1.0.0", "1.0.0", 0],
}
NEW = {
    "live": ["green", "green"],
    "preview": ["blue", "blue"],
    "blue": ["1.0.0", "1.0.0", 0],
    "green": ["1.1.0", "1.1.0", 1],
}


class Reconciling:
    """A `sleep` that has the branch reconciled about every second meanwhile, and remembers what that committed."""

    def __init__(self, slots: Slots) -> None:
        self.commits: list[str] = []
        self.rounds = 0
        self._slots = slots
        self._last = time.monotonic()

    def __call__(self, seconds: float) -> None:
        time.sleep(seconds)
        if time.monotonic() - self._last > 1:
            self._last = time.monotonic()
            self.rounds += 1
            self.commits += self._slots.git.reconcile().commits


def test_it_is_brought_up_as_git_says(slots: Slots) -> None:
    assert slots.states() == OLD
    assert slots.git.apply()["app"].end is End.IDLE


def test_a_release_is_switched_to_by_a_commit_and_no_reconcile_changes_that(rollouts: Rollouts, tmp_path: Path) -> None:
    slots = slots_of(rollouts, tmp_path, watch="3s")
    slots.git.apply()
    slots.git.move("1.1.0")
    commits, between = slots.git.remote.count(), Reconciling(slots)
    with slots.watched() as watch:
        rolled = slots.git.apply(sleep=between)["app"]
    assert rolled.end is End.DONE, rolled
    assert slots.states() == NEW
    assert watch.outages == []
    assert {each[1] for each in watch.seen} == {"blue", "green"}
    assert (between.rounds >= 2, between.commits) == (True, [])
    assert slots.git.remote.count() == commits + 1
    message = slots.git.remote.git("log", "-1", "--format=%B", "main")
    assert message.startswith("dev: switch app 1.0.0 -> 1.1.0\n")
    assert f"Gitcd-Digest: {digest('team/app:1.1.0')}" in message
    assert "Gitcd-Verb: switch" in message
    assert slots.git.reconcile().is_idle
    assert slots.git.apply()["app"].end is End.IDLE


def test_the_commit_of_a_switch_changes_two_lines(slots: Slots) -> None:
    slots.git.move("1.1.0")
    slots.git.apply()
    changed = slots.git.remote.git("show", "--format=", "--unified=0", "main").splitlines()
    assert sorted(line for line in changed if line[:1] in "+-" and line[:3] not in {"+++", "---"}) == [
        '+      "slot": "blue"',
        '+      "slot": "green"',
        '-      "slot": "blue"',
        '-      "slot": "green"',
    ]


def test_there_and_on_to_the_next(slots: Slots) -> None:
    for version, live in (("1.1.0", "green"), ("1.2.0", "blue")):
        slots.git.move(version)
        with slots.watched() as watch:
            assert slots.git.apply()["app"].end is End.DONE
        assert (slots.live(), slots.version(live), watch.outages) == (live, version, [])


@pytest.mark.usefixtures("outage")
def test_what_crashes_after_the_switch_is_switched_back_with_a_hold_in_one_commit(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    slots = slots_of(rollouts, tmp_path, watch="6s")
    slots.git.apply()
    slots.git.move("bad-later")
    commits = slots.git.remote.count()
    with slots.watched() as watch:
        rolled = slots.git.apply()["app"]
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "CrashLoopBackOff"
    assert slots.states() == {**OLD, "green": ["bad-later", "bad-later", 0]}
    assert slots.subjects()[:2] == [
        "dev: roll back app bad-later -> 1.0.0",
        "dev: switch app 1.0.0 -> bad-later",
    ]
    assert slots.git.remote.count() == commits + 2
    assert slots.git.remote.git("show", "--format=", "--name-only", "main").split() == [
        f".gitcd/holds/dev/{slots.namespace}.app.yaml",
        "envs/dev/app/app.yaml",
        "envs/dev/app/preview.yaml",
    ]
    assert all(name == "green" for _, name, _ in watch.outages)  # while it crashed, and until that was seen
    assert watch.seen[-1][1:] == ("blue", 1)
    for _ in range(2):
        assert slots.git.reconcile().is_idle
        assert slots.git.apply()["app"].end is End.IDLE
    slots.git.move("1.1.0")
    assert slots.git.apply()["app"].end is End.DONE
    assert slots.states() == NEW


@pytest.mark.parametrize(("verdict", "end"), [(Verdict.FAIL, End.ROLLED_BACK), (Verdict.INCONCLUSIVE, End.FAILED)])
def test_what_does_not_pass_its_verification_is_never_switched_to(
    rollouts: Rollouts, tmp_path: Path, verdict: Verdict, end: End
) -> None:
    verify = [{"kind": "HTTP", "service": "preview", "interval": "0s"}]
    slots = slots_of(rollouts, tmp_path, verify=verify)
    slots.git.apply()
    slots.git.move("1.1.0")
    asked: list[tuple[str, str]] = []

    def check(question: Question) -> Measurement:
        asked.append((slots.live(), slots.live(name="preview")))
        return Measurement(question.now, verdict, "seen")

    with slots.watched() as watch:
        assert slots.git.apply(check=check)["app"].end is end
    assert asked == [("blue", "green")]
    assert {each[1] for each in watch.seen} == {"blue"}
    assert slots.live("git") == "blue"


def test_the_old_slot_stays_for_its_delay_and_a_later_run_ends_it(rollouts: Rollouts, tmp_path: Path) -> None:
    slots = slots_of(rollouts, tmp_path, scaleDownDelay="6s")
    slots.git.apply()
    slots.git.move("1.1.0")
    assert slots.git.apply()["app"].end is End.DONE
    assert (slots.live(), slots.replicas("blue")) == ("green", 1)
    time.sleep(6)
    assert slots.git.apply()["app"].end is End.DONE
    assert slots.states() == NEW
    assert slots.git.apply()["app"].end is End.IDLE


@pytest.mark.usefixtures("outage")
def test_a_service_switched_by_hand_stops_everything_and_is_said(slots: Slots) -> None:
    slots.git.move("1.1.0")
    path = f"/api/v1/namespaces/{slots.namespace}/services/app?fieldManager=kubectl-edit"
    slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": "green"}}}, kind="merge-patch+json")
    commits = slots.git.remote.count()
    rolled = slots.git.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Drift"
    assert slots.live() == "green"
    assert slots.git.remote.count() == commits
    slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": "blue"}}}, kind="merge-patch+json")
    carry = Writer(slots.git.cluster.objects, "dev").carry  # which takes nothing from those who own it
    assert slots.git.apply(carry=carry)["app"].end is End.DONE
    assert slots.states() == NEW


@pytest.mark.usefixtures("outage")
def test_a_service_of_which_another_manager_owns_the_selector_is_not_switched_in_git_alone(slots: Slots) -> None:
    slots.git.move("1.1.0")
    path = f"/api/v1/namespaces/{slots.namespace}/services/app?fieldManager=helm"
    for slot in ("green", "blue"):
        slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": slot}}}, kind="merge-patch+json")
    commits = slots.git.remote.count()
    rolled = slots.git.apply(carry=Writer(slots.git.cluster.objects, "dev").carry)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Conflict"
    assert (slots.live("git"), slots.live(), slots.git.remote.count()) == ("blue", "blue", commits)


def test_a_hold_that_comes_before_the_switch_stops_it(slots: Slots) -> None:
    slots.git.move("1.1.0")

    def check_and_hold(seconds: float) -> None:
        time.sleep(seconds)
        if "Freeze" not in slots.subjects()[0]:
            text = b"{freeze: true, reason: wait, time: '2026-11-23T00:00:00Z'}\n"
            slots.git.remote.commit({f".gitcd/holds/dev/{slots.namespace}.app.yaml": text}, "Freeze")

    rolled = slots.git.apply(sleep=check_and_hold)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert "frozen" in rolled.trouble.message
    assert (slots.live("git"), slots.live()) == ("blue", "blue")
    slots.git.remote.commit({f".gitcd/holds/dev/{slots.namespace}.app.yaml": None}, "Go on")
    assert slots.git.apply()["app"].end is End.DONE
    assert slots.states() == NEW


def test_a_switch_that_a_person_reverts_is_carried_out_and_not_made_again(slots: Slots) -> None:
    slots.git.move("1.1.0")
    slots.git.apply()
    before = {name: slots.git.remote.show(f"envs/dev/app/{name}.yaml", "main~1") for name in ("app", "preview")}
    slots.git.remote.commit({f"envs/dev/app/{name}.yaml": data for name, data in before.items()}, "Revert it")
    with slots.watched() as watch:
        assert slots.git.apply()["app"].end is End.DONE
    assert slots.states() == {**OLD, "green": ["1.1.0", "1.1.0", 0]}
    assert watch.outages == []
    commits = slots.git.remote.count()
    slots.git.reconcile()
    assert slots.git.apply()["app"].end is End.IDLE
    assert slots.git.remote.count() == commits


def test_F46_killed_after_any_write_it_ends_like_any_other(slots: Slots) -> None:
    versions = iter(range(1, 30))
    killed = 0
    for writes in range(1, 30):
        version = f"1.{next(versions)}.0"
        slots.git.move(version)
        live, commits = slots.live(), slots.git.remote.count()
        with slots.watched() as watch:
            try:
                slots.git.apply(**mortal(slots.git.cluster, writes))
            except Killed:
                killed += 1
                assert slots.git.apply()["app"].end in {End.DONE, End.IDLE}
            else:
                break
        other = "green" if live == "blue" else "blue"
        assert (slots.live("git"), slots.live(), slots.version(other)) == (other, other, version)
        assert (slots.replicas(other), slots.replicas(live)) == (1, 0)
        assert watch.outages == []
        assert slots.git.remote.count() == commits + 1
    assert killed > 8


def test_a_switch_that_a_newer_commit_overtakes_is_carried_out_first(slots: Slots) -> None:
    """Killed between the commit and the cluster; then the next version comes into what is the idle slot of git by now."""

    def die(_: object, text: str) -> None:
        if text.startswith("switch Service"):
            raise Killed

    slots.git.move("1.1.0")
    with slots.watched() as watch:
        with pytest.raises(Killed):
            slots.git.apply(tell=die)
        assert (slots.live("git"), slots.live()) == ("green", "blue")
        slots.git.move("1.2.0")
        assert slots.version("blue", "git") == "1.2.0"
        assert slots.git.apply()["app"].end is End.DONE
    assert [each for each, _ in itertools.groupby(name for _, name, _ in watch.seen)] == ["blue", "green", "blue"]
    assert watch.outages == []
    assert slots.states()["blue"] == ["1.2.0", "1.2.0", 1]
    assert slots.git.apply()["app"].end is End.IDLE


def test_how_many_a_person_wants_is_kept_over_the_switch(slots: Slots) -> None:
    slots.plane.kubectl("scale", "deployment/app-blue", "--replicas=2", "-n", slots.namespace)
    slots.git.move("1.1.0")
    assert slots.git.apply()["app"].end is End.DONE
    assert (slots.live(), slots.replicas("green"), slots.replicas("blue")) == ("green", 2, 0)
    assert slots.git.apply()["app"].end is End.IDLE
    assert slots.replicas("green") == 2


def test_a_rollback_that_a_person_asks_for_is_switched_to(slots: Slots) -> None:
    slots.git.move("1.1.0")
    slots.git.apply()
    published = back(slots.git.remote, slots.git.tags, f"dev/{slots.namespace}/app", reason="slow", now=slots.git.now)
    assert len(published.commits) == 1
    assert slots.live("git") == "green"
    with slots.watched() as watch:
        assert slots.git.apply()["app"].end is End.DONE
    assert slots.states() == {**OLD, "green": ["1.1.0", "1.1.0", 0]}
    assert watch.outages == []
    for _ in range(2):
        assert slots.git.reconcile().commits == ()
        assert slots.git.apply()["app"].end is End.IDLE


@pytest.mark.usefixtures("outage")
def test_what_was_stopped_is_no_longer_said_once_it_is_mended(slots: Slots) -> None:
    path = f"/api/v1/namespaces/{slots.namespace}/services/app?fieldManager=kubectl-edit"
    slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": "green"}}}, kind="merge-patch+json")
    assert slots.git.apply()["app"].end is End.FAILED
    assert slots.git.cluster.conditions("app")["Stalled"] == ("True", "Drift")
    slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": "blue"}}}, kind="merge-patch+json")
    assert slots.git.apply()["app"].end is End.DONE
    assert slots.git.cluster.conditions("app") == {"Verified": ("True", "Healthy")}


def test_slots_that_name_tags_alone_are_switched_and_taken_back_all_the_same(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    slots = slots_of(rollouts, tmp_path, pin="Version")
    slots.git.apply()
    slots.git.move("1.1.0")
    assert b"@" not in slots.git.remote.show("envs/dev/app/green.yaml")
    assert slots.git.apply()["app"].end is End.DONE
    assert (slots.live("git"), slots.live(), slots.version("green")) == ("green", "green", "1.1.0")
    assert slots.git.apply()["app"].end is End.IDLE
    slots.git.move("bad-crash")
    assert slots.git.apply()["app"].end is End.ROLLED_BACK
    assert slots.live() == "green"
    (entry,) = slots.git.hold().reject
    assert entry.digest == digest("team/app:bad-crash")
    assert slots.git.reconcile().is_idle
    assert slots.git.apply()["app"].end is End.IDLE


def test_a_service_that_somebody_changes_at_that_very_moment_is_looked_at_again(slots: Slots) -> None:
    slots.git.move("1.1.0")
    writer = Writer(slots.git.cluster.objects, "dev")
    path = f"/api/v1/namespaces/{slots.namespace}/services/app"
    between: list[str] = []

    def carry(made: Manifest, version: str = "") -> None:
        if made.ref.name == "app" and len(between) < 2:
            between.append("changed")
            annotation = {"metadata": {"annotations": {"example.com/note": str(len(between))}}}
            slots.plane.request("PATCH", path, annotation, kind="merge-patch+json")
        writer.carry(made, version)

    with slots.watched() as watch:
        assert slots.git.apply(carry=carry)["app"].end is End.DONE
    assert (len(between), watch.outages) == (2, [])
    assert slots.states() == NEW
