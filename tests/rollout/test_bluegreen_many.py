"""Several applications with two slots, switched in one run: every one by a commit of its own, and none is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.gitrollouts import git_rollouts
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import slot_files

pytestmark = pytest.mark.slow


def test_several_are_switched_in_one_run(rollouts: Rollouts, tmp_path: Path) -> None:
    names = ("app", "shop", "till")
    scene = git_rollouts(rollouts, tmp_path, {name: slot_files(rollouts.namespace, name) for name in names})
    scene.apply()
    for name in names:
        scene.tags.move(f"team/{name}", "env-dev", "1.1.0")
    scene.reconcile()
    commits = scene.remote.count()
    rolled = scene.apply()
    assert {each.end for each in rolled.values()} == {End.DONE}
    assert scene.remote.count() == commits + len(names)
    for name in names:
        data: dict[str, Any] = json.loads(scene.remote.show(f"envs/dev/{name}/{name}.yaml"))
        assert data["spec"]["selector"]["slot"] == "green"
    assert {each.end for each in scene.apply().values()} == {End.IDLE}
