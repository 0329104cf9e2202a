"""How objects of a cluster are: `assess` says so for any of them, by the rule of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from gitcd.model.health import Around, Health
from gitcd.model.live import Json, Ref
from gitcd.rollout.health import (
    crd,
    cronjob,
    daemonset,
    deployment,
    generic,
    job,
    pods,
    pvc,
    replicaset,
    service,
    statefulset,
)
from gitcd.rollout.health.look import Look, ref_of

SETTLE = timedelta(seconds=2)  # how long an object of an unknown kind must stand unchanged

_RULES: Mapping[tuple[str, str], Callable[[Look], Health]] = {
    ("apps", "Deployment"): deployment.judge,
    ("apps", "StatefulSet"): statefulset.judge,
    ("apps", "DaemonSet"): daemonset.judge,
    ("apps", "ReplicaSet"): replicaset.judge,
    ("batch", "Job"): job.judge,
    ("batch", "CronJob"): cronjob.judge,
    ("", "Pod"): pods.judge,
    ("", "Service"): service.judge,
    ("", "PersistentVolumeClaim"): pvc.judge,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): crd.judge,
}


def assess(
    value: Json,
    around: Around,
    now: datetime,
    *,
    seen: Mapping[Ref, datetime] = MappingProxyType({}),
    patience: timedelta = pods.PATIENCE,
) -> Health:
    """How an object is, by itself and by what stands around it. It never raises, whatever the object holds.

    Args:
        value: the object, with `apiVersion` and `kind`.
        around: for a workload its pods (for a Deployment its ReplicaSets, too), for a Service its EndpointSlices.
        now: a time with a zone.
        seen: since when each object has been seen as it is; asked for kinds whose controller says nothing.
        patience: how long a pod may wait for a node before that counts as a failure.
    """
    ref = ref_of(value)
    since = seen.get(ref)
    look = Look(ref, value, around, now, since is not None and now - since >= SETTLE, patience)
    return generic.first(look) or _RULES.get((ref.group, ref.kind), generic.judge)(look)
