"""Deployments taken to a real control plane: by gitcd from a branch, by kubectl from a folder.

The controllers run, as they do in every cluster, and make a ReplicaSet of each change. No pods are wanted: what they
cost is paid by nodes, which are other machines. Nobody begins before the controllers are done with what came before.
kubectl is built from the release of Kubernetes without a change, and given those flags that it needs: it checks fields
strictly, as it does for everybody. Its limit of 50 requests a second is not felt, as it makes a client for each object.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from benchmarks.measure import DATA, GITCD, Contender, python
from tests.support.audit import AuditLog, writes
from tests.support.controlplane import NEEDED_FOR_API, NEEDED_FOR_WORKLOADS, _binaries, _using
from tests.support.controlplane_files import ADMIN

DEPLOYMENTS = 1000
ROUND_TRIP = 5  # milliseconds to an API server on another machine
_LAYOUT = "apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n  - {name: prod, path: envs/prod}\n"
_IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com"} | {
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def manifest(number: int, namespace: str, version: int) -> str:
    """A Deployment of about fifty lines, as people write them."""
    name = f"app-{number:04d}"
    env = "".join(f"        - {{name: SETTING_{each}, value: 'value {each}'}}\n" for each in range(10))
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app: {name}
    team: atlas
spec:
  replicas: 0
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
        team: atlas
    spec:
      containers:
      - name: main
        image: registry.example.com/atlas/{name}:1.{version}.0
        ports:
        - {{containerPort: 8080, name: http}}
        resources:
          requests: {{cpu: 100m, memory: 128Mi}}
          limits: {{memory: 256Mi}}
        readinessProbe:
          httpGet: {{path: /ready, port: http}}
          periodSeconds: 5
        env:
{env}"""


@dataclass
class Cluster:
    """An API server, a remote and a folder with the same Deployments, each for a namespace of its own."""

    server: Path  # the folder of the control plane
    kubectl: str
    kubeconfig: str
    ours: str = field(default_factory=lambda: f"ours-{uuid.uuid4().hex[:6]}")
    theirs: str = field(default_factory=lambda: f"theirs-{uuid.uuid4().hex[:6]}")
    barely: str = field(default_factory=lambda: f"bare-{uuid.uuid4().hex[:6]}")
    version: int = 0
    is_complete: bool = True  # controllers run

    @property
    def audit(self) -> AuditLog:
        return AuditLog(self.server / "audit.log")

    @property
    def folder(self) -> Path:
        return DATA / "apply"

    @property
    def _bodies(self) -> Path:
        return self.folder / "bodies.json"

    def make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "manifests").mkdir(parents=True)
        for namespace in (self.ours, self.theirs, self.barely):
            self._kubectl("create", "namespace", namespace)
        uid = self._kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        settings = {"environments": [{"name": "prod", "cluster": uid}]}
        (self.folder / "settings.yaml").write_text(json.dumps(settings))
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.folder / "remote.git"], check=True)
        self.change()

    def change(self) -> None:
        """Give every Deployment another image, in the branch and in the folder."""
        self.version += 1
        files = {f"envs/prod/{number}.yaml": manifest(number, self.ours, self.version) for number in range(DEPLOYMENTS)}
        self._commit({"gitcd.yaml": _LAYOUT, **files})
        for number in range(DEPLOYMENTS):
            path = self.folder / "manifests" / f"{number}.yaml"
            path.write_text(manifest(number, self.theirs, self.version))
        bodies = (manifest(number, self.barely, self.version) for number in range(DEPLOYMENTS))
        self._bodies.write_text(json.dumps([yaml.load(each, yaml.CSafeLoader) for each in bodies]))

    def settle(self) -> None:
        """Wait until the controllers have seen every Deployment as it is."""
        fields = "{range .items[*]}{.metadata.generation}={.status.observedGeneration} {end}"
        while self.is_complete:
            seen = self._kubectl("get", "deployments", "--all-namespaces", "-o", f"jsonpath={fields}").split()
            if all(each.split("=")[0] == each.split("=")[1] for each in seen):
                return
            time.sleep(1)

    def gitcd(self, *, changed: bool) -> Contender:
        command = [*GITCD, "apply", f"file://{self.folder}/remote.git", "--all", "--no-wait", "-q", "-o", "name"]
        flags = ["--config", str(self.folder / "settings.yaml"), "--cache-dir", str(self.folder / "cache")]
        flags += ["--kubeconfig", self.kubeconfig, "-n", self.ours]
        return Contender("gitcd", [*command, *flags], self._change_at_rest if changed else self.settle)

    def kubectl_apply(self) -> Contender:
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, "apply", "--server-side", "-f"]
        return Contender("kubectl apply --server-side", [*command, str(self.folder / "manifests")], self.settle)

    def bare(self) -> Contender:
        command = python("benchmarks.bareapply", self.kubeconfig, str(self._bodies))
        return Contender("bare script, 16 connections", command, self._change_at_rest)

    @contextmanager
    def far_away(self) -> Iterator[Cluster]:
        """The same API server as if it ran on another machine."""
        config = json.loads(Path(self.kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        command = python("benchmarks.faraway", str(urlsplit(cluster["server"]).port), str(ROUND_TRIP / 2))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
            assert relay.stdout
            cluster["server"] = f"https://127.0.0.1:{relay.stdout.readline().strip()}"
            path = self.folder / "far.kubeconfig"
            path.write_text(json.dumps(config))
            try:
                yield replace(self, kubeconfig=str(path))
            finally:
                relay.terminate()

    def written(self, mark: int) -> int:
        """How many requests of gitcd since then would change something."""
        return len(writes(self.audit.since(mark, user=ADMIN, agent="gitcd/")))

    def _change_at_rest(self) -> None:
        self.settle()
        self.change()

    def _commit(self, files: dict[str, str]) -> None:
        lines = ["commit refs/heads/main", "committer A <a@example.com> 1772366400 +0000", "data 1", "x"]
        lines += ["from refs/heads/main^0"] if self.version > 1 else []
        for path, text in files.items():
            lines += [f"M 100644 inline {path}", f"data {len(text.encode())}", text]
        script = "\n".join([*lines, ""]).encode()
        environment = {**os.environ, **_IDENTITY}
        remote = self.folder / "remote.git"
        subprocess.run(
            ["git", "fast-import", "--quiet", "--force"], cwd=remote, input=script, env=environment, check=True
        )

    def _kubectl(self, *words: str) -> str:
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def cluster(*, is_complete: bool = True) -> Iterator[Cluster]:
    """A control plane of its own, for as long as the block lasts; or an API server whose controllers do not run."""
    binaries = _binaries((*NEEDED_FOR_API, *NEEDED_FOR_WORKLOADS))
    server, workloads = (_empty(name) for name in ("control-plane", "workloads"))
    with ExitStack() as stack:
        stack.enter_context(_using(server, binaries, "api"))
        if is_complete:
            stack.enter_context(_using(workloads, binaries, "workloads", str(server)))
        kubeconfig = str(server / f"{ADMIN}.kubeconfig")
        made = Cluster(server, str(binaries / "kubectl"), kubeconfig, is_complete=is_complete)
        made.make()
        yield made


def _empty(name: str) -> Path:
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
