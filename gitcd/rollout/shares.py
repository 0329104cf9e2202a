"""The share of the traffic that a canary gets at one step: by how many pods it has, or by weights of an HTTPRoute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitcd.model.health import State
from gitcd.model.live import Manifest
from gitcd.rollout import routes
from gitcd.rollout.actions import Action, Apply, Scale, Weigh
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts
from gitcd.rollout.health.reading import number, text
from gitcd.rollout.routes import Split

WHOLE = 100


@dataclass(frozen=True, slots=True)
class Routing:
    """The HTTPRoute of a canary, as it stands in git, and the Services that it divides the traffic between."""

    route: Manifest
    split: Split

    def lacking(self, facts: Facts, canary: int) -> str:
        """Why the canary does not have this weight; empty: it has."""
        live = facts.live.get(self.route.ref)
        if live is None:
            return f"{self.route.ref} is not there"
        if canary and (why := self.unready(facts, self.split.canary)):
            return why
        if self.split.weighing(live, WHOLE - canary, canary):
            return f"{self.route.ref} does not give the canary {canary} %"
        return self.unobserved(facts)

    def unready(self, facts: Facts, service: str) -> str:
        """Why no traffic is to be led to a Service of the route; empty: a ready pod is behind it, or nobody knows."""
        found = facts.health.get(replace(self.route.ref, kind="Service", name=service, group=""))
        return "" if found is None or found.state is State.CURRENT else found.message or f"{found.ref} is {found.state}"

    def unobserved(self, facts: Facts) -> str:
        """Why the gateways do not do what the route says; empty: they do."""
        return routes.unobserved(facts.live.get(self.route.ref, {}))

    def weigh(self, facts: Facts, canary: int) -> Sequence[Action]:
        """Give the canary this weight."""
        live = facts.live.get(self.route.ref, {})
        return self._patch(facts, self.split.weighing(live, WHOLE - canary, canary))

    def strays(self, facts: Facts) -> bool:
        """Whether the weights are not those of git."""
        live = facts.live.get(self.route.ref)
        return live is not None and bool(self._back(facts) or routes.leaving(live))

    def restore(self, facts: Facts) -> Sequence[Action]:
        """Bring the weights of git back, then leave the route to whoever owned it before."""
        live = facts.live.get(self.route.ref, {})
        return self._back(facts) or self._patch(facts, routes.leaving(live))

    def _back(self, facts: Facts) -> Sequence[Action]:
        live = facts.live.get(self.route.ref, {})
        (stable, canary) = min(self.split.weights(self.route.value))
        return self._patch(facts, self.split.weighing(live, stable, canary))

    def _patch(self, facts: Facts, patch: Sequence[dict[str, object]]) -> Sequence[Action]:
        version = text(facts.live.get(self.route.ref, {}), "metadata", "resourceVersion")
        return (Weigh(self.route.ref, tuple(patch), version),) if patch else ()


@dataclass(frozen=True, slots=True)
class Share:
    """One weight, in percent, that is in place or not."""

    copy: Copy
    weight: int
    routing: Routing | None

    def pods(self, facts: Facts) -> int:
        """How many pods the copy needs for it.

        All pods of the Deployment stay, so of N pods without a route the copy has c / (N + c); it never has more than
        the Deployment has, which is half of the traffic. With a route it has what its share of the traffic needs.
        """
        stable = self.copy.pods(facts)
        if self.routing:
            return math.ceil(stable * self.weight / WHOLE)
        if 2 * self.weight >= WHOLE:
            return stable
        return max(1, round(stable * self.weight / (WHOLE - self.weight)))

    def lacking(self, facts: Facts) -> str:
        """Why the canary does not have its share; empty: it has."""
        ref, live = self.copy.ref, facts.live.get(self.copy.ref)
        if live is None or facts.is_pending(self.copy.manifest(facts)):
            return f"{ref} does not run what the commit says"
        if number(live, "spec", "replicas", default=1) != self.pods(facts):
            return f"{ref} does not have {self.pods(facts)} pods"
        return _unhealthy(facts, self.copy) or (self.routing.lacking(facts, self.weight) if self.routing else "")

    def move(self, facts: Facts) -> Sequence[Action]:
        """What is lacking: pods before traffic where there is to be more, and after it where there is to be less."""
        live = facts.live.get(self.copy.ref)
        if missing := [Apply(each) for each in facts.release.others if each.ref not in facts.live]:
            return missing
        if live is None or facts.is_pending(self.copy.manifest(facts)):
            return (Apply(self.copy.manifest(facts)),)
        has, wanted = number(live, "spec", "replicas", default=1), self.pods(facts)
        scale = (Scale(self.copy.ref, wanted),) if has != wanted else ()
        if self.routing is None or has < wanted:
            return scale
        if has == wanted and (_unhealthy(facts, self.copy) or self.routing.unready(facts, self.routing.split.canary)):
            return ()
        weigh = self.routing.weigh(facts, self.weight)
        return weigh or (() if self.routing.lacking(facts, self.weight) else scale)

    def told(self, facts: Facts) -> str:
        """The share as it really is."""
        if self.routing:
            return f"with {self.weight} % of the traffic"
        copy, stable = self._ready(facts, self.copy.ref), self._ready(facts, self.copy.stable.ref)
        real = WHOLE * copy / (copy + stable) if copy + stable else 0
        asked = "" if round(real) == self.weight else f"; {self.weight} % was asked for"
        return f"with {real:.0f} % of the pods ({copy} of {copy + stable}{asked})"

    def _ready(self, facts: Facts, ref: object) -> int:
        return next((number(value, "status", "readyReplicas") for key, value in facts.live.items() if key == ref), 0)


def _unhealthy(facts: Facts, copy: Copy) -> str:
    health = facts.health.get(copy.ref)
    if health and health.state is State.CURRENT:
        return ""
    return (health.message if health else "") or f"{copy.ref} is not healthy"
