"""An HTTPRoute that divides traffic between two Services by weights.

Source: the Gateway API reference, HTTPRoute v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitcd.model.live import Json, part
from gitcd.rollout.health.reading import number, objects, text

GROUP = "gateway.networking.k8s.io"
TRANSIENT = "gitcd-rollout"  # the field manager of weights while a rollout is under way
_USUAL = 1  # the weight of a backend that names none


@dataclass(frozen=True, slots=True)
class Split:
    """Two Services of a route, and how their traffic is divided."""

    stable: str
    canary: str

    def weights(self, route: Json) -> set[tuple[int, int]]:
        """Of each rule that leads to both: the weights of stable and canary."""
        found = ((self._in(rule, self.stable), self._in(rule, self.canary)) for rule in objects(route, "spec", "rules"))
        return {(_weight(stable), _weight(canary)) for stable, canary in found if stable and canary}

    def weighing(self, route: Json, stable: int, canary: int) -> tuple[dict[str, Any], ...]:
        """The JSON patch by which every such rule gets these weights; empty where it has them."""
        if self.weights(route) == {(stable, canary)}:
            return ()
        return tuple(
            {"op": "add", "path": f"/spec/rules/{rule}/backendRefs/{number}/weight", "value": weight}
            for rule, number, weight in self._places(route, stable, canary)
        )

    def _places(self, route: Json, stable: int, canary: int) -> Iterator[tuple[int, int, int]]:
        for index, rule in enumerate(objects(route, "spec", "rules")):
            if not (self._in(rule, self.stable) and self._in(rule, self.canary)):
                continue
            for place, backend in enumerate(objects(rule, "backendRefs")):
                if _is_service(backend, self.stable):
                    yield index, place, stable
                elif _is_service(backend, self.canary):
                    yield index, place, canary

    def _in(self, rule: Json, service: str) -> Json | None:
        return next((each for each in objects(rule, "backendRefs") if _is_service(each, service)), None)


def unobserved(route: Json) -> str:
    """Why the gateways do not do yet what a route says; empty: they do, all of them."""
    name = f"HTTPRoute {text(route, 'metadata', 'namespace')}/{text(route, 'metadata', 'name')}"
    parents = objects(route, "status", "parents")
    if not parents:
        return f"{name}: no gateway has taken it up"
    generation = number(route, "metadata", "generation")
    for parent in parents:
        conditions = {text(each, "type"): each for each in objects(parent, "conditions")}
        for wanted in ("Accepted", "ResolvedRefs"):
            found = conditions.get(wanted, {})
            if number(found, "observedGeneration") != generation:
                return f"{name}: a gateway has not seen its last change yet"
            if text(found, "status") != "True":
                return f"{name}: {wanted} is {text(found, 'status') or 'missing'}: {text(found, 'message')}"
    return ""


def leaving(route: Json) -> tuple[dict[str, Any], ...]:
    """The JSON patch after which the rollout owns nothing of a route, so that its owner in git can change it again."""
    entries = objects(route, "metadata", "managedFields")
    kept = [each for each in entries if text(each, "manager") != TRANSIENT]
    if len(kept) == len(entries) or not kept:
        return ()
    return ({"op": "replace", "path": "/metadata/managedFields", "value": kept},)


def selects(service: Json, labels: Json) -> bool:
    """Whether a Service selects pods of these labels."""
    selector = part(service, "spec", "selector")
    return bool(selector) and selector.items() <= labels.items()


def _is_service(backend: Json, name: str) -> bool:
    kind, group = backend.get("kind") or "Service", backend.get("group") or ""
    return (kind, group, backend.get("name")) == ("Service", "", name)


def _weight(backend: Json | None) -> int:
    return number(backend, "weight", default=_USUAL)
