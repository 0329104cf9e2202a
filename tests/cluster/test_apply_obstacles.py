"""`gitcd apply` against what a cluster puts in its way: namespaces that go, quotas, limits, fields that never change."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.applying import REPO, config_map, declaration, deployment, documents, scene
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"
OTHER = "envs/prod/other/other.yaml"
_SECONDS = 10.0


def made(kind, name, api_version="v1", namespace="", **fields):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


@pytest.fixture
def ending(scene):
    """A namespace that is being deleted, and that a ConfigMap in it keeps from going."""
    name = f"{scene.namespace}-ending"
    scene.plane.apply(documents(made("Namespace", name), config_map(name, "held")).decode())
    path = f"/api/v1/namespaces/{name}/configmaps/held"
    held = {"metadata": {"finalizers": ["example.com/hold"]}}
    scene.plane.request("PATCH", path, held, kind="merge-patch+json")
    scene.plane.kubectl("delete", "namespace", name, "--wait=false")
    yield name
    scene.plane.request("PATCH", path, {"metadata": {"finalizers": None}}, kind="merge-patch+json")


def test_a_namespace_is_made_before_what_lives_in_it(scene):
    name = f"{scene.namespace}-new"
    scene.settings = {"allow": {"kinds": ["Namespace"]}}
    scene.commit({OTHER: documents(config_map(name, "a", k="v"), made("Namespace", name))})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {f"Namespace/{name}": "Created", "ConfigMap/a": "Created"}), ran.err
    assert scene.apply("--all").results == {}


def test_nothing_waits_for_a_namespace_that_does_not_go(scene, ending):
    ns = scene.namespace
    fine = {"envs/prod/fine/a.yaml": documents(config_map(ns, "fine", k="v"))}
    scene.commit({OTHER: documents(config_map(ending, "new", k="v")), **fine})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (3, {"ConfigMap/fine": "Created", "ConfigMap/new": "Failed"}), ran.err
    assert f"ConfigMap {ending}/new: the namespace {ending} is being deleted, and nothing new comes into it" in ran.err
    assert f"`kubectl get namespace {ending} -o yaml` says what it waits for" in ran.err


def test_a_namespace_of_git_that_is_being_deleted_stops_what_lives_in_it(scene, ending):
    scene.settings = {"allow": {"kinds": ["Namespace"]}}
    things = [config_map(ending, name, k="v") for name in "ab"]
    scene.commit({OTHER: documents(made("Namespace", ending), *things)})
    ran = scene.apply("--all")
    left = {"ConfigMap/a": "Left", "ConfigMap/b": "Left"}
    assert (ran.code, ran.results) == (3, {f"Namespace/{ending}": "Failed", **left}), ran.err
    assert ran.err.count("is being deleted") == 1


def limited(scene, **spec):
    """The namespace with a LimitRange or ResourceQuota, once the API server goes by it."""
    kind = "ResourceQuota" if "hard" in spec else "LimitRange"
    scene.plane.apply(json.dumps(made(kind, "limit", namespace=scene.namespace, spec=spec)))
    path = f"/api/v1/namespaces/{scene.namespace}"
    end = time.monotonic() + _SECONDS
    while kind == "ResourceQuota" and "hard" not in scene.plane.get(f"{path}/resourcequotas/limit").get("status", {}):
        assert time.monotonic() < end, "the quota is not counted"
        time.sleep(0.05)


@pytest.mark.slow
def test_pods_that_a_limit_forbids_fail_the_rollout_at_once(scene):
    ns = scene.namespace
    limited(scene, limits=[{"type": "Container", "min": {"memory": "1Gi"}}])
    web = deployment(ns)
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "1Mi"}}
    scene.commit({APP: documents(declaration(ns), web)})
    ran = scene.apply()
    assert ran.code == 4, ran.err
    (rollout,) = ran.report["rollouts"]
    assert (rollout["result"], rollout["reason"]) == ("Failed", "FailedCreate")
    assert "is forbidden: minimum memory usage per Container is 1Gi, but request is 1Mi" in ran.err


@pytest.mark.slow
def test_of_what_has_no_condition_for_it_the_events_say_why_no_pod_is_made(scene):
    """Those since its last change alone: what was mended is told no more."""
    ns = scene.namespace
    limited(scene, limits=[{"type": "Container", "min": {"memory": "1Gi"}}])

    def things(memory):
        web = deployment(ns)
        (container,) = web["spec"]["template"]["spec"]["containers"]
        container["resources"] = {"requests": {"memory": memory}}
        once = {"restartPolicy": "Never", "containers": [container]}
        named = {"metadata": {"name": f"job-{memory.lower()}", "namespace": ns}, "spec": {"template": {"spec": once}}}
        return [
            {**web, "kind": "StatefulSet", "spec": {**web["spec"], "serviceName": "web"}},
            {**web, "kind": "DaemonSet"},
            {"apiVersion": "batch/v1", "kind": "Job", **named},
        ]

    scene.commit({OTHER: documents(*things("1Mi"))})
    ran = scene.apply("--all", "--budget", "4s")
    assert ran.code == 4, ran.err
    why = "is forbidden: minimum memory usage per Container is 1Gi, but request is 1Mi"
    unhealthy = {each["kind"]: each for each in ran.report["unhealthy"]}
    assert {kind: each["reason"] for kind, each in unhealthy.items()} == dict.fromkeys(
        ("DaemonSet", "Job", "StatefulSet"), "FailedCreate"
    )
    assert all(why in each["message"] for each in unhealthy.values())
    scene.commit({OTHER: documents(*things("1Gi"))})
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert why not in ran.err


@pytest.mark.slow
def test_pods_that_a_quota_has_no_room_for_are_waited_for_by_name(scene):
    ns = scene.namespace
    limited(scene, hard={"pods": "1"})
    scene.commit({APP: documents(declaration(ns), deployment(ns, replicas=2))})
    ran = scene.apply("--budget", "3s")
    assert ran.code == 0, ran.err
    (rollout,) = ran.report["rollouts"]
    assert rollout["result"] == "Progressing"
    assert "is forbidden: exceeded quota: limit, requested: pods=1, used: pods=1, limited: pods=1" in ran.err
    scene.plane.kubectl("delete", "resourcequota", "limit", "-n", ns)
    ran = scene.apply()
    assert ran.code == 0, ran.err


def test_fields_that_never_change_are_named_and_nothing_else_is_lost(scene):
    """With a remedy each; a PodDisruptionBudget, which may change, does."""
    ns = scene.namespace

    def claim(mode, size="1Gi"):
        return {"accessModes": [mode], "resources": {"requests": {"storage": size}}}

    def stateful(size):
        value = deployment(ns, "sts", serviceName="s")
        templates = [{"metadata": {"name": "data"}, "spec": claim("ReadWriteOnce", size)}]
        return {**value, "kind": "StatefulSet", "spec": {**value["spec"], "volumeClaimTemplates": templates}}

    def files(number):
        labels = {"app": "dep", "v": str(number)}
        pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": f"{REPO}:{number}"}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": pod["containers"]}}
        service = {"clusterIP": f"10.0.0.{77 + number}", "ports": [{"port": 80}]}
        objects = [
            made("Service", "s", namespace=ns, spec=service),
            made("Job", "j", "batch/v1", ns, spec={"suspend": True, "template": {"spec": pod}}),
            stateful(f"{number + 1}Gi"),
            deployment(ns, "dep", selector={"matchLabels": labels}, template=template),
            made("PodDisruptionBudget", "p", "policy/v1", ns, spec={"minAvailable": number, "selector": {}}),
            made("PersistentVolumeClaim", "c", namespace=ns, spec=claim(("ReadWriteOnce", "ReadWriteMany")[number])),
            config_map(ns, "fine", k=str(number)),
        ]
        return {f"envs/prod/{each['kind']}/a.yaml": documents(each) for each in objects}

    scene.commit(files(0))
    ran = scene.apply("--all", "--no-wait")
    assert ran.code == 0, ran.err
    scene.commit(files(1))
    ran = scene.apply("--all", "--no-wait")
    refused = dict.fromkeys(("Service/s", "Job/j", "StatefulSet/sts", "Deployment/dep"), "Refused")
    fine = {"ConfigMap/fine": "Changed", "PodDisruptionBudget/p": "Changed"}
    assert (ran.code, ran.results) == (5, {**refused, "PersistentVolumeClaim/c": "Refused", **fine}), ran.err
    remedies = {each["kind"]: each["remedy"] for each in ran.report["objects"] if each["result"] == "Refused"}
    for kind, name, fields, why, remedy in (
        ("Service", "s", "spec.clusterIPs[0]", "may not change once set", "gitcd/replace"),
        ("Job", "j", "spec.template.spec", "field is immutable", "gitcd/replace"),
        (
            "StatefulSet",
            "sts",
            "spec.volumeClaimTemplates",
            "Forbidden: updates to statefulset spec",
            "Take the change",
        ),
        ("Deployment", "dep", "spec.selector", "field is immutable", "gitcd/replace"),
        (
            "PersistentVolumeClaim",
            "c",
            "spec.accessModes",
            "Forbidden: spec is immutable after",
            "Take the change back",
        ),
    ):
        assert f"{kind} {ns}/{name}: it may not be changed in {fields}: {why}" in ran.err
        assert remedy in remedies[kind]
    again = scene.apply("--all", "--no-wait")
    assert (again.code, again.report["unchanged"]) == (5, 2)
