"""Somebody else applies the branch, as Flux would; gitcd watches, verifies, and answers by commits. It writes no workload."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitcd.model.live import Manifest
from gitcd.usecases.rollout_team import End
from tests.support.gitrollouts import GitRollouts, app, git_rollouts
from tests.support.rollouts import Rollouts

pytestmark = pytest.mark.slow

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev, applier: external}
"""


@dataclass
class Flux:
    """Applies what the branch says, again and again."""

    scene: GitRollouts

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.2):
                self.apply()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def apply(self) -> None:
        made = self.scene.remote.show("envs/dev/app/workload.yaml").decode()
        self.scene.cluster.plane.kubectl(
            "apply", "--server-side", "--field-manager=flux", "--force-conflicts", "-f", "-", stdin=made
        )


@pytest.fixture
def scene(rollouts: Rollouts, tmp_path: Path) -> GitRollouts:
    made = git_rollouts(rollouts, tmp_path, {"app": app("app", rollouts.namespace)})
    made.remote.commit({"gitcd.yaml": LAYOUT})
    Flux(made).apply()
    assert made.apply(carry=_nobody)["app"].end is End.DONE
    return made


def _nobody(manifest: Manifest) -> None:
    pytest.fail(f"{manifest.ref} is not gitcd's to write")


def test_what_arrives_and_is_healthy_is_done(scene: GitRollouts) -> None:
    with Flux(scene).running():
        scene.move("1.1.0")
        assert scene.apply(carry=_nobody)["app"].end is End.DONE
    assert scene.cluster.status("app")["lastGood"]["version"] == "1.1.0"
    managers = {each["manager"] for each in _managed(scene) if not each.get("subresource")}
    assert managers == {"flux"}


def test_what_fails_is_answered_by_a_revert_that_somebody_else_applies(scene: GitRollouts) -> None:
    with Flux(scene).running():
        scene.move("bad-crash")
        assert scene.apply(carry=_nobody)["app"].end is End.ROLLED_BACK
    assert scene.in_git() == scene.cluster.live_image("app") == scene.image("1.0.0")
    assert "CrashLoopBackOff" in scene.hold().reject[0].reason
    assert scene.reconcile().is_idle


def test_what_nobody_applies_is_nobodys_fault(rollouts: Rollouts, tmp_path: Path) -> None:
    files = app("app", rollouts.namespace, timeouts={"rollout": "1s"})
    scene = git_rollouts(rollouts, tmp_path, {"app": files})
    scene.remote.commit({"gitcd.yaml": LAYOUT})
    count = scene.remote.count()
    rolled = scene.apply(carry=_nobody)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "NotApplied"
    assert scene.remote.count() == count
    assert rollouts.conditions("app")["Verified"] == ("Unknown", "NotApplied")


def _managed(scene: GitRollouts) -> list[dict[str, str]]:
    path = f"/apis/apps/v1/namespaces/{scene.cluster.namespace}/deployments/app"
    return list(scene.cluster.plane.get(path)["metadata"]["managedFields"])


def test_reconciles_all_the_while_bring_nothing_back(scene: GitRollouts) -> None:
    """No ping-pong, and no hold is lost: with whoever applies the branch, and a reconcile after the other."""
    over = threading.Event()
    commits: list[str] = []

    def reconciles() -> None:
        while not over.wait(0.3):
            commits.extend(scene.reconcile().commits)

    thread = threading.Thread(target=reconciles)
    scene.tags.move("team/app", "env-dev", "bad-crash")
    with Flux(scene).running():
        thread.start()
        try:
            while not commits:
                time.sleep(0.05)
            assert scene.apply(carry=_nobody)["app"].end is End.ROLLED_BACK
            time.sleep(2)
            assert scene.apply(carry=_nobody)["app"].end is End.IDLE
        finally:
            over.set()
            thread.join()
    assert len(commits) == 1
    assert json.loads(scene.remote.show("envs/dev/app/workload.yaml"))
    assert scene.in_git() == scene.cluster.live_image("app") == scene.image("1.0.0")
    assert len(scene.hold().reject) == 1
