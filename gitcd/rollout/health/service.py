"""Service: some ready pod stands behind it, as its EndpointSlices say."""

from __future__ import annotations

from collections.abc import Iterable

from gitcd.model.health import Health
from gitcd.model.live import Json, part
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import annotation, dig, label, objects, text

AWAIT_LOAD_BALANCER = "gitcd.io/await-load-balancer"  # an annotation of the Service; `true`: wait for its address
_SERVICE_NAME = "kubernetes.io/service-name"


def judge(look: Look) -> Health:
    value = look.value
    kind = text(value, "spec", "type")
    if kind == "ExternalName":
        return look.current()
    if kind == "LoadBalancer" and _lacks_address(value):
        return look.progressing("NoAddress", "its load balancer has no address yet")
    if not part(value, "spec", "selector"):
        return look.current()
    found = endpoints(value, look.around.slices)
    if not found:
        return look.progressing("NoEndpoints", "it selects no pod")
    if not any(is_ready(each) for each in found):
        return look.progressing("NoReadyEndpoints", f"none of the {len(found)} pods that it selects is ready")
    return look.current()


def endpoints(service: Json, slices: Iterable[Json]) -> list[Json]:
    """The endpoints of all slices of a Service."""
    name = text(service, "metadata", "name")
    mine = [each for each in slices if label(each, _SERVICE_NAME) == name]
    return [each for one in mine for each in objects(one, "endpoints")]


def is_ready(endpoint: Json) -> bool:
    """Whether traffic goes there. Who does not say is ready.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
    """
    return dig(endpoint, "conditions", "ready") is not False and bool(dig(endpoint, "addresses"))


def _lacks_address(value: Json) -> bool:
    if not text(value, "spec", "clusterIP"):
        return True
    is_awaited = annotation(value, AWAIT_LOAD_BALANCER) == "true"
    return is_awaited and not objects(value, "status", "loadBalancer", "ingress")
