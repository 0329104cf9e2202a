"""A canary that is killed after any of its writes ends as one that never was."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import Question
from tests.support.canaries import SMOKE, CanaryScene, RoutedScene, canary, install_routes, step
from tests.support.containerversions import BASE
from tests.support.mortal import Killed, mortal
from tests.support.rollouts import Rollouts, back_to, image

pytestmark = pytest.mark.slow

_MOST = 60  # writes of one rollout
_FEW = 4
_NEVER = 1_000_000


def test_killed_after_every_write_it_goes_live(rollouts: Rollouts) -> None:
    """Another version for every third write after which a run may die; the run after it is not disturbed."""
    scene = CanaryScene(rollouts, canary(step(30, "0s", SMOKE), step(50)))
    scene.begin()
    versions = (f"1.{number}.0" for number in range(1, _MOST))
    with scene.watched():
        for writes, version in zip(range(1, _MOST, 3), versions, strict=False):
            new = scene.release(version)
            try:
                ended = scene.roll(new, **mortal(rollouts, writes)).end
            except Killed:
                again = scene.roll(new)
                assert again.end in {End.DONE, End.IDLE}, (writes, again)
            else:
                assert ended is End.DONE
                break
            assert scene.copy_is_gone
            assert rollouts.live_image("app") == image("app", version)
            assert "rollout" not in rollouts.status("app")
    assert writes > 10
    assert {result for _, result in rollouts.history("app")} == {"Succeeded"}


def test_killed_again_and_again_it_goes_live(rollouts: Rollouts) -> None:
    """No run makes more than a few writes; a check that ran before is asked for again, which is one of them."""
    scene = CanaryScene(rollouts, canary(step(30, "0s", SMOKE), step(50)))
    scene.begin()
    new, lives = scene.release("1.1.0"), 0
    with scene.watched():
        for _ in range(_MOST):
            lives += 1
            try:
                ended = scene.roll(new, **mortal(rollouts, _FEW)).end
            except Killed:
                continue
            break
    assert lives > 3
    assert ended in {End.DONE, End.IDLE}
    assert scene.copy_is_gone
    assert rollouts.live_image("app") == image("app", "1.1.0")


def test_a_pause_goes_on_while_no_run_looks(rollouts: Rollouts) -> None:
    scene = CanaryScene(rollouts, canary(step(50, "3s")))
    scene.begin()
    new = scene.release("1.1.0")
    said: list[str] = []
    with scene.watched():
        while (rollouts.status("app").get("rollout") or {}).get("step") != "Pause1":
            assert scene.roll(new, seconds=0.5).end is End.PROGRESSING
        time.sleep(3)
        assert scene.roll(new, tell=lambda _, text: said.append(text)).end is End.DONE
    assert not any("Pause1" in each for each in said)
    assert rollouts.live_image("app") == image("app", "1.1.0")


def test_a_retreat_that_was_begun_is_ended_though_the_checks_would_pass_now(rollouts: Rollouts) -> None:
    scene = CanaryScene(rollouts, canary(step(50, "0s", SMOKE)))
    first = scene.begin()
    new = scene.release("1.1.0")

    def dies(*_: Any) -> Any:
        raise Killed

    def fails(question: Question) -> Measurement:
        return Measurement(question.now, Verdict.FAIL, "exit code 1")

    with scene.watched():
        with pytest.raises(Killed):
            scene.roll(new, check=fails, take_back=dies)
        assert rollouts.status("app")["rollout"]["step"] == "Retreat"
        assert scene.deployment("app-canary")["spec"]["replicas"] == 0
        rolled = scene.roll(new, take_back=back_to(first))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert (rolled.trouble.reason, rolled.trouble.blames) == ("VerificationFailed", True)
    assert "exit code 1" in rolled.trouble.message
    assert scene.copy_is_gone
    assert rollouts.live_image("app") == image("app", "1.0.0")
    assert rollouts.history("app")[1] == (new.digest, "RolledBack")


def test_T31_a_record_of_a_retreat_takes_nothing_back_by_itself(rollouts: Rollouts) -> None:
    scene = CanaryScene(rollouts, canary(step(50)))
    scene.begin()
    new = scene.release("1.1.0")
    said = {"strategy": "Canary", "step": "Retreat", "newDigest": new.digest, "startedAt": "2026-01-01T00:00:00Z"}
    path = f"{BASE}/namespaces/{rollouts.namespace}/containerversions/app/status"
    rollouts.plane.request("PATCH", path, {"status": {"rollout": said}}, kind="merge-patch+json")
    with scene.watched():
        assert scene.roll(new).end is End.DONE
    assert rollouts.live_image("app") == image("app", "1.1.0")


def test_killed_on_the_way_back_it_goes_back(rollouts: Rollouts) -> None:
    install_routes(rollouts.plane)
    route = {"name": "app", "stableService": "app-stable", "canaryService": "app-canary"}
    scene = RoutedScene(rollouts, canary(step(50, "0s", {**SMOKE, "tag": "bad-job"}), httpRoute=route))
    back = {"take_back": back_to(scene.begin())}
    whole = mortal(rollouts, _NEVER)
    with scene.watched(), scene.gateway():
        assert scene.roll(scene.release("1.0.1"), **back, **whole).end is End.ROLLED_BACK
        writes = _NEVER - whole["objects"].api.left
        for number in range(writes - _FEW, writes):
            bad = scene.release(f"1.{number}.0")
            with pytest.raises(Killed):
                scene.roll(bad, **back, **mortal(rollouts, number))
            rolled = scene.roll(bad, **back)
            assert rolled.end in {End.ROLLED_BACK, End.DONE, End.IDLE}, (number, rolled)
            assert scene.copy_is_gone
            assert scene.weights[-1] == (100, 0)
            assert rollouts.live_image("app") == image("app", "1.0.0")
