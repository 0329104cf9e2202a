"""`gitcd run` against a real API server: what it hears, who leads, and whom it lets read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.review import Deed, Reviewer, Verdict
from gitcd.cluster.workloads import list_workloads
from gitcd.manifests.documents import compose
from tests.support.containerversions import definition, scene, settings_file
from tests.support.controlplane import Access
from tests.support.ecr import StandIn
from tests.support.running import Running
from tests.support.scenes import HOST

__all__ = ["definition", "scene"]

DOCS = Path(__file__).parents[2] / "docs"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/gitcd"


@pytest.fixture
def ecr() -> Iterator[StandIn]:
    with StandIn() as server:
        for name in ("app", "other"):
            server.put(f"team/{name}", tags=["1.1.0", "env-dev"])
        yield server


@pytest.fixture
def start(scene, ecr, tmp_path) -> Iterator[Callable[..., Running]]:
    started = []

    def start(*arguments: str, access: Access | None = None) -> Running:
        log = tmp_path / f"replica-{len(started)}.log"
        kubeconfig = str((access or scene.plane.admin).kubeconfig)
        flags = ["--port", "0", "--from", "cluster", "-n", scene.namespace, "--k8s-config", kubeconfig]
        flags += [
            "--cache-dir",
            str(tmp_path / f"cache-{len(started)}"),
            "--config",
            str(settings_file(scene, tmp_path)),
        ]
        flags += ["--ecr-endpoint-url", ecr.url, "--lease-namespace", scene.namespace, *arguments, scene.remote.url]
        with log.open("wb") as err:
            command = [sys.executable, "-m", "gitcd", "run", *flags]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=os.environ)
        started.append(process)
        return Running(process, log)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def holder(scene) -> str:
    return scene.plane.get(LEASE.format(scene.namespace))["spec"]["holderIdentity"]


def test_F40_what_is_declared_is_looked_at_when_it_is_heard_of(scene, start) -> None:
    """Long before its interval, which is five minutes."""
    run = start()
    run.until(lambda: run.ask("/readyz")[0] == 200)
    scene.declare("app")
    run.until(lambda: scene.get("app").get("status", {}).get("observedGeneration") == 1)
    assert scene.remote.count() == 2
    scene.patch("app", {"spec": {"suspend": True}})
    run.until(lambda: scene.get("app")["status"]["observedGeneration"] == 2)
    status, body = run.ask("/v1/cv/workloads?namespace=elsewhere")
    assert (status, json.loads(body)) == (200, [])
    assert run.end() == 143
    assert "Traceback" not in run.err


def test_F44_one_that_is_deleted_is_not_brought_back(scene, start) -> None:
    scene.declare("app")
    scene.declare("other")
    run = start()
    run.until(lambda: 'gitcd_declarations{outcome="Current"} 2\n' in run.ask("/metrics")[1])
    scene.delete("other")
    run.until(lambda: 'gitcd_declarations{outcome="Current"} 1\n' in run.ask("/metrics")[1])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        scene.get("other")
    assert "Traceback" not in run.err


def test_of_two_one_works_and_the_other_takes_over(scene, start) -> None:
    scene.declare("app")
    first = start("--leader-elect")
    first.until(lambda: "leading, by the Lease gitcd" in first.err)
    first.until(lambda: scene.remote.count() == 2)
    second = start("--leader-elect")
    second.until(lambda: "standing by" in second.err)
    second.until(lambda: second.ask("/readyz")[0] == 200)
    assert "\ngitcd_leader 1\n" in first.ask("/metrics")[1]
    assert "\ngitcd_leader 0\n" in second.ask("/metrics")[1]
    held = holder(scene)
    assert first.end() == 143
    second.until(lambda: holder(scene) not in {"", held})
    scene.declare("other")
    second.until(lambda: scene.remote.count() == 3)
    assert second.end() == 143
    assert holder(scene) == ""


def test_F43_without_the_permission_for_leases_it_says_what_is_missing(scene, start) -> None:
    run = start("--leader-elect", access=scene.plane.user)
    run.process.communicate(timeout=30)
    assert run.process.returncode == 2
    assert "Allow get, create and update on leases.coordination.k8s.io" in run.err


def live_deployment(namespace: str) -> dict:
    """What runs of `app`."""
    pod = {"containers": [{"name": "main", "image": f"{HOST}/team/app:1.0.0"}], "nodeSelector": {"of": "no-node"}}
    template = {"metadata": {"labels": {"app": "app"}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": "app"}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": spec,
    }


def test_who_may_read_is_asked_of_the_cluster(scene, start) -> None:
    """The list needs the verb list in that namespace, and metrics the path."""
    plane, namespace = scene.plane, scene.namespace
    plane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    plane.kubectl("create", "role", "reader", "--verb=list", "--resource=containerversions.gitcd.io", "-n", namespace)
    plane.kubectl(
        "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader", "-n", namespace
    )
    scene.declare("app")
    plane.apply(json.dumps(live_deployment(namespace)))
    run = start("--http-auth")
    run.until(lambda: run.ask("/readyz")[0] == 200)
    here, everywhere = f"/v1/cv/workloads?namespace={namespace}", "/v1/cv/workloads"
    token = plane.account(namespace, "reader").token
    assert [run.ask(path)[0] for path in (here, everywhere, "/metrics")] == [401, 401, 401]
    assert [run.ask(path, "nonsense")[0] for path in (here, "/metrics")] == [401, 401]
    assert [run.ask(path, token)[0] for path in (here, everywhere, "/metrics")] == [200, 403, 403]
    row = {"Namespace": namespace, "Name": "app", "Type": "Deployment", "Container": "main", "Version": "1.0.0", "AvailablePods": 0, "CV": "app", "Tag": "env-dev"}  # fmt: skip
    assert json.loads(run.ask(here, token)[1]) == [row]
    assert json.loads(run.ask(f"/v1/cv/workloads/app?namespace={namespace}", token)[1]) == [row]
    assert "<td>env-dev</td>" in run.ask(f"{here}&format=html", token)[1]
    admin = plane.admin.token
    assert [run.ask(path, admin)[0] for path in (here, everywhere, "/metrics")] == [200, 200, 200]
    assert token not in run.err


def test_one_that_may_not_review_lets_nobody_in(scene) -> None:
    reviewer = Reviewer(Api(find_access(str(scene.plane.user.kubeconfig))))
    with pytest.raises(Exception, match="Forbidden"):
        reviewer.judge(scene.plane.admin.token, Deed(path="/metrics"))
    assert Reviewer(Api(find_access(str(scene.plane.admin.kubeconfig)))).judge("", Deed(path="/x")) is Verdict.UNKNOWN


def test_workloads_are_listed_with_their_images(scene) -> None:
    pod = {
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "main", "image": "r.example.com/a:1"}], "nodeSelector": {"of": "no-node"}},
    }
    pod["spec"]["restartPolicy"] = "Never"
    made = [
        {"kind": "StatefulSet", "spec": {"serviceName": "x"}},
        {"kind": "Deployment", "spec": {}},
        {"kind": "DaemonSet", "spec": {}},
    ]
    for each in made:
        template = {**pod, "spec": {**pod["spec"], "restartPolicy": "Always"}}
        each["spec"] |= {"selector": {"matchLabels": {"app": "app"}}, "template": template}
        each |= {
            "apiVersion": "apps/v1",
            "metadata": {"name": "x", "namespace": scene.namespace, "labels": {"own": "y"}},
        }
    job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x", "namespace": scene.namespace}}
    job["spec"] = {"schedule": "@daily", "jobTemplate": {"spec": {"template": pod}}}
    for each in (*made, job):
        scene.plane.apply(json.dumps(each))
    found = list_workloads(Api(find_access(str(scene.plane.admin.kubeconfig))), scene.namespace)
    assert [each.kind for each in found] == ["Deployment", "StatefulSet", "DaemonSet", "CronJob"]
    assert {each.images for each in found} == {(("main", "r.example.com/a:1"),)}
    assert [each.labels[0] for each in found] == [{"own": "y"}, {"own": "y"}, {"own": "y"}, {}]
    assert {each.labels[1]["app"] for each in found} == {"app"}
    assert {each.available for each in found} == {0}


@pytest.mark.parametrize("name", ["controller.md", "scale.md"])
def test_the_manifests_on_the_page_are_taken(scene, name) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / name).read_text(), re.MULTILINE | re.DOTALL)
    for item in compose(text):
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = scene.namespace
        answer = scene.plane.apply(json.dumps(item), "--dry-run=server")
        assert "serverside-applied (server dry run)" in answer
