"""Health on a real control plane: what pods show is reported, with its reason, while the controllers still wait."""

import json
import threading
import time
from datetime import UTC, datetime

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.model.health import State
from gitcd.model.live import Ref
from gitcd.usecases.evidence import Onlooker, with_log
from tests.support.manifests import daemon_set, deployment, job, service, stateful_set

pytestmark = pytest.mark.slow
ROLLED = ("Deployment", "StatefulSet", "DaemonSet")
UNFINISHED = {State.IN_PROGRESS, State.MISSING}


@pytest.fixture
def objects(workloads):
    return Objects(Api(find_access(str(workloads.admin.kubeconfig)), patience=10))


@pytest.fixture
def onlooker(objects):
    return Onlooker(objects)


@pytest.fixture
def apply(workloads, namespace):
    def apply(*manifests):
        for each in manifests:
            each["metadata"]["namespace"] = namespace
        workloads.apply("\n---\n".join(map(json.dumps, manifests)))

    return apply


def ref(kind, namespace, name):
    groups = {"Job": "batch", "Service": "", "PersistentVolumeClaim": ""}
    return Ref(kind, namespace, name, groups.get(kind, "apps"))


def until(onlooker, where, wanted, seconds=30.0):
    """The health of an object once it is in one of those states, and all that was said before."""
    before = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        health = onlooker.look(where, datetime.now(UTC))
        if health.state in wanted:
            return health, before
        before.append(health)
        time.sleep(0.2)
    pytest.fail(f"{where} did not become one of {wanted}: {before[-1]}")


class Watch:
    """When pods first showed that a container waits in error, as seen by another client."""

    def __init__(self, plane, namespace):
        self.shown = {}
        self._plane, self._path = plane, f"/api/v1/namespaces/{namespace}/pods"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.wait(0.1):
            for pod in self._plane.get(self._path)["items"]:
                for status in pod["status"].get("containerStatuses", ()):
                    if "waiting" in status["state"]:
                        self.shown.setdefault(pod["metadata"]["labels"]["app"], time.monotonic())


@pytest.mark.parametrize(
    ("make", "tag", "reason"),
    [
        (deployment, "bad-crash", "CrashLoopBackOff"),
        (deployment, "bad-pull", "ImagePullBackOff"),
        (stateful_set, "bad-crash", "CrashLoopBackOff"),
        (daemon_set, "bad-pull", "ImagePullBackOff"),
    ],
)
def test_F45_a_broken_image_is_reported_within_seconds_of_its_pod(
    workloads, namespace, onlooker, apply, make, tag, reason
):
    made = make("app", "v1")
    where = ref(made["kind"], namespace, "app")
    apply(made)
    health, before = until(onlooker, where, {State.CURRENT})
    assert {each.state for each in before} <= UNFINISHED
    with Watch(workloads, namespace) as watch:
        apply(make("app", tag))
        health, before = until(onlooker, where, {State.FAILED, State.CURRENT})
        reported = time.monotonic()
    assert (health.state, health.reason, health.container) == (State.FAILED, reason, "app")
    assert health.pod in health.message
    assert reported - watch.shown.get("app", reported) < 5  # or before the other client saw it
    assert {each.state for each in before} <= UNFINISHED


def test_a_rollout_is_not_done_before_the_controller_has_begun_and_ended_it(namespace, onlooker, apply, objects):
    where = ref("Deployment", namespace, "app")
    apply(deployment("app", "v1", replicas=2))
    until(onlooker, where, {State.CURRENT})
    for tag in ("v2", "v3", "v4"):
        apply(deployment("app", tag, replicas=2))
        _, before = until(onlooker, where, {State.CURRENT})
        live = objects.get(where)
        tags = {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in objects.pods(live)}
        assert tags == {tag}
        assert {each.state for each in before} <= UNFINISHED


def test_what_never_is_ready_is_said_and_not_failed_before_its_time(namespace, onlooker, apply):
    apply(deployment("never", "bad-never"), deployment("slow", "slow"))
    slow, before = until(onlooker, ref("Deployment", namespace, "slow"), {State.CURRENT, State.FAILED})
    assert slow.state is State.CURRENT
    assert len(before) > 5
    never = onlooker.look(ref("Deployment", namespace, "never"), datetime.now(UTC))
    assert (never.state, never.container) == (State.IN_PROGRESS, "app")
    assert "ContainerNotReady" in never.message


def test_what_was_ready_and_then_crashes_is_failed(namespace, onlooker, apply):
    apply(deployment("later", "bad-later"))
    where = ref("Deployment", namespace, "later")
    until(onlooker, where, {State.CURRENT})
    health, _ = until(onlooker, where, {State.FAILED})
    assert (health.reason, health.container) == ("CrashLoopBackOff", "app")


def test_the_deadline_of_a_deployment_is_heeded(namespace, onlooker, apply):
    manifest = deployment("never", "bad-never")
    manifest["spec"]["progressDeadlineSeconds"] = 1
    apply(manifest)
    health, _ = until(onlooker, ref("Deployment", namespace, "never"), {State.FAILED})
    assert (health.reason, health.container) == ("ProgressDeadlineExceeded", "app")


def test_jobs_that_run_succeed_and_fail(namespace, onlooker, apply):
    apply(job("good", "v1"), job("bad", "bad-job"), job("unpulled", "bad-pull"), job("rests", "v1", suspend=True))
    good, before = until(onlooker, ref("Job", namespace, "good"), {State.CURRENT, State.FAILED})
    assert good.reason == "Complete"
    assert {each.state for each in before} <= UNFINISHED
    bad, _ = until(onlooker, ref("Job", namespace, "bad"), {State.CURRENT, State.FAILED})
    assert (bad.state, bad.reason, bad.container) == (State.FAILED, "BackoffLimitExceeded", "app")
    assert "exit code 1" in bad.message
    unpulled, _ = until(onlooker, ref("Job", namespace, "unpulled"), {State.CURRENT, State.FAILED})
    assert unpulled.reason == "ImagePullBackOff"
    rests = onlooker.look(ref("Job", namespace, "rests"), datetime.now(UTC))
    assert rests.state is State.SUSPENDED


def test_what_no_node_can_take_is_failed_after_the_patience_for_schedulers(namespace, onlooker, apply):
    manifest = deployment("huge", "v1")
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none-has-this"}
    apply(manifest)
    health, before = until(onlooker, ref("Deployment", namespace, "huge"), {State.FAILED, State.CURRENT})
    assert (health.state, health.reason) == (State.FAILED, "Unschedulable")
    assert "nodes are available" in health.message
    assert "Unschedulable" in before[-1].message


def test_a_service_is_current_while_a_ready_pod_stands_behind_it(namespace, onlooker, apply):
    where = ref("Service", namespace, "app")
    assert onlooker.look(where, datetime.now(UTC)).state is State.MISSING
    apply(service("app", {"app": "app"}))
    assert until(onlooker, where, {State.IN_PROGRESS})[0].reason == "NoEndpoints"
    apply(deployment("app", "bad-never"))
    ends = time.monotonic() + 20
    while (health := onlooker.look(where, datetime.now(UTC))).reason == "NoEndpoints" and time.monotonic() < ends:
        time.sleep(0.2)
    assert (health.state, health.reason) == (State.IN_PROGRESS, "NoReadyEndpoints")
    apply(deployment("app", "v1"))
    until(onlooker, where, {State.CURRENT})


def test_quota_is_given_as_the_reason(namespace, onlooker, apply):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    apply(quota)
    apply(deployment("app", "v1"))
    where = ref("Deployment", namespace, "app")
    ends = time.monotonic() + 20
    while (health := onlooker.look(where, datetime.now(UTC))).reason != "FailedCreate" and time.monotonic() < ends:
        time.sleep(0.2)
    assert (health.state, health.reason) == (State.IN_PROGRESS, "FailedCreate")
    assert "exceeded quota" in health.message


def test_a_log_that_cannot_be_had_is_left_out(namespace, onlooker, apply, objects):
    apply(deployment("app", "bad-crash"))
    health, _ = until(onlooker, ref("Deployment", namespace, "app"), {State.FAILED})
    assert with_log(objects, health) == health  # the nodes of these tests have no kubelet to ask
