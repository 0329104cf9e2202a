"""ServiceBlueGreen where somebody else applies: gitcd commits the switch, or the way back, and waits for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.applier import MANAGER, applied_by_another
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import FOLDER, Slots, slots_of

pytestmark = pytest.mark.slow

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev, applier: external}
"""


@pytest.fixture
def external(rollouts: Rollouts, tmp_path: Path) -> Slots:
    made = slots_of(rollouts, tmp_path)
    made.git.remote.commit({"gitcd.yaml": LAYOUT}, "Somebody else applies")
    with applied_by_another(made.plane, made.git.remote, FOLDER):
        assert made.git.apply()["app"].end is End.DONE
    return made


def writers(slots: Slots) -> set[str]:
    """Who owns anything of the objects of git, their controllers left aside."""
    paths = [f"/apis/apps/v1/namespaces/{slots.namespace}/deployments/app-{name}" for name in ("blue", "green")]
    paths += [f"/api/v1/namespaces/{slots.namespace}/services/{name}" for name in ("app", "preview")]
    owners = [each for path in paths for each in slots.plane.get(path)["metadata"]["managedFields"]]
    return {each["manager"] for each in owners if each.get("subresource") != "status"}


def test_the_switch_is_committed_and_everything_else_is_waited_for(external: Slots) -> None:
    external.git.move("1.1.0")
    commits = external.git.remote.count()
    with external.watched() as watch, applied_by_another(external.plane, external.git.remote, FOLDER):
        rolled = external.git.apply()["app"]
    assert rolled.end is End.DONE, rolled
    assert (external.live("git"), external.live(), external.version("green")) == ("green", "green", "1.1.0")
    assert external.git.remote.count() == commits + 1
    assert watch.outages == []
    assert writers(external) == {MANAGER}
    assert external.git.reconcile().is_idle
    assert external.git.apply()["app"].end is End.IDLE


def test_what_nobody_applies_is_said_and_not_taken_back(external: Slots) -> None:
    external.git.move("1.1.0")
    commits = external.git.remote.count()
    rolled = external.git.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert (rolled.trouble.reason, rolled.trouble.blames) == ("Timeout", False)
    assert "does not run what the commit says" in rolled.trouble.message
    assert external.git.remote.count() == commits
