"""Job. One that runs is not done, and one whose pod cannot start never will be."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.pods import worst
from gitcd.rollout.health.reading import condition, flag, owned, says, text


def judge(look: Look) -> Health:
    value = look.value
    if says(condition(value, "Complete"), "True"):
        return look.current("Complete")
    # Whether containers that fail are started again is for the Job's backoffLimit to say.
    complaint = worst(owned(look.around.pods, value), look, retries_are_fatal=False)
    for kind in ("Failed", "FailureTarget"):
        found = condition(value, kind)
        if says(found, "True"):
            return look.failed(text(found, "reason") or "JobFailed", text(found, "message"), complaint)
    if flag(value, "spec", "suspend"):
        return look.suspended("Suspended", "it is suspended: spec.suspend is true")
    if complaint and complaint.is_fatal:
        return look.blamed(complaint)
    if not text(value, "status", "startTime"):
        return look.progressing("NotStarted", "it has not started yet")
    return look.progressing("Running", "it runs", complaint)
