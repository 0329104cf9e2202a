"""`gitcd apply` and a canary on the real control plane: the verb, from the command line to the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gitcd.cli import main
from tests.support.applying import FOLDER, REPO, Scene, declaration, deployment, documents, scene
from tests.support.audit import writes
from tests.support.canaries import canary, install_routes, meanwhile, never_out, observed, step
from tests.support.containerversions import definition
from tests.support.witness import ROUTES

__all__ = ["definition", "scene"]

pytestmark = pytest.mark.slow

LABELS = {"app": "web", "gitcd.io/track": "stable"}
ROUTED = {"name": "web", "stableService": "web-stable", "canaryService": "web-canary"}


def image(version: str) -> str:
    return f"{REPO}:{version}"


def web(scene: Scene, version: str, **spec):
    pod = {"containers": [{"name": "web", "image": image(version)}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    return deployment(scene.namespace, replicas=2, template=template, selector={"matchLabels": LABELS}, **spec)


def service(scene: Scene, name: str, **selector: str):
    spec = {"selector": {"app": "web", **selector}, "ports": [{"port": 80}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": scene.namespace},
        "spec": spec,
    }


def route(scene: Scene, **spec):
    backends = [{"name": "web-stable", "port": 80, "weight": 1}, {"name": "web-canary", "port": 80, "weight": 0}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": scene.namespace},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}], **spec},
    }


@pytest.fixture
def watch() -> Iterator[ExitStack]:
    """What is looked at until a test ends."""
    with ExitStack() as stack:
        yield stack


def begun(scene: Scene, watch: ExitStack, strategy, *more) -> None:
    """From now on the first of the Services selects a ready pod all the time."""
    files = [declaration(scene.namespace, strategy=strategy), *more]
    scene.commit({f"{FOLDER}/cv.yaml": documents(*files), f"{FOLDER}/web.yaml": documents(web(scene, "1.0.0"))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    kinds = (ROUTES,) if strategy["canary"].get("httpRoute") else ()
    watch.enter_context(never_out(scene.plane, scene.namespace, more[0]["metadata"]["name"], *kinds))


def move(scene: Scene, version: str) -> None:
    scene.commit({f"{FOLDER}/web.yaml": documents(web(scene, version))})


def copies(scene: Scene) -> list[str]:
    found = scene.plane.get(f"/apis/apps/v1/namespaces/{scene.namespace}/deployments")["items"]
    return [each["metadata"]["name"] for each in found if each["metadata"]["name"] != "web"]


def runs(scene: Scene) -> str:
    return scene.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"]


def test_a_canary_from_the_first_commit_to_rest(scene: Scene, watch: ExitStack) -> None:
    begun(scene, watch, canary(step(50, "1s")), service(scene, "web"))
    move(scene, "1.1.0")
    ran = scene.apply("-o", "table")
    assert ran.code == 0, ran.err
    assert "Pause1: for 1s with 50 % of the pods (2 of 4)" in ran.err
    assert runs(scene) == image("1.1.0")
    assert copies(scene) == []
    mark = scene.plane.audit.mark()
    assert scene.apply().code == 0
    assert writes(scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")) == []


def test_a_bad_canary_ends_with_exit_code_4_and_the_old_image(scene: Scene, watch: ExitStack) -> None:
    begun(scene, watch, canary(step(50, "1s")), service(scene, "web"))
    move(scene, "bad-crash")
    ran = scene.apply()
    assert ran.code == 4, ran.err
    assert "CrashLoopBackOff" in ran.out
    assert runs(scene) == image("1.0.0")
    assert copies(scene) == []
    assert scene.apply().code == 4, "it waits for another image"
    assert copies(scene) == []
    move(scene, "1.2.0")
    assert scene.apply().code == 0
    assert runs(scene) == image("1.2.0")


def test_a_budget_leaves_a_canary_to_the_next_run(scene: Scene, watch: ExitStack) -> None:
    begun(scene, watch, canary(step(50, "Approval")), service(scene, "web"))
    move(scene, "1.1.0")
    assert scene.apply("--budget", "3s").code == 0
    assert copies(scene) == ["web-canary"]
    assert runs(scene) == image("1.0.0")
    kubeconfig = str(scene.plane.admin.kubeconfig)
    assert (
        main.run(["rollout", "approve", "web", "-n", scene.namespace, "--kubeconfig", kubeconfig, "--by", "ann"]) == 0
    )
    assert scene.apply().code == 0
    assert copies(scene) == []
    assert runs(scene) == image("1.1.0")


def test_a_copy_that_a_change_of_strategy_leaves_over_goes_with_the_next_run(scene: Scene, watch: ExitStack) -> None:
    begun(scene, watch, canary(step(50, "Approval")), service(scene, "web"))
    move(scene, "1.1.0")
    assert scene.apply("--budget", "2s").code == 0
    assert copies(scene) == ["web-canary"]
    changed = documents(declaration(scene.namespace), service(scene, "web"))
    scene.commit({f"{FOLDER}/cv.yaml": changed, f"{FOLDER}/web.yaml": documents(web(scene, "1.0.0"))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert copies(scene) == []
    assert runs(scene) == image("1.0.0")


def test_a_route_is_git_s_again_when_its_canary_is_over(scene: Scene, watch: ExitStack) -> None:
    install_routes(scene.plane)
    strategy = canary(step(50), httpRoute=ROUTED)
    services = (
        service(scene, "web-stable", **{"gitcd.io/track": "stable"}),
        service(scene, "web-canary", **{"gitcd.io/track": "canary"}),
    )
    begun(scene, watch, strategy, *services, route(scene))
    move(scene, "1.1.0")
    weights: list[tuple[int, int]] = []
    with meanwhile(lambda: observed(scene.plane, scene.namespace, "web", weights), 0.05):
        ran = scene.apply()
    assert ran.code == 0, ran.err
    assert weights == [(1, 0), (50, 50), (1, 0)]
    assert runs(scene) == image("1.1.0")
    changed = [declaration(scene.namespace, strategy=strategy), *services, route(scene, hostnames=["web.example.com"])]
    scene.commit({f"{FOLDER}/cv.yaml": documents(*changed)})
    ran = scene.apply()
    assert ran.code == 0, ran.out
    assert ran.results["HTTPRoute/web"] == "Changed"
