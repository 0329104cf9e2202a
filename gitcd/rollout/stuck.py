"""Pods that a StatefulSet does not replace by itself, and that have to go before anything else comes.

Its controller waits for a pod to become ready before it updates it, so one of a broken revision stays for ever,
whatever the template says by then: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
"""

from __future__ import annotations

from collections.abc import Iterator

from gitcd.model.health import Around
from gitcd.model.live import Json, Ref
from gitcd.rollout.actions import Delete
from gitcd.rollout.facts import Facts
from gitcd.rollout.health.pods import is_ready
from gitcd.rollout.health.reading import is_leaving, label, number, owned, text
from gitcd.rollout.health.statefulset import REVISION


def freeing(ref: Ref, facts: Facts) -> Iterator[Delete]:
    """Delete what its controller waits for in vain, once that knows the template that shall come instead."""
    live = facts.live.get(ref)
    if ref.kind != "StatefulSet" or live is None or not _rolls(live):
        return
    wanted = text(live, "status", "updateRevision")
    for pod in owned(facts.around.get(ref, Around()).pods, live):
        is_old = wanted and label(pod, REVISION) not in {"", wanted}
        if is_old and not is_ready(pod) and not is_leaving(pod):
            name, uid, version = (text(pod, "metadata", key) for key in ("name", "uid", "resourceVersion"))
            yield Delete(Ref("Pod", ref.namespace, name), uid, version)


def _rolls(live: Json) -> bool:
    """Whether its controller has seen the present template, and shall take it to every pod."""
    return (
        number(live, "status", "observedGeneration") == number(live, "metadata", "generation")
        and text(live, "spec", "updateStrategy", "type") in {"", "RollingUpdate"}
        and not number(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    )
