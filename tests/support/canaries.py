"""A Deployment of two pods behind a Service on the real control plane, and releases of it by canary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gitcd.model.live import Manifest, Ref
from gitcd.rollout.facts import Order, Release
from gitcd.rollout.orders import render
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_measure import Measuring
from tests.support.containerversions import BASE
from tests.support.controlplane import ControlPlane
from tests.support.rollouts import Rollouts, as_manifest, workload
from tests.support.witness import DEPLOYMENTS, ROUTES, SLICES, Witness, witness

PODS = 2
SMOKE = {"kind": "Image", "name": "smoke", "image": "registry.example.com/smoke", "tag": "1", "interval": "0s"}
_ROUTES = "/apis/gateway.networking.k8s.io/v1"
_DEFINITION = Path(__file__).with_name("httproute.yaml")


def canary(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A strategy."""
    return {"kind": "Canary", "canary": {"steps": list(steps), **more}}


def step(weight: int, pause: str = "0s", *verify: dict[str, Any]) -> dict[str, Any]:
    return {"weight": weight, "pause": pause, "verify": list(verify)}


@dataclass
class CanaryScene:
    """`begin` takes 1.0.0 live, and from there on everything is `watched`: the Service, and what the copy is."""

    rollouts: Rollouts
    strategy: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    others: tuple[Manifest, ...] = ()
    service: str = "app"
    kinds: tuple[str, ...] = ()  # of what is watched besides
    more: dict[str, Any] = field(default_factory=dict)  # fields of the Deployment's spec
    copies: list[tuple[str, int]] = field(default_factory=list)
    is_live: bool = False
    is_watched: bool = False

    def release(self, version: str, **spec: Any) -> Release:
        made = self.rollouts.release("app", version, strategy=self.strategy, **spec)
        value = workload("app", self.rollouts.namespace, version, replicas=PODS, **self.more)
        for each in (value["spec"]["selector"]["matchLabels"], value["spec"]["template"]["metadata"]["labels"]):
            each.update(self.labels)
        return replace(made, workloads=(as_manifest(value),), others=self.others)

    def begin(self) -> Release:
        self.rollouts.declare("app")
        if not self.others:
            self.rollouts.carry(self.a_service("app", {"app": "app"}))
        first = self.release("1.0.0")
        assert self.roll(first).end is End.DONE
        for each in self.others:  # as apply does, once a release is live
            self.rollouts.carry(each)
        self.is_live = True
        return first

    def roll(self, release: Release, **how: Any) -> Rolled:
        assert self.is_watched or not self.is_live, "no canary goes on unwatched"
        check = Measuring(how.get("objects", self.rollouts.objects)).answer
        (rolled,) = roll_out([release], self.rollouts.means(**{"check": check} | how))
        return rolled

    def a_service(self, name: str, selector: dict[str, str]) -> Manifest:
        metadata = {"name": name, "namespace": self.rollouts.namespace}
        spec = {"selector": selector, "ports": [{"port": 80}]}
        value = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        made = as_manifest(value)
        return replace(made, ref=replace(made.ref, group=""), version="v1")

    def deployment(self, name: str = "app") -> dict[str, Any]:
        found = self.rollouts.objects.get(Ref("Deployment", self.rollouts.namespace, name, "apps"))
        return found or {}

    @property
    def copy_is_gone(self) -> bool:
        return not self.deployment("app-canary")

    def order(self, verb: str, release: Release, step: str = "", digest: str = "") -> None:
        """What `gitcd rollout` writes when somebody says so."""
        text = render(Order(digest or release.digest, by="ann", step=step))
        path = f"{BASE}/namespaces/{self.rollouts.namespace}/containerversions/app"
        body = {"metadata": {"annotations": {f"gitcd.io/{verb}": text}}}
        self.rollouts.plane.request("PATCH", path, body, kind="merge-patch+json")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What holds in every canary: the Service selects a ready pod all the time."""
        with never_out(self.rollouts.plane, self.rollouts.namespace, self.service, *self.kinds) as seen:
            self.is_watched = True
            yield
            self.is_watched = False
        self.copies += seen.sizes("app-canary")


@contextmanager
def never_out(plane: ControlPlane, namespace: str, service: str, *kinds: str) -> Iterator[Witness]:
    """Have every state of a Service's EndpointSlices seen; none of them may be without a ready pod."""
    wait_for_endpoints(plane, namespace, service)
    with witness(plane, namespace, SLICES, DEPLOYMENTS, *kinds) as seen:
        yield seen
    counts = seen.ready(service)
    assert counts
    assert min(counts) >= 1, counts
    if ROUTES in kinds:
        gains = seen.gains()
        assert [each for each in gains if each[1] == 0] == [], gains


def wait_for_endpoints(plane: ControlPlane, namespace: str, service: str) -> None:
    """They come a moment after the pods."""
    label = f"kubernetes.io/service-name%3D{service}"
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={label}"
    for _ in range(200):
        endpoints = [each for one in plane.get(path)["items"] for each in one.get("endpoints") or ()]
        if any(each["conditions"].get("ready") for each in endpoints):
            return
        time.sleep(0.02)
    pytest.fail(f"Service {service} selects no pod that is ready")


@contextmanager
def meanwhile(work: Callable[[], None], every: float) -> Iterator[None]:
    """Do it again and again in a thread."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def loop() -> None:
        try:
            while not stop.is_set():
                work()
                time.sleep(every)
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


@dataclass
class RoutedScene(CanaryScene):
    """The same, with an HTTPRoute that leads to two Services. `gateway` is what a gateway's controller does."""

    accepts: bool = True
    weights: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = {"gitcd.io/track": "stable"}
        self.service, self.kinds = "app-stable", (ROUTES,)
        self.others = (
            self.a_service("app-stable", {"app": "app", "gitcd.io/track": "stable"}),
            self.a_service("app-canary", {"app": "app", "gitcd.io/track": "canary"}),
            self.a_route(100, 0),
        )

    def a_route(self, stable: int, canary: int, **more: Any) -> Manifest:
        backends = [("app-stable", stable), ("app-canary", canary)]
        rule = {"backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in backends]}
        value = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "app", "namespace": self.rollouts.namespace},
            "spec": {"parentRefs": [{"name": "public"}], "rules": [rule], **more},
        }
        return as_manifest(value)

    @property
    def route(self) -> dict[str, Any]:
        return self.rollouts.plane.get(f"{_ROUTES}/namespaces/{self.rollouts.namespace}/httproutes/app")

    @contextmanager
    def gateway(self) -> Iterator[None]:
        with meanwhile(self._observe, 0.05):
            yield

    def _observe(self) -> None:
        observed(self.rollouts.plane, self.rollouts.namespace, "app", self.weights, accepts=self.accepts)


def observed(
    plane: ControlPlane, namespace: str, name: str, weights: list[tuple[int, int]], *, accepts: bool = True
) -> None:
    """What a gateway's controller does with a route of two backends; notes the weights that it sees."""
    path = f"{_ROUTES}/namespaces/{namespace}/httproutes/{name}"
    route = plane.get(path)
    backends = route["spec"]["rules"][0]["backendRefs"]
    now = backends[0]["weight"], backends[1]["weight"]
    weights += [now] if now not in weights[-1:] else []
    seen = {"observedGeneration": route["metadata"]["generation"], "reason": "x", "message": "as the test wants it"}
    wanted = [
        {"type": "Accepted", "status": str(accepts), **seen},
        {"type": "ResolvedRefs", "status": "True", **seen},
    ]
    parents = [{"parentRef": {"name": "public"}, "controllerName": "example.com/test", "conditions": wanted}]
    if (route.get("status") or {}).get("parents") != parents:
        plane.request("PATCH", f"{path}/status", {"status": {"parents": parents}}, kind="merge-patch+json")


def install_routes(plane: ControlPlane) -> None:
    """The kind HTTPRoute, once for each control plane."""
    plane.apply(_DEFINITION.read_text())
    for _ in range(200):
        if plane.kubectl("get", "--raw", f"{_ROUTES}/httproutes", check=False).returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail("the kind HTTPRoute is not served")
