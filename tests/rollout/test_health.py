"""How objects are, kind by kind: one row of a table for each answer."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from gitcd.model.health import Around, Health, State
from gitcd.model.live import Ref
from gitcd.rollout.health import SETTLE, assess, evidence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Ingress": "networking.k8s.io/v1",
    "Widget": "example.com/v1",
}
DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
AVAILABLE = {"type": "Available", "status": "True"}


def obj(kind, name="app", spec=None, status=None, **metadata):
    """An object of generation 3."""
    value = {
        "apiVersion": VERSIONS.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 3, **metadata},
        "spec": spec or {},
    }
    return value if status is None else {**value, "status": status}


def merged(value, **status):
    """The same with parts of its status replaced; None takes one out."""
    value = deepcopy(value)
    value["status"].update(status)
    value["status"] = {key: each for key, each in value["status"].items() if each is not None}
    return value


def pod(name, owner, *, labels=None, images=(("app", "repo:v2"),), phase="Running", **status):
    spec = {"containers": [{"name": key, "image": image} for key, image in images]}
    owners = [{"uid": f"uid-{owner}", "controller": True}]
    return obj("Pod", name, spec, {"phase": phase, **status}, ownerReferences=owners, labels=labels or {})


def waiting(reason, message="", container="app", **more):
    return {"name": container, "ready": False, "state": {"waiting": {"reason": reason, "message": message}}, **more}


def conditions(*found):
    return {"conditions": list(found)}


def unscheduled(seconds):
    since = (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    words = {"reason": "Unschedulable", "message": "0/2 nodes are available", "lastTransitionTime": since}
    return conditions({"type": "PodScheduled", "status": "False", **words})


CRASHED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
CRASH = waiting("CrashLoopBackOff", "back-off 40s", lastState=CRASHED)
PULL = waiting("ImagePullBackOff", "manifest unknown")
READY = {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"name": "app", "ready": True}]}


def said(value, around=None, seen=None):
    health = assess(value, around or Around(), NOW, seen=seen or {})
    return health.state.value, health.reason


TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app", "image": "repo:v2"}]}}
DEPLOYMENT = obj(
    "Deployment",
    spec={"replicas": 2, "progressDeadlineSeconds": 600, "template": TEMPLATE},
    status={
        "observedGeneration": 3,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "conditions": [DONE, AVAILABLE],
    },
    annotations={"deployment.kubernetes.io/revision": "2"},
)


def replica_set(name, revision, image):
    template = deepcopy(TEMPLATE)
    template["metadata"]["labels"]["pod-template-hash"] = name
    template["spec"]["containers"][0]["image"] = image
    metadata = {"annotations": {"deployment.kubernetes.io/revision": revision}, "ownerReferences": [{"uid": "uid-app"}]}
    return obj("ReplicaSet", name, {"template": template}, **metadata)


SETS = (replica_set("old", "1", "repo:v1"), replica_set("new", "2", "repo:v2"))
SHORT = {"readyReplicas": 1, "availableReplicas": 1}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("Current", "Ready")),
        ({"observedGeneration": None}, ("InProgress", "NotObserved")),
        ({"observedGeneration": 2}, ("InProgress", "NotObserved")),
        ({"updatedReplicas": 1}, ("InProgress", "Updating")),
        ({"replicas": 1, "updatedReplicas": 2}, ("InProgress", "Creating")),
        ({"replicas": 3}, ("InProgress", "EndingOld")),
        ({"availableReplicas": 1}, ("InProgress", "Starting")),
        ({"readyReplicas": 1}, ("InProgress", "Starting")),
        ({"conditions": []}, ("InProgress", "Progressing")),
        ({"conditions": [AVAILABLE]}, ("InProgress", "Progressing")),
        ({"conditions": [{**DONE, "reason": "ReplicaSetUpdated"}, AVAILABLE]}, ("InProgress", "Progressing")),
        ({"conditions": [DONE]}, ("InProgress", "NotAvailable")),
        ({"conditions": [DONE, {**AVAILABLE, "status": "False"}]}, ("InProgress", "NotAvailable")),
        (
            {"conditions": [{**DONE, "status": "False", "reason": "ProgressDeadlineExceeded"}]},
            ("Failed", "ProgressDeadlineExceeded"),
        ),
        (
            {**SHORT, "conditions": [DONE, {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]},
            ("InProgress", "FailedCreate"),
        ),
        ({"conditions": [{"type": "Reconciling", "status": "True", "reason": "Moving"}]}, ("InProgress", "Moving")),
        ({"conditions": [{"type": "Stalled", "status": "True", "reason": "Stuck"}]}, ("Failed", "Stuck")),
    ],
)
def test_a_deployment(status, expected):
    assert said(merged(DEPLOYMENT, **status)) == expected


LIMITED = 'pods "new-x" is forbidden: minimum memory usage per Container is 1Gi, but request is 1Mi'


@pytest.mark.parametrize(
    ("name", "message", "seconds", "expected"),
    [
        ("new", LIMITED, 5, ("Failed", "FailedCreate")),
        ("new", LIMITED, 1, ("InProgress", "Starting")),  # the rule may have changed just now
        ("old", LIMITED, 5, ("InProgress", "Starting")),  # what the new one mends
        ("new", 'admission webhook "x" denied the request: no signature', 5, ("Failed", "FailedCreate")),
        ("new", 'pods "new-x" is forbidden: exceeded quota: q, used: pods=1', 900, ("InProgress", "Starting")),
        ("new", 'pods "new-x" is forbidden: error looking up service account', 900, ("InProgress", "Starting")),
        ("new", 'Internal error occurred: failed calling webhook "x": refused', 900, ("InProgress", "Starting")),
    ],
)
def test_a_deployment_whose_pods_no_rule_lets_be_made_has_failed(name, message, seconds, expected):
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    sets = deepcopy(SETS)
    for each in sets:
        if each["metadata"]["name"] == name:
            each["status"] = {"conditions": [{**failure, "lastTransitionTime": since}]}
    value = merged(DEPLOYMENT, **SHORT)
    health = assess(value, Around(replica_sets=sets), NOW)
    assert (health.state, health.reason) == expected
    assert (message in health.message) == (expected[0] == "Failed")


def test_a_deployment_without_a_deadline_needs_no_condition_progressing():
    value = merged(DEPLOYMENT, conditions=[AVAILABLE])
    for deadline in (None, 2**31 - 1):
        value["spec"]["progressDeadlineSeconds"] = deadline
        assert said(value) == ("Current", "Ready")


def test_a_deployment_scaled_to_zero_is_current():
    value = merged(DEPLOYMENT, replicas=None, updatedReplicas=None, readyReplicas=None, availableReplicas=None)
    value["spec"]["replicas"] = 0
    assert said(value) == ("Current", "Ready")


def test_a_deployment_that_is_paused_is_held_and_not_timed_out():
    value = deepcopy(DEPLOYMENT)
    value["spec"]["paused"] = True
    assert said(value) == ("Suspended", "Paused")
    assert said(merged(value, observedGeneration=2)) == ("InProgress", "NotObserved")


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "Widget", "Job"])
def test_what_is_being_deleted(kind):
    leaving = obj(kind, deletionTimestamp="2026-11-23T11:59:00Z", finalizers=["example.com/wait"])
    health = assess(leaving, Around(), NOW)
    assert (health.state, health.reason) == (State.TERMINATING, "Terminating")
    assert "it waits for example.com/wait" in health.message


class TestPodsOfADeployment:
    def test_the_new_ones_speak_and_the_old_do_not(self):
        broken = {"containerStatuses": [CRASH]}
        old, new = pod("p-old", "old", **broken), pod("p-new", "new", **broken)
        rolling = merged(DEPLOYMENT, updatedReplicas=1)
        assert said(rolling, Around((old,), SETS)) == ("InProgress", "Updating")
        health = assess(rolling, Around((old, new), SETS), NOW)
        assert (health.state, health.reason, health.pod, health.container) == (
            State.FAILED,
            "CrashLoopBackOff",
            "p-new",
            "app",
        )
        assert health.message == (
            "Deployment team/app: pod p-new, container app: CrashLoopBackOff: back-off 40s; "
            "it ended with exit code 137 (OOMKilled)"
        )

    def test_the_new_one_is_that_of_the_template_whatever_the_revisions_say(self):
        back = deepcopy(DEPLOYMENT)
        back["spec"]["template"]["spec"]["containers"][0]["image"] = "repo:v1"
        broken = pod("p", "old", containerStatuses=[PULL])
        assert said(back, Around((broken,), SETS)) == ("Failed", "ImagePullBackOff")
        assert said(back, Around((pod("p", "new", containerStatuses=[PULL]),), SETS)) == ("Current", "Ready")

    def test_by_revision_where_no_template_is_quite_the_same(self):
        other = deepcopy(DEPLOYMENT)
        other["spec"]["template"]["spec"]["newDefault"] = True
        assert said(other, Around((pod("p", "new", containerStatuses=[PULL]),), SETS)) == ("Failed", "ImagePullBackOff")

    def test_one_of_another_owner_is_not_asked(self):
        stranger = pod("p", "somebody", containerStatuses=[CRASH])
        assert said(DEPLOYMENT, Around((stranger,), SETS)) == ("Current", "Ready")

    def test_one_that_goes_is_not_asked(self):
        gone = pod("p", "new", containerStatuses=[CRASH])
        gone["metadata"]["deletionTimestamp"] = "2026-11-23T11:59:00Z"
        assert said(DEPLOYMENT, Around((gone,), SETS)) == ("Current", "Ready")

    def test_what_is_waited_for_names_pod_and_container(self):
        slow = pod("p", "new", containerStatuses=[{"name": "app", "ready": False, "state": {"running": {}}}])
        health = assess(merged(DEPLOYMENT, **SHORT), Around((slow,), SETS), NOW)
        assert (health.state, health.pod, health.container) == (State.IN_PROGRESS, "p", "app")
        assert health.message == (
            "Deployment team/app: 1 of 2 pods are available; "
            "pod p, container app: ContainerNotReady: it runs and is not ready"
        )

    def test_the_deadline_tells_what_it_waited_for(self):
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
        slow = pod("p", "new", containerStatuses=[{"name": "app", "ready": False, "state": {"running": {}}}])
        health = assess(merged(DEPLOYMENT, conditions=[late]), Around((slow,), SETS), NOW)
        assert (health.reason, health.pod) == ("ProgressDeadlineExceeded", "p")
        assert "too late; pod p, container app" in health.message


@pytest.mark.parametrize(
    ("phase", "status", "expected"),
    [
        ("Running", READY, ("Current", "Ready")),
        ("Succeeded", {}, ("Current", "Succeeded")),
        ("Failed", {"reason": "Evicted"}, ("Failed", "PodFailed")),
        ("Running", {"containerStatuses": [CRASH]}, ("Failed", "CrashLoopBackOff")),
        # A kubelet that is behind: the condition says ready, and the container waits.
        ("Running", {**READY, "containerStatuses": [CRASH]}, ("Failed", "CrashLoopBackOff")),
        ("Pending", {"containerStatuses": [PULL]}, ("Failed", "ImagePullBackOff")),
        ("Pending", {"containerStatuses": [waiting("ErrImagePull")]}, ("Failed", "ErrImagePull")),
        ("Pending", {"containerStatuses": [waiting("InvalidImageName")]}, ("Failed", "InvalidImageName")),
        ("Pending", {"containerStatuses": [waiting("ErrImageNeverPull")]}, ("Failed", "ErrImageNeverPull")),
        (
            "Pending",
            {"containerStatuses": [waiting("CreateContainerConfigError")]},
            ("Failed", "CreateContainerConfigError"),
        ),
        ("Pending", {"containerStatuses": [waiting("RunContainerError")]}, ("Failed", "RunContainerError")),
        ("Pending", {"containerStatuses": [waiting("ContainerCreating")]}, ("InProgress", "ContainerCreating")),
        ("Pending", {"containerStatuses": [waiting("")]}, ("InProgress", "Waiting")),
        ("Pending", {"initContainerStatuses": [CRASH]}, ("Failed", "CrashLoopBackOff")),
        ("Pending", {}, ("InProgress", "NotReady")),
        ("Running", {"containerStatuses": [{"name": "app", "ready": False}]}, ("InProgress", "ContainerNotReady")),
        (
            "Running",
            {"containerStatuses": [{"name": "app", "state": {"terminated": {"exitCode": 2}}}]},
            ("InProgress", "Error"),
        ),
        ("Pending", unscheduled(14), ("InProgress", "Unschedulable")),
        ("Pending", unscheduled(16), ("Failed", "Unschedulable")),
        ("Pending", unscheduled(-60), ("InProgress", "Unschedulable")),
        (
            "Pending",
            conditions({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}),
            ("InProgress", "SchedulingGated"),
        ),
    ],
)
def test_a_pod(phase, status, expected):
    value = pod("p", "nobody", phase=phase, **status)
    value["spec"]["restartPolicy"] = "OnFailure"
    assert said(value) == expected


@pytest.mark.parametrize(("patience", "failed_after"), [(0, 1), (60, 61), (300, 301)])
def test_a_pod_may_wait_for_a_node_as_long_as_its_declaration_says(patience, failed_after):
    def state(seconds):
        waits = pod("p", "new", phase="Pending", **unscheduled(seconds))
        about = merged(DEPLOYMENT, **SHORT)
        around = Around((waits,), SETS)
        return assess(about, around, NOW, patience=timedelta(seconds=patience)).state.value

    assert state(patience) == "InProgress"
    assert state(failed_after) == "Failed"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_shall_always_run_and_ended(phase):
    assert said(pod("p", "nobody", phase=phase)) == ("Failed", "PodEnded")


STATEFUL = obj(
    "StatefulSet",
    spec={"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
    status={
        "observedGeneration": 3,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": "r2",
        "updateRevision": "r2",
    },
)
REVISION = "controller-revision-hash"


@pytest.mark.parametrize(
    ("partition", "status", "expected"),
    [
        (0, {}, ("Current", "Ready")),
        (0, {"observedGeneration": None}, ("InProgress", "NotObserved")),
        (0, {"observedGeneration": 2}, ("InProgress", "NotObserved")),
        (0, {"replicas": 2}, ("InProgress", "Creating")),
        (0, {"readyReplicas": 2}, ("InProgress", "Starting")),
        (0, {"availableReplicas": 2}, ("InProgress", "Starting")),
        (0, {"replicas": 4}, ("InProgress", "EndingOld")),
        (0, {"currentReplicas": 2, "updatedReplicas": 1}, ("InProgress", "Updating")),
        (0, {"currentRevision": "r1"}, ("InProgress", "Updating")),
        (1, {"currentRevision": "r1", "updatedReplicas": 2, "currentReplicas": 1}, ("Current", "Ready")),
        (1, {"currentRevision": "r1", "updatedReplicas": 1, "currentReplicas": 2}, ("InProgress", "Updating")),
        (9, {"currentRevision": "r1", "updatedReplicas": 0}, ("Current", "Ready")),
    ],
)
def test_a_stateful_set(partition, status, expected):
    value = merged(STATEFUL, **status)
    value["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = partition
    assert said(value) == expected


def test_a_stateful_set_that_is_updated_by_hand():
    value = merged(STATEFUL, updateRevision="r3", updatedReplicas=0)
    value["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert said(value) == ("Current", "OnDelete")
    assert said(merged(value, observedGeneration=1)) == ("InProgress", "NotObserved")


def test_a_stateful_set_fails_by_the_pod_that_is_being_updated():
    rolling = merged(STATEFUL, readyReplicas=2, updatedReplicas=1, currentReplicas=2, updateRevision="r3")
    bad = pod("app-2", "app", labels={REVISION: "r3"}, containerStatuses=[PULL])
    health = assess(rolling, Around((bad,)), NOW)
    assert (health.state, health.reason, health.pod) == (State.FAILED, "ImagePullBackOff", "app-2")
    old = pod("app-0", "app", labels={REVISION: "r2"}, containerStatuses=[PULL])
    health = assess(rolling, Around((old,)), NOW)
    assert (health.state, health.reason, health.pod) == (State.IN_PROGRESS, "Starting", "app-0")


DAEMON = obj(
    "DaemonSet",
    spec={"template": TEMPLATE},
    status={
        "observedGeneration": 3,
        "desiredNumberScheduled": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberReady": 2,
    },
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("Current", "Ready")),
        ({"desiredNumberScheduled": 0}, ("Current", "Ready")),
        ({"observedGeneration": None}, ("InProgress", "NotObserved")),
        ({"observedGeneration": 2}, ("InProgress", "NotObserved")),
        ({"desiredNumberScheduled": None}, ("InProgress", "NotObserved")),
        ({"currentNumberScheduled": 1}, ("InProgress", "Creating")),
        ({"updatedNumberScheduled": None}, ("InProgress", "Updating")),
        ({"numberAvailable": 1}, ("InProgress", "Starting")),
        ({"numberReady": 1}, ("InProgress", "Starting")),
    ],
)
def test_a_daemon_set(status, expected):
    assert said(merged(DAEMON, **status)) == expected


def test_a_daemon_set_fails_by_its_new_pods():
    rolling = merged(DAEMON, numberReady=1)
    bad = pod("p", "app", containerStatuses=[CRASH])
    old = pod("p", "app", images=(("app", "repo:v1"),), containerStatuses=[CRASH])
    assert said(rolling, Around((bad,))) == ("Failed", "CrashLoopBackOff")
    assert said(rolling, Around((old,))) == ("InProgress", "Starting")
    rolling["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "5"}
    for generation, state in (("5", "Failed"), ("4", "InProgress")):
        labelled = pod("p", "app", labels={"pod-template-generation": generation}, containerStatuses=[CRASH])
        assert said(rolling, Around((labelled,)))[0] == state


def test_a_daemon_set_that_is_updated_by_hand():
    value = merged(DAEMON, updatedNumberScheduled=0)
    value["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert said(value) == ("Current", "OnDelete")


SET = obj(
    "ReplicaSet",
    spec={"replicas": 2},
    status={
        "observedGeneration": 3,
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "availableReplicas": 2,
        "readyReplicas": 2,
    },
)


@pytest.mark.parametrize(
    ("status", "pods", "expected"),
    [
        ({}, (), ("Current", "Ready")),
        ({"observedGeneration": None}, (), ("InProgress", "NotObserved")),
        ({"observedGeneration": 2}, (), ("InProgress", "NotObserved")),
        ({"replicas": 1}, (), ("InProgress", "Starting")),
        ({"fullyLabeledReplicas": 1}, (), ("InProgress", "Starting")),
        ({"availableReplicas": 1}, (), ("InProgress", "Starting")),
        ({"readyReplicas": 1}, (), ("InProgress", "Starting")),
        ({"replicas": 3}, (), ("InProgress", "EndingOld")),
        (
            conditions({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}),
            (),
            ("InProgress", "FailedCreate"),
        ),
        ({}, (pod("p", "app", containerStatuses=[CRASH]),), ("Failed", "CrashLoopBackOff")),
    ],
)
def test_a_replica_set(status, pods, expected):
    assert said(merged(SET, **status), Around(pods)) == expected


ENDED = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no such table"}}


@pytest.mark.parametrize(
    ("spec", "status", "pods", "expected"),
    [
        ({}, {}, (), ("InProgress", "NotStarted")),
        ({}, {"startTime": "2026-11-23T11:00:00Z", "active": 1}, (), ("InProgress", "Running")),
        ({}, conditions({"type": "Complete", "status": "True"}), (), ("Current", "Complete")),
        ({}, conditions({"type": "Complete", "status": "False"}), (), ("InProgress", "NotStarted")),
        ({}, conditions({"type": "SuccessCriteriaMet", "status": "True"}), (), ("InProgress", "NotStarted")),
        (
            {},
            conditions({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}),
            (),
            ("Failed", "BackoffLimitExceeded"),
        ),
        (
            {},
            conditions({"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}),
            (),
            ("Failed", "DeadlineExceeded"),
        ),
        ({"suspend": True}, conditions({"type": "Suspended", "status": "True"}), (), ("Suspended", "Suspended")),
        ({}, {}, (pod("p", "app", containerStatuses=[PULL]),), ("Failed", "ImagePullBackOff")),
        # How often it may fail is for the Job to say.
        ({}, {"startTime": "2026"}, (pod("p", "app", containerStatuses=[CRASH]),), ("InProgress", "Running")),
    ],
)
def test_a_job(spec, status, pods, expected):
    assert said(obj("Job", spec=spec, status=status), Around(pods)) == expected


def test_a_failed_job_tells_how_its_pod_ended():
    failed = obj("Job", status=conditions({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}))
    bad = pod("p", "app", phase="Failed", containerStatuses=[{"name": "check", "state": ENDED}])
    health = assess(failed, Around((bad,)), NOW)
    assert (health.pod, health.container) == ("p", "check")
    assert health.message.endswith("pod p, container check: Error: it ended with exit code 3 (Error)")
    assert health.log == ("no such table",)


@pytest.mark.parametrize(("suspend", "reason"), [(False, "Ready"), (True, "Suspended")])
def test_a_cron_job_is_current_once_it_is_there(suspend, reason):
    assert said(obj("CronJob", spec={"suspend": suspend})) == ("Current", reason)


def slices(*ready, name="app"):
    endpoints = [{"addresses": ["10.0.0.1"], "conditions": {} if each is None else {"ready": each}} for each in ready]
    return (
        {
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
            "endpoints": endpoints,
        },
    )


SELECTS = {"selector": {"app": "a"}, "clusterIP": "10.1.1.1"}
BALANCED = {**SELECTS, "type": "LoadBalancer"}


@pytest.mark.parametrize(
    ("spec", "status", "found", "expected"),
    [
        (SELECTS, {}, slices(True), ("Current", "Ready")),
        (SELECTS, {}, slices(None), ("Current", "Ready")),  # who does not say is ready
        (SELECTS, {}, slices(False) + slices(True), ("Current", "Ready")),
        (SELECTS, {}, slices(False, False), ("InProgress", "NoReadyEndpoints")),
        (SELECTS, {}, slices(), ("InProgress", "NoEndpoints")),
        (SELECTS, {}, (), ("InProgress", "NoEndpoints")),
        (SELECTS, {}, slices(True, name="another"), ("InProgress", "NoEndpoints")),
        ({"clusterIP": "None"}, {}, (), ("Current", "Ready")),
        ({"type": "ExternalName", "externalName": "example.com"}, {}, (), ("Current", "Ready")),
        ({**BALANCED, "clusterIP": ""}, {}, slices(True), ("InProgress", "NoAddress")),
        (BALANCED, {}, slices(True), ("Current", "Ready")),
    ],
)
def test_a_service(spec, status, found, expected):
    assert said(obj("Service", spec=spec, status=status), Around(slices=found)) == expected


def test_a_load_balancer_is_waited_for_where_that_is_asked_for():
    asked = {"annotations": {"gitcd.io/await-load-balancer": "true"}}
    value = obj("Service", spec=BALANCED, status={}, **asked)
    assert said(value, Around(slices=slices(True))) == ("InProgress", "NoAddress")
    value["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert said(value, Around(slices=slices(True))) == ("Current", "Ready")


USER = pod("p", "somebody")
USER["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "app"}}]


@pytest.mark.parametrize(
    ("phase", "pods", "expected"),
    [
        ("Bound", (USER,), ("Current", "Bound")),
        ("Lost", (), ("Failed", "Lost")),
        ("Pending", (), ("Current", "Unused")),
        ("Pending", (pod("p", "somebody"),), ("Current", "Unused")),
        ("Pending", (USER,), ("InProgress", "NotBound")),
        ("", (), ("InProgress", "NotBound")),
    ],
)
def test_a_claim(phase, pods, expected):
    assert said(obj("PersistentVolumeClaim", status={"phase": phase}), Around(pods)) == expected


ACCEPTED, ESTABLISHED = {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), ("InProgress", "Installing")),
        ((ACCEPTED,), ("InProgress", "Installing")),
        ((ACCEPTED, ESTABLISHED), ("Current", "Established")),
        ((ACCEPTED, {**ESTABLISHED, "status": "False", "reason": "Installing"}), ("InProgress", "Installing")),
        ((ACCEPTED, {**ESTABLISHED, "status": "False", "reason": "NotAccepted"}), ("Failed", "NotAccepted")),
        (({**ACCEPTED, "status": "False", "reason": "ListKindConflict"},), ("Failed", "ListKindConflict")),
    ],
)
def test_a_definition(found, expected):
    assert said(obj("CustomResourceDefinition", status=conditions(*found))) == expected


def ready(status="True", **more):
    return conditions({"type": "Ready", "status": status, "reason": "Because", **more})


@pytest.mark.parametrize(
    ("status", "before", "after"),
    [
        # Nothing was said yet: only time tells that nothing will be.
        ({}, ("InProgress", "Settling"), ("Current", "Ready")),
        # Without a generation, Ready may be of an earlier change.
        (ready(), ("InProgress", "Settling"), ("Current", "Ready")),
        ({**ready(), "observedGeneration": 3}, ("Current", "Ready"), ("Current", "Ready")),
        (ready(observedGeneration=3), ("Current", "Ready"), ("Current", "Ready")),
        (ready(observedGeneration=2), ("InProgress", "NotObserved"), ("InProgress", "NotObserved")),
        ({**ready(), "observedGeneration": 2}, ("InProgress", "NotObserved"), ("InProgress", "NotObserved")),
        (ready("False"), ("InProgress", "Because"), ("InProgress", "Because")),
        (ready("Unknown"), ("InProgress", "Because"), ("InProgress", "Because")),
        ({"observedGeneration": 3}, ("InProgress", "Settling"), ("Current", "Ready")),
    ],
)
def test_a_kind_that_nobody_knows(status, before, after):
    value = obj("Widget", status=status)
    ref = Ref("Widget", "team", "app", "example.com")
    assert said(value) == before
    assert said(value, seen={ref: NOW - SETTLE / 2}) == before
    assert said(value, seen={ref: NOW - SETTLE}) == after


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret", "ServiceAccount", "HorizontalPodAutoscaler", "Ingress"])
def test_kinds_that_nobody_waits_for(kind):
    assert said(obj(kind)) == ("Current", "Ready")


def test_an_api_service_is_waited_for():
    ref = Ref("APIService", "team", "app", "apiregistration.k8s.io")
    settled = {ref: NOW - SETTLE}
    assert said(obj("APIService"), seen=settled) == ("InProgress", "NotReady")
    assert said(obj("APIService", status=conditions(AVAILABLE)), seen=settled) == ("Current", "Ready")
    no = {**AVAILABLE, "status": "False", "reason": "MissingEndpoints"}
    assert said(obj("APIService", status=conditions(no)), seen=settled) == ("InProgress", "MissingEndpoints")


def test_what_the_cluster_says_is_one_line_without_control_characters():
    bad = waiting("CrashLoop\x1b[31mBackOff", "one\ntwo\x1b[0m " + "x" * 5000)
    health = assess(pod("p", "nobody", containerStatuses=[bad]), Around(), NOW)
    assert health.reason == "Unknown"
    assert "one two[0m xxx" in health.message
    assert len(health.message) < 1100
    assert health.message.isprintable()


@pytest.mark.parametrize(
    ("reason", "container", "expected"),
    [
        ("CrashLoopBackOff", "app", True),
        ("ContainerNotReady", "app", True),
        ("BackoffLimitExceeded", "app", True),
        ("ImagePullBackOff", "app", False),
        ("CreateContainerConfigError", "app", False),
        ("Unschedulable", "", False),
    ],
)
def test_a_log_is_asked_for_where_a_container_has_run(reason, container, expected):
    health = Health(Ref("Deployment", "team", "app", "apps"), State.FAILED, reason, "", "p", container)
    assert evidence.has_log(health) is expected


def test_of_a_log_the_last_lines_are_kept_without_what_steers_a_terminal():
    health = Health(Ref("Deployment", "team", "app", "apps"), State.FAILED)
    kept = evidence.with_log(health, [f"line {number}" for number in range(20)] + ["", "\x1b[31m" + "x" * 999])
    assert kept.log[:2] == ("line 11", "line 12")
    assert (len(kept.log), len(kept.log[-1]), kept.log[-1][:6]) == (10, 256, "[31mxx")


def test_what_a_container_says_of_itself_stands_beside_the_message_and_not_in_it():
    """The message comes to stand in git, from where nothing is ever taken out."""
    ended = {"terminated": {"exitCode": 2, "reason": "Error", "message": "cannot log in with hunter2"}}
    status = waiting("CrashLoopBackOff", "back-off 40s", lastState=ended)
    health = assess(SET, Around((pod("p", "app", containerStatuses=[status]),)), NOW)
    assert health.message.endswith("CrashLoopBackOff: back-off 40s; it ended with exit code 2 (Error)")
    assert health.log == ("cannot log in with hunter2",)
    assert evidence.with_log(health, ["start", "cannot log in with hunter2"]).log[0] == "start"
    assert evidence.with_log(health, ["start"]).log == ("cannot log in with hunter2", "start")
