"""By what the API server shows a fault of a pod, or of a Job: of a scene that has `suspects`, and all that was `seen`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.support.cells import CRASH, HOMELESS, JOB, LATER, NEVER, PULL, SLOW
from tests.support.witness import JOBS


def of_job(pod: dict[str, Any]) -> bool:
    return any(each["kind"] == "Job" for each in pod["metadata"].get("ownerReferences") or ())


def is_ready(pod: dict[str, Any]) -> bool:
    return _condition(pod, "Ready").get("status") == "True"


def _condition(value: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((each for each in value["status"].get("conditions") or () if each["type"] == kind), {})


def _containers(pod: dict[str, Any], state: str) -> list[dict[str, Any]]:
    found = pod["status"].get("containerStatuses") or ()
    return [each["state"][state] for each in found if state in each["state"]]


def _waits(reason: str) -> Callable[[Any], bool]:
    return lambda scene: any(_is_waiting(pod, reason) for pod in scene.suspects)


def _is_waiting(pod: dict[str, Any], reason: str) -> bool:
    return any(each["reason"] == reason for each in _containers(pod, "waiting"))


def _never_is_ready(scene: Any) -> bool:
    return any(_containers(pod, "running") and not is_ready(pod) for pod in scene.suspects)


def _is_slow(scene: Any) -> bool:
    return any(
        _seconds(pod["metadata"]["creationTimestamp"]) + 3 <= _seconds(started["startedAt"])
        for pod in scene.suspects
        for started in _containers(pod, "running")
    )


def _seconds(time_: str) -> float:
    return datetime.fromisoformat(time_).timestamp()


def _crashes_once_it_was_ready(scene: Any) -> bool:
    ready: set[str] = set()
    for pod in scene.suspects:
        if is_ready(pod):
            ready.add(pod["metadata"]["uid"])
        elif _is_waiting(pod, "CrashLoopBackOff") and pod["metadata"]["uid"] in ready:
            return True
    return False


def _job_fails(scene: Any) -> bool:
    return any(_condition(each, "Failed").get("status") == "True" for each in scene.seen.states(JOBS))


def _has_no_node(scene: Any) -> bool:
    return any(_condition(pod, "PodScheduled").get("reason") == "Unschedulable" for pod in scene.suspects)


SHOWN: dict[str, Callable[[Any], bool]] = {
    CRASH: _waits("CrashLoopBackOff"),
    PULL: _waits("ImagePullBackOff"),
    NEVER: _never_is_ready,
    SLOW: _is_slow,
    LATER: _crashes_once_it_was_ready,
    JOB: _job_fails,
    HOMELESS: _has_no_node,
}
