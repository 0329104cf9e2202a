"""What holds of health whatever an object holds: an API server passes on what others wrote."""

import unicodedata
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.health import Around, Health, State
from gitcd.rollout.health import assess

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# The keys and words that the rules ask for, so that chance comes past the first of them.
_KEYS = (
    "apiVersion kind metadata name namespace uid generation labels annotations ownerReferences deletionTimestamp "
    "finalizers spec replicas paused selector type template status observedGeneration conditions reason message "
    "lastTransitionTime phase containerStatuses initContainerStatuses state waiting terminated exitCode lastState "
    "updatedReplicas availableReplicas readyReplicas currentReplicas updateRevision currentRevision updateStrategy "
    "rollingUpdate partition desiredNumberScheduled endpoints addresses ready volumes persistentVolumeClaim "
    "claimName containers image "
    "kubernetes.io/service-name controller-revision-hash clusterIP suspend startTime"
)
_WORDS = (
    "Ready Progressing Available NewReplicaSetAvailable True False Unknown Complete Failed Stalled Reconciling "
    "Unschedulable PodScheduled CrashLoopBackOff OnDelete LoadBalancer Bound Pending Running Established u v "
    "0001-01-01T00:00:00+23:59 9999-12-31T23:59:59-23:59 2026-11-23T11:00:00Z 2026-11-23T11:00:00"
)
KEYS, WORDS = st.sampled_from(_KEYS.split()), st.sampled_from(_WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(0, 4) | st.floats() | st.text(max_size=6) | WORDS
JSON = st.recursive(
    LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=4), max_leaves=20
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)
KINDS = st.sampled_from(
    [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("v1", "Service"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "ConfigMap"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("apiregistration.k8s.io/v1", "APIService"),
        ("example.com/v1", "Widget"),
    ]
)
CONDITIONS = st.lists(
    st.fixed_dictionaries({"type": WORDS, "status": WORDS}, optional={"reason": WORDS, "observedGeneration": JSON})
)
STATUS = st.dictionaries(KEYS, JSON, max_size=4) | st.fixed_dictionaries({"conditions": CONDITIONS})
OWNED = st.fixed_dictionaries({"metadata": st.just({"ownerReferences": [{"uid": "u"}], "uid": "u"})}).flatmap(
    lambda value: STATUS.map(lambda status: {**value, "status": status})
)
FEW = st.lists(OBJECTS | OWNED, max_size=2).map(tuple)
AROUND = st.builds(Around, FEW, FEW, FEW)


@st.composite
def hostile(draw):
    version, kind = draw(KINDS)
    metadata = draw(st.just({"name": "a", "uid": "u", "generation": 2}) | JSON)
    return {**draw(OBJECTS), "apiVersion": version, "kind": kind, "metadata": metadata, "status": draw(STATUS | JSON)}


@settings(max_examples=100)
@given(hostile() | OBJECTS, AROUND)
def test_a_hostile_object_is_assessed_like_any_other(value, around):
    health = assess(value, around, NOW)
    assert isinstance(health, Health)
    assert health.state in State
    assert not any(unicodedata.category(each) in {"Cc", "Cs"} for each in health.message + health.reason)
    assert len(health.message) <= 1024


@settings(max_examples=80)
@given(hostile(), AROUND, st.integers(1, 9), st.integers(-2, 9), st.booleans())
def test_nothing_is_current_while_its_controller_lags(value, around, generation, lag, is_settled):
    status = value["status"] if isinstance(value["status"], dict) else {}
    value["metadata"] = {"name": "a", "uid": "u", "generation": generation}
    value["status"] = {**status, "observedGeneration": generation - lag}
    seen = {assess(value, around, NOW).ref: datetime.min.replace(tzinfo=UTC)} if is_settled else {}
    health = assess(value, around, NOW, seen=seen)
    if lag:
        assert health.state is not State.CURRENT


@settings(max_examples=30)
@given(hostile(), AROUND)
def test_the_same_facts_give_the_same_answer(value, around):
    assert assess(value, around, NOW) == assess(value, around, NOW)
