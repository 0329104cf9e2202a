"""An application with two slots in a config repository and on the real control plane, and somebody who looks on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

from gitcd.model.live import Ref
from tests.support.containerversions import manifest
from tests.support.controlplane import ControlPlane
from tests.support.gitrollouts import GitRollouts, git_rollouts
from tests.support.rollouts import Rollouts
from tests.support.scenes import HOST, digest
from tests.support.witness import PODS, SERVICES, witness

FOLDER = "envs/dev/app"
FAST = {"watch": "0s", "scaleDownDelay": "0s"}


def image(version: str, app: str = "app") -> str:
    return f"{HOST}/team/{app}:{version}@{digest(f'team/{app}:{version}')}"


def slot(name: str, namespace: str, replicas: int, app: str = "app") -> dict[str, Any]:
    labels = {"app": app, "slot": name}
    containers = [{"name": "app", "image": image("1.0.0", app)}]
    pod = {"containers": containers, "terminationGracePeriodSeconds": 0}
    spec = {
        "replicas": replicas,
        "progressDeadlineSeconds": 60,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    metadata = {"name": f"{app}-{name}", "namespace": namespace, "labels": {"app": app}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service(name: str, namespace: str, selected: str, app: str = "app") -> dict[str, Any]:
    spec = {"selector": {"app": app, "slot": selected}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def slot_files(namespace: str, app: str, replicas: int = 1, *, group: str = "", **blue_green: Any) -> dict[str, bytes]:
    """A declaration with both slots at 1.0.0 and a Service, as they lie in a config repository."""
    asked = {"serviceName": app, "labelNames": ["slot"], **FAST, **blue_green}
    strategy = {"kind": "ServiceBlueGreen", "blueGreen": asked, **({"group": group} if group else {})}
    timeouts = {"rollout": "20s", "verify": "10s"}
    made = {
        "cv": manifest(app, namespace, versionSyntax="[0-9a-z.-]+", strategy=strategy, timeouts=timeouts),
        "blue": slot("blue", namespace, replicas, app),
        "green": slot("green", namespace, replicas, app),
        app: service(app, namespace, "blue", app),
    }
    return {f"envs/dev/{app}/{name}.yaml": json.dumps(value, indent=2).encode() for name, value in made.items()}


@dataclass
class Slots:
    """`git` moves tags and applies; the rest asks git, or the API server, what there is."""

    git: GitRollouts
    plane: ControlPlane
    namespace: str

    def live(self, where: str = "cluster", name: str = "app") -> str:
        """The slot that the Service selects."""
        if where == "git":
            data = json.loads(self.git.remote.show(f"{FOLDER}/{name}.yaml"))
        else:
            data = self.plane.get(f"/api/v1/namespaces/{self.namespace}/services/{name}")
        return str(data["spec"]["selector"]["slot"])

    def deployment(self, name: str) -> dict[str, Any]:
        value = self.git.cluster.objects.get(Ref("Deployment", self.namespace, f"app-{name}", "apps"))
        assert value is not None
        return value

    def version(self, name: str, where: str = "cluster") -> str:
        value = self.deployment(name)
        if where == "git":
            value = json.loads(self.git.remote.show(f"{FOLDER}/{name}.yaml"))
        text = str(value["spec"]["template"]["spec"]["containers"][0]["image"])
        return text.partition("@")[0].rpartition(":")[2]

    def replicas(self, name: str) -> int:
        return int(self.deployment(name)["spec"]["replicas"])

    def states(self) -> dict[str, Any]:
        """All that matters of cluster and git."""
        return {
            "live": [self.live("git"), self.live()],
            "preview": [self.live("git", "preview"), self.live(name="preview")],
            "blue": [self.version("blue", "git"), self.version("blue"), self.replicas("blue")],
            "green": [self.version("green", "git"), self.version("green"), self.replicas("green")],
        }

    def subjects(self) -> list[str]:
        return self.git.remote.git("log", "--format=%s", "main").splitlines()

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Have somebody else look at the live Service all the while."""
        watch = Watch(self)
        thread = threading.Thread(target=watch.look)
        thread.start()
        try:
            yield watch
        finally:
            watch.over.set()
            thread.join()

    def ready(self) -> tuple[str, int]:
        """Which slot the live Service selects, and how many ready pods it selects by that."""
        base = f"/api/v1/namespaces/{self.namespace}"
        selector = self.plane.get(f"{base}/services/app")["spec"]["selector"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        pods = self.plane.get(f"{base}/pods?labelSelector={labels}")["items"]
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)]
        return selector["slot"], len(ready)


@dataclass
class Watch:
    """What was seen, look by look: when, which slot, how many ready pods."""

    slots: Slots
    over: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[float, str, int]] = field(default_factory=list)

    def look(self) -> None:
        while not self.over.wait(0.02):
            name, ready = self.slots.ready()
            if ready or name == self.slots.ready()[0]:  # else it was switched between two questions
                self.seen.append((time.monotonic(), name, ready))

    @property
    def outages(self) -> list[tuple[float, str, int]]:
        return [each for each in self.seen if each[2] == 0]


def _is_ready(pod: dict[str, Any]) -> bool:
    return any((each["type"], each["status"]) == ("Ready", "True") for each in pod["status"].get("conditions", ()))


def slots_of(
    rollouts: Rollouts, folder: Path, *, verify: Sequence[Any] = (), pin: str = "", **blue_green: Any
) -> Slots:
    """Both slots at 1.0.0, blue live, taken to the cluster."""
    ns = rollouts.namespace
    asked = {"serviceName": "app", "verificationServiceName": "preview", "labelNames": ["slot"], **FAST, **blue_green}
    declaration = manifest(
        "app",
        ns,
        versionSyntax="[0-9a-z.-]+",
        strategy={"kind": "ServiceBlueGreen", "blueGreen": asked, "verify": list(verify)},
        timeouts={"rollout": "10s", "verify": "10s"},
        **({"pin": pin} if pin else {}),
    )
    made = {
        "cv": declaration,
        "blue": slot("blue", ns, 1),
        "green": slot("green", ns, 1),
        "app": service("app", ns, "blue"),
        "preview": service("preview", ns, "green"),
    }
    files = {f"{FOLDER}/{name}.yaml": json.dumps(value, indent=2).encode() for name, value in made.items()}
    return Slots(git_rollouts(rollouts, folder, {"app": files}), rollouts.plane, ns)


@pytest.fixture
def slots(rollouts: Rollouts, tmp_path: Path) -> Slots:
    """Version 1.0.0 in both slots, blue live."""
    made = slots_of(rollouts, tmp_path)
    made.git.apply()
    return made


@pytest.fixture
def outage() -> None:
    """For tests in which a live Service is left without a ready pod: by hand, or by what breaks where it is live."""


@pytest.fixture(autouse=True)
def never_deserted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Watch, all through a test with two slots, that a live Service that once selected a ready pod always does."""
    name = request.path.name
    has_slots = name.startswith(("test_bluegreen", "test_groups")) and "cells" not in name
    if "rollouts" not in request.fixturenames or not has_slots:
        yield
        return
    rollouts: Rollouts = request.getfixturevalue("rollouts")
    with witness(rollouts.plane, rollouts.namespace, PODS, SERVICES) as seen:
        yield
    names = {each["metadata"]["name"] for each in seen.states(SERVICES)}
    live = {each for each in names if not each.endswith("preview")}
    assert live
    counts = {
        each: list(dropwhile(lambda count: count == 0, (ready for _, ready in seen.selected(each)))) for each in live
    }
    deserted = {each: ready for each, ready in counts.items() if 0 in ready}
    assert bool(deserted) == ("outage" in request.fixturenames), counts
