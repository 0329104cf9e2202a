"""What stands around many workloads, from the real API server: the same that a look at each of them tells.

Controllers may be at work or not: all is made so that they find nothing to do.
"""

from __future__ import annotations

import pytest

from gitcd.cluster import surroundings
from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects, ref_of
from gitcd.cluster.surroundings import around_each
from gitcd.model.declaration import Origin
from gitcd.model.live import Manifest, Ref

POD = {"containers": [{"name": "web", "image": "registry.example/web:1"}], "schedulerName": "nobody"}


@pytest.fixture
def objects(control_plane):
    return Objects(Api(find_access(str(control_plane.admin.kubeconfig))))


def make(objects, namespace, kind, name, spec=None, *, app="", owner=None):
    group = "apps" if kind in {"Deployment", "ReplicaSet", "StatefulSet"} else ""
    metadata = {"name": name, "namespace": namespace} | ({"labels": {"app": app}} if app else {})
    if owner:
        ref = ref_of(owner)
        uid = owner["metadata"]["uid"]
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": ref.kind, "name": ref.name, "uid": uid, "controller": True}
        ]
    manifest = Manifest(Ref(kind, namespace, name, group), "v1", {}, Origin("a.yaml", 1))
    value = {"apiVersion": manifest.api_version, "kind": kind, "metadata": metadata} | ({"spec": spec} if spec else {})
    return objects.apply(Manifest(manifest.ref, "v1", value, manifest.origin))


def runs(app):
    """What no controller can start, as there is no such account."""
    pods = {"metadata": {"labels": {"app": app}}, "spec": {**POD, "serviceAccountName": "nobody"}}
    return {"selector": {"matchLabels": {"app": app}}, "template": pods}


@pytest.fixture
def values(objects, namespace):
    """Two workloads with a pod each, and a Service without any; a pod that nobody owns stands beside them."""
    make(objects, namespace, "ServiceAccount", "default")
    web = make(objects, namespace, "Deployment", "web", {**runs("web"), "paused": True})
    replicas = make(objects, namespace, "ReplicaSet", "web-1", runs("web"), app="web", owner=web)
    make(objects, namespace, "Pod", "web-1-x", POD, app="web", owner=replicas)
    store = make(
        objects,
        namespace,
        "StatefulSet",
        "db",
        {**runs("db"), "serviceName": "db", "updateStrategy": {"type": "OnDelete"}},
    )
    make(objects, namespace, "Pod", "db-0", POD, app="db", owner=store)
    make(objects, namespace, "Pod", "alone", POD, app="other")
    return [store, make(objects, namespace, "Service", "web", {"ports": [{"port": 80}]}), web]


def names(around):
    return [
        tuple([one["metadata"]["name"] for one in part] for part in (found.replica_sets, found.pods))
        for found in around
    ]


def test_those_of_many_are_those_of_each(objects, values, monkeypatch):
    each = names(objects.around(value) for value in values)
    assert each == [([], ["db-0"]), ([], []), (["web-1"], ["web-1-x"])]
    assert names(around_each(objects, values)) == each
    monkeypatch.setattr(surroundings, "_MANY", 2)
    assert names(around_each(objects, values)) == each


def test_many_are_looked_at_by_one_list_of_a_kind(objects, values, monkeypatch):
    monkeypatch.setattr(surroundings, "_MANY", 2)
    workloads = [values[0], values[2]] * 20
    around_each(objects, workloads)
    before = objects.api.calls
    assert len(around_each(objects, workloads)) == 40
    assert objects.api.calls - before == 2
