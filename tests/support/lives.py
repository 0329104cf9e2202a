"""One application in git and in a cluster, and `gitcd apply` runs that end by themselves or by SIGKILL.

What a run leaves behind is compared with what another one leaves: `Lives.left` tells all of it, with names in place of what
differs from one rollout to the next.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.applier import applied_by_another
from tests.support.ecr import CREDENTIALS, StandIn
from tests.support.repos import Bare, make_bare
from tests.support.rollouts import Rollouts
from tests.support.scenes import LAYOUT
from tests.support.zygote import Finished, Zygote

NEVER = 1_000_000
_MODULES = (
    "boto3",
    "gitcd.cli.apply",
    "gitcd.registry.tags",
    "gitcd.usecases.apply",
    "gitcd.usecases.apply_release",
    "gitcd.usecases.rollout_git",
    "gitcd.usecases.rollout_measure",
)
FOLDER = "envs/dev/app"
_HOLDS = ".gitcd/holds"
# What differs from run to run, and what it is called in its place.
_NAMES = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "COMMIT"),
    (re.compile(r"\bapp(-[a-z]+)?-[0-9a-z]{6,10}-[0-9a-z]{5}\b"), "POD"),
]
_REVISION = "deployment.kubernetes.io/revision"
_OF_ALL = "kube-root-ca.crt"  # the ConfigMap that stands in every namespace
_OF_ROLLOUTS = {"applied", "lastGood", "rollout", "history"}


@dataclass
class Lives:
    """`move` lets the tag name another version and commits that, `apply` is one run, and `left` is what is there then."""

    cluster: Rollouts
    remote: Bare
    ecr: StandIn
    zygote: Zygote
    folder: Path
    external: bool = False
    runs: int = 0
    pushed: dict[str, str] = field(default_factory=dict)  # digests by version
    _names: dict[str, str] = field(default_factory=dict)
    _commits: int = 0
    _history: int = 0

    def move(self, version: str) -> None:
        """Let the tag name another version; nothing is held out any more from before."""
        if holds := self.remote.git("ls-tree", "-r", "--name-only", "main", f"{_HOLDS}/").split():
            self.remote.commit(dict.fromkeys(holds))
        self.pushed[version] = self.ecr.put("team/app", tags=[version, "env-dev"])
        before = self._before()
        self._commits = self.remote.count()
        done = self.gitcd("reconcile", self.remote.url)
        assert done.status == 0, done.err
        self._names = {version: "NEW", self.pushed[version]: "DIGEST-NEW", **before}
        self._history = len(self._status().get("history") or ())

    def apply(self, dies: int = NEVER) -> Finished:
        """One run. Who was killed before it has lost its Lease by now."""
        plane, namespace = self.cluster.plane, self.cluster.namespace
        plane.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
        words = ("apply", "--kubeconfig", str(plane.admin.kubeconfig), "--namespace", namespace, self.remote.url)
        return self.gitcd(*words, dies=dies)

    def gitcd(self, *words: str, dies: int = NEVER) -> Finished:
        self.runs += 1
        return self.zygote.run(words, self._environment, self.folder / f"run-{self.runs}", None, dies)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """As long as the block lasts somebody else applies the branch, where somebody else does."""
        other = applied_by_another(self.cluster.plane, self.remote, FOLDER) if self.external else nullcontext()
        with other:
            yield

    def left(self) -> str:
        """Git and cluster, as they are now: one line for each value."""
        status = self._status()
        history = status.pop("history", [])
        found = {
            **status,
            "history": history[: len(history) - self._history],
            "deployments": self._objects("/apis/apps/v1", "deployments"),
            "services": self._objects("/api/v1", "services"),
            "records": self._objects("/api/v1", "configmaps", _record),
            "files": {path: self.remote.show(path).decode() for path in self._paths()},
            "subjects": self.remote.git("log", f"-{self.remote.count() - self._commits}", "--format=%s").splitlines(),
        }
        named = json.loads(self._named(json.dumps(found)))
        for each in named["records"].values():
            each["objects"].sort()
        return json.dumps(named, indent=1, sort_keys=True)

    def _named(self, text: str) -> str:
        """The same with names for what differs from one rollout to the next."""
        for pattern, name in _NAMES:
            text = pattern.sub(name, text)
        for value, name in self._names.items():
            text = re.sub(rf"\b{re.escape(value)}\b", name, text)
        return text

    def _before(self) -> dict[str, str]:
        """Names for what there is before a rollout: the version that is live, and where there are slots both of them."""
        manifests = [json.loads(self.remote.show(path)) for path in self._paths() if path.startswith(FOLDER)]
        live = next((each["spec"]["selector"]["slot"] for each in manifests if each["kind"] == "Service"), "")
        names = {live: "LIVE", {"blue": "green", "green": "blue"}.get(live, ""): "IDLE"} if live else {}
        for each in manifests:
            if each["kind"] == "Deployment":
                template = each["spec"]["template"]
                name = names.get(template["metadata"]["labels"].get("slot", ""), "LIVE")
                version = template["spec"]["containers"][0]["image"].partition("@")[0].rpartition(":")[2]
                names |= {version: f"VERSION-{name}", self.pushed[version]: f"DIGEST-{name}"}
        return names

    def _paths(self) -> list[str]:
        return self.remote.git("ls-tree", "-r", "--name-only", "main").splitlines()

    def _status(self) -> dict[str, Any]:
        status = self.cluster.status("app")
        return {key: value for key, value in status.items() if key in _OF_ROLLOUTS} | {
            "conditions": [each for each in status.get("conditions", []) if each["type"] in {"Verified", "Stalled"}]
        }

    def _objects(
        self, base: str, plural: str, shown: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        items = self.cluster.plane.get(f"{base}/namespaces/{self.cluster.namespace}/{plural}")["items"]
        return {
            each["metadata"]["name"]: (shown or _plain)(each) for each in items if each["metadata"]["name"] != _OF_ALL
        }

    @property
    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "GITCD_CONFIG": str(self.folder / "settings.yaml"),
            "GITCD_CACHE_DIR": str(self.folder / "cache"),
            "GITCD_ECR_ENDPOINT_URL": self.ecr.url,
            "AWS_DEFAULT_REGION": self.ecr.region,
            "COLUMNS": "200",
        }
        return {**kept, **CREDENTIALS, **own}


@contextmanager
def lives(cluster: Rollouts, folder: Path, files: Mapping[str, bytes], *, external: bool = False) -> Iterator[Lives]:
    """The application at 1.0.0, which runs."""
    uid = cluster.plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    (folder / "settings.yaml").write_text(json.dumps({"environments": [{"name": "dev", "cluster": uid}]}))
    layout = LAYOUT.replace(b"path: envs/dev", b"path: envs/dev, applier: external") if external else LAYOUT
    remote = make_bare(folder / "remote.git", {"gitcd.yaml": layout, **files})
    with StandIn() as ecr, Zygote(*_MODULES) as zygote:
        made = Lives(cluster, remote, ecr, zygote, folder, external)
        ecr.put("team/smoke", tags=["1"])
        cluster.declare("app", **json.loads(files[f"{FOLDER}/cv.yaml"])["spec"])
        made.move("1.0.0")
        with made.applied():
            first = made.apply()
        assert first.status == 0, first.err
        yield made


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """An object without what its server adds to any."""
    metadata = value["metadata"]
    spec = {key: each for key, each in value.get("spec", {}).items() if not key.startswith("clusterIP")}
    managers = {f"{each['manager']} {each.get('subresource', '')}" for each in metadata.get("managedFields", ())}
    return {
        "labels": metadata.get("labels"),
        "annotations": {key: each for key, each in metadata.get("annotations", {}).items() if key != _REVISION},
        "managers": sorted(managers),
        "spec": spec,
    }


def _record(value: dict[str, Any]) -> dict[str, Any]:
    """What apply remembers: of which commit, and of which objects."""
    data = value["data"]
    objects = [" ".join(line.split()[:3]) for line in data["objects"].splitlines()]
    return {"commit": data["commit"], "environment": data["environment"], "objects": objects}
