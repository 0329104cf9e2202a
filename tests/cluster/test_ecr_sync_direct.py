"""`gitcd ecr-sync` without a repository, as whole command lines: a stand-in for ECR, a real control plane."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gitcd.cli.main import run
from tests.conftest import ACCOUNT, REGION
from tests.support.controlplane import ControlPlane
from tests.support.ecr import StandIn

pytestmark = pytest.mark.slow

OLD, NEW = "0a1b2c3d4e", "5f6a7b8c9d"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nearmap/tiles"
NOTICE = (
    "warning: GITCD_REPO names no config repository: the cluster is changed directly, and nothing is recorded in git"
)
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: tilesapp, namespace: NAMESPACE, labels: {team: atlas}}
spec:
  replicas: 1
  selector: {matchLabels: {app: tilesapp}}
  template:
    metadata: {labels: {app: tilesapp}}
    spec:
      containers:
        - {name: tilesapp-container, image: "IMAGE:OLD", env: [{name: ZOOM, value: "14"}]}
        - {name: proxy, image: "proxy:1"}
""".replace("IMAGE:OLD", f"{IMAGE}:{OLD}")
SCHEMA = {
    "type": "object",
    "properties": {
        "apiVersion": {"const": "gitcd.io/v1"},
        "kind": {"const": "DirectSync"},
        **{name: {"type": "string"} for name in ("namespace", "deployment", "tag", "version", "digest", "held")},
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("container", "old", "new")},
                "required": ["container", "old", "new"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["apiVersion", "kind", "namespace", "deployment", "tag", "version", "digest", "held", "changes"],
    "additionalProperties": False,
}


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The tag `dev` names NEW."""
    with StandIn() as server:
        server.put("nearmap/tiles", tags=[OLD, "env-prod"])
        server.put("nearmap/tiles", tags=[NEW, "dev"])
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", server.url)
        yield server


@dataclass
class Scene:
    plane: ControlPlane
    namespace: str
    ecr: StandIn
    capfd: Any

    @property
    def words(self) -> list[str]:
        return [
            "ecr-sync", "--tag=dev", "--ecr=nearmap/tiles", "--deployment=tilesapp", "--container=tilesapp-container",
            f"--namespace={self.namespace}", "--sync=1", "--k8s-config", str(self.plane.admin.kubeconfig),
        ]  # fmt: skip

    def sync(self, *more: str, code: int = 0) -> tuple[str, str]:
        got = run([*self.words, *more])
        out, err = self.capfd.readouterr()
        assert got == code, err
        return out, err

    def deployment(self) -> dict[str, Any]:
        return self.plane.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/tilesapp")

    def images(self) -> list[str]:
        return [each["image"] for each in self.deployment()["spec"]["template"]["spec"]["containers"]]

    def notes(self) -> dict[str, str]:
        annotations = self.deployment()["metadata"].get("annotations", {})
        return {key.partition("/")[2]: value for key, value in annotations.items() if "ecr-sync.gitcd.io" in key}

    def image(self, version: str = NEW) -> str:
        return f"{IMAGE}:{version}@{self.ecr.create('nearmap/tiles').tags[version]}"


@pytest.fixture
def scene(workloads: ControlPlane, namespace: str, ecr: StandIn, capfd) -> Scene:
    workloads.kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("NAMESPACE", namespace))
    workloads.kubectl("rollout", "status", "deployment/tilesapp", "-n", namespace, "--timeout=30s")
    capfd.readouterr()
    return Scene(workloads, namespace, ecr, capfd)


def test_the_image_is_changed_and_nothing_else(scene: Scene) -> None:
    before = scene.deployment()
    out, err = scene.sync("--once")
    assert out == f"Deployment {scene.namespace}/tilesapp: tilesapp-container {IMAGE}:{OLD} -> {scene.image()}\n"
    assert err.splitlines()[0] == NOTICE
    assert scene.images() == [scene.image(), "proxy:1"]
    after = scene.deployment()
    after["spec"]["template"]["spec"]["containers"][0]["image"] = f"{IMAGE}:{OLD}"
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == {"team": "atlas"}
    assert scene.notes() == {}
    own = [each for each in after["metadata"]["managedFields"] if each["manager"].startswith("gitcd-ecr-sync/")]
    assert [each["manager"] for each in own] == ["gitcd-ecr-sync/nearmap/tiles/tilesapp-container"]
    pod = own[0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]
    assert set(pod["f:containers"]['k:{"name":"tilesapp-container"}']) == {".", "f:image", "f:name"}


def test_a_second_poll_writes_nothing(scene: Scene) -> None:
    scene.sync("--once")
    version = scene.deployment()["metadata"]["resourceVersion"]
    out, err = scene.sync("--once")
    assert (out, err) == ("", f"{NOTICE}\nnothing to do\n")
    assert scene.deployment()["metadata"]["resourceVersion"] == version


def test_what_is_the_same_in_another_spelling_restarts_no_pod(scene: Scene) -> None:
    scene.ecr.put("nearmap/tiles", tags=[OLD, "dev"])
    scene.sync("--once")
    assert scene.images()[0] == f"{IMAGE}:{OLD}"


def test_F45_an_image_that_crashes_goes_and_is_not_tried_again(scene: Scene) -> None:
    scene.ecr.put("nearmap/tiles", tags=["bad-crash-c0ffee", "dev"])
    out, err = scene.sync("--once", code=4)
    assert out == ""
    assert f"bad-crash-c0ffee failed, and {IMAGE}:{OLD} runs again: " in err
    assert "CrashLoopBackOff" in err
    assert scene.images()[0] == f"{IMAGE}:{OLD}"
    assert list(scene.notes()) == ["rejected"]
    version = scene.deployment()["metadata"]["resourceVersion"]
    _, err = scene.sync("--once")
    assert "bad-crash-c0ffee failed here before, and waits for another image" in err
    assert scene.deployment()["metadata"]["resourceVersion"] == version
    scene.ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
    scene.sync("--once")
    assert scene.images()[0] == scene.image("99aa99aa99")
    assert scene.notes() == {}


def test_the_version_goes_into_the_config_map_once_it_is_healthy(scene: Scene) -> None:
    scene.sync("--once", "--configKey=tiles/version", code=2)
    path = f"/api/v1/namespaces/{scene.namespace}/configmaps"
    data = {"metadata": {"name": "tiles"}, "data": {"version": OLD, "other": "x"}}
    scene.plane.request("POST", path, data)
    scene.sync("--once", "--configKey=tiles/version")
    assert scene.plane.get(f"{path}/tiles")["data"] == {"version": NEW, "other": "x"}


def test_a_dry_run_shows_and_writes_nothing(scene: Scene) -> None:
    version = scene.deployment()["metadata"]["resourceVersion"]
    out, _ = scene.sync("--dry-run")
    assert out == f"Deployment {scene.namespace}/tilesapp: tilesapp-container {IMAGE}:{OLD} -> {scene.image()}\n"
    assert scene.deployment()["metadata"]["resourceVersion"] == version
    out, _ = scene.sync("--dry-run", "-o", "json")
    jsonschema.validate(json.loads(out), SCHEMA)
    assert json.loads(out)["changes"][0]["new"] == scene.image()
    assert scene.sync("--dry-run", "-o", "name")[0] == f"{scene.namespace}/tilesapp\n"


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--deployment=nosuch", "nosuch is not there"),
        ("--container=nosuch", "it has none of that name"),
        ("--container=proxy", "proxy runs proxy:1"),
        ("--tag=nosuch", "nosuch"),
    ],
)
def test_what_is_not_there_is_named(scene: Scene, flag: str, words: str) -> None:
    _, err = scene.sync("--once", flag, code=5)
    assert words in err
    assert scene.images() == [f"{IMAGE}:{OLD}", "proxy:1"]


def test_what_another_tool_keeps_is_left_alone(scene: Scene) -> None:
    scene.plane.kubectl(
        "annotate",
        "deployment/tilesapp",
        "-n",
        scene.namespace,
        "argocd.argoproj.io/tracking-id=atlas:apps/Deployment:x/y",
    )
    _, err = scene.sync("--once", code=5)
    assert "is kept by Argo CD" in err
    assert scene.images()[0] == f"{IMAGE}:{OLD}"


def test_two_of_them_on_one_deployment_do_not_touch_each_other(scene: Scene) -> None:
    scene.sync("--once")
    scene.ecr.put("nearmap/proxy", tags=["abcdef12", "dev"])
    proxy = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nearmap/proxy"
    scene.plane.kubectl("set", "image", "deployment/tilesapp", f"proxy={proxy}:0", "-n", scene.namespace)
    scene.sync("--once", "--ecr=nearmap/proxy", "--container=proxy")
    scene.ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
    scene.sync("--once")
    assert scene.images()[0] == scene.image("99aa99aa99")
    assert scene.images()[1].startswith(f"{proxy}:abcdef12@sha256:")


def begun(scene: Scene) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gitcd", *scene.words, "--once"],
        env=dict(os.environ),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_while_it_waits_the_next_one_goes_back_all_the_same(scene: Scene, number: signal.Signals) -> None:
    scene.ecr.put("nearmap/tiles", tags=["bad-never-c0ffee", "dev"])
    with begun(scene) as process:
        for _ in range(600):
            if "bad-never" in scene.images()[0]:
                break
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 143)
    assert json.loads(scene.notes()["before"]) == {"tilesapp-container": f"{IMAGE}:{OLD}"}
    scene.ecr.put("nearmap/tiles", tags=["bad-crash-c0ffee", "dev"])
    _, err = scene.sync("--once", code=4)
    assert f"{IMAGE}:{OLD} runs again" in err
    assert scene.images()[0] == f"{IMAGE}:{OLD}"


def test_it_polls_until_a_signal_ends_it(scene: Scene) -> None:
    words = [sys.executable, "-m", "gitcd", *scene.words]
    with subprocess.Popen(words, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.readline().decode()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert told == f"Deployment {scene.namespace}/tilesapp: tilesapp-container {IMAGE}:{OLD} -> {scene.image()}\n"
    assert process.returncode == 143
    assert err.decode().count(NOTICE) == 1
    assert scene.notes() == {}
