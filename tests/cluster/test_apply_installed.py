"""The Roles that `gitcd install --apply` renders, on a real API server: enough for apply, and no more than it asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.discovery import Discovery
from gitcd.model.registry import Answers, Image
from gitcd.usecases.install import install, objects
from gitcd.usecases.install_rights import OTHERS, USUAL
from gitcd.usecases.workspace import Workspace
from tests.support.applying import Scene, config_map, declaration, deployment, documents, scene, uid_of
from tests.support.audit import Request
from tests.support.canaries import canary, install_routes, meanwhile, observed, step
from tests.support.containerversions import definition
from tests.support.controlplane import Access, ControlPlane

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"
DIGESTS = {version: f"sha256:{letter * 64}" for version, letter in (("1.0.0", "a"), ("1.1.0", "b"), ("smoke", "c"))}
SMOKE = {"kind": "Image", "name": "smoke", "image": "registry.example.com/team/smoke", "tag": "smoke", "interval": "0s"}
# What apply may write, and the control plane here does not serve.
ELSEWHERE = {"rollouts", "grpcroutes"}


def installed(scene: Scene, *, kinds: tuple[str, ...] = (), **flags: Any) -> tuple[Access, set[tuple[str, str, str]]]:
    """Apply's own ServiceAccount, with the rights that an installation for this one namespace gives it; and these."""
    scene.settings = {
        "namespaces": [{"name": scene.namespace, "environments": ["prod"]}],
        "allow": {"kinds": list(kinds)},
    }
    path = scene.folder / "installed.yaml"
    path.write_text(json.dumps({"environments": [{"name": "prod", "cluster": uid_of(scene.plane)}], **scene.settings}))
    files = install(
        {"apply": "images", "namespace": scene.namespace, "crd": False, **flags},
        {"repo": "https://git.example.com/a/b.git", "config": str(path)},
    )
    scene.plane.apply(files["serviceaccount.yaml"] + "---\n" + files["rbac.yaml"])
    granted = {
        (rule["apiGroups"][0], rule["resources"][0], verb)
        for role in objects(files)
        if role["kind"] in {"Role", "ClusterRole"}
        for rule in role["rules"]
        for verb in rule["verbs"]
    }
    return scene.plane.account(scene.namespace, "gitcd"), granted


@pytest.fixture
def account(scene: Scene) -> Access:
    return installed(scene)[0]


def used(asked: list[Request]) -> set[tuple[str, str, str]]:
    """The permissions that requests took: server-side apply needs `create`, too, where it makes an object."""
    created = {(each.group, each.resource, "create") for each in asked if (each.verb, each.status) == ("patch", 201)}
    return {each.permission for each in asked if each.resource} | created


def named(scene: Scene, api: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": scene.namespace}, **fields}


def service(scene: Scene, name: str, **selector: str) -> dict[str, Any]:
    return named(scene, "v1", "Service", name, spec={"selector": selector, "ports": [{"port": 80}]})


def workload(scene: Scene, name: str, version: str, app: str = "", replicas: int = 1, **labels: str) -> dict[str, Any]:
    """A Deployment of one container whose image is that of `app`."""
    app = app or name
    labels = {"app": app, **labels}
    image = f"registry.example.com/team/{app}:{version}@{DIGESTS[version]}"
    pod = {"containers": [{"name": app, "image": image}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return deployment(
        scene.namespace, name, image, replicas=replicas, selector={"matchLabels": labels}, template=template
    )


def one_of_each(scene: Scene) -> dict[str, bytes | None]:
    """Of every kind that is not among the rollouts, a file with one."""
    labels = {"app": "each"}
    pod = {"containers": [{"name": "c", "image": "registry.example.com/team/other:1"}], "restartPolicy": "Never"}
    always = {"metadata": {"labels": labels}, "spec": {**pod, "restartPolicy": "Always"}}
    job = {"template": {"metadata": {"labels": {"app": "job"}}, "spec": pod}}
    selecting = {"selector": {"matchLabels": labels}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    found = [
        named(scene, "apps/v1", "StatefulSet", "each", spec={**selecting, "serviceName": "web", "template": always}),
        named(scene, "apps/v1", "DaemonSet", "each", spec={**selecting, "template": always}),
        named(scene, "apps/v1", "ReplicaSet", "each", spec={**selecting, "replicas": 0, "template": always}),
        named(scene, "batch/v1", "Job", "each", spec=job),
        named(scene, "batch/v1", "CronJob", "each", spec={"schedule": "@monthly", "jobTemplate": {"spec": job}}),
        named(scene, "v1", "Pod", "each", spec={**pod, "restartPolicy": "Always", "terminationGracePeriodSeconds": 0}),
        named(scene, "v1", "ServiceAccount", "each"),
        named(scene, "v1", "PersistentVolumeClaim", "each", spec=claim),
        named(scene, "policy/v1", "PodDisruptionBudget", "each", spec={"maxUnavailable": 1}),
        named(
            scene, "autoscaling/v2", "HorizontalPodAutoscaler", "each", spec={"maxReplicas": 2, "scaleTargetRef": aim}
        ),
        named(scene, "networking.k8s.io/v1", "Ingress", "each", spec={"defaultBackend": backend}),
        named(scene, "networking.k8s.io/v1", "NetworkPolicy", "each", spec={"podSelector": {}}),
        named(scene, "v1", "Secret", "each", stringData={"k": "v"}),
        *(config_map(scene.namespace, f"m{number}", k="v") for number in range(10)),
        service(scene, "each", app="none"),
    ]
    return {f"envs/prod/each/{each['kind']}-{each['metadata']['name']}.yaml": documents(each) for each in found}


def rollouts(scene: Scene, version: str, *, slots: str = "1.0.0") -> dict[str, bytes | None]:
    """Three declarations, one of each strategy; the first with a Job that checks it."""
    ns, track = scene.namespace, "gitcd.io/track"
    slotted = {"serviceName": "two", "labelNames": ["slot"], "watch": "0s", "scaleDownDelay": "0s"}
    weights = [{"name": "one-stable", "port": 80, "weight": 1}, {"name": "one-canary", "port": 80, "weight": 0}]
    routed = {"name": "one", "stableService": "one-stable", "canaryService": "one-canary"}
    route = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": weights}]}
    web = [
        declaration(ns, strategy={"verify": [SMOKE]}),
        workload(scene, "web", version),
        service(scene, "web", app="web"),
    ]
    two = [
        declaration(ns, "two", strategy={"kind": "ServiceBlueGreen", "blueGreen": slotted}, rollback={"enabled": True}),
        workload(scene, "two-blue", "1.0.0", "two", slot="blue"),
        service(scene, "two", app="two", slot="blue"),
    ]
    green = workload(scene, "two-green", slots, "two", slot="green")
    one = [
        declaration(ns, "one", strategy=canary(step(50), httpRoute=routed)),
        workload(scene, "one", version, **{track: "stable"}),
        service(scene, "one-stable", app="one", **{track: "stable"}),
        service(scene, "one-canary", app="one", **{track: "canary"}),
        named(scene, "gateway.networking.k8s.io/v1", "HTTPRoute", "one", spec=route),
    ]
    files = {"web": web, "two": two, "green": [green], "one": one}
    return {f"envs/prod/{name}/{name}.yaml": documents(*each) for name, each in files.items() if name != "green"} | {
        "envs/prod/two/green.yaml": documents(green)
    }


def bump(scene: Scene) -> None:
    """What a reconcile commits for all three, with the trailers that say so."""
    lines = [f"Gitcd-App: {scene.namespace}/{app}\nGitcd-Digest: {DIGESTS['1.1.0']}" for app in ("web", "two", "one")]
    message = "Bump\n\nGitcd-Environment: prod\n" + "\n".join(lines) + "\n"
    scene.remote.commit(rollouts(scene, "1.1.0", slots="1.1.0"), message)


@pytest.mark.slow
def test_its_rights_are_what_a_life_with_it_takes_and_no_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All kinds made and pruned, a version taken live by each strategy, a Job that finds no pod in time."""

    def ask(_: Workspace, queries: Any) -> Answers:
        keys = [(each.repository, name) for each in queries for name in {*each.tags, *each.digests}]
        return Answers({key: Image(DIGESTS.get(key[1], key[1])) for key in keys})

    monkeypatch.setattr(Workspace, "ask", ask)
    install_routes(scene.plane)
    account, granted = installed(scene, apply="all", prune=True, kinds=("Secret",))
    mark = scene.plane.audit.mark()

    def applied(code: int = 0) -> None:
        ran = scene.apply("--all", "--prune", "--yes-prune", "--budget", "60s", kubeconfig=account.kubeconfig)
        assert ran.code == code, ran.err + ran.out

    each = one_of_each(scene)
    scene.commit({**each, **rollouts(scene, "1.0.0")})
    applied()
    bump(scene)
    with meanwhile(lambda: observed(scene.plane, scene.namespace, "one", []), 0.1):
        applied()
    assert scene.get("services", "two")["spec"]["selector"]["slot"] == "green"
    scene.commit({path: None for path in (*each, "envs/prod/one/one.yaml") if "Claim" not in path})
    applied()
    gone = scene.plane.kubectl("get", "sts,ds,job,httproute,secret", "-n", scene.namespace, "-o", "name").stdout
    assert "each" not in gone
    assert "route" not in gone
    broken = deployment(scene.namespace, "bad", "registry.example.com/team/bad:bad-crash", replicas=1)
    scene.commit({"envs/prod/bad.yaml": documents(declaration(scene.namespace, "bad"), broken)})
    applied(4)
    scene.plane.apply(documents(named(scene, "v1", "ResourceQuota", "q", spec={"hard": {"pods": "0"}})).decode())
    late = declaration(scene.namespace, "idle", strategy={"verify": [SMOKE]}, timeouts={"verify": "1s"})
    idle = workload(scene, "idle", "1.0.0", replicas=0)
    scene.commit({"envs/prod/bad.yaml": documents(late, idle)})
    applied(4)
    asked = scene.plane.audit.since(mark, user=account.name)
    assert {each.permission for each in asked if each.status == 403} == set()
    left = granted - used(asked)
    assert ("", "configmaps", "list") not in left, "many of a kind are read by a list"
    few = {(each.group, each.plural, "list") for each in (*USUAL.values(), OTHERS["Secret"])}
    assert {rule for rule in left - few if rule[1] not in ELSEWHERE} == set()
    assert used(asked) <= granted


def test_kinds_are_named_as_the_api_server_names_them(control_plane: ControlPlane) -> None:
    discovery = Discovery(Api(find_access(str(control_plane.admin.kubeconfig))))
    foreign = {"argoproj.io", "gateway.networking.k8s.io", "gitcd.io"}
    for kind, served in {**USUAL, **OTHERS}.items():
        if served.group not in foreign:
            found = discovery.find(served.group, kind)
            assert (found.plural, found.namespaced) == (served.plural, served.namespaced), kind


def test_without_pruning_nothing_else_may_be_deleted(scene: Scene, account: Access) -> None:
    for words in (("get", "secrets"), ("create", "rolebindings"), ("delete", "statefulsets"), ("delete", "configmaps")):
        asked = scene.plane.kubectl("auth", "can-i", *words, "-n", scene.namespace, access=account, check=False)
        assert asked.stdout.strip() == "no", words
    asked = scene.plane.kubectl("auth", "can-i", "patch", "deployments", "-n", "default", access=account, check=False)
    assert asked.stdout.strip() == "no"


@pytest.mark.slow
def test_its_rights_are_enough_for_a_rollout_and_for_its_way_back(scene: Scene, account: Access) -> None:
    """With the Role that deletes nothing but pods, Jobs, and copies."""
    strategy = canary(step(50))
    app = (
        declaration(scene.namespace, strategy=strategy),
        service(scene, "web", app="web"),
        declaration(scene.namespace, "job", selector={}, workload={"kind": "Job", "name": "job"}),
    )

    def of(version: str, done: str) -> dict[str, bytes | None]:
        pod = {"containers": [{"name": "c", "image": f"registry.example.com/team/job:{done}"}]}
        spec = {"template": {"spec": {**pod, "restartPolicy": "Never"}}}
        job = named(scene, "batch/v1", "Job", "job", spec=spec)
        job["metadata"]["annotations"] = {"gitcd/replace": "true"}
        web = deployment(scene.namespace, image=f"registry.example.com/team/web:{version}", replicas=2)
        return {APP: documents(*app, web, job)}

    mark = scene.plane.audit.mark()
    for version, done, code in (("1.0.0", "1", 0), ("1.1.0", "2", 0), ("bad-crash", "2", 4)):
        scene.commit(of(version, done))
        ran = scene.apply("--budget", "30s", kubeconfig=account.kubeconfig)
        assert ran.code == code, ran.err
    asked = scene.plane.audit.since(mark, user=account.name)
    assert [each for each in asked if each.status == 403] == []
    assert {each.resource for each in asked if each.verb == "delete"} == {"deployments", "jobs"}
