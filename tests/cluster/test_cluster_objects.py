"""Objects of every kind on the real API server: how they are found, applied, patched, scaled and deleted."""

from __future__ import annotations

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api, DeclinedError
from gitcd.cluster.discovery import UnknownKindError
from gitcd.cluster.objects import Objects, label_selector, ref_of
from gitcd.model.declaration import Origin
from gitcd.model.live import Manifest, Ref


def manifest(namespace, kind="ConfigMap", name="a", group="", version="v1", **value):
    ref = Ref(kind, namespace, name, group)
    made = Manifest(ref, version, {}, Origin("a.yaml", 1))
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return Manifest(
        ref, version, {"apiVersion": made.api_version, "kind": kind, "metadata": metadata, **value}, made.origin
    )


def deployment(namespace, name="web", replicas=None):
    spec = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
        },
    }
    return manifest(
        namespace, "Deployment", name, "apps", spec=spec | ({} if replicas is None else {"replicas": replicas})
    )


@pytest.fixture
def objects(control_plane):
    return Objects(Api(find_access(str(control_plane.admin.kubeconfig))))


def test_what_is_applied_can_be_read_and_listed(objects, namespace):
    made = objects.apply(manifest(namespace, data={"k": "v"}, name="a"))
    assert made["data"] == {"k": "v"}
    assert [each["manager"] for each in made["metadata"]["managedFields"]] == ["gitcd"]
    assert objects.get(Ref("ConfigMap", namespace, "a"))["data"] == {"k": "v"}
    assert objects.get(Ref("ConfigMap", namespace, "none")) is None
    listed = objects.list_kind("", "ConfigMap", namespace=namespace, fields="metadata.name=a")
    assert [(each["kind"], each["apiVersion"], each["metadata"]["name"]) for each in listed] == [
        ("ConfigMap", "v1", "a")
    ]
    assert ref_of(listed[0]) == Ref("ConfigMap", namespace, "a")


def test_kinds_without_a_namespace_are_listed_too(objects, namespace):
    names = {each["metadata"]["name"] for each in objects.list_kind("", "Namespace")}
    assert {"kube-system", namespace} <= names


def test_a_dry_run_leaves_nothing(objects, namespace):
    assert objects.apply(manifest(namespace, data={"k": "v"}), dry_run=True)["data"] == {"k": "v"}
    assert objects.get(Ref("ConfigMap", namespace, "a")) is None


def test_F39_a_conflict_names_field_and_owner(objects, namespace):
    objects.apply(manifest(namespace, data={"k": "theirs"}), manager="helm")
    with pytest.raises(DeclinedError) as refused:
        objects.apply(manifest(namespace, data={"k": "ours"}))
    assert refused.value.status == 409
    (cause,) = refused.value.causes
    assert (cause.reason, cause.field) == ("FieldManagerConflict", ".data.k")
    assert '"helm"' in cause.message
    assert objects.apply(manifest(namespace, data={"k": "ours"}), force=True)["data"] == {"k": "ours"}


def test_a_patch_is_made_on_the_version_that_it_names(objects, namespace):
    made = objects.apply(manifest(namespace, data={"k": "v"}))
    ref, version = ref_of(made), made["metadata"]["resourceVersion"]
    step = {"op": "replace", "path": "/data/k", "value": "w"}
    assert objects.patch(ref, [step], resource_version=version)["data"] == {"k": "w"}
    with pytest.raises(DeclinedError) as refused:
        objects.patch(ref, [step], resource_version=version)
    assert refused.value.status in {409, 422}


def test_scaling_owns_replicas_and_nothing_else(objects, namespace):
    made = objects.apply(deployment(namespace, replicas=2))
    scaled = objects.scale(ref_of(made), 5, uid=made["metadata"]["uid"])
    assert scaled["spec"]["replicas"] == 5
    assert scaled["spec"]["template"] == made["spec"]["template"]
    owned = {each["manager"]: each["fieldsV1"] for each in scaled["metadata"]["managedFields"]}
    assert owned["gitcd-rollout"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owned["gitcd"]["f:spec"]


def test_a_workload_that_is_gone_is_not_made_by_scaling(objects, namespace):
    with pytest.raises(DeclinedError):
        objects.scale(Ref("Deployment", namespace, "gone", "apps"), 1, uid="00000000-0000-0000-0000-000000000000")
    assert objects.get(Ref("Deployment", namespace, "gone", "apps")) is None


def test_only_the_object_that_is_meant_is_deleted(objects, namespace):
    made = objects.apply(manifest(namespace, data={"k": "v"}))
    ref = ref_of(made)
    assert not objects.delete(ref, uid="00000000-0000-0000-0000-000000000000")
    assert objects.get(ref)
    assert objects.delete(ref, uid=made["metadata"]["uid"])
    assert not objects.delete(ref, uid=made["metadata"]["uid"])


def test_a_kind_that_nobody_serves_is_named(objects):
    with pytest.raises(UnknownKindError, match=r"no Widget of example\.org/v1"):
        objects.discovery.find("example.org", "Widget", "v1")
    with pytest.raises(UnknownKindError, match="no Widget of apps"):
        objects.discovery.find("apps", "Widget")


def test_a_broken_group_stands_in_nobodys_way(objects, control_plane, namespace):
    service = {"name": "gone", "namespace": namespace}
    spec = {
        "service": service,
        "group": "broken.example",
        "version": "v1",
        "groupPriorityMinimum": 1,
        "versionPriority": 1,
    }
    broken = manifest("", "APIService", "v1.broken.example", "apiregistration.k8s.io", spec=spec)
    made = objects.apply(broken)
    try:
        assert objects.discovery.find("apps", "Deployment").plural == "deployments"
    finally:
        objects.delete(ref_of(made))


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"a": "b", "c": "d"}}, "a=b,c=d"),
        (
            {
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["b", "c"]},
                    {"key": "d", "operator": "NotIn", "values": ["e"]},
                    {"key": "f", "operator": "Exists"},
                    {"key": "g", "operator": "DoesNotExist"},
                ]
            },
            "a in (b,c),d notin (e),f,!g",
        ),
        ({}, ""),
    ],
)
def test_selectors_as_queries_write_them(selector, text):
    assert label_selector(selector) == text


def test_pods_are_found_by_the_selector(objects, namespace):
    made = objects.apply(deployment(namespace, replicas=0))
    template = made["spec"]["template"]
    objects.apply(manifest(namespace, "ServiceAccount", "default"))
    objects.apply(manifest(namespace, "Pod", "p", spec={"containers": template["spec"]["containers"]}))
    assert objects.pods(made) == []
    labelled = manifest(namespace, "Pod", "q", spec={"containers": template["spec"]["containers"]})
    labelled.value["metadata"]["labels"] = {"app": "web"}
    objects.apply(labelled)
    assert [each["metadata"]["name"] for each in objects.pods(made)] == ["q"]
    assert [each["metadata"]["name"] for each in objects.around(made).pods] == ["q"]


def test_a_field_that_no_schema_has_is_refused(objects, namespace):
    strange = deployment(namespace)
    strange.value["spec"]["nonsense"] = 1
    with pytest.raises(DeclinedError, match=r"\.spec\.nonsense: field not declared in schema"):
        objects.apply(strange)
