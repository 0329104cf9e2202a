"""StatefulSet: kstatus' arithmetic, and failed where a pod of the new revision waits in error: it has no deadline."""

from __future__ import annotations

from collections.abc import Iterable

from gitcd.model.health import Health
from gitcd.model.live import Json
from gitcd.rollout.health.look import Complaint, Look, counts
from gitcd.rollout.health.pods import worst
from gitcd.rollout.health.reading import has_number, label, number, owned, text

REVISION = "controller-revision-hash"


def judge(look: Look) -> Health:
    value = look.value
    if not has_number(value, "status", "observedGeneration"):
        return look.progressing("NotObserved", "its controller has not looked at it yet")
    if text(value, "spec", "updateStrategy", "type") == "OnDelete":
        return look.current("OnDelete", "its pods are replaced when somebody deletes them")
    complaint = worst(_new_pods(value, look.around.pods), look)
    if complaint and complaint.is_fatal:
        return look.blamed(complaint)
    return _shortage(look, complaint) or _behind(look, complaint) or look.current()


def _new_pods(value: Json, pods: Iterable[Json]) -> list[Json]:
    wanted = text(value, "status", "updateRevision")
    return [each for each in owned(pods, value) if wanted and label(each, REVISION) == wanted]


def _shortage(look: Look, complaint: Complaint | None) -> Health | None:
    wanted = number(look.value, "spec", "replicas", default=1)
    have = counts(look.value, all="replicas", ready="readyReplicas", available="availableReplicas")
    for short, reason, message in (
        (have["all"] < wanted, "Creating", f"{have['all']} of {wanted} pods are there"),
        (have["ready"] < wanted, "Starting", f"{have['ready']} of {wanted} pods are ready"),
        (have["all"] > wanted, "EndingOld", f"{have['all'] - wanted} pods more than wanted are still there"),
        (have["available"] < wanted, "Starting", f"{have['available']} of {wanted} pods are available"),
    ):
        if short:
            return look.progressing(reason, message, complaint or _stuck(look))
    return None


def _behind(look: Look, complaint: Complaint | None) -> Health | None:
    """All pods are ready; whether they are those of the new revision, down to the partition."""
    wanted = number(look.value, "spec", "replicas", default=1)
    partition = number(look.value, "spec", "updateStrategy", "rollingUpdate", "partition")
    have = counts(look.value, updated="updatedReplicas", current="currentReplicas")
    if partition > 0:
        due = max(0, wanted - partition)
        if have["updated"] < due:
            return look.progressing("Updating", f"{have['updated']} of {due} pods are updated", complaint)
        return None
    if have["current"] < wanted:
        return look.progressing("Updating", f"{have['updated']} of {wanted} pods are updated", complaint)
    if text(look.value, "status", "currentRevision") != text(look.value, "status", "updateRevision"):
        return look.progressing("Updating", "its new revision is not the current one yet", complaint)
    return None


def _stuck(look: Look) -> Complaint | None:
    """What keeps an old pod from being ready: the controller waits for it before it goes on."""
    return worst(owned(look.around.pods, look.value), look)
