"""What one look says: of a Job that ran, of the status that a Service answered with, of the result of a query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitcd.model.live import Json
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Verdict

_SHOWN = 256
# Why a container waits that will not start by itself.
# Source: kubelet, pkg/kubelet/images/types.go and pkg/kubelet/container/sync_result.go.
_WILL_NOT_START = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
# Ends of a container that are no word of what ran in it.
_NO_VERDICT = frozenset({"StartError", "ContainerCannotRun", "OOMKilled"})


@dataclass(frozen=True, slots=True)
class Look:
    """`pod` and `container` are named where the last lines of that log belong to the evidence."""

    verdict: Verdict
    evidence: str
    pod: str = ""
    container: str = ""

    @classmethod
    def unclear(cls, evidence: str) -> Look:
        """Nothing could be looked at."""
        return cls(Verdict.INCONCLUSIVE, evidence)


def of_job(job: Json, pods: Sequence[Json]) -> Look | None:
    """What a Job with one pod says; None while it goes on.

    Only a container that ran to its end speaks of the version. What kept it from that is inconclusive.
    """
    name = f"Job {job['metadata']['name']}"
    conditions = _conditions(job)
    if "Complete" in conditions:
        return _ended(pods, Verdict.PASS, f"{name} succeeded")
    if failed := conditions.get("Failed"):
        return _failed(name, failed, pods)
    for pod in pods:
        for container, state in _states(pod):
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in _WILL_NOT_START:
                why = _sentence(waiting)
                evidence = f"{name}: container {container} of pod {_name(pod)} does not start: {why}"
                return Look.unclear(evidence)
    return None


def of_late_job(name: str, job: Json, pods: Sequence[Json], events: Sequence[str] = ()) -> Look:
    """A Job that is not done when the time for it is over: one that ran hangs, one that did not says nothing."""
    for pod in pods:
        running = next((container for container, state in _states(pod) if "running" in state), "")
        if running:
            evidence = f"{name} runs and did not come to an end in time"
            return Look(Verdict.FAIL, evidence, _name(pod), running)
    for pod in pods:
        if unscheduled := _conditions(pod, "False").get("PodScheduled"):
            return Look.unclear(f"{name}: pod {_name(pod)} is not scheduled: {_sentence(unscheduled)}")
    told = f": {events[-1][:_SHOWN]}" if events else ""
    what = f"pod {_name(pods[0])} did not start in time" if pods else "no pod was created in time"
    suspended = ", as the Job is suspended" if (job.get("spec") or {}).get("suspend") else ""
    return Look.unclear(f"{name}: {what}{suspended}{told}")


def of_status(verify: Verify, status: int, where: str) -> Look:
    """What the status of an answer over HTTP says."""
    if status == verify.expect:
        return Look(Verdict.PASS, f"{where} answers {status}")
    return Look(Verdict.FAIL, f"{where} answers {status}, where {verify.expect} is expected")


def of_samples(verify: Verify, samples: Iterable[tuple[Mapping[str, str], float]]) -> Look:
    """What the result of a query says: every sample has to lie within the bounds. One that is no number is none."""
    known = [(labels, value) for labels, value in samples if not math.isnan(value)]
    if not known:
        return Look(Verdict[verify.on_empty.upper()], f"the query has no result (onEmpty: {verify.on_empty})")
    bounds = _bounds(verify)
    bad = [(labels, value) for labels, value in known if not _within(verify, value)]
    if bad:
        labels, value = bad[0]
        more = f", and {len(bad) - 1} more of {len(known)}" if len(bad) > 1 else ""
        return Look(Verdict.FAIL, f"{value:g} is not {bounds}{_series(labels)}{more}")
    shown = ", ".join(f"{value:g}" for _, value in known[:3]) + (", ..." if len(known) > 3 else "")  # noqa: PLR2004
    return Look(Verdict.PASS, f"{shown} is {bounds}" if bounds else f"the query has the result {shown}")


def _within(verify: Verify, value: float) -> bool:
    return (not verify.min or value >= float(verify.min)) and (not verify.max or value <= float(verify.max))


def _bounds(verify: Verify) -> str:
    least, most = (f"at least {verify.min}" if verify.min else ""), (f"at most {verify.max}" if verify.max else "")
    return " and ".join(filter(None, (least, most)))


def _series(labels: Mapping[str, str]) -> str:
    text = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f" for {{{text[:_SHOWN]}}}" if text else ""


def _failed(name: str, condition: Mapping[str, Any], pods: Sequence[Json]) -> Look:
    if condition.get("reason") == "DeadlineExceeded":
        return Look.unclear(f"{name} was ended by its deadline, and its pod is gone")
    for pod in pods:
        for container, state in _states(pod):
            ended = state.get("terminated") or {}
            if ended.get("reason") in _NO_VERDICT:
                evidence = f"{name}: container {container} of pod {_name(pod)} could not run: {_sentence(ended)}"
                return Look(Verdict.INCONCLUSIVE, evidence, _name(pod), container)
            if ended.get("exitCode"):
                evidence = f"{name} failed with exit code {ended['exitCode']}"
                return Look(Verdict.FAIL, evidence, _name(pod), container)
    return _unknown(name, condition, pods)


def _unknown(name: str, condition: Mapping[str, Any], pods: Sequence[Json]) -> Look:
    """A failed Job of which no container says how it ended: its pod was taken away, or evicted."""
    told = next((f": {text}" for pod in pods if (text := _sentence(pod.get("status") or {}))), "")
    return Look.unclear(f"{name} failed ({_sentence(condition)}), and no container says why{told}")


def _ended(pods: Sequence[Json], verdict: Verdict, evidence: str) -> Look:
    for pod in pods:
        for container, state in _states(pod):
            if "terminated" in state:
                return Look(verdict, evidence, _name(pod), container)
    return Look(verdict, evidence)


def _conditions(value: Json, status: str = "True") -> Mapping[str, Mapping[str, Any]]:
    found = (value.get("status") or {}).get("conditions") or ()
    return {each["type"]: each for each in found if each.get("status") == status}


def _states(pod: Json) -> list[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [(each.get("name", ""), each.get("state") or {}) for each in every]


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])


def _sentence(told: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (told.get("reason"), told.get("message"))))[:_SHOWN]
