"""ReplicaSet, where one stands in git by itself."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.rollout.health.creation import refused
from gitcd.rollout.health.look import Look, counts
from gitcd.rollout.health.pods import worst
from gitcd.rollout.health.reading import condition, has_number, number, owned, says, text


def judge(look: Look) -> Health:
    value = look.value
    if not has_number(value, "status", "observedGeneration"):
        return look.progressing("NotObserved", "its controller has not looked at it yet")
    complaint = worst(owned(look.around.pods, value), look)
    if complaint and complaint.is_fatal:
        return look.blamed(complaint)
    if why := refused(value, look):
        return look.failed("FailedCreate", f"its pods may not be made: {why}", complaint)
    failure = condition(value, "ReplicaFailure")
    if says(failure, "True"):
        return look.progressing(text(failure, "reason"), text(failure, "message"), complaint)
    wanted = number(value, "spec", "replicas", default=1)
    have = counts(
        value, all="replicas", labeled="fullyLabeledReplicas", available="availableReplicas", ready="readyReplicas"
    )
    if have["all"] > wanted:
        return look.progressing("EndingOld", f"{have['all'] - wanted} pods more than wanted are still there")
    least = min(have.values())
    if least < wanted:
        return look.progressing("Starting", f"{least} of {wanted} pods are available", complaint)
    return look.current()
