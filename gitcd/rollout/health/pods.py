"""Pods: what one says about itself, and which of several to show for a workload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from gitcd.model.health import Health
from gitcd.model.live import Json, part
from gitcd.rollout.health.look import Complaint, Look, line, word
from gitcd.rollout.health.reading import condition, dig, flag, is_leaving, moment, number, objects, says, text

PATIENCE = timedelta(seconds=15)  # that kstatus grants a scheduler
_LONGEST = 256  # characters of what a kubelet says
_RETRIED = "CrashLoopBackOff"


def judge(look: Look) -> Health:
    pod = look.value
    phase = text(pod, "status", "phase")
    if phase in {"Succeeded", "Failed"} and _restarts(pod) == "Always":
        return look.failed("PodEnded", f"it ended, phase {phase}", complaint(pod, look))
    if phase == "Succeeded":
        return look.current("Succeeded")
    found = complaint(pod, look)
    if phase == "Failed":
        return look.failed("PodFailed", "it ended with an error", found)
    if found is None:
        return look.current()
    return look.blamed(found) if found.is_fatal else look.progressing(found.reason, "it is not ready", found)


def worst(pods: Iterable[Json], look: Look, *, retries_are_fatal: bool = True) -> Complaint | None:
    """The complaint to show for all of them: one that no waiting helps, else the first by name.

    `retries_are_fatal`: whether a container that is started again and again counts as one of those.
    """
    staying = sorted((each for each in pods if not is_leaving(each)), key=lambda each: text(each, "metadata", "name"))
    found = [each for each in (complaint(pod, look, retries_are_fatal=retries_are_fatal) for pod in staying) if each]
    return min(found, key=lambda each: not each.is_fatal, default=None)


def complaint(pod: Json, look: Look, *, retries_are_fatal: bool = True) -> Complaint | None:
    """What keeps a pod from being ready; None where nothing does."""
    if is_ready(pod) or text(pod, "status", "phase") == "Succeeded":
        return None
    name = text(pod, "metadata", "name")
    return next(_complaints(pod, name, look, retries_are_fatal), Complaint(name, "", "NotReady", ""))


def is_ready(pod: Json) -> bool:
    """Whether a Service sends it traffic. One whose container waits does not, whatever its condition still says."""
    return says(condition(pod, "Ready"), "True") and not any(_waits(each) for each in _containers(pod))


def _complaints(pod: Json, name: str, look: Look, retries_are_fatal: bool) -> Iterator[Complaint]:
    """All that is known against it, what weighs most first."""
    waiting = [each for each in _containers(pod) if _waits(each)]
    for status in waiting:
        reason = text(status, "state", "waiting", "reason")
        if is_error(reason):
            is_fatal = retries_are_fatal or reason != _RETRIED
            yield Complaint(
                name, text(status, "name"), word(reason), _why_waiting(status), is_fatal, _last_words(status)
            )
    yield from _unscheduled(pod, name, look)
    for status in _containers(pod):
        ended = part(status, "state", "terminated")
        if ended and number(ended, "exitCode", default=-1) != 0:
            yield Complaint(
                name,
                text(status, "name"),
                word(text(ended, "reason"), "Error"),
                _how_ended(ended),
                words=_last_words(status),
            )
    if text(pod, "status", "phase") == "Failed":
        reason = word(text(pod, "status", "reason"), "PodFailed")
        yield Complaint(name, "", reason, line(text(pod, "status", "message"), _LONGEST))
    for status in waiting:
        yield Complaint(name, text(status, "name"), word(text(status, "state", "waiting", "reason"), "Waiting"), "")
    for status in objects(pod, "status", "containerStatuses"):
        if not flag(status, "ready"):
            yield Complaint(name, text(status, "name"), "ContainerNotReady", "it runs and is not ready")


def is_error(reason: str) -> bool:
    """Whether a container that waits for this reason waits because something went wrong."""
    return reason.startswith(("Err", "Invalid")) or reason.endswith(("Error", "BackOff"))


def _unscheduled(pod: Json, name: str, look: Look) -> Iterator[Complaint]:
    scheduled = condition(pod, "PodScheduled")
    if says(scheduled, "False"):
        reason = word(text(scheduled, "reason"), "Unscheduled")
        since = moment(scheduled, "lastTransitionTime")
        is_fatal = reason == "Unschedulable" and since is not None and look.now - since > look.patience
        yield Complaint(name, "", reason, line(text(scheduled, "message"), _LONGEST), is_fatal)


def _why_waiting(status: Json) -> str:
    said = line(text(status, "state", "waiting", "message"), _LONGEST)
    ended = part(status, "lastState", "terminated")
    return "; ".join(filter(None, (said, _how_ended(ended) if ended else "")))


def _how_ended(ended: Json) -> str:
    """Exit code and reason as the container runtime gave them."""
    reason = word(text(ended, "reason"), "")
    code = f"it ended with exit code {number(ended, 'exitCode')}"
    return f"{code} ({reason})" if reason else code


def _last_words(status: Json) -> str:
    """What a container itself left as it ended; nobody knows what else it tells."""
    said = text(status, "state", "terminated", "message") or text(status, "lastState", "terminated", "message")
    return line(said, _LONGEST)


def _waits(status: Json) -> bool:
    return isinstance(dig(status, "state", "waiting"), dict)


def _containers(pod: Json) -> list[Json]:
    """Their statuses, those that run first before the others."""
    return [*objects(pod, "status", "initContainerStatuses"), *objects(pod, "status", "containerStatuses")]


def _restarts(pod: Json) -> str:
    return text(pod, "spec", "restartPolicy") or "Always"
