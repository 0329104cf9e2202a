"""`gitcd apply` and two slots on the real control plane: the verb, from the command line to the switch."""

from __future__ import annotations

import time

import pytest

from tests.support.applying import FOLDER, NEW, OLD, Scene, declaration, documents, scene, silence
from tests.support.audit import writes
from tests.support.containerversions import definition

__all__ = ["definition", "scene", "silence"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("silence")]


def slot(namespace, name, image, replicas=2):
    labels = {"app": "web", "slot": name}
    pod = {"containers": [{"name": "web", "image": image}], "terminationGracePeriodSeconds": 0}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    metadata = {"name": f"web-{name}", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service(namespace, name, selected):
    spec = {"selector": {"app": "web", "slot": selected}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def files(namespace, *, green=OLD, **blue_green):
    asked = {"serviceName": "web", "labelNames": ["slot"], "watch": "0s", "scaleDownDelay": "0s", **blue_green}
    strategy = {"kind": "ServiceBlueGreen", "blueGreen": asked}
    made = {
        "cv": declaration(namespace, strategy=strategy, rollback={"enabled": True}),
        "blue": slot(namespace, "blue", OLD),
        "green": slot(namespace, "green", green),
        "service": service(namespace, "web", "blue"),
    }
    return {f"{FOLDER}/{name}.yaml": documents(value) for name, value in made.items()}


def bump(scene, image):
    """What a reconcile commits: another image in the idle slot, and trailers that say so."""
    trailers = f"Gitcd-Environment: prod\nGitcd-App: {scene.namespace}/web\nGitcd-Digest: {image.partition('@')[2]}"
    path = f"{FOLDER}/green.yaml"
    scene.remote.commit({path: documents(slot(scene.namespace, "green", image))}, f"Bump web\n\n{trailers}\n")


def live(scene):
    return scene.get("services", "web")["spec"]["selector"]["slot"]


def replicas(scene):
    return [scene.get("deployments", f"web-{name}")["spec"]["replicas"] for name in ("blue", "green")]


def test_it_is_brought_up_switched_and_left_alone(scene: Scene):
    scene.commit(files(scene.namespace))
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert (live(scene), replicas(scene)) == ("blue", [2, 0])
    bump(scene, NEW)
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert (live(scene), replicas(scene)) == ("green", [0, 2])
    assert scene.remote.git("log", "-1", "--format=%s", "main") == "prod: switch web 1.0.0 -> 1.1.0"
    scene.apply()  # which notes that the commit of the switch is there
    for _ in range(2):
        mark = scene.plane.audit.mark()
        ran = scene.apply()
        assert (ran.code, ran.results) == (0, {}), ran.err
        calls = scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")
        assert writes(calls) == []
    assert (live(scene), replicas(scene)) == ("green", [0, 2])


def test_a_later_run_scales_down_although_nothing_else_is_to_be_done(scene: Scene):
    scene.commit(files(scene.namespace, scaleDownDelay="8s"))
    scene.apply()
    bump(scene, NEW)
    assert scene.apply().code == 0
    assert scene.apply().code == 0
    assert scene.apply().code == 0
    assert (live(scene), replicas(scene)) == ("green", [2, 2])
    time.sleep(8)
    assert scene.apply().code == 0
    assert (live(scene), replicas(scene)) == ("green", [0, 2])


def test_a_service_that_somebody_switched_is_said_with_every_run(scene: Scene):
    scene.commit(files(scene.namespace))
    scene.apply()
    path = f"/api/v1/namespaces/{scene.namespace}/services/web?fieldManager=kubectl-edit"
    scene.plane.request("PATCH", path, {"spec": {"selector": {"slot": "green"}}}, kind="merge-patch+json")
    for _ in range(2):
        ran = scene.apply()
        assert ran.code == 4, ran.err
        assert "nothing is done until somebody has made them agree" in ran.err
        assert live(scene) == "green"
    scene.plane.request("PATCH", path, {"spec": {"selector": {"slot": "blue"}}}, kind="merge-patch+json")
    ran = scene.apply()
    assert ran.code == 0, ran.err


def test_a_broken_image_is_taken_back(scene: Scene):
    scene.commit(files(scene.namespace))
    scene.apply()
    bump(scene, NEW.replace("1.1.0", "bad-crash"))
    ran = scene.apply()
    assert ran.code == 4, ran.err
    assert "CrashLoopBackOff" in ran.err
    assert (live(scene), replicas(scene)) == ("blue", [2, 0])
    assert OLD in scene.remote.show(f"{FOLDER}/green.yaml").decode()
    assert "CrashLoopBackOff" in scene.remote.show(f".gitcd/holds/prod/{scene.namespace}.web.yaml").decode()
    ran = scene.apply()
    assert ran.code == 0, ran.err


def test_another_number_of_replicas_in_git_reaches_the_live_slot_alone(scene: Scene):
    scene.commit(files(scene.namespace))
    scene.apply()
    made = {f"{FOLDER}/{name}.yaml": documents(slot(scene.namespace, name, OLD, 3)) for name in ("blue", "green")}
    scene.commit(made)
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert replicas(scene) == [3, 0]
