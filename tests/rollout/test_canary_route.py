"""The canary's table where an HTTPRoute divides the traffic: what comes first, and what has to be waited for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitcd.model.declaration import Origin, Spec
from gitcd.model.health import Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import Canary, CanaryStep, HttpRoute, Strategy
from gitcd.rollout import canary, routes
from gitcd.rollout.actions import Action, Delete, Scale, Weigh
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.record import Record
from gitcd.rollout.routes import Split
from gitcd.rollout.table import Do, Failed, Wait, advance, retreat
from tests.rollout.test_canary_table import COPY, REPO, START, TILES, World, deployment, digest

ROUTE = Ref("HTTPRoute", "team", "tiles", "gateway.networking.k8s.io")
STEPS = (CanaryStep(80, "1m"), CanaryStep(20, "1m"))


def stable(version: str, replicas: int | None = 4) -> dict[str, Any]:
    value = deployment(version, replicas)
    for each in (value["spec"]["selector"]["matchLabels"], value["spec"]["template"]["metadata"]["labels"]):
        each["gitcd.io/track"] = "stable"
    return value


def service(name: str, **labels: str) -> Manifest:
    value = {"kind": "Service", "metadata": {"name": name, "namespace": "team"}, "spec": {"selector": labels}}
    return Manifest(Ref("Service", "team", name), "v1", value, Origin("services.yaml"))


def route(old: int, new: int, *, seen: int = 2) -> dict[str, Any]:
    """A route of generation 2, of which a gateway has seen generation `seen`."""
    conditions = [{"type": each, "status": "True", "observedGeneration": seen} for each in ("Accepted", "ResolvedRefs")]
    backends = [{"name": "old", "weight": old}, {"name": "new", "weight": new}]
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "tiles", "namespace": "team", "generation": 2, "resourceVersion": "7"},
        "spec": {"rules": [{"backendRefs": backends}]},
        "status": {"parents": [{"conditions": conditions}]},
    }


OLD, NEW = (service(name, **{"gitcd.io/track": track}) for name, track in (("old", "stable"), ("new", "canary")))
IN_GIT = Manifest(ROUTE, "v1", route(100, 0), Origin("route.yaml"))


def released(*others: Manifest) -> Release:
    strategy = Strategy("Canary", canary=Canary(STEPS, HttpRoute("tiles", "old", "new")))
    manifest = Manifest(TILES, "v1", stable("2", None), Origin("tiles.yaml"))
    spec = Spec(REPO, tag="env-dev", strategy=strategy)
    return replace(World().release, spec=spec, workloads=(manifest,), others=others or (OLD, NEW, IN_GIT))


def seen(now: dict[str, Any], step: str, pods: int, *, version: str = "1", state: State = State.CURRENT) -> Facts:
    """A look in that step: the route, how many pods the copy shall have, and the version of the Deployment."""
    release = released()
    live = {TILES: stable(version), ROUTE: now, OLD.ref: OLD.value, NEW.ref: NEW.value}
    made = Copy(release.workloads[0], route="tiles").manifest(Facts(release, START, live)).value
    live[COPY] = {
        **made,
        "metadata": {**made["metadata"], "uid": "u-2"},
        "spec": {**made["spec"], "replicas": pods},
    }
    health = {TILES: Health(TILES, State.CURRENT), COPY: Health(COPY, state, "", f"{COPY} is {state}")}
    record = Record("Canary", step, START, START, 1, digest("1"), digest("2"), "c" * 40)
    return Facts(release, START, live, health, record=record)


def done(facts: Facts) -> list[str]:
    decision = advance(canary.table(facts.release), facts)
    assert isinstance(decision, Do | Wait), decision
    return [str(each) for each in decision.actions] if isinstance(decision, Do) else []


WEIGH_80, WEIGH_20 = "weigh HTTPRoute team/tiles: 20, 80", "weigh HTTPRoute team/tiles: 80, 20"


def test_pods_come_before_traffic_and_as_many_as_its_share_needs():
    assert done(seen(route(100, 0), "Weight1", 0)) == ["scale Deployment team/tiles-canary to 4"]
    assert done(seen(route(100, 0), "Weight1", 4, state=State.IN_PROGRESS)) == []
    assert done(seen(route(100, 0), "Weight1", 4)) == [WEIGH_80]


def test_traffic_goes_before_pods_and_only_once_the_gateways_know():
    assert done(seen(route(20, 80), "Weight2", 4)) == [WEIGH_20]
    assert done(seen(route(80, 20, seen=1), "Weight2", 4)) == []
    assert done(seen(route(80, 20), "Weight2", 4)) == ["scale Deployment team/tiles-canary to 1"]


def test_the_copy_does_not_go_before_the_gateways_lead_past_it():
    assert done(seen(route(80, 20), "Restore", 1, version="2")) == ["weigh HTTPRoute team/tiles: 100, 0"]
    assert done(seen(route(100, 0, seen=1), "Restore", 1, version="2")) == []
    assert done(seen(route(100, 0), "Restore", 1, version="2")) == [str(Delete(COPY, "u-2"))]


@pytest.mark.parametrize(("now", "action"), [(route(20, 80), Weigh), (route(100, 0), Scale)])
def test_after_a_failure_the_traffic_goes_back_before_the_pods_go(now: dict[str, Any], action: type[Action]):
    facts = seen(now, "Weight1", 4)
    (found,) = retreat(canary.table(facts.release), facts, "Weight1")
    assert isinstance(found, action)


@pytest.mark.parametrize(
    "others",
    [
        (service("old", app="tiles"), NEW, IN_GIT),  # leads to the copy, too
        (OLD, service("new", app="tiles"), IN_GIT),
        (OLD, NEW, replace(IN_GIT, value=route(50, 50))),
        (OLD, NEW, replace(IN_GIT, value=route(0, 0))),
        (OLD, NEW),
    ],
)
def test_a_route_that_would_not_divide_the_traffic_is_refused(others: tuple[Manifest, ...]):
    release = released(*others)
    decision = advance(canary.table(release), Facts(release, START, {TILES: stable("1")}))
    assert isinstance(decision, Failed)
    assert (decision.trouble.reason, decision.trouble.blames) == ("CanaryRefused", False)


def test_only_services_of_a_route_get_weights():
    """Backends of other kinds may have the same names."""
    bucket = {"group": "example.com", "kind": "Bucket", "name": "old", "weight": 7}
    value = {"spec": {"rules": [{"backendRefs": [bucket, {"name": "old"}, {"name": "new", "weight": 0}]}]}}
    split = Split("old", "new")
    assert split.weights(value) == {(1, 0)}
    assert [each["path"] for each in split.weighing(value, 60, 40)] == [
        f"/spec/rules/0/backendRefs/{place}/weight" for place in (1, 2)
    ]


def test_a_route_that_nobody_else_owns_is_not_left_to_nobody():
    """An API server does not heed managedFields without entries, so they would be written again and again."""
    mine, theirs = {"manager": "gitcd-rollout"}, {"manager": "gitcd"}
    assert routes.leaving({"metadata": {"managedFields": [mine]}}) == ()
    (patch,) = routes.leaving({"metadata": {"managedFields": [theirs, mine]}})
    assert patch["value"] == [theirs]
