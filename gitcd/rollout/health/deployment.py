"""Deployment: kstatus' arithmetic; its conditions have to be there; the pods of the new ReplicaSet speak first."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.model.live import Json, part
from gitcd.rollout.health.creation import refused
from gitcd.rollout.health.look import Complaint, Look, counts
from gitcd.rollout.health.pods import worst
from gitcd.rollout.health.reading import annotation, condition, flag, has_number, number, owned, says, text

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_NO_DEADLINE = 2**31 - 1  # as kubectl and the controller have it


def judge(look: Look) -> Health:
    value = look.value
    if not has_number(value, "status", "observedGeneration"):
        return look.progressing("NotObserved", "its controller has not looked at it yet")
    if flag(value, "spec", "paused"):
        return look.suspended("Paused", "it is paused: spec.paused is true")
    complaint = worst(new_pods(look), look)
    if complaint and complaint.is_fatal:
        return look.blamed(complaint)
    progress = condition(value, "Progressing")
    if text(progress, "reason") == "ProgressDeadlineExceeded":
        return look.failed("ProgressDeadlineExceeded", text(progress, "message"), complaint)
    if short := _shortage(look, complaint):
        why = refused(new_replica_set(value, list(look.around.replica_sets)), look)
        return look.failed("FailedCreate", f"its pods may not be made: {why}", complaint) if why else short
    return _unconfirmed(look, progress) or look.current()


def new_pods(look: Look) -> list[Json]:
    """Those of the ReplicaSet that it rolls to: what older ones suffer from is not the new image's fault."""
    newest = new_replica_set(look.value, list(look.around.replica_sets))
    return owned(look.around.pods, newest) if newest else []


def new_replica_set(deployment: Json, replica_sets: list[Json]) -> Json | None:
    """The one whose pod template is the Deployment's, as its controller finds it; else the one of its revision."""
    mine = owned(replica_sets, deployment)
    wanted = _template(deployment)
    same = [each for each in mine if _template(each) == wanted]
    revision = annotation(deployment, _REVISION)
    numbered = [each for each in mine if revision and annotation(each, _REVISION) == revision]
    return next(iter(same or numbered), None)


def _template(value: Json) -> tuple[Json, object]:
    """Template without the label that the controller adds."""
    labels = dict(part(value, "spec", "template", "metadata", "labels"))
    labels.pop(_HASH, None)
    return part(value, "spec", "template", "spec"), labels


def _shortage(look: Look, complaint: Complaint | None) -> Health | None:
    wanted = number(look.value, "spec", "replicas", default=1)
    have = counts(
        look.value, all="replicas", updated="updatedReplicas", available="availableReplicas", ready="readyReplicas"
    )
    failure = condition(look.value, "ReplicaFailure")
    for short, reason, message in (
        (have["updated"] < wanted, "Updating", f"{have['updated']} of {wanted} pods are updated"),
        (have["all"] < wanted, "Creating", f"{have['all']} of {wanted} pods are there"),
        (have["all"] > wanted, "EndingOld", f"{have['all'] - wanted} pods more than wanted are still there"),
        (have["updated"] > have["available"], "Starting", f"{have['available']} of {wanted} pods are available"),
        (have["ready"] < wanted, "Starting", f"{have['ready']} of {wanted} pods are ready"),
    ):
        if short and says(failure, "True"):
            return look.progressing(text(failure, "reason"), f"{message}; {text(failure, 'message')}", complaint)
        if short:
            return look.progressing(reason, message, complaint)
    return None


def _unconfirmed(look: Look, progress: Json) -> Health | None:
    """A Deployment that has all its pods and whose controller has not said so yet."""
    deadline = number(look.value, "spec", "progressDeadlineSeconds", default=_NO_DEADLINE)
    is_done = says(progress, "True") and text(progress, "reason") == "NewReplicaSetAvailable"
    if deadline != _NO_DEADLINE and not is_done:
        return look.progressing("Progressing", "its condition Progressing does not say NewReplicaSetAvailable yet")
    if not says(condition(look.value, "Available"), "True"):
        return look.progressing("NotAvailable", "its condition Available is not True yet")
    return None
