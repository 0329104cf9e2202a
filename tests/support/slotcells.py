"""Which fault in which step of ServiceBlueGreen is played, how it ends, and which cannot be; slotplay.py plays them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.cells import (
    BACK,
    CRASH,
    EXTERNAL,
    FAULTS,
    GITCD,
    HOMELESS,
    JOB,
    LATER,
    LIVE,
    NEVER,
    PULL,
    SLOW,
    STAYS,
    Cell,
    alone,
    patient,
    small,
)

SLOTS = "ServiceBlueGreen"


@dataclass(frozen=True)
class SlotCell(Cell):
    """As the cells of other strategies; `new` is committed to the idle slot.

    `dies`: the run is killed when it says something like that, right before it does it, and goes on once the fault shows. `watch` is how long the new slot is watched. `switched`: git is switched before the fault is found. `astray`:
    the Service for verification leads elsewhere at first. `then` is a version that is committed while no run goes on.
    """

    watch: str = "0s"
    switched: bool = False
    astray: bool = False
    then: str = ""


def settles(applier: str, fault: str, version: str, reason: str, **more: object) -> SlotCell:
    return SlotCell(SLOTS, applier, "Settle", fault, reason=reason, version=version, **more)


def checks(applier: str, fault: str, check: str, ending: str, reason: str, **more: object) -> SlotCell:
    return SlotCell(SLOTS, applier, "Verify", fault, ending, reason, check=check, **more)


def crashes(applier: str, where: str, **more: object) -> SlotCell:
    """What was ready crashes, while a step waits or between the death of one run and the next one."""
    more = {"reason": "CrashLoopBackOff", "fails_at": "Settle", **more}
    return SlotCell(SLOTS, applier, where, LATER, version="bad-later", **more)


def _of(applier: str) -> tuple[SlotCell, ...]:
    """What is played whoever applies."""
    return (
        settles(applier, CRASH, "bad-crash", "CrashLoopBackOff"),
        settles(applier, PULL, "bad-pull", "ImagePullBackOff"),
        settles(applier, NEVER, "bad-never", "Timeout", rollout="3s"),
        settles(applier, SLOW, "slow", "", ending=LIVE),
        settles(applier, LATER, "bad-later", "CrashLoopBackOff", new=(patient(20),)),
        settles(applier, HOMELESS, "1.1.0", "Unschedulable", pods=2 if applier == GITCD else 1, always=(alone,)),
        checks(applier, CRASH, "bad-crash", STAYS, "VerificationInconclusive"),
        checks(applier, PULL, "bad-pull", STAYS, "VerificationInconclusive"),
        checks(applier, NEVER, "bad-never", BACK, "VerificationFailed", verify="3s"),
        checks(applier, SLOW, "slow", LIVE, ""),
        checks(applier, LATER, "bad-never", BACK, "CrashLoopBackOff", version="bad-later", fails_at="Settle"),
        checks(applier, JOB, "bad-job", BACK, "VerificationFailed"),
        checks(
            applier, HOMELESS, "1.0.0", STAYS, "VerificationInconclusive", verify="2s", always=(small,), narrow=True
        ),
        crashes(applier, "Commit", dies="^commit the switch$"),
        crashes(applier, "Watch", watch="20s", switched=True, spares=False, fails_at="Watch"),
    )


CELLS = (
    *_of(GITCD),
    crashes(GITCD, "Preview", astray=True, dies="^switch Service .*/preview$"),
    crashes(GITCD, "Switch", switched=True, dies="^switch Service .*/app$"),
    crashes(GITCD, "Rest", switched=True, spares=False, dies="^scale Deployment .*/app-blue to 0$"),
    crashes(GITCD, "Follow", ending=STAYS, reason="LiveSlotNotReady", switched=True, dies="^switch Service .*/app$", then="1.2.0",
            fails_at="Follow", rollout="3s"),
    *_of(EXTERNAL),
    crashes(EXTERNAL, "Switch", switched=True, spares=False, dies="^Switch"),
)  # fmt: skip

_NEW = "no pod has the new image before the write that ends the step"
_WELL = "it is not reached before all pods are ready, so that what is left to them is to crash"
_NO_CHECK = "no Job runs but for the checks of a step"
_NOT_OURS = "whoever applies brings all of a commit at once, and gitcd waits for nothing there"
_IMPATIENT = (CRASH, PULL, NEVER, SLOW, HOMELESS)
_LATE = ("Follow", "Preview", "Commit", "Switch", "Watch", "Rest")
# (strategy, applier, step): why there is no cell for which faults
CANNOT: dict[tuple[str, str, str], dict[str, tuple[str, ...]]] = {
    **{(SLOTS, applier, "Prepare"): {_NEW: FAULTS} for applier in (GITCD, EXTERNAL)},
    **{(SLOTS, applier, "Settle"): {_NO_CHECK: (JOB,)} for applier in (GITCD, EXTERNAL)},
    **{
        (SLOTS, applier, step): {_WELL: _IMPATIENT, _NO_CHECK: (JOB,)}
        for applier in (GITCD, EXTERNAL)
        for step in _LATE
    },
}
for _step in ("Follow", "Preview", "Rest"):
    CANNOT[SLOTS, EXTERNAL, _step] = {**CANNOT[SLOTS, EXTERNAL, _step], _NOT_OURS: (LATER,)}
