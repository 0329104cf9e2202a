"""From the outcome of a run to the status of a ContainerVersion, and to the event that tells of the change.

The conditions are those of kstatus. Ready is True where git says what people want it to say, be it what the tag names,
or what a hold or a suspension keeps; Reconciling where gitcd will go on by itself; Stalled where a person has to act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gitcd import redact
from gitcd.model import times
from gitcd.model.plan import BROKEN, CHANGING, Outcome, OutcomeKind, Resolved
from gitcd.model.reference import short
from gitcd.model.status import MAX_MESSAGE

CURRENT = "Current"
_SETTLED = CHANGING | {
    OutcomeKind.CURRENT,
    OutcomeKind.HELD,
    OutcomeKind.FROZEN,
    OutcomeKind.SUSPENDED,
    OutcomeKind.PROMOTED,
}
_MAX_NOTE = 1024  # bytes of an event's note, as the API server counts them

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """What an event says."""

    type: Literal["Normal", "Warning"]
    reason: str
    text: str


def status_of(outcome: Outcome, generation: int, present: Mapping[str, Any], now: datetime) -> Status | None:
    """The status after a run that ended so; None where what is present says the same.

    `generation` is that of the object which was planned. `present` is what the object held: from it come the times of
    conditions that did not change, and while the registry is in trouble, what it said before.
    """
    status: Status = {"observedGeneration": generation, "conditions": _conditions(outcome, generation, present, now)}
    resolved = _resolved(outcome.resolved) if outcome.resolved else None
    if resolved is None and outcome.transient:
        resolved = present.get("resolved")
    if resolved:
        status["resolved"] = resolved
    wordy = outcome.transient or outcome.kind is OutcomeKind.BLOCKED  # such a message may differ in every run
    return None if _is_told(status, present, wordy=wordy) else status


def note_of(outcome: Outcome, present: Mapping[str, Any]) -> Note | None:
    """What an event tells of a changed status; None where nothing happened that anybody waits to hear of.

    `present` is the status before.
    """
    if outcome.changed:
        return Note("Normal", outcome.kind.value, _cut(_move(outcome), _MAX_NOTE))
    reason, text = _reason(outcome), _message(outcome)
    before = _by_type(present).get("Ready", {})
    if (before.get("status"), before.get("reason")) == (_ready(outcome), reason):
        return None
    if not before and reason == CURRENT:
        return None
    return Note("Warning" if outcome.kind in BROKEN else "Normal", reason, _cut(text, _MAX_NOTE))


def _conditions(
    outcome: Outcome, generation: int, present: Mapping[str, Any], now: datetime
) -> list[Mapping[str, str | int]]:
    known = _by_type(present)
    going_on = outcome.kind not in BROKEN and (outcome.transient or outcome.kind not in _SETTLED)
    states = {
        "Ready": _ready(outcome),
        "Reconciling": "True" if going_on or outcome.transient else "False",
        "Stalled": "True" if outcome.kind in BROKEN and not outcome.transient else "False",
    }
    if states["Stalled"] == "False" and _is_stalled_by_rollout(known):
        del states["Stalled"]
    common: dict[str, str | int] = {"reason": _reason(outcome), "observedGeneration": generation}
    message: dict[str, str | int] = {"message": _message(outcome)}  # said once, and again where it is bad news
    return [
        {
            **common,
            **(message if name == "Ready" or state == "True" else {}),
            "type": name,
            "status": state,
            "lastTransitionTime": _since(known.get(name, {}), state, now),
        }
        for name, state in states.items()
    ]


def _is_stalled_by_rollout(known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether it stands still for what a rollout has come to, and so till the next one, whatever is planned."""
    stalled, verified = known.get("Stalled", {}), known.get("Verified", {})
    return stalled.get("status") == "True" and bool(verified) and stalled.get("reason") == verified.get("reason")


def _ready(outcome: Outcome) -> str:
    if outcome.transient:
        return "Unknown"
    return "True" if outcome.kind in _SETTLED else "False"


def _reason(outcome: Outcome) -> str:
    """The reason; what has just been committed is from then on as current as what was before."""
    if outcome.changed or outcome.kind is OutcomeKind.CURRENT:
        return CURRENT
    if outcome.kind is OutcomeKind.PROPOSED:
        return outcome.kind.value
    return outcome.reason or outcome.kind.value


def _message(outcome: Outcome) -> str:
    if _reason(outcome) == CURRENT:
        return _cut(f"git says {_image(outcome.resolved)}", MAX_MESSAGE)
    if outcome.kind is OutcomeKind.PROPOSED:
        return _cut(f"{_move(outcome)} waits until {outcome.pull or outcome.proposal} is merged", MAX_MESSAGE)
    text = f"{outcome.message}. {outcome.remedy}" if outcome.remedy else outcome.message
    return _cut(text, MAX_MESSAGE)


def _move(outcome: Outcome) -> str:
    return f"{outcome.old or '?'} -> {_image(outcome.resolved)}"


def _image(resolved: Resolved | None) -> str:
    if resolved is None:
        return "what is wanted"
    return f"{resolved.version or resolved.tag} ({short(resolved.digest)})"


def _resolved(resolved: Resolved) -> dict[str, str]:
    pushed_at = times.shown(resolved.pushed_at)
    values = {"tag": resolved.tag, "version": resolved.version, "digest": resolved.digest, "pushedAt": pushed_at}
    return {key: value for key, value in values.items() if value}


def _since(condition: Mapping[str, Any], state: str, now: datetime) -> str:
    since = condition.get("lastTransitionTime")
    if condition.get("status") == state and isinstance(since, str) and since:
        return since
    return times.shown(now)


def _by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each.get("type", ""): each for each in status.get("conditions") or ()}


def _is_told(status: Mapping[str, Any], present: Mapping[str, Any], *, wordy: bool) -> bool:
    """Whether the present status says all of this one already, times apart; what others added to it is no matter."""
    apart = {"lastTransitionTime", "message"} if wordy else {"lastTransitionTime"}
    known = _by_type(present)
    resolved, before = status.get("resolved") or {}, present.get("resolved") or {}
    return (
        status["observedGeneration"] == present.get("observedGeneration")
        and bool(resolved) == bool(before)
        and resolved.items() <= before.items()
        and all(
            value == known.get(each["type"], {}).get(key)
            for each in status["conditions"]
            for key, value in each.items()
            if key not in apart
        )
    )


def _cut(text: str, most: int) -> str:
    """What may be shown, in so many bytes at most."""
    shown = redact.clean(text)
    data = shown.encode()
    return shown if len(data) <= most else data[: most - len("…".encode())].decode(errors="ignore") + "…"
