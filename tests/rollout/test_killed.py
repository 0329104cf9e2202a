"""SIGKILL at every write of a rollout: the next run ends where one would that was never killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.support.canaries import canary, meanwhile, step
from tests.support.gitrollouts import app
from tests.support.lives import FOLDER, Lives, lives
from tests.support.rollouts import Rollouts
from tests.support.scenes import HOST
from tests.support.slotrollouts import slot_files

pytestmark = pytest.mark.slow

_MOST = 60  # writes of one rollout
SMOKE = {"kind": "Image", "image": f"{HOST}/team/smoke", "tag": "1", "interval": "0s", "count": 2}


def killed_everywhere(found: Lives, kind: str, *, least: int, first: int = 1, before: int = 0) -> None:
    """Take another version live for each write of a run, and kill the run there: what is left is always the same.

    At `least` so many writes there are. `first` is the one to begin with: what fails does the same as what goes live
    until it has failed. `before` is how many rollouts it takes until each begins with the same as the one before it.
    """
    versions = (kind.format(number) for number in range(1, _MOST))
    with found.applied():
        for _ in range(before):
            found.move(next(versions))
            found.apply()
        found.move(next(versions))
        whole = found.apply()
        expected = found.left()
        for number in range(first, _MOST):
            found.move(next(versions))
            killed = found.apply(dies=number)
            if killed.status != -signal.SIGKILL:
                break
            again = found.apply()
            assert again.status in {0, whole.status}, (number, again.err)
            assert found.left() == expected, number
        assert number > least
        assert (killed.status, found.left()) == (whole.status, expected)
        assert found.apply().status == 0
        assert found.apply(dies=1).status == 0, "there is nothing left to write"


def remembering(files: dict[str, bytes], **spec: Any) -> dict[str, bytes]:
    """The same, with a history that forgets nothing, and more besides in the declaration."""
    path = f"{FOLDER}/cv.yaml"
    declaration = json.loads(files[path])
    declaration["spec"] |= {"history": {"limit": 100}, **spec}
    return {**files, path: json.dumps(declaration, indent=2).encode()}


def test_a_rolling_update_that_goes_live(rollouts: Rollouts, tmp_path: Path) -> None:
    with lives(rollouts, tmp_path, remembering(app("app", rollouts.namespace))) as found:
        killed_everywhere(found, "1.{}.0", least=4)


def test_a_rolling_update_that_is_taken_back(rollouts: Rollouts, tmp_path: Path) -> None:
    with lives(rollouts, tmp_path, remembering(app("app", rollouts.namespace))) as found:
        killed_everywhere(found, "bad-crash-{}", first=3, least=6)


def test_F46_slots_that_are_switched(rollouts: Rollouts, tmp_path: Path) -> None:
    with lives(rollouts, tmp_path, remembering(slot_files(rollouts.namespace, "app"))) as found:
        killed_everywhere(found, "1.{}.0", least=10, before=1)


def test_F46_slots_that_are_switched_back(rollouts: Rollouts, tmp_path: Path) -> None:
    files = remembering(slot_files(rollouts.namespace, "app", watch="6s"))
    with lives(rollouts, tmp_path, files) as found, breaking_once_live(found):
        killed_everywhere(found, "flawed-{}", first=10, least=13, before=1)


def test_a_canary_that_goes_live(rollouts: Rollouts, tmp_path: Path) -> None:
    files = remembering(app("app", rollouts.namespace), strategy=canary(step(50)))
    with lives(rollouts, tmp_path, files) as found:
        killed_everywhere(found, "1.{}.0", least=6)


def test_a_canary_that_is_taken_back(rollouts: Rollouts, tmp_path: Path) -> None:
    files = remembering(app("app", rollouts.namespace), strategy=canary(step(50)))
    with lives(rollouts, tmp_path, files) as found:
        killed_everywhere(found, "bad-crash-{}", first=3, least=7)


def test_what_somebody_else_applies_is_verified(rollouts: Rollouts, tmp_path: Path) -> None:
    files = remembering(app("app", rollouts.namespace), strategy={"verify": [SMOKE]})
    with lives(rollouts, tmp_path, files, external=True) as found:
        killed_everywhere(found, "1.{}.0", least=4)


def test_what_somebody_else_applies_is_taken_back(rollouts: Rollouts, tmp_path: Path) -> None:
    with lives(rollouts, tmp_path, remembering(app("app", rollouts.namespace)), external=True) as found:
        killed_everywhere(found, "bad-crash-{}", least=2)


@contextmanager
def breaking_once_live(found: Lives) -> Iterator[None]:
    """Have the pods of a flawed version crash as soon as the Service leads to them."""
    plane, base = found.cluster.plane, f"/api/v1/namespaces/{found.cluster.namespace}"

    def look() -> None:
        selector = plane.get(f"{base}/services/app")["spec"]["selector"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        for pod in plane.get(f"{base}/pods?labelSelector={labels}")["items"]:
            is_flawed = ":flawed-" in pod["spec"]["containers"][0]["image"]
            if is_flawed and pod["status"].get("containerStatuses") and "CrashLoopBackOff" not in str(pod["status"]):
                path = f"{base}/pods/{pod['metadata']['name']}/status"
                with suppress(HTTPError):  # it is gone by now
                    plane.request("PATCH", path, {"status": _crashing(pod["status"])}, kind="merge-patch+json")

    with meanwhile(look, 0.05):
        yield


def _crashing(status: dict[str, Any]) -> dict[str, Any]:
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    unready = {"Ready", "ContainersReady"}
    return {
        "containerStatuses": [
            {**each, "ready": False, "state": waits, "lastState": ended} for each in status["containerStatuses"]
        ],
        "conditions": [
            {**each, "status": "False"} if each["type"] in unready else each for each in status["conditions"]
        ],
    }
