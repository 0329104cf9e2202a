"""`gitcd apply` beside a HorizontalPodAutoscaler that is at work: how many pods there are is the autoscaler's."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.applying import REPO, declaration, deployment, documents, scene
from tests.support.audit import writes
from tests.support.canaries import canary, step
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

pytestmark = pytest.mark.slow

APP = "envs/prod/web/app.yaml"
_SECONDS = 20.0


def autoscaler(namespace, least):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": least,
            "maxReplicas": least + 2,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def web(namespace, version, **spec):
    return deployment(namespace, image=f"{REPO}:{version}", **spec)


def replicas(scene):
    return scene.get("deployments", "web")["spec"]["replicas"]


def raised(scene, least):
    """Wait until the autoscaler has done what it is for."""
    end = time.monotonic() + _SECONDS
    while replicas(scene) != least:
        assert time.monotonic() < end, f"the autoscaler has not raised {replicas(scene)} to {least}"
        time.sleep(0.1)


def test_replicas_are_left_to_an_autoscaler_of_git(scene):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns), web(ns, "1.0.0", replicas=1), autoscaler(ns, 3))})
    assert scene.apply().code == 0
    raised(scene, 3)
    mark = scene.plane.audit.mark()
    ran = scene.apply()
    assert (ran.code, ran.results) == (0, {}), ran.err
    assert writes(scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")) == []
    scene.commit({APP: documents(declaration(ns), web(ns, "1.1.0", replicas=1), autoscaler(ns, 3))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    found = scene.get("deployments", "web")
    assert (found["spec"]["replicas"], found["status"]["updatedReplicas"], found["status"]["readyReplicas"]) == (
        3,
        3,
        3,
    )
    assert "f:replicas" not in scene.managers("deployments", "web")["gitcd"]["f:spec"]


def test_an_autoscaler_that_somebody_adds_gets_the_replicas_that_gitcd_owned(scene):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns), web(ns, "1.0.0", replicas=2))})
    assert scene.apply().code == 0
    scene.plane.apply(json.dumps(autoscaler(ns, 3)))
    raised(scene, 3)
    for _ in range(2):
        ran = scene.apply()
        assert ran.code == 0, ran.err
        assert replicas(scene) == 3
    assert ran.results == {}
    assert "f:replicas" not in scene.managers("deployments", "web")["gitcd"]["f:spec"]


def test_a_canary_takes_its_share_of_what_the_autoscaler_has_made(scene):
    ns = scene.namespace
    declared = declaration(ns, strategy=canary(step(25, "1s")))
    scene.commit({APP: documents(declared, web(ns, "1.0.0", replicas=1), autoscaler(ns, 3))})
    assert scene.apply().code == 0
    raised(scene, 3)
    scene.commit({APP: documents(declared, web(ns, "1.1.0", replicas=1), autoscaler(ns, 3))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert "with 25 % of the pods (1 of 4)" in ran.err
    assert replicas(scene) == 3
    assert scene.get("deployments", "web")["status"]["readyReplicas"] == 3
    assert scene.plane.kubectl("get", "deployment", "web-canary", "-n", ns, check=False).returncode != 0
    assert "f:replicas" not in scene.managers("deployments", "web")["gitcd"]["f:spec"]
