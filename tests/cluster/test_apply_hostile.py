"""`gitcd apply` of what people really commit: copies of live objects, what is not there yet, what is not admitted."""

from __future__ import annotations

import pytest

from tests.support.applying import config_map, documents, scene
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

OTHER = "envs/prod/other/other.yaml"


def test_a_copy_of_a_live_object_is_applied_without_what_the_server_wrote(scene):
    ns = scene.namespace
    scene.plane.kubectl("create", "configmap", "other", "-n", ns, "--from-literal=k=v")
    scene.commit(
        {
            OTHER: scene.plane.kubectl(
                "get", "cm", "other", "-n", ns, "-o", "yaml", "--show-managed-fields"
            ).stdout.encode()
        }
    )
    scene.plane.kubectl("delete", "cm", "other", "-n", ns)
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {"ConfigMap/other": "Created"}), ran.err
    assert scene.apply("--all").results == {}
    scene.plane.kubectl("label", "cm", "other", "-n", ns, "a=b")  # another resourceVersion
    scene.commit({OTHER: scene.remote.show(OTHER).replace(b"k: v", b"k: w")})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {"ConfigMap/other": "Changed"}), ran.err


def test_a_status_in_git_is_passed_over(scene):
    ns = scene.namespace
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": ns}}
    whole = {
        **service,
        "spec": {"ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    }
    scene.commit({OTHER: documents(whole)})
    assert scene.apply("--all").code == 0
    for mode in ("client", "server"):
        assert "differences" not in str(scene.apply("--all", f"--dry-run={mode}").report["objects"])


def test_what_comes_with_its_namespace_or_its_definition_is_not_judged_in_a_rehearsal(scene):
    name, group = f"{scene.namespace}-new", f"{scene.namespace}.example.com"
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": scene.namespace}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    scene.settings = {"allow": {"kinds": ["CustomResourceDefinition", "Widget", "Namespace"]}}
    scene.commit({OTHER: documents(namespace, crd, widget, config_map(name, "a", k="v"))})
    ran = scene.apply("--all", "--dry-run=server")
    assert ran.code == 0, ran.err
    told = {each["name"]: each.get("message", "") for each in ran.report["objects"]}
    assert told["a"] == f"not judged: there is no Namespace {name} yet"
    assert told["w"] == f"not judged: there is no CustomResourceDefinition widgets.{group} yet"
    assert set(ran.results.values()) == {"Created"}
    assert scene.plane.kubectl("get", "ns", name, check=False).returncode != 0


def test_what_is_not_admitted_is_no_matter_of_rights(scene):
    ns = scene.namespace
    scene.plane.kubectl("label", "ns", ns, "pod-security.kubernetes.io/enforce=restricted")
    spec = {"hostNetwork": True, "containers": [{"name": "a", "image": "registry.example.com/a:1"}]}
    scene.commit(
        {
            OTHER: documents(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": ns}, "spec": spec}
            )
        }
    )
    ran = scene.apply("--all")
    assert ran.code == 5
    assert 'not admitted: pods "p" is forbidden' in ran.err
    assert "ServiceAccount" not in ran.err


@pytest.mark.parametrize("value", ["[a]", "text", "1"])
def test_a_manifest_of_a_strange_shape_stops_no_other(scene, value):
    strange = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, annotations: {value}}}\n---\n".encode()
    scene.commit({OTHER: strange + documents(config_map(scene.namespace, "other", k="v"))})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (5, {"ConfigMap/other": "Created"})
    assert f"{OTHER}:1: ConfigMap: metadata.annotations is no map" in ran.err


def claim(namespace: str, size: str) -> bytes:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    metadata = {"name": "c", "namespace": namespace, "annotations": {"gitcd/replace": "true"}}
    return documents({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})


def test_a_claim_is_never_made_anew_and_the_servers_reason_is_told(scene):
    scene.commit({OTHER: claim(scene.namespace, "2Gi")})
    assert scene.apply("--all").code == 0
    scene.commit({OTHER: claim(scene.namespace, "1Gi")})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (5, {"PersistentVolumeClaim/c": "Refused"})
    assert "it may not be changed in spec: Forbidden: spec is immutable after creation" in ran.err
    assert "gitcd/replace" not in ran.err


def service(namespace: str, address: str, **more: object) -> bytes:
    metadata = {"name": "s", "namespace": namespace, "annotations": {"gitcd/replace": "true"}}
    spec = {"clusterIP": address, "ports": [{"port": 80}], **more}
    return documents({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def test_nothing_is_deleted_to_be_made_anew_that_could_not_be_made(scene):
    ns = scene.namespace
    scene.commit({OTHER: service(ns, "")})
    assert scene.apply("--all").code == 0
    before = scene.get("services", "s")["metadata"]["uid"]
    scene.commit({OTHER: service(ns, "None", sessionAffinity="Sometimes")})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "sessionAffinity" in ran.err
    assert scene.get("services", "s")["metadata"]["uid"] == before
    scene.commit({OTHER: service(ns, "None")})
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {"Service/s": "Changed"}), ran.err
    assert scene.get("services", "s")["metadata"]["uid"] != before


def test_a_rehearsal_judges_also_what_a_failure_would_keep_from_being_begun(scene):
    ns = scene.namespace
    bad = {**config_map(ns, "bad"), "data": {"k": 1}}
    scene.commit(
        {OTHER: documents(bad, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": ns}})}
    )
    assert scene.apply("--all", "--dry-run=server").results == {"ConfigMap/bad": "Failed", "Service/s": "Failed"}
    assert scene.apply("--all").results == {"ConfigMap/bad": "Failed", "Service/s": "Left"}
