"""Objects of cvmanager and kcd on the real API server: they are followed as they lie there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.containerversions import list_all
from gitcd.cluster.legacy import installed
from gitcd.manifests.migrated import modernise
from gitcd.model.legacy import GROUP, PLURALS
from tests.support.containerversions import definition, outcomes, scene
from tests.support.scenes import HOST, reference

__all__ = ["definition", "scene"]

# As their own definitions had it, the spec is not checked by the server. Those were older than the rule that a group
# below k8s.io needs an approval; an object that was there before stays without one.
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.custom.k8s.io, annotations: {{api-approved.kubernetes.io: "unapproved, as it was"}}}}
spec:
  group: custom.k8s.io
  scope: Namespaced
  names: {{plural: {plural}, kind: {kind}, singular: {singular}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: gitcd, namespace: {namespace}}}
rules:
  - {{apiGroups: [gitcd.io], resources: [containerversions], verbs: [list]}}
  - {{apiGroups: [custom.k8s.io], resources: [{old}], verbs: [list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gitcd, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: gitcd}}
subjects: [{{kind: ServiceAccount, name: gitcd, namespace: {namespace}}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: gitcd, namespace: {namespace}}}
"""


@pytest.fixture(scope="module")
def old_kinds(definition) -> Iterator[None]:
    for kind, plural in PLURALS.items():
        definition.apply(DEFINITION.format(kind=kind, plural=plural, singular=plural.removesuffix("s")))
    try:
        _await(definition, set(PLURALS.values()))
        yield
    finally:
        for plural in PLURALS.values():
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{GROUP}"
            definition.request("DELETE", path)
        _await(definition, set())


def _await(plane: Any, wanted: set[str]) -> None:
    for _ in range(300):
        served = plane.kubectl("api-resources", "--api-group", GROUP, "-o", "name", "--cached=false", check=False)
        if {line.partition(".")[0] for line in served.stdout.split()} == wanted:
            return
        time.sleep(0.1)
    pytest.fail(f"{GROUP} serves {served.stdout!r}, not {wanted}")


@pytest.fixture
def old(scene, old_kinds: None):
    return scene


def declare(scene, name: str, kind: str = "ContainerVersion", **spec: Any) -> None:
    label = "cvapp" if kind == "ContainerVersion" else "kcdapp"
    whole = {
        "imageRepo": f"{HOST}/team/{name}",
        "tag": "env-dev",
        "versionSyntax": "^[0-9]+",
        "selector": {label: name},
        "container": {"name": "main", "verify": None},
        "config": None,
    }
    item = {
        "apiVersion": "custom.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": scene.namespace},
        "spec": whole | spec,
        "status": {"currVersion": "poison"},
    }
    scene.plane.request("POST", f"/apis/custom.k8s.io/v1/namespaces/{scene.namespace}/{PLURALS[kind]}", item)


def label_workload(scene, name: str, label: str) -> None:
    path = f"envs/dev/{name}/deployment.yaml"
    text = scene.remote.show(path)
    text = text if isinstance(text, bytes) else text.encode()
    scene.remote.commit({path: text.replace(b"{app: ", b"{%s: %s, app: " % (label.encode(), name.encode()))})


def test_without_their_definitions_there_is_nothing_of_them(scene):
    assert installed(scene.read().api) == []


class TestThePlan:
    def test_both_kinds_are_followed_and_left_as_they_are(self, old):
        declare(old, "app")
        declare(old, "other", "KCD")
        label_workload(old, "app", "cvapp")
        label_workload(old, "other", "kcdapp")
        mark = old.plane.audit.mark()
        published = old.run()
        assert {(name, kind) for name, kind, _ in outcomes(published.work)} == {("app", "Bumped"), ("other", "Bumped")}
        for name in ("app", "other"):
            assert reference(name, "1.1.0") in old.remote.show(f"envs/dev/{name}/deployment.yaml")
        asked = [each for each in old.plane.audit.since(mark, user="admin", agent="gitcd/") if each.resource]
        assert {each.verb for each in asked} == {"list"}
        assert {str(each.origin) for each in published.work.plan.outcomes} == {
            f"containerversions.custom.k8s.io/app in namespace {old.namespace}",
            f"kcds.custom.k8s.io/other in namespace {old.namespace}",
        }

    def test_a_selector_chooses_among_all(self, old):
        old.declare("app")
        declare(old, "other", "KCD")
        label_workload(old, "other", "kcdapp")
        path = f"/apis/custom.k8s.io/v1/namespaces/{old.namespace}/kcds/other"
        old.plane.request("PATCH", path, {"metadata": {"labels": {"tier": "web"}}}, kind="merge-patch+json")
        chosen = replace(old, asked=replace(old.asked, selector="tier=web"))
        assert [name for name, _, _ in outcomes(chosen.plan())] == ["other"]

    def test_a_mistake_is_told_and_stops_nothing_else(self, old):
        declare(old, "app", tag="")
        old.declare("other")
        found = {each.identity.name: each for each in old.plan().plan.outcomes}
        assert (found["app"].reason, found["other"].kind.value) == ("InvalidDeclaration", "Bumped")
        assert found["app"].message == "spec.tag: is empty"


class TestTheSameName:
    @pytest.mark.parametrize("kinds", [("gitcd", "KCD"), ("ContainerVersion", "KCD"), ("gitcd", "ContainerVersion")])
    def test_in_two_kinds_it_is_an_error_that_names_both(self, old, kinds):
        for kind in kinds:
            old.declare("app") if kind == "gitcd" else declare(old, "app", kind)
        published = old.run()
        assert published.commits == ()
        found = published.work.plan.outcomes
        assert [each.reason for each in found] == ["DuplicateDeclaration"] * 2
        (message,) = {each.message for each in found}
        titles = {"gitcd": "containerversions/", "KCD": "kcds.custom", "ContainerVersion": "containerversions.custom"}
        assert all(titles[kind] in message for kind in kinds)
        if "gitcd" in kinds:
            assert old.conditions("app")["Stalled"] == ("True", "DuplicateDeclaration")


def test_the_same_in_the_repository_in_the_form_of_today_is_fine(old):
    declare(old, "app")
    label_workload(old, "app", "cvapp")
    path = f"/apis/custom.k8s.io/v1/namespaces/{old.namespace}/containerversions/app"
    written = modernise("app.yaml", json.dumps(old.plane.get(path)).encode())
    assert b"gitcd.io/v1" in written
    old.remote.commit({"envs/dev/app/cv.yaml": written})
    assert list(outcomes(old.plan())) == [("app", "Bumped", "Bumped")]
    old.remote.commit({"envs/dev/app/cv.yaml": written.replace(b"env-dev", b"env-other")})
    assert [reason for _, _, reason in outcomes(old.plan())] == ["DuplicateDeclaration"]


class OnlyOld:
    """An API server on which the kind of today is not installed."""

    server = "https://cluster.example.com"

    def get(self, path: str, _query: object = None) -> dict[str, Any]:
        if path == "/apis/custom.k8s.io/v1":
            return {"resources": [{"name": "kcds", "kind": "KCD"}, {"name": "kcds/status", "kind": "KCD"}]}
        raise DeclinedError(404, "NotFound", "the server could not find the requested resource")

    def collect(self, path: str, take: Any, _query: object = None) -> list[Any]:
        if path != "/apis/custom.k8s.io/v1/kcds":
            raise DeclinedError(404, "NotFound", "the server could not find the requested resource")
        spec = {"imageRepo": "a.b/c", "tag": "d", "selector": {"kcdapp": "x"}, "container": {"name": "main"}}
        item = {"metadata": {"name": "x", "namespace": "n"}, "spec": spec}
        return [take(each) for each in (item, {**item, "metadata": {**item["metadata"], "deletionTimestamp": "now"}})]


def test_the_old_kinds_alone_are_enough():
    listing = list_all(OnlyOld(), [])
    assert [str(each.origin) for each in listing.declarations] == ["kcds.custom.k8s.io/x in namespace n"]
    assert (listing.live, listing.keys) == ({}, {("n", "x")})


def test_a_namespace_whose_old_objects_may_not_be_read_is_named(old):
    old.declare("app")
    old.plane.apply(ROLE.format(namespace=old.namespace, old="containerversions"))
    account = old.plane.account(old.namespace, "gitcd")
    (failure,) = old.by(account).plan().plan.failures
    assert failure.remedy.startswith("Allow the verb list on kcds.custom.k8s.io there")
    old.plane.apply(ROLE.format(namespace=old.namespace, old="containerversions, kcds"))
    assert old.by(account).plan().plan.failures == ()
