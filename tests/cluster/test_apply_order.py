"""`gitcd/after` between images that move in one run of `gitcd apply`, on the real control plane."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.applying import declaration, deployment, documents, scene
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

pytestmark = pytest.mark.slow


def image(name, version):
    return f"registry.example.com/team/{name}:{version}"


def workload(scene, name, version, after=""):
    value = deployment(scene.namespace, name, image=image(name, version))
    if after:
        value["metadata"]["annotations"] = {"gitcd/after": after}
    return value


def job(scene, name, after):
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": image("migrate", name)}]}
    metadata = {"name": name, "namespace": scene.namespace, "annotations": {"gitcd/after": after}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}


def commit(scene, version, web="", **more):
    ns = scene.namespace
    migrate = job(scene, f"migrate-{version.replace('.', '-')}", "Deployment/db")
    files = {
        "envs/prod/db/a.yaml": documents(declaration(ns, "db"), workload(scene, "db", version)),
        "envs/prod/migrate/a.yaml": documents(migrate),
        "envs/prod/web/a.yaml": documents(
            declaration(ns, "web", **more),
            workload(scene, "web", web or version, f"Deployment/db, Job/{migrate['metadata']['name']}"),
        ),
    }
    scene.commit(files)


def begun(scene, name, version):
    """When the ReplicaSet of a version was made; None: it never was."""
    base = f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets"
    for each in scene.plane.get(base)["items"]:
        if each["spec"]["template"]["spec"]["containers"][0]["image"] == image(name, version):
            return datetime.fromisoformat(each["metadata"]["creationTimestamp"])
    return None


def test_an_image_moves_once_that_is_healthy_which_it_comes_after(scene):
    commit(scene, "1.0.0")
    ran = scene.apply("--all")  # nothing is there yet
    assert ran.code == 0, ran.err
    commit(scene, "slow", "1.1.0")  # the database takes four seconds
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert [(each["name"], each["result"]) for each in ran.report["rollouts"]] == [("db", "Done"), ("web", "Done")]
    first, then = begun(scene, "db", "slow"), begun(scene, "web", "1.1.0")
    assert (then - first).total_seconds() >= 3
    path = f"/apis/batch/v1/namespaces/{scene.namespace}/jobs/migrate-slow"
    done = scene.plane.get(path)["status"]
    assert first < datetime.fromisoformat(done["startTime"]) <= then
    assert datetime.fromisoformat(done["completionTime"]) <= then
    assert scene.apply("--all").results == {}


def test_no_image_moves_behind_one_that_failed_in_this_run_or_a_later(scene):
    commit(scene, "1.0.0")
    assert scene.apply("--all").code == 0
    commit(scene, "bad-crash", "1.1.0")
    for _ in range(2):
        ran = scene.apply("--all")
        assert ran.code == 4, ran.err
        assert [each["name"] for each in ran.report["rollouts"]] == ["db"]
        assert ran.results["Deployment/web"] == ran.results["Job/migrate-bad-crash"] == "Left"
        assert "Deployment" in next(e["message"] for e in ran.report["objects"] if e["name"] == "web")
        assert begun(scene, "web", "1.1.0") is None
    commit(scene, "1.2.0")
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert begun(scene, "web", "1.2.0")


def test_of_a_group_all_wait_for_what_one_comes_after(scene):
    ns, group = scene.namespace, {"strategy": {"group": "shop"}}
    commit(scene, "1.0.0", **group)
    scene.commit(
        {"envs/prod/other/a.yaml": documents(declaration(ns, "other", **group), workload(scene, "other", "1.0.0"))}
    )
    assert scene.apply("--all").code == 0
    commit(scene, "slow", "1.1.0", **group)
    scene.commit(
        {"envs/prod/other/a.yaml": documents(declaration(ns, "other", **group), workload(scene, "other", "1.1.0"))}
    )
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    first = begun(scene, "db", "slow")
    for name in ("web", "other"):
        assert (begun(scene, name, "1.1.0") - first).total_seconds() >= 3
