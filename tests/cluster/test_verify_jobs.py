"""Checks by Job on a real control plane: what runs, what cannot, and what is believed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.jobs import Owner
from gitcd.cluster.objects import Objects
from gitcd.model.registry import Failure
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.rollout_measure import Measuring, Subject
from tests.conftest import CANARIES
from tests.support import faultproxy
from tests.support.containerversions import BASE, definition, manifest
from tests.support.controlplane import ControlPlane

__all__ = ["definition"]

pytestmark = pytest.mark.slow

DIGEST = "sha256:" + "a" * 64
IMAGE = "registry.example.com/smoke"
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture
def subject(workloads: ControlPlane, namespace: str) -> Subject:
    """In a namespace that takes pods of the restricted standard alone, and has its default service account."""
    workloads.request("PATCH", f"/api/v1/namespaces/{namespace}", RESTRICTED, kind="merge-patch+json")
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    _until(lambda: workloads.kubectl("get", "--raw", path, check=False).returncode == 0)
    return Subject(namespace, "tiles", "1.1.0", DIGEST, "c0ffee", "1", timedelta(minutes=5))


def _until(done: Callable[[], Any]) -> Any:
    for _ in range(300):
        if found := done():
            return found
        time.sleep(0.05)
    pytest.fail("it did not come about")


def measuring(plane: ControlPlane, **how: Any) -> Measuring:
    return Measuring(Objects(Api(find_access(str(plane.admin.kubeconfig)))), **how)


def measured(found: Measuring, subject: Subject, verify: Verify, number: int = 0) -> Measurement:
    return _until(lambda: found.measure(subject, "Verify/0", verify, number, datetime.now(UTC)))


def jobs(plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    return plane.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]


def image(tag: str) -> Verify:
    return Verify("Image", image=IMAGE, tag=tag)


def test_a_job_that_succeeds_passes(workloads, subject):
    found = measured(measuring(workloads), subject, image("1.0"))
    (job,) = jobs(workloads, subject.namespace)
    name = job["metadata"]["name"]
    assert (found.verdict, found.evidence) == (Verdict.PASS, f"Job {name} succeeded")
    assert name.startswith("tiles-verify-")


@pytest.mark.parametrize(
    ("tag", "wanted", "words"),
    [
        ("bad-job", Verdict.FAIL, " failed with exit code 1"),
        ("bad-pull", Verdict.INCONCLUSIVE, "does not start: ImagePullBackOff: manifest unknown"),
    ],
)
def test_a_job_that_fails_and_one_that_cannot_run(workloads, subject, tag, wanted, words):
    found = measured(measuring(workloads), subject, image(tag))
    assert found.verdict is wanted
    assert words in found.evidence


def test_the_pod_is_told_what_it_checks_and_may_do_nothing_else(workloads, subject):
    verify = replace(image("1.0"), annotations={"sidecar.istio.io/inject": "false"})
    measured(measuring(workloads), replace(subject, service="tiles-preview"), verify)
    (job,) = jobs(workloads, subject.namespace)
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (0, 330, 3600)
    path = f"/api/v1/namespaces/{subject.namespace}/pods"
    (pod,) = workloads.get(path)["items"]
    assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "volumes" not in pod["spec"], "no token is mounted"
    (container,) = pod["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "GITCD_NAMESPACE": subject.namespace,
        "GITCD_APP": "tiles",
        "GITCD_VERSION": "1.1.0",
        "GITCD_DIGEST": DIGEST,
        "GITCD_COMMIT": "c0ffee",
        "GITCD_SERVICE": "tiles-preview",
    }
    assert job["metadata"]["managedFields"][0]["manager"] == "gitcd"


def test_it_goes_with_its_declaration(workloads, definition, subject):
    path = f"{BASE}/namespaces/{subject.namespace}/containerversions"
    declared = workloads.request("POST", path, manifest("tiles", subject.namespace))
    owner = Owner("tiles", declared["metadata"]["uid"])
    measured(measuring(workloads), replace(subject, owner=owner), image("1.0"))
    (job,) = jobs(workloads, subject.namespace)
    (reference,) = job["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"]) == ("ContainerVersion", owner.uid)


def test_a_run_that_was_killed_finds_its_job_again(workloads, subject):
    first = measured(measuring(workloads), subject, image("bad-job"))
    again = measured(measuring(workloads), subject, image("bad-job"))
    assert again.evidence == first.evidence
    assert len(jobs(workloads, subject.namespace)) == 1
    measured(measuring(workloads), subject, image("bad-job"), number=1)
    measured(measuring(workloads), replace(subject, round="2"), image("bad-job"))
    measured(measuring(workloads), replace(subject, digest="sha256:" + "b" * 64), image("bad-job"))
    assert len(jobs(workloads, subject.namespace)) == 4, "another look, another try, another version: another Job"


def test_pods_that_no_node_takes_are_inconclusive_when_the_time_is_over(workloads, subject):
    cordon(workloads, True)
    try:
        soon = replace(subject, limit=timedelta(seconds=1))
        found = measured(measuring(workloads), soon, image("1.0"))
    finally:
        cordon(workloads, False)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "is not scheduled: Unschedulable: 0/2 nodes are available" in found.evidence


def cordon(plane: ControlPlane, on: bool) -> None:
    for node in ("node-a", "node-b"):
        body = {"spec": {"unschedulable": on}}
        plane.request("PATCH", f"/api/v1/nodes/{node}", body, kind="merge-patch+json")


def test_pods_that_may_not_be_created_are_inconclusive_with_the_reason(workloads, subject):
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    workloads.request("POST", f"/api/v1/namespaces/{subject.namespace}/resourcequotas", quota)
    _until(lambda: workloads.get(f"/api/v1/namespaces/{subject.namespace}/resourcequotas/none")["status"].get("hard"))
    found = measured(measuring(workloads), replace(subject, limit=timedelta(seconds=1)), image("1.0"))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no pod was created in time: FailedCreate: " in found.evidence
    assert "exceeded quota" in found.evidence


def test_a_job_that_runs_and_does_not_end_has_failed(workloads, subject):
    """`:bad-later` runs, and neither succeeds nor fails."""
    found = measured(measuring(workloads), replace(subject, limit=timedelta(seconds=1)), image("bad-later"))
    assert found.verdict is Verdict.FAIL
    assert "runs and did not come to an end in time" in found.evidence


def test_a_job_that_vanishes_is_inconclusive(workloads, subject):
    found = measuring(workloads)
    assert found.measure(subject, "Verify/0", image("bad-later"), 0, datetime.now(UTC)) is None
    (job,) = jobs(workloads, subject.namespace)
    workloads.kubectl("delete", "job", job["metadata"]["name"], "-n", subject.namespace, "--wait=false")
    _until(lambda: not jobs(workloads, subject.namespace))
    vanished = found.measure(subject, "Verify/0", image("bad-later"), 0, datetime.now(UTC))
    assert (vanished.verdict, "vanished" in vanished.evidence) == (Verdict.INCONCLUSIVE, True)


def test_T31_a_job_that_somebody_else_put_there_is_not_believed(workloads, subject):
    measured(measuring(workloads), subject, image("bad-job"))
    (job,) = jobs(workloads, subject.namespace)
    name = job["metadata"]["name"]
    workloads.kubectl("delete", "job", name, "-n", subject.namespace)
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "verify",
                "image": f"{IMAGE}:good",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    body = {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}
    workloads.request("POST", f"/apis/batch/v1/namespaces/{subject.namespace}/jobs", body)
    found = measured(measuring(workloads), subject, image("bad-job"))
    assert (found.verdict, found.evidence) == (Verdict.INCONCLUSIVE, f"another Job has the name {name}")


def test_T12_the_last_lines_of_the_log_are_kept_without_secrets(workloads, subject):
    """kwok keeps no logs, so a proxy tells what a kubelet would."""
    from gitcd import redact

    secret = CANARIES["GITHUB_TOKEN"]
    redact.register(secret)
    lines = [f"line {n}" for n in range(20)] + [f"token {secret}", "x" * 1000, "\x1b[31mred"]
    with faultproxy.before(workloads) as proxy:
        proxy.say("\n".join(lines) + "\n", path="/log")
        found = measured(measuring(proxy.plane), subject, image("bad-job"))
    assert found.verdict is Verdict.FAIL
    told = found.evidence.splitlines()[1:]
    assert told[0] == "| line 13"
    assert told[-3:] == ["| token ***", "| " + "x" * 256, "| [31mred"]


def test_an_image_that_no_registry_knows_is_inconclusive_and_makes_no_job(workloads, subject):
    missing = Failure("ImageNotFound", "the registry has no smoke:9", "")
    found = measured(measuring(workloads, resolve=lambda _: missing), subject, image("9"))
    wanted = f"image {IMAGE}:9 cannot be run: the registry has no smoke:9"
    assert (found.verdict, found.evidence) == (Verdict.INCONCLUSIVE, wanted)
    assert jobs(workloads, subject.namespace) == []


def test_who_may_make_no_jobs_is_told_so(workloads, subject):
    refused = Measuring(Objects(Api(find_access(str(workloads.user.kubeconfig)))))
    found = measured(refused, subject, image("1.0"))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "cannot create resource" in found.evidence


def test_without_a_prometheus_its_checks_are_inconclusive(workloads, subject):
    found = measured(measuring(workloads), subject, Verify("Prometheus", query="up"))
    assert (found.verdict, "prometheus.url" in found.evidence) == (Verdict.INCONCLUSIVE, True)


def test_evidence_is_plain_text(workloads, subject):
    assert json.dumps(measured(measuring(workloads), subject, image("1.0")).evidence).isascii()
