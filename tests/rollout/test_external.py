"""Somebody else applies the branch, as Flux would; gitcd watches, and it writes no workload.

What comes of faults there is in test_cells.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.applier import FLUX, hand_over, nobody, second_process
from tests.support.gitrollouts import GitRollouts, app, git_rollouts
from tests.support.rollouts import Rollouts

pytestmark = pytest.mark.slow


@pytest.fixture
def scene(rollouts: Rollouts, tmp_path: Path) -> GitRollouts:
    files = app("app", rollouts.namespace, timeouts={"rollout": "3s"})
    made = git_rollouts(rollouts, tmp_path, {"app": files})
    hand_over(made)
    assert made.apply(carry=nobody)["app"].end is End.DONE
    return made


def test_what_arrives_and_is_healthy_is_done(scene: GitRollouts) -> None:
    with second_process(scene):
        scene.move("1.1.0")
        assert scene.apply(carry=nobody)["app"].end is End.DONE
    assert scene.cluster.status("app")["lastGood"]["version"] == "1.1.0"
    managers = {each["manager"] for each in _managed(scene) if not each.get("subresource")}
    assert managers == {FLUX}


def test_what_nobody_applies_is_nobodys_fault(scene: GitRollouts) -> None:
    scene.move("1.1.0")
    count = scene.remote.count()
    rolled = scene.apply(carry=nobody)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "NotApplied"
    assert scene.remote.count() == count
    assert scene.cluster.conditions("app")["Verified"] == ("Unknown", "NotApplied")
    assert scene.cluster.live_image("app") == scene.image("1.0.0")


def _managed(scene: GitRollouts) -> list[dict[str, str]]:
    path = f"/apis/apps/v1/namespaces/{scene.cluster.namespace}/deployments/app"
    return list(scene.cluster.plane.get(path)["metadata"]["managedFields"])
