"""A config repository that is applied to the real control plane: files in, commands run, objects read.

A conftest or test imports `scene` with `definition` of containerversions; every name is of that namespace, so that tests share a cluster.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitcd.cli import main
from gitcd.manifests.dump import to_yaml
from gitcd.model.registry import Answers
from gitcd.usecases.workspace import Workspace
from tests.support.controlplane import ControlPlane
from tests.support.repos import Bare, make_bare

LAYOUT = b"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n  - {name: prod, path: envs/prod}\n"
FOLDER = "envs/prod/web"
REPO = "registry.example.com/team/web"
OLD, NEW = (f"{REPO}:{version}@sha256:{letter * 64}" for version, letter in (("1.0.0", "a"), ("1.1.0", "b")))


def uid_of(plane: ControlPlane) -> str:
    return str(plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def declaration(namespace: str, name: str = "web", **spec: Any) -> dict[str, Any]:
    whole = {
        "imageRepo": f"registry.example.com/team/{name}",
        "tag": "env-prod",
        "selector": {"app": name},
        "rollback": {"enabled": False},  # so that no registry is asked for the way back
        **spec,
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "gitcd.io/v1", "kind": "ContainerVersion", "metadata": metadata, "spec": whole}


def deployment(namespace: str, name: str = "web", image: str = "", **spec: Any) -> dict[str, Any]:
    container = {"name": name, "image": image or f"registry.example.com/team/{name}:1.0.0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def documents(*objects: dict[str, Any]) -> bytes:
    return "---\n".join(map(to_yaml, objects)).encode()


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def environments(self) -> list[dict[str, Any]]:
        return list(json.loads(self.out)["environments"])

    @property
    def report(self) -> dict[str, Any]:
        """The only environment of the report."""
        (found,) = self.environments
        return found

    @property
    def results(self) -> dict[str, str]:
        return {f"{each['kind']}/{each['name']}": each["result"] for each in self.report["objects"]}


@dataclass
class Scene:
    plane: ControlPlane
    namespace: str
    remote: Bare
    folder: Path
    capsys: Any
    settings: dict[str, Any] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes | None]) -> str:
        return self.remote.commit(files)

    def apply(self, *flags: str, kubeconfig: Path | None = None) -> Ran:
        return self._ran("apply", "-n", self.namespace, *flags, kubeconfig=kubeconfig)

    def run(self, *flags: str) -> Ran:
        return self._ran("run", *flags)

    @contextmanager
    def started(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """`gitcd apply` in a process of its own; what it says lies in `talk`."""
        words = [sys.executable, "-m", "gitcd", *self._words("apply", "-n", self.namespace, *flags)]
        with self.talk.open("w") as talk, subprocess.Popen(words, text=True, stdout=talk, stderr=talk) as process:
            try:
                yield process
            finally:
                process.kill()

    def loaded(self, *flags: str) -> set[str]:
        """The modules that a process has loaded when its `gitcd apply` has ended well."""
        script = "import sys; from gitcd.cli.main import run; assert not run(sys.argv[1:]); print(*sys.modules)"
        words = [sys.executable, "-c", script, *self._words("apply", "-n", self.namespace, *flags)]
        done = subprocess.run(words, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines()[-1].split())

    @property
    def talk(self) -> Path:
        return self.folder / "talk"

    def _words(self, verb: str, *flags: str, kubeconfig: Path | None = None) -> list[str]:
        path = self.folder / "settings.yaml"
        environments = [{"name": "prod", "cluster": uid_of(self.plane)}]
        path.write_text(json.dumps({"environments": environments, **self.settings}))
        words = [verb, self.remote.url, "--config", str(path), "-o", "json"]
        return [*words, "--kubeconfig", str(kubeconfig or self.plane.admin.kubeconfig), *flags]

    def _ran(self, verb: str, *flags: str, kubeconfig: Path | None = None) -> Ran:
        words = self._words(verb, *flags, kubeconfig=kubeconfig)
        self.capsys.readouterr()
        code = main.run(words)
        said = self.capsys.readouterr()
        return Ran(code, said.out, said.err)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        base = {"deployments": "/apis/apps/v1", "containerversions": "/apis/gitcd.io/v1"}.get(kind, "/api/v1")
        return self.plane.get(f"{base}/namespaces/{self.namespace}/{kind}/{name}")

    def managers(self, kind: str, name: str) -> dict[str, dict[str, Any]]:
        entries = self.get(kind, name)["metadata"]["managedFields"]
        return {each["manager"]: each["fieldsV1"] for each in entries if not each.get("subresource")}


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that cannot be asked: it keeps nobody from applying what git says."""
    monkeypatch.setattr(Workspace, "ask", lambda *_: Answers({}))


@pytest.fixture
def scene(request: pytest.FixtureRequest, namespace: str, tmp_path: Path, capsys: Any) -> Scene:
    """With controllers where the test is a slow one; else the API server alone, which most of it needs."""
    is_slow = request.node.get_closest_marker("slow") is not None
    plane: ControlPlane = request.getfixturevalue("workloads" if is_slow else "control_plane")
    request.getfixturevalue("definition")
    return Scene(plane, namespace, make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT}), tmp_path, capsys)
