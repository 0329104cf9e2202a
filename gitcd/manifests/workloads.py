"""Workloads (anything with a pod template) and Services."""

from __future__ import annotations

from gitcd.manifests.collect import Collector
from gitcd.manifests.cursor import Cursor
from gitcd.model.live import template_at
from gitcd.model.site import Service

_LISTS = {"containers": False, "initContainers": True, "ephemeralContainers": False}


def find(item: Cursor, collector: Collector) -> None:
    if not collector.owner.kind:
        return
    if collector.owner.kind == "Service" and collector.owner.api_version == "v1":
        _service(item, collector)
    pod = template(item)
    for key, init in _LISTS.items():
        containers = pod and pod.at("spec", key)
        for container in containers.items() if containers else ():
            if image := container.get("image"):
                collector.image(image, image.text, container=container.value("name"), init=init, workload=True)


def template(item: Cursor) -> Cursor | None:
    """What holds the pod's metadata and spec: the object itself for a Pod."""
    found = item.at(*template_at(item.value("kind")))
    return found if found and found.get("spec") else None


def _service(item: Cursor, collector: Collector) -> None:
    selector = item.at("spec", "selector")
    owner = collector.owner
    collector.services.append(
        Service(item.document.path, item.line, owner.name, owner.namespace, selector.texts() if selector else {}),
    )
