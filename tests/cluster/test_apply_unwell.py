"""`gitcd apply` and objects that nothing differs of, and that are not healthy: the next run tells them, too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.applying import REPO, config_map, deployment, documents, scene
from tests.support.audit import writes
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

OTHER = "envs/prod/other/other.yaml"


def plain(namespace, tag):
    return documents(deployment(namespace, "plain", image=f"{REPO}:{tag}"))


def changed(scene, mark):
    found = writes(scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/"))
    return [each.name for each in found if each.resource in {"deployments", "jobs"}]


@pytest.mark.slow
def test_what_was_written_and_is_not_healthy_is_told_by_every_run_until_it_is(scene):
    ns = scene.namespace
    scene.commit({OTHER: plain(ns, "bad-crash")})
    assert scene.apply("--all").code == 4
    mark = scene.plane.audit.mark()
    for _ in range(2):
        ran = scene.apply("--all")
        assert (ran.code, ran.results) == (4, {}), ran.err
        assert "CrashLoopBackOff" in ran.err
        assert [each["name"] for each in ran.report["unhealthy"]] == ["plain"]
    assert changed(scene, mark) == []
    assert scene.apply("--all", "--no-wait").code == 0
    scene.commit({OTHER: plain(ns, "1.0.0")})
    assert scene.apply("--all").code == 0
    ran = scene.apply("--all")
    assert (ran.code, ran.report["unhealthy"]) == (0, [])


@pytest.mark.slow
def test_nothing_is_pruned_before_what_was_written_is_healthy(scene):
    ns = scene.namespace
    scene.commit({OTHER: documents(config_map(ns, "old", k="v"))})
    assert scene.apply("--all").code == 0
    scene.commit({OTHER: plain(ns, "bad-crash")})
    ran = scene.apply("--all", "--prune", "--yes-prune")
    assert (ran.code, ran.results) == (4, {"Deployment/plain": "Created"})
    assert scene.get("configmaps", "old")
    scene.commit({OTHER: plain(ns, "1.0.0")})
    ran = scene.apply("--all", "--prune", "--yes-prune")
    assert (ran.code, ran.results["ConfigMap/old"]) == (0, "Pruned"), ran.err


@pytest.mark.slow
def test_the_next_run_goes_on_waiting_for_what_was_late(scene):
    ns = scene.namespace
    scene.commit({OTHER: plain(ns, "slow")})
    assert scene.apply("--all", "--budget", "1s").code == 4
    mark = scene.plane.audit.mark()
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {}), ran.err
    assert scene.get("deployments", "plain")["status"]["readyReplicas"] == 1
    assert changed(scene, mark) == []


def test_what_was_left_at_work_is_told_once_its_status_says_that_it_failed(scene):
    """What is merely at work, as autoscalers and drains let it be, is nobody's failure and is not waited for."""
    ns, now = scene.namespace, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": f"{REPO}:1.0.0"}]}
    # Somebody else's to run, so that its status is what the test says, whatever controllers are there.
    spec = {"managedBy": "example.com/test", "template": {"spec": pod}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "namespace": ns}, "spec": spec}

    def status(**fields):
        path = f"/apis/batch/v1/namespaces/{ns}/jobs/job/status"
        scene.plane.request("PATCH", path, {"status": {"startTime": now, **fields}}, kind="merge-patch+json")

    scene.commit({OTHER: documents(job)})
    assert scene.apply("--all", "--no-wait").code == 0
    status(active=1)
    mark = scene.plane.audit.mark()
    assert scene.apply("--all").code == 0
    said = {"status": "True", "reason": "BackoffLimitExceeded", "message": "too often", "lastTransitionTime": now}
    status(active=0, conditions=[{"type": kind, **said} for kind in ("FailureTarget", "Failed")])
    for _ in range(2):
        ran = scene.apply("--all")
        assert (ran.code, ran.results) == (4, {}), ran.err
        assert f"error: Job {ns}/job: too often" in ran.err
    assert changed(scene, mark) == []
    scene.commit({"envs/prod/fine/a.yaml": documents(config_map(ns, "fine", k="v"))})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (4, {"ConfigMap/fine": "Created"}), ran.err
