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


def test_within_a_group_one_that_comes_after_another_begins_once_that_is_healthy(scene):
    ns, group = scene.namespace, {"strategy": {"group": "shop"}}

    def both(db, web):
        name = "envs/prod/{}/a.yaml".format
        scene.commit(
            {
                name("db"): documents(declaration(ns, "db", **group), workload(scene, "db", db)),
                name("web"): documents(declaration(ns, "web", **group), workload(scene, "web", web, "Deployment/db")),
            }
        )

    both("1.0.0", "1.0.0")
    assert scene.apply("--all").code == 0  # nothing is there yet
    both("slow", "1.1.0")
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert (begun(scene, "web", "1.1.0") - begun(scene, "db", "slow")).total_seconds() >= 3
    assert "waits for" in ran.err
    both("bad-crash", "1.2.0")
    for _ in range(2):
        ran = scene.apply("--all")
        assert ran.code == 4, ran.err
        assert begun(scene, "web", "1.2.0") is None
    both("1.2.0", "1.2.0")
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert begun(scene, "web", "1.2.0")
    assert scene.apply("--all").results == {}


def test_one_that_comes_after_a_group_member_waits_for_the_whole_group(scene):
    """The group moves when the last of it has its turn, which is late here."""
    ns, group = scene.namespace, {"strategy": {"group": "shop"}}

    def three(version, web):
        files = {
            "db": (declaration(ns, "db", **group), workload(scene, "db", version)),
            "cache": (declaration(ns, "cache"), workload(scene, "cache", version)),
            "late": (declaration(ns, "late", **group), workload(scene, "late", version, "Deployment/cache")),
            "web": (declaration(ns, "web"), workload(scene, "web", web, "Deployment/db")),
        }
        scene.commit({f"envs/prod/{name}/a.yaml": documents(*each) for name, each in files.items()})

    three("1.0.0", "1.0.0")
    assert scene.apply("--all").code == 0
    three("slow", "1.1.0")
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert (begun(scene, "web", "1.1.0") - begun(scene, "db", "slow")).total_seconds() >= 3
