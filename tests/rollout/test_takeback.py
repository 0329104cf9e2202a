"""What fails is taken back in git and in the cluster: real git, the real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcd.errors import TransientError
from gitcd.model.live import Ref
from gitcd.model.registry import Failure
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout.facts import Release
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_measure import Measuring
from tests.support.containerversions import BASE
from tests.support.gitrollouts import GitRollouts, app, git_rollouts
from tests.support.rollouts import Rollouts
from tests.support.scenes import HOST, Tags, digest

pytestmark = pytest.mark.slow


def test_a_crash_loop_ends_with_git_and_cluster_agreeing(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")
    assert one_app.in_git() == one_app.image("bad-crash")
    count = one_app.remote.count()
    rolled = one_app.apply()["app"]
    assert rolled.end is End.ROLLED_BACK
    assert one_app.remote.count() == count + 1
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.0.0")
    (entry,) = one_app.hold().reject
    assert entry.digest == digest("team/app:bad-crash")
    assert "container app: CrashLoopBackOff" in entry.reason
    message = one_app.remote.git("log", "-1", "--format=%B", "main")
    assert "CrashLoopBackOff" in message
    assert "Gitcd-Verb: rollback" in message
    last, failed, _ = one_app.cluster.status("app")["history"]
    assert (last["result"], failed["result"]) == ("Succeeded", "RolledBack")
    assert "CrashLoopBackOff" in failed["message"]


def test_no_later_run_tries_it_again(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")
    one_app.apply()
    count = one_app.remote.count()
    for _ in range(3):
        assert one_app.reconcile().is_idle
        assert one_app.apply()["app"].end is End.IDLE
    assert one_app.remote.count() == count
    one_app.move("1.1.0")
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.1.0")


def test_a_group_goes_back_together_in_one_commit(rollouts: Rollouts, tmp_path: Path) -> None:
    group = {"strategy": {"group": "shop"}}
    apps = {name: app(name, rollouts.namespace, **group) for name in ("front", "store")}
    scene = git_rollouts(rollouts, tmp_path, apps)
    scene.apply()
    scene.tags.move("team/front", "env-dev", "1.1.0")
    scene.move("bad-crash", "store")
    count = scene.remote.count()
    rolled = scene.apply()
    assert {each.end for each in rolled.values()} == {End.ROLLED_BACK}
    assert scene.remote.count() == count + 1
    for name in ("front", "store"):
        assert scene.in_git(name) == rollouts.live_image(name) == scene.image("1.0.0", name)
        assert len(scene.hold(name).reject) == 1
        assert rollouts.status(name)["lastGood"]["digest"] == digest(f"team/{name}:1.0.0")
    assert scene.reconcile().is_idle


def test_a_check_that_fails_ends_in_a_revert_and_a_hold(rollouts: Rollouts, tmp_path: Path) -> None:
    smoke = {"kind": "Image", "name": "smoke", "image": f"{HOST}/team/smoke", "tag": "bad-job", "interval": "0s"}
    apps = {"app": app("app", rollouts.namespace, strategy={"verify": [smoke]})}
    scene = git_rollouts(rollouts, tmp_path, apps)
    scene.apply(check=lambda question: Measurement(question.now, Verdict.PASS))
    scene.move("1.1.0")
    assert scene.apply(check=Measuring(rollouts.objects).answer)["app"].end is End.ROLLED_BACK
    assert scene.in_git() == rollouts.live_image("app") == scene.image("1.0.0")
    (entry,) = scene.hold().reject
    assert entry.digest == digest("team/app:1.1.0")
    assert "check smoke failed: Job app-verify-" in entry.reason
    assert scene.reconcile().is_idle


def test_a_stateful_set_is_freed_of_the_pod_that_blocks_it(rollouts: Rollouts, tmp_path: Path) -> None:
    """Kubernetes leaves it broken even when its template is as before: kubernetes/kubernetes#67250."""
    scene = git_rollouts(rollouts, tmp_path, {"app": app("app", rollouts.namespace, "StatefulSet")})
    assert scene.apply()["app"].end is End.DONE
    scene.move("bad-crash")
    assert scene.apply()["app"].end is End.ROLLED_BACK
    pod = rollouts.objects.get(Ref("Pod", rollouts.namespace, "app-0"))
    assert pod is not None
    assert pod["spec"]["containers"][0]["image"] == scene.in_git() == scene.image("1.0.0")
    assert {each["type"]: each["status"] for each in pod["status"]["conditions"]}["Ready"] == "True"


def test_a_rollback_that_is_switched_off_reverts_nothing(rollouts: Rollouts, tmp_path: Path) -> None:
    apps = {"app": app("app", rollouts.namespace, rollback={"enabled": False})}
    scene = git_rollouts(rollouts, tmp_path, apps)
    scene.apply()
    scene.move("bad-pull")
    count = scene.remote.count()
    rolled = scene.apply()["app"]
    assert rolled.end is End.FAILED
    assert scene.remote.count() == count
    assert scene.in_git() == rollouts.live_image("app") == scene.image("bad-pull")
    assert rollouts.conditions("app") == {
        "Verified": ("False", "ImagePullBackOff"),
        "Stalled": ("True", "ImagePullBackOff"),
    }


def test_F48_that_there_is_no_way_back_is_said_before_it_begins(one_app: GitRollouts) -> None:
    one_app.tags.versions["team/app"].remove("1.0.0")
    one_app.move("bad-crash")
    said: list[str] = []
    rolled = one_app.apply(tell=lambda _, text: said.append(text))["app"]
    assert said[0].startswith("could not be taken back: ")
    assert "1.0.0" in said[0]
    assert rolled.end is End.FAILED
    assert rolled.back is not None
    assert rolled.back.refusal is not None
    assert one_app.in_git() == one_app.image("bad-crash")
    assert "it was not taken back: " in one_app.cluster.status("app")["history"][0]["message"]


def test_what_was_never_there_before_has_no_way_back(rollouts: Rollouts, tmp_path: Path) -> None:
    scene = git_rollouts(rollouts, tmp_path, {"app": app("app", rollouts.namespace)})
    scene.move("bad-crash")
    scene.tags.versions["team/app"].remove("1.0.0")
    assert scene.apply()["app"].end is End.FAILED


def test_what_moved_on_meanwhile_is_not_taken_back(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")

    moved = False

    def slow(release: Release, text: str) -> None:
        nonlocal moved
        if not moved and "apply" in text:
            moved = True
            one_app.move("1.1.0")

    assert one_app.apply(tell=slow)["app"].end is End.SUPERSEDED
    assert one_app.in_git() == one_app.image("1.1.0")
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.cluster.live_image("app") == one_app.image("1.1.0")


def test_it_goes_back_to_what_was_good_and_not_to_what_nobody_waited_for(one_app: GitRollouts) -> None:
    one_app.move("bad-never")
    one_app.move("bad-crash")
    assert one_app.apply()["app"].end is End.ROLLED_BACK
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.0.0")


def test_a_registry_in_trouble_puts_the_way_back_off(one_app: GitRollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    one_app.move("bad-crash")
    with monkeypatch.context() as patch:
        patch.setattr(Tags, "_answer", lambda *_: Failure("Unreachable", "no route to it", transient=True))
        with pytest.raises(TransientError, match="no route to it"):
            one_app.apply()
    assert one_app.in_git() == one_app.image("bad-crash")
    assert one_app.cluster.status("app")["rollout"]["newDigest"] == digest("team/app:bad-crash")
    assert one_app.apply()["app"].end is End.ROLLED_BACK
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.0.0")


def test_a_poisoned_status_takes_nothing_back(one_app: GitRollouts) -> None:
    """Whoever may write a status may stop a rollout by it, but not have a good image held off."""
    one_app.move("slow")
    failed = {"digest": digest("team/app:slow"), "result": "Failed", "finishedAt": "2026-01-01T00:00:00Z"}
    stalled = {"type": "Stalled", "status": "True", "reason": "CrashLoopBackOff", "message": "x"}
    stamp = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    path = f"{BASE}/namespaces/{one_app.cluster.namespace}/containerversions/app/status?fieldManager=gitcd-apply"
    status = {**one_app.cluster.status("app"), "history": [failed], "conditions": [{**stalled, **stamp}]}
    patch = {"metadata": {"name": "app"}, "status": status}
    one_app.cluster.plane.request("PATCH", path, patch, kind="merge-patch+json")
    count = one_app.remote.count()
    rolled = one_app.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert "waits for another image" in rolled.trouble.message
    assert (one_app.remote.count(), one_app.in_git()) == (count, one_app.image("slow"))
