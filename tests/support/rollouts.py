"""Releases of one application on the real control plane, and the means to take them live."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.model.declaration import Document, Identity, Origin, Spec
from gitcd.model.live import Manifest, Ref
from gitcd.model.schema import read
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Trouble
from gitcd.usecases.rollout_means import Means, TakenBack
from tests.support.containerversions import BASE, manifest
from tests.support.controlplane import ControlPlane
from tests.support.scenes import HOST


def digest(version: str) -> str:
    return f"sha256:{hashlib.sha256(version.encode()).hexdigest()}"


def image(name: str, version: str) -> str:
    return f"{HOST}/team/{name}:{version}@{digest(version)}"


def workload(name: str, namespace: str, version: str, kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    """A workload of one replica; versions behave as controlplane_stages.yaml says."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": name, "image": image(name, version)}], "terminationGracePeriodSeconds": 0},
    }
    own = {"progressDeadlineSeconds": 60} if kind == "Deployment" else {"serviceName": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **own, **spec},
    }


def as_manifest(value: dict[str, Any]) -> Manifest:
    group, _, version = value["apiVersion"].rpartition("/")
    metadata = value["metadata"]
    return Manifest(
        Ref(value["kind"], metadata["namespace"], metadata["name"], group), version, value, Origin("m.yaml")
    )


def carry(objects: Objects, manifest: Manifest, version: str = "") -> None:
    """To that version of the object alone, where there is one."""
    metadata = manifest.value["metadata"] | ({"resourceVersion": version} if version else {})
    objects.apply(replace(manifest, value={**manifest.value, "metadata": metadata}), force=True)


@dataclass
class Rollouts:
    """One namespace. `declare` puts a ContainerVersion there, `release` is what a commit would say."""

    plane: ControlPlane
    namespace: str
    objects: Objects = field(init=False)
    commits: int = 0

    def __post_init__(self) -> None:
        self.objects = Objects(Api(find_access(str(self.plane.admin.kubeconfig))))

    def declare(self, name: str, **spec: Any) -> None:
        path = f"{BASE}/namespaces/{self.namespace}/containerversions"
        self.plane.request("POST", path, manifest(name, self.namespace, **spec))

    def spec(self, name: str, **spec: Any) -> Spec:
        value, problems = read(Document, manifest(name, self.namespace, **spec))
        assert value is not None, problems
        return value.spec

    def release(
        self,
        name: str,
        version: str,
        *,
        kind: str = "Deployment",
        rejected: Any = None,
        more: dict[str, Any] | None = None,
        cpu: str = "",
        **spec: Any,
    ) -> Release:
        """`more` is what the workload's spec says besides, `spec` what the declaration's does."""
        self.commits += 1
        commit = hashlib.sha1(f"{name} {version} {self.commits}".encode()).hexdigest()
        value = workload(name, self.namespace, version, kind, **(more or {}))
        if cpu:
            value["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        made = as_manifest(value)
        identity = Identity("dev", self.namespace, name)
        return Release(
            identity, self.spec(name, **spec), version, digest(version), commit, (made,), rejected=rejected or {}
        )

    def means(self, **more: Any) -> Means:
        until = time.monotonic() + more.pop("seconds", 40)
        made = Means(self.objects, carry=self.carry, until=until, poll=timedelta(milliseconds=100), run="test")
        return replace(made, **more)

    def carry(self, manifest: Manifest, version: str = "") -> None:
        carry(self.objects, manifest, version)

    def status(self, name: str) -> dict[str, Any]:
        path = f"{BASE}/namespaces/{self.namespace}/containerversions/{name}"
        return dict(self.plane.get(path).get("status") or {})

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        return {each["type"]: (each["status"], each["reason"]) for each in self.status(name).get("conditions", [])}

    def history(self, name: str) -> list[tuple[str, str]]:
        return [(each["digest"], each["result"]) for each in self.status(name).get("history", [])]

    def live_image(self, name: str, kind: str = "Deployment") -> str:
        value = self.objects.get(Ref(kind, self.namespace, name, "apps"))
        assert value is not None
        return str(value["spec"]["template"]["spec"]["containers"][0]["image"])

    def events(self, name: str) -> list[tuple[str, str]]:
        found = self.plane.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        return [(each["reason"], each["note"]) for each in found if each["regarding"]["name"] == name]


def back_to(*releases: Release) -> Callable[[Release, Trouble, str], TakenBack]:
    """A revert that brings these, with the hold on what failed."""

    def take_back(failed: Release, trouble: Trouble, _good: str) -> TakenBack:
        rejected = {failed.digest: trouble.message}
        return TakenBack(tuple(replace(each, rejected=rejected) for each in releases), commit="r" * 40)

    return take_back


@pytest.fixture
def rollouts(definition: ControlPlane, workloads: ControlPlane, namespace: str) -> Rollouts:
    return Rollouts(workloads, namespace)
