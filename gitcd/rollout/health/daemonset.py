"""DaemonSet: kstatus' arithmetic, and failed where one of its new pods waits in error: it has no deadline."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.model.live import Json
from gitcd.rollout.health.look import Look, counts
from gitcd.rollout.health.pods import worst
from gitcd.rollout.health.reading import annotation, has_number, label, number, objects, owned, text

_GENERATION = "deprecated.daemonset.template.generation"
_POD_GENERATION = "pod-template-generation"


def judge(look: Look) -> Health:
    value = look.value
    if not has_number(value, "status", "observedGeneration") or not has_number(
        value, "status", "desiredNumberScheduled"
    ):
        return look.progressing("NotObserved", "its controller has not looked at it yet")
    if text(value, "spec", "updateStrategy", "type") == "OnDelete":
        return look.current("OnDelete", "its pods are replaced when somebody deletes them")
    complaint = worst(_new_pods(look), look)
    if complaint and complaint.is_fatal:
        return look.blamed(complaint)
    wanted = number(value, "status", "desiredNumberScheduled")
    have = counts(
        value,
        all="currentNumberScheduled",
        updated="updatedNumberScheduled",
        available="numberAvailable",
        ready="numberReady",
    )
    for short, reason, message in (
        (have["all"] < wanted, "Creating", f"{have['all']} of {wanted} pods are there"),
        (have["updated"] < wanted, "Updating", f"{have['updated']} of {wanted} pods are updated"),
        (have["available"] < wanted, "Starting", f"{have['available']} of {wanted} pods are available"),
        (have["ready"] < wanted, "Starting", f"{have['ready']} of {wanted} pods are ready"),
    ):
        if short:
            return look.progressing(reason, message, complaint)
    return look.current()


def _new_pods(look: Look) -> list[Json]:
    """Those made from the template as it is, by the generation that both carry, else by their images."""
    pods = owned(look.around.pods, look.value)
    generation = annotation(look.value, _GENERATION)
    if generation and all(label(each, _POD_GENERATION) for each in pods):
        return [each for each in pods if label(each, _POD_GENERATION) == generation]
    wanted = _images(look.value, "spec", "template", "spec", "containers")
    return [each for each in pods if _images(each, "spec", "containers") >= wanted]


def _images(value: Json, *path: str) -> set[tuple[str, str]]:
    return {(text(each, "name"), text(each, "image")) for each in objects(value, *path)}
