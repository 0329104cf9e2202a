"""How objects are that are waited for, as far as they tell by themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from gitcd.model.health import Around, State
from gitcd.model.live import Json

AWAITED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job"})
_LATE = "ProgressDeadlineExceeded"
_FATAL = frozenset({"Failed", "FailureTarget", "Stalled"})  # types of conditions


def has_failed(value: Json) -> bool:
    """Whether an object that is waited for will not become healthy by itself, as its status says, which was read."""
    if value.get("kind") not in AWAITED:
        return False
    conditions = (value.get("status") or {}).get("conditions") or ()
    is_said = any(
        each.get("reason") == _LATE or (each.get("type") in _FATAL and each.get("status") == "True")
        for each in conditions
    )  # so that of many objects only these are looked at closely
    return is_said and _apparent(value) is State.FAILED


def is_unwell(value: Json) -> bool:
    """Whether its status says that it is not healthy, or not yet."""
    return _apparent(value) in {State.FAILED, State.IN_PROGRESS}


def _apparent(value: Json) -> State:
    """How an object is by its status alone."""
    from gitcd.rollout.health import assess

    return assess(value, Around(), datetime.now(UTC)).state
