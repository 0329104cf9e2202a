"""The workloads of a namespace, as far as it takes to say what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from gitcd.cluster.api import Api, Json

_KINDS = {
    "Deployment": ("apps/v1", "deployments", "availableReplicas"),
    "StatefulSet": ("apps/v1", "statefulsets", "availableReplicas"),
    "DaemonSet": ("apps/v1", "daemonsets", "numberAvailable"),
    "CronJob": ("batch/v1", "cronjobs", ""),
}


@dataclass(frozen=True, slots=True)
class Workload:
    """What its manifest says runs, by container, and how many pods do; `is_idle`: it shall have no pods."""

    kind: str
    namespace: str
    name: str
    labels: tuple[Mapping[str, str], ...]  # its own, and those of its pods
    images: tuple[tuple[str, str], ...]  # container, image
    available: int
    is_idle: bool = False


def list_workloads(api: Api, namespace: str) -> list[Workload]:
    """Deployments, StatefulSets, DaemonSets and CronJobs.

    Raises:
        DeclinedError: they may not be listed.
        TransientError: the cluster is in trouble.
    """
    found: list[Workload] = []
    for kind, (version, plural, available) in _KINDS.items():
        path = f"/apis/{version}/namespaces/{namespace}/{plural}"
        found += api.collect(path, partial(_read, kind=kind, available=available))
    return found


def _read(item: Json, kind: str, available: str) -> Workload:
    metadata, status = item["metadata"], item.get("status") or {}
    spec: dict[str, Any] = item.get("spec") or {}
    if kind == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    containers = [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
    pods = template.get("metadata") or {}
    return Workload(
        kind,
        metadata["namespace"],
        metadata["name"],
        (metadata.get("labels") or {}, pods.get("labels") or {}),
        tuple((each.get("name", ""), each.get("image", "")) for each in containers),
        int(status.get(available) or 0) if available else len(status.get("active") or ()),
        spec.get("replicas") == 0,
    )
