"""A canary that is killed after any of its writes ends as one that never was."""

from __future__ import annotations

from typing import Any

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.usecases.rollout_team import End
from tests.support.canaries import SMOKE, CanaryScene, RoutedScene, canary, install_routes, step
from tests.support.rollouts import Rollouts, back_to, image

pytestmark = pytest.mark.slow

_MOST = 60  # writes of one rollout
_FEW = 4
_NEVER = 1_000_000


class Killed(BaseException):
    """What SIGKILL is to a process: nothing is cleaned up after it."""


class _MortalApi(Api):
    """Dies right after its write of that number has reached the server."""

    left = 0

    def _send(self, request: Any, *words: Any, **how: Any) -> Any:
        answer = super()._send(request, *words, **how)
        if request.method != "GET":
            self.left -= 1
            if self.left == 0:
                raise Killed
        return answer


def mortal(rollouts: Rollouts, writes: int) -> dict[str, Any]:
    api = _MortalApi(find_access(str(rollouts.plane.admin.kubeconfig)))
    api.left = writes
    objects = Objects(api)
    return {"objects": objects, "carry": lambda manifest: objects.apply(manifest, force=True)}


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
