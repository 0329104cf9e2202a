"""Blue-green and canary where admission has every image pulled from a mirror and adds a sidecar."""

from __future__ import annotations

import pytest

from tests.support.admission import mirrored, mutating, sidecar
from tests.support.applying import FOLDER, NEW, OLD, declaration, deployment, documents, scene, silence
from tests.support.audit import writes
from tests.support.canaries import canary, step
from tests.support.containerversions import definition

__all__ = ["definition", "scene", "silence"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("silence")]


def changed(value):
    return [*mirrored(value), *sidecar(value)]


def runs(scene, name):
    found = scene.get("deployments", name)["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["image"] for each in found}["web"]


def mirror(image):
    return image.replace("registry.example.com", "mirror.example.net")


def rests(scene):
    mark = scene.plane.audit.mark()
    ran = scene.apply()
    assert (ran.code, ran.results) == (0, {}), ran.err
    calls = scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")
    return writes(calls) == []


def slot(namespace, name, image):
    labels = {"app": "web", "slot": name}
    pod = {"containers": [{"name": "web", "image": image}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return deployment(namespace, f"web-{name}", selector={"matchLabels": labels}, template=template, replicas=1)


def test_two_slots_are_switched(scene, tmp_path):
    ns = scene.namespace
    asked = {"serviceName": "web", "labelNames": ["slot"], "watch": "0s", "scaleDownDelay": "0s"}
    strategy = {"kind": "ServiceBlueGreen", "blueGreen": asked}
    spec = {"selector": {"app": "web", "slot": "blue"}, "ports": [{"port": 80}]}
    made = {
        "cv": declaration(ns, strategy=strategy, rollback={"enabled": True}, timeouts={"rollout": "30s"}),
        "blue": slot(ns, "blue", OLD),
        "green": slot(ns, "green", OLD),
        "service": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": ns}, "spec": spec},
    }
    scene.commit({f"{FOLDER}/{name}.yaml": documents(value) for name, value in made.items()})
    trailers = f"Gitcd-Environment: prod\nGitcd-App: {ns}/web\nGitcd-Digest: {NEW.partition('@')[2]}"
    with mutating(scene.plane, ns, tmp_path, changed):
        ran = scene.apply()
        assert ran.code == 0, ran.err
        scene.remote.commit({f"{FOLDER}/green.yaml": documents(slot(ns, "green", NEW))}, f"Bump web\n\n{trailers}\n")
        ran = scene.apply()
        assert ran.code == 0, ran.err
        assert scene.get("services", "web")["spec"]["selector"]["slot"] == "green"
        assert (runs(scene, "web-blue"), runs(scene, "web-green")) == (mirror(OLD), mirror(NEW))
        scene.apply()  # which notes that the commit of the switch is there
        scene.apply()
        assert rests(scene)


def test_a_canary_comes_to_its_end(scene, tmp_path):
    ns = scene.namespace
    declared = declaration(ns, strategy=canary(step(50, "1s")), timeouts={"rollout": "30s"})
    scene.commit({f"{FOLDER}/a.yaml": documents(declared, deployment(ns, image=OLD))})
    with mutating(scene.plane, ns, tmp_path, changed):
        assert scene.apply().code == 0
        scene.commit({f"{FOLDER}/a.yaml": documents(declared, deployment(ns, image=NEW))})
        ran = scene.apply()
        assert ran.code == 0, ran.err
        assert "with 50 % of the pods (1 of 2)" in ran.err
        assert runs(scene, "web") == mirror(NEW)
        assert scene.plane.kubectl("get", "deployment", "web-canary", "-n", ns, check=False).returncode != 0
        scene.apply()
        assert rests(scene)
