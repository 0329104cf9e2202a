"""Which fault in which step of which strategy is played, how it ends, and which cannot be; cellplay.py plays them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.support.canaries import step
from tests.support.scenes import HOST

ROLLING, CANARY = "RollingUpdate", "Canary"
GITCD, EXTERNAL = "gitcd", "external"
CRASH, PULL, NEVER, SLOW = "crash loop", "image pull error", "never ready", "slow"
LATER, JOB, HOMELESS = "ready, then crash", "failing Job", "unschedulable"
FAULTS = (CRASH, PULL, NEVER, SLOW, LATER, JOB, HOMELESS)
LIVE, BACK, STAYS = "goes live", "goes back", "stays as it is"

SMOKE = f"{HOST}/team/smoke"

Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Cell:
    """A step of a table and a fault in it, how it ends, and what makes it so.

    Where a step verifies, it is the pod of its check that has the fault, and with `LATER` the version that is checked.
    `reason` is why it fails. `version` and `check` are tags of images, which behave as they are called: that of the new
    version, and that of the last check, where there is one. `steps` are those of a canary; `routed`: an HTTPRoute
    divides its traffic. `always` is what the workload says besides from the start, `new` what somebody commits together
    with the new version. `narrow`: no node has room for what does not say that it needs little. `left` is the tag that
    runs in the copy that an earlier canary has left. `dies`: the run is killed right before its write of that kind (see
    `dying`), and goes on once the fault shows. `fails_at` is the step that finds it, where that is another one. Not
    `spares`: the new version breaks when it alone is left, so that nobody can keep its Service from being out until the
    old one is back.
    """

    strategy: str
    applier: str
    step: str
    fault: str
    ending: str = BACK
    reason: str = ""
    version: str = "1.1.0"
    check: str = ""
    steps: tuple[dict[str, Any], ...] = ()
    pods: int = 1
    always: tuple[Change, ...] = ()
    new: tuple[Change, ...] = ()
    rollout: str = "20s"
    verify: str = "20s"
    narrow: bool = False
    dies: str = ""
    left: str = ""
    routed: bool = False
    fails_at: str = ""
    spares: bool = True

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.strategy, self.applier, self.step, self.fault

    @property
    def is_external(self) -> bool:
        return self.applier == EXTERNAL

    def __str__(self) -> str:
        return ", ".join(self.key)


def numberless(step: str) -> str:
    """The name of a step as rows are called: there is one for all weights, and one for all pauses."""
    return re.sub(r"\d+$", "N", step)


# What a workload may say besides


def alone(value: dict[str, Any]) -> None:
    """No two pods on one node: of which there are two."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "app"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    value["spec"]["template"]["spec"]["affinity"] = affinity


def in_place(value: dict[str, Any]) -> None:
    """A new pod comes when an old one has gone."""
    value["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def tracked(value: dict[str, Any]) -> None:
    """Its pods are told from those of a copy, as a route needs it."""
    for each in (value["spec"]["selector"]["matchLabels"], value["spec"]["template"]["metadata"]["labels"]):
        each["gitcd.io/track"] = "stable"


def patient(seconds: int) -> Change:
    """A pod counts as available once it has been ready for so long."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["minReadySeconds"] = seconds

    return change


def small(value: dict[str, Any]) -> None:
    """It asks for little itself, so that what a namespace gives those who ask for nothing is not for it."""
    value["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1m"}}


def replicas(number: int) -> Change:
    def change(value: dict[str, Any]) -> None:
        value["spec"]["replicas"] = number

    return change


def smoke(tag: str) -> dict[str, Any]:
    """A check that runs an image once."""
    return {"kind": "Image", "name": "smoke", "image": SMOKE, "tag": tag, "interval": "0s"}


# Rolling updates


def rolls(fault: str, version: str, reason: str, **more: object) -> Cell:
    return Cell(ROLLING, GITCD, "Settle", fault, reason=reason, version=version, **more)


def is_verified(fault: str, check: str, ending: str, reason: str, **more: object) -> Cell:
    return Cell(ROLLING, GITCD, "Verify", fault, ending, reason, check=check, **more)


def clears(fault: str, left: str, **more: object) -> Cell:
    """The copy of an earlier canary goes, whatever it suffers from."""
    return Cell(ROLLING, GITCD, "Clear", fault, LIVE, left=left, **more)


_CLEARING = (
    clears(CRASH, "bad-crash"),
    clears(PULL, "bad-pull"),
    clears(NEVER, "bad-never"),
    clears(SLOW, "slow"),
    clears(LATER, "bad-later"),
    clears(HOMELESS, "0.9.0", pods=2, always=(alone, in_place)),
)
_ROLLING = (
    rolls(CRASH, "bad-crash", "CrashLoopBackOff"),
    rolls(PULL, "bad-pull", "ImagePullBackOff"),
    rolls(NEVER, "bad-never", "Timeout", rollout="3s"),
    rolls(SLOW, "slow", "", ending=LIVE),
    rolls(LATER, "bad-later", "CrashLoopBackOff", new=(patient(7),)),
    rolls(HOMELESS, "1.1.0", "Unschedulable", pods=2, always=(alone,)),
    is_verified(CRASH, "bad-crash", STAYS, "VerificationInconclusive"),
    is_verified(PULL, "bad-pull", STAYS, "VerificationInconclusive"),
    is_verified(NEVER, "bad-never", BACK, "VerificationFailed", verify="4s"),
    is_verified(SLOW, "slow", LIVE, ""),
    is_verified(LATER, "bad-never", BACK, "CrashLoopBackOff", version="bad-later", fails_at="Settle", spares=False),
    is_verified(JOB, "bad-job", BACK, "VerificationFailed"),
    is_verified(HOMELESS, "1.0.0", STAYS, "VerificationInconclusive", verify="2s", always=(small,), narrow=True),
)
# Canaries

HALF = (step(50),)


def weight(fault: str, version: str, reason: str, **more: object) -> Cell:
    """One pod of the copy beside one of the Deployment."""
    return Cell(CANARY, GITCD, "WeightN", fault, reason=reason, version=version, steps=HALF, **more)


def later(where: str, version: str, **more: object) -> Cell:
    """What was ready crashes while a step waits, or between the death of one run and the next one."""
    more = {"steps": HALF, "fails_at": "WeightN", **more}
    return Cell(CANARY, GITCD, where, LATER, version=version, reason="CrashLoopBackOff", **more)


def checked(fault: str, check: str, ending: str, reason: str, **more: object) -> Cell:
    """A check of the first step."""
    return Cell(CANARY, GITCD, "VerifyN", fault, ending, reason, steps=(step(50, "0s", smoke(check)),), **more)


def settle(fault: str, version: str, reason: str, **more: object) -> Cell:
    """The copy was well, and the Deployment is not once it has the image."""
    return Cell(CANARY, GITCD, "Settle", fault, version=version, reason=reason, steps=HALF, **more)


def verify(fault: str, check: str, ending: str, reason: str, **more: object) -> Cell:
    """A check after all steps, when the copy is gone."""
    return Cell(CANARY, GITCD, "Verify", fault, ending, reason, check=check, steps=HALF, **more)


_CANARY = (
    weight(CRASH, "bad-crash", "CrashLoopBackOff"),
    weight(PULL, "bad-pull", "ImagePullBackOff"),
    weight(NEVER, "bad-never", "Timeout", rollout="3s"),
    weight(SLOW, "slow", "", ending=LIVE),
    weight(LATER, "bad-later", "CrashLoopBackOff", new=(patient(20),)),
    weight(HOMELESS, "1.1.0", "Unschedulable", pods=2, always=(alone,)),
    later("PauseN", "bad-later", steps=(step(50, "20s"),)),
    later("ApprovalN", "bad-later", steps=(step(50, "Approval"),)),
    checked(CRASH, "bad-crash", STAYS, "VerificationInconclusive"),
    checked(PULL, "bad-pull", STAYS, "VerificationInconclusive"),
    checked(NEVER, "bad-never", BACK, "VerificationFailed", verify="4s"),
    checked(SLOW, "slow", LIVE, ""),
    checked(LATER, "bad-never", BACK, "CrashLoopBackOff", version="bad-later", fails_at="WeightN"),
    checked(JOB, "bad-job", BACK, "VerificationFailed"),
    checked(HOMELESS, "1.0.0", STAYS, "VerificationInconclusive", verify="2s", always=(small,), narrow=True),
    later("Promote", "bad-later", dies="promote"),
    settle(CRASH, "bad-crash-full", "CrashLoopBackOff"),
    settle(PULL, "bad-pull-full", "ImagePullBackOff"),
    settle(NEVER, "bad-never-full", "Timeout", rollout="3s"),
    settle(SLOW, "slow-full", "", ending=LIVE),
    settle(LATER, "bad-later-full", "CrashLoopBackOff", pods=2, new=(patient(3),)),
    settle(HOMELESS, "1.1.0", "Unschedulable", always=(alone,)),
    later("Restore", "bad-later-full", dies="restore", routed=True, always=(tracked,), fails_at="Settle", spares=False),
    later("Clean", "bad-later-full", dies="delete", fails_at="Settle"),
    verify(CRASH, "bad-crash", STAYS, "VerificationInconclusive"),
    verify(PULL, "bad-pull", STAYS, "VerificationInconclusive"),
    verify(NEVER, "bad-never", BACK, "VerificationFailed", verify="4s"),
    verify(SLOW, "slow", LIVE, ""),
    verify(LATER, "bad-never", BACK, "CrashLoopBackOff", version="bad-later", fails_at="Settle", spares=False),
    verify(JOB, "bad-job", BACK, "VerificationFailed"),
    verify(HOMELESS, "1.0.0", STAYS, "VerificationInconclusive", verify="2s", always=(small,), narrow=True),
)


CELLS = (*_CLEARING, *_ROLLING, *(replace(each, applier=EXTERNAL) for each in _ROLLING), *_CANARY)

_NEW = "no pod has the new image before the one write of the step, which ends it"
_WELL = "it is not reached before all pods are ready, so that what is left to them is to crash"
_NO_CHECK = "no Job runs but for the checks of a step"
_IMPATIENT = (CRASH, PULL, NEVER, SLOW, HOMELESS)
# (strategy, applier, step): why there is no cell for which faults
CANNOT: dict[tuple[str, str, str], dict[str, tuple[str, ...]]] = {
    (ROLLING, GITCD, "Apply"): {_NEW: FAULTS},
    (ROLLING, EXTERNAL, "Arrive"): {_NEW: FAULTS},
    (ROLLING, GITCD, "Clear"): {_NO_CHECK: (JOB,)},
    (CANARY, EXTERNAL, "Begin"): {"it is refused before anything is done": FAULTS},
    **{(ROLLING, applier, "Settle"): {_NO_CHECK: (JOB,)} for applier in (GITCD, EXTERNAL)},
    **{(CANARY, GITCD, each): {_NO_CHECK: (JOB,)} for each in ("WeightN", "Settle")},
    **{
        (CANARY, GITCD, each): {_WELL: _IMPATIENT, _NO_CHECK: (JOB,)}
        for each in ("PauseN", "ApprovalN", "Promote", "Restore", "Clean")
    },
}
