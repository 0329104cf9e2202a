"""The kind ContainerVersion on the real API server, and runs of gitcd that take their declarations from there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gitcd.manifests.dump import to_yaml
from gitcd.model.crd import NAME, custom_resource_definition
from gitcd.model.settings import NamespaceScope, Settings
from gitcd.usecases.cluster_source import Asked, ClusterSource, read_cluster
from gitcd.usecases.cluster_status import with_statuses
from gitcd.usecases.context import Planned
from gitcd.usecases.publish import Published
from gitcd.usecases.reconcile import preview, reconcile
from tests.support.controlplane import Access, ControlPlane
from tests.support.repos import Bare, make_bare
from tests.support.scenes import AUTHOR, HOST, LAYOUT, NOW, Tags, app_files, context, mirror_of

BASE = "/apis/gitcd.io/v1"


@pytest.fixture(scope="session")
def definition(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the definition installed, as `gitcd schema crd` prints it."""
    control_plane.apply(to_yaml(custom_resource_definition()))
    _await_established(control_plane)
    return control_plane


def _await_established(control_plane: ControlPlane) -> None:
    """As `kubectl wait` does, which fails on a definition that has no conditions yet."""
    path = '{.status.conditions[?(@.type=="Established")].status}'
    for _ in range(200):
        done = control_plane.kubectl("get", f"crd/{NAME}", "-o", f"jsonpath={path}", check=False)
        if done.stdout == "True":
            return
        time.sleep(0.1)
    pytest.fail(f"the definition is not established:\n{done.stdout}{done.stderr}")


def manifest(name: str, namespace: str, environment: str = "dev", **spec: Any) -> dict[str, Any]:
    """What `scenes.app_files` declares, as an object of that namespace."""
    whole = {"imageRepo": f"{HOST}/team/{name}", "tag": f"env-{environment}", "selector": {"app": name}, **spec}
    return {
        "apiVersion": "gitcd.io/v1",
        "kind": "ContainerVersion",
        "metadata": {"name": name, "namespace": namespace},
        "spec": whole,
    }


def deployment(name: str, namespace: str, environment: str = "dev") -> dict[str, bytes]:
    """The Deployment that it is about, without the declaration beside it."""
    files = app_files(name, environment=environment)
    return {
        path: data.replace(b"namespace: team", f"namespace: {namespace}".encode())
        for path, data in files.items()
        if not path.endswith("cv.yaml")
    }


@dataclass
class Scene:
    """A remote with two applications at 1.0.0, a registry that says 1.1.0, and a namespace that may reach dev."""

    plane: ControlPlane
    namespace: str
    remote: Bare
    tags: Tags
    scopes: list[NamespaceScope] = field(default_factory=list)
    asked: Asked = field(default_factory=Asked)

    def declare(self, name: str, **spec: Any) -> dict[str, Any]:
        made = manifest(name, self.namespace, **spec)
        return self.plane.request("POST", f"{BASE}/namespaces/{self.namespace}/containerversions", made)

    def patch(self, name: str, body: object, *, sub: str = "") -> dict[str, Any]:
        path = f"{BASE}/namespaces/{self.namespace}/containerversions/{name}{sub}"
        return self.plane.request("PATCH", path, body, kind="merge-patch+json")

    def delete(self, name: str) -> None:
        self.plane.request("DELETE", f"{BASE}/namespaces/{self.namespace}/containerversions/{name}")

    def get(self, name: str) -> dict[str, Any]:
        return self.plane.get(f"{BASE}/namespaces/{self.namespace}/containerversions/{name}")

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        found = self.get(name).get("status", {}).get("conditions", [])
        return {each["type"]: (each["status"], each["reason"]) for each in found}

    def events(self, name: str = "") -> list[dict[str, Any]]:
        found = self.plane.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        return [each for each in found if not name or each["regarding"]["name"] == name]

    def by(self, access: Access) -> Scene:
        """The same, as somebody else."""
        return replace(self, asked=replace(self.asked, kubeconfig=str(access.kubeconfig)))

    def through(self, plane: ControlPlane) -> Scene:
        """The same, by way of a proxy."""
        return self.by(plane.admin)

    def read(self, seconds: float = 60) -> ClusterSource:
        settings = Settings(namespaces=tuple(self.scopes))
        return read_cluster(settings, self.asked, time.monotonic() + seconds)

    def plan(self) -> Planned:
        source = self.read()
        with mirror_of(self.remote.url) as mirror:
            return preview(mirror, source.context(self._context(mirror)))

    def run(
        self, *, now: datetime = NOW, source: ClusterSource | None = None, seconds: float = 60
    ) -> Published[Planned]:
        """A whole reconcile. `source`: what was read of the cluster before."""
        source = source or self.read(seconds)
        with mirror_of(self.remote.url) as mirror:
            made_with = replace(source.context(self._context(mirror)), now=now)
            published = reconcile(mirror, made_with, AUTHOR)
        return with_statuses(published, source, now, f"run-{now:%H%M%S}", time.monotonic() + seconds)

    def _context(self, mirror: Any) -> Any:
        return replace(context(mirror, self.tags), limits={each.name: each for each in self.scopes})


@pytest.fixture
def scene(definition: ControlPlane, namespace: str, tmp_path: Path) -> Scene:
    files = {"gitcd.yaml": LAYOUT} | deployment("app", namespace) | deployment("other", namespace)
    remote = make_bare(tmp_path / "remote.git", files)
    tags = Tags({f"team/{name}": ["1.0.0"] for name in ("app", "other")})
    for name in ("app", "other"):
        tags.move(f"team/{name}", "env-dev", "1.1.0")
    scope = NamespaceScope(namespace, ("dev",), ("envs/dev",))
    asked = Asked(kubeconfig=str(definition.admin.kubeconfig), namespace=namespace)
    return Scene(definition, namespace, remote, tags, [scope], asked)


def settings_file(scene: Scene, folder: Path) -> Path:
    """The scene's map as an operator writes it."""
    scopes = [
        {"name": each.name, "environments": list(each.environments), "paths": list(each.paths)} for each in scene.scopes
    ]
    path = folder / "settings.yaml"
    path.write_text(json.dumps({"namespaces": scopes}))
    return path


def outcomes(planned: Planned) -> Iterator[tuple[str, str, str]]:
    """Name, kind and reason of each."""
    for each in planned.plan.outcomes:
        yield each.identity.name, each.kind.value, each.reason
