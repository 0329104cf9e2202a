"""Canary on the real control plane; what is seen is read from the API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gitcd.model.live import Manifest, Ref
from gitcd.rollout.facts import Order, Release
from gitcd.rollout.orders import render
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_team import End, Rolled
from gitcd.usecases.verifying import Measuring
from tests.support.containerversions import BASE
from tests.support.rollouts import Rollouts, as_manifest, back_to, digest, image, workload

pytestmark = pytest.mark.slow

PODS = 2
SMOKE = {"kind": "Image", "name": "smoke", "image": "registry.example.com/smoke", "tag": "1", "interval": "0s"}


def canary(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "Canary", "canary": {"steps": list(steps), **more}}


def step(weight: int, pause: str = "0s", *verify: dict[str, Any]) -> dict[str, Any]:
    return {"weight": weight, "pause": pause, "verify": list(verify)}


@dataclass
class Scene:
    """A Deployment of two pods behind a Service, with 1.0.0 live."""

    rollouts: Rollouts
    samples: list[int] = field(default_factory=list)
    copies: list[tuple[str, int]] = field(default_factory=list)

    def release(
        self, version: str, strategy: dict[str, Any], others: tuple[Manifest, ...] = (), **spec: Any
    ) -> Release:
        made = self.rollouts.release("app", version, strategy=strategy, **spec)
        labels = {"app": "app"}
        manifest = as_manifest(workload("app", self.rollouts.namespace, version, replicas=PODS))
        assert labels
        return replace(made, workloads=(manifest,), others=others)

    def begin(self, strategy: dict[str, Any], others: tuple[Manifest, ...] = ()) -> Release:
        self.rollouts.declare("app")
        service = {"metadata": {"name": "app"}, "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]}}
        self.rollouts.plane.request("POST", f"/api/v1/namespaces/{self.rollouts.namespace}/services", service)
        first = self.release("1.0.0", strategy, others)
        assert self.roll(first).end is End.DONE
        return first

    def roll(self, release: Release, **how: Any) -> Rolled:
        check = Measuring(self.rollouts.objects).answer
        (rolled,) = roll_out([release], self.rollouts.means(check=check, **how))
        return rolled

    def deployment(self, name: str = "app") -> dict[str, Any] | None:
        return self.rollouts.objects.get(Ref("Deployment", self.rollouts.namespace, name, "apps"))

    def copy_is_gone(self) -> bool:
        return self.deployment("app-canary") is None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count, without a break, the ready pods that the Service selects."""
        stop = threading.Event()
        service = Ref("Service", self.rollouts.namespace, "app")

        def look() -> None:
            while not stop.is_set():
                slices = self.rollouts.objects.slices(service)
                found = [each for one in slices for each in one.get("endpoints") or () if each["conditions"]["ready"]]
                self.samples.append(len(found))
                copy = self.deployment("app-canary")
                if copy:
                    image_of = copy["spec"]["template"]["spec"]["containers"][0]["image"]
                    seen = image_of, copy["spec"]["replicas"]
                    if seen not in self.copies[-1:]:
                        self.copies.append(seen)
                time.sleep(0.03)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert min(self.samples) >= 1, self.samples

    def order(self, verb: str, release: Release, step: str = "") -> None:
        text = render(Order(release.digest, by="ann", step=step))
        path = f"{BASE}/namespaces/{self.rollouts.namespace}/containerversions/app"
        body = {"metadata": {"annotations": {f"gitcd.io/{verb}": text}}}
        self.rollouts.plane.request("PATCH", path, body, kind="merge-patch+json")


@pytest.fixture
def scene(rollouts: Rollouts) -> Scene:
    return Scene(rollouts)


def test_a_canary_grows_step_by_step_and_goes_at_the_end(scene: Scene) -> None:
    strategy = canary(step(30, "1s", SMOKE), step(50, "1s"))
    scene.begin(strategy)
    new = scene.release("1.1.0", strategy)
    told: list[str] = []
    with scene.watched():
        rolled = scene.roll(new, tell=lambda _, text: told.append(text))
    assert rolled.end is End.DONE, rolled
    assert scene.copies == [(image("app", "1.1.0"), 1), (image("app", "1.1.0"), 2)]
    assert "Pause1: for 1s with 33 % of the pods (1 of 3; 30 % was asked for)" in told
    assert "Pause2: for 1s with 50 % of the pods (2 of 4)" in told
    assert scene.rollouts.live_image("app") == image("app", "1.1.0")
    assert scene.copy_is_gone()
    assert scene.rollouts.history("app")[0] == (digest("1.1.0"), "Succeeded")


@pytest.mark.parametrize(("version", "reason"), [("bad-crash", "CrashLoopBackOff"), ("bad-pull", "ImagePullBackOff")])
def test_F45_a_bad_canary_goes_and_the_deployment_was_never_touched(scene: Scene, version: str, reason: str) -> None:
    strategy = canary(step(50, "1s"))
    first = scene.begin(strategy)
    before = scene.deployment()
    with scene.watched():
        rolled = scene.roll(scene.release(version, strategy), take_back=back_to(first))
    assert (rolled.end, rolled.trouble and rolled.trouble.reason) == (End.ROLLED_BACK, reason)
    assert scene.copy_is_gone()
    after = scene.deployment()
    assert before
    assert after
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert scene.rollouts.history("app") == [(digest(version), "RolledBack"), (digest("1.0.0"), "Succeeded")]


def test_a_check_that_fails_takes_the_canary_back(scene: Scene) -> None:
    strategy = canary(step(50, "0s", {**SMOKE, "tag": "bad-job"}))
    first = scene.begin(strategy)
    with scene.watched():
        rolled = scene.roll(scene.release("1.1.0", strategy), take_back=back_to(first))
    assert (rolled.end, rolled.trouble and rolled.trouble.reason) == (End.ROLLED_BACK, "VerificationFailed")
    assert scene.copy_is_gone()
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")
