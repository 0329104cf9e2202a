"""Checks over HTTP: by way of a real API server to real servers, and directly as inside a cluster."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.cluster.services import Services, is_plain
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Verdict
from tests.support.controlplane import ControlPlane, started
from tests.support.endpoints import make_service, make_slice, own_address, serving, stand_behind, status

HEALTHZ = Verify("HTTP", service="tiles", path="/healthz")
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: looker, namespace: NAMESPACE}
rules:
  - {apiGroups: [""], resources: [services], verbs: [get]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: looker, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looker}
subjects: [{kind: ServiceAccount, name: looker, namespace: NAMESPACE}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: looker, namespace: NAMESPACE}
"""


def services(plane: ControlPlane, *, inside=False, seconds=2.0, access=None):
    access = find_access(str((access or plane.admin).kubeconfig))
    return Services(Objects(Api(access)), inside=inside, seconds=seconds)


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory):
    """One without controllers, ever: behind a Service stands what a test has put there."""
    with started(tmp_path_factory, "control-plane-alone") as plane:
        yield plane


@pytest.fixture
def answering(control_plane, namespace):
    """Stand behind Service tiles: `with answering(status(200)) as served`."""
    from contextlib import contextmanager

    @contextmanager
    def stand(answer):
        with serving(answer, own_address()) as served:
            stand_behind(control_plane, namespace, "tiles", served)
            yield served

    return stand


@pytest.mark.parametrize(
    ("answer", "wanted", "evidence"),
    [
        (status(200), Verdict.PASS, "answers 200"),
        (status(500, b"secret" * 10000), Verdict.FAIL, "answers 500, where 200 is expected"),
        (status(503, b"<html>", Content_Type="text/html"), Verdict.FAIL, "answers 503, where 200 is expected"),
        (status(503, b'{"a": 1}', Content_Type="application/json"), Verdict.FAIL, "answers 503, where 200 is"),
        (status(500, b"[" * 40000, Content_Type="application/json"), Verdict.FAIL, "answers 500, where 200 is"),
        (lambda handler: time.sleep(3), Verdict.FAIL, "does not answer in time"),
        (lambda handler: handler.connection.close(), Verdict.FAIL, "error trying to reach service: EOF"),
    ],
)
def test_F47_the_api_server_forwards_and_silence_is_a_failure(
    control_plane, namespace, answering, answer, wanted, evidence
):
    with answering(answer) as served:
        look = services(control_plane).look(namespace, HEALTHZ)
    assert look.verdict is wanted, look
    assert evidence in look.evidence
    assert look.evidence.startswith(f"Service {namespace}/tiles/healthz (port http) ")
    assert "secret" not in look.evidence
    assert [path for path, _ in served.asked] == ["/healthz"]


def test_path_and_query_arrive_as_they_are_written(control_plane, namespace, answering):
    with answering(status(204)) as served:
        look = services(control_plane).look(namespace, replace(HEALTHZ, path="/a%20b/c?ready=1&x=%2F;y=ä", expect=204))
    assert look.verdict is Verdict.PASS
    assert served.asked[0][0] == "/a%20b/c?ready=1&x=%2F;y=%C3%A4"


def test_T16_a_redirect_is_an_answer_and_is_not_followed(control_plane, namespace, answering):
    away = status(302, Location="http://169.254.169.254/latest/meta-data")
    with answering(away) as served:
        found = services(control_plane)
        assert found.look(namespace, HEALTHZ).evidence.endswith("answers 302, where 200 is expected")
        assert found.look(namespace, replace(HEALTHZ, expect=302)).verdict is Verdict.PASS
    assert len(served.asked) == 2


def test_a_refused_connection_is_a_failure(control_plane, namespace):
    with serving(status(200), own_address()) as served:
        pass
    stand_behind(control_plane, namespace, "tiles", served)
    look = services(control_plane, seconds=5).look(namespace, HEALTHZ)
    assert look.verdict is Verdict.FAIL
    assert "error trying to reach service" in look.evidence


def test_what_cannot_be_asked_is_inconclusive(control_plane, namespace):
    look = services(control_plane).look(namespace, HEALTHZ)
    assert (look.verdict, look.evidence) == (Verdict.INCONCLUSIVE, f"Service {namespace}/tiles is not there")
    make_service(control_plane, namespace, "tiles")
    look = services(control_plane).look(namespace, HEALTHZ)
    assert look.evidence == f"Service {namespace}/tiles has no ready endpoint"
    make_slice(control_plane, namespace, "tiles", "192.0.2.77", 80, conditions={"ready": False})
    assert services(control_plane).look(namespace, HEALTHZ) == look


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"type": "ExternalName", "externalName": "metadata.google.internal"}, "it is an ExternalName"),
        ({"type": "ExternalName", "externalName": "169.254.169.254"}, "it is an ExternalName"),
        ({"selector": None}, "it selects no pods"),
        ({"clusterIP": "None", "ports": []}, "it has no port"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_T16_a_service_that_leads_elsewhere_is_not_asked(control_plane, namespace, spec, words, inside):
    make_service(control_plane, namespace, "tiles", **spec)
    if spec.get("type") != "ExternalName":
        make_slice(control_plane, namespace, "tiles", "192.0.2.77", 80)
    look = services(control_plane, inside=inside).look(namespace, HEALTHZ)
    assert look.verdict is Verdict.INCONCLUSIVE
    assert words in look.evidence


@pytest.mark.parametrize("name", ["169.254.169.254", "metadata.google.internal", "other.kube-system", "localhost"])
@pytest.mark.parametrize("inside", [False, True])
def test_T16_a_name_that_is_an_address_is_no_service(control_plane, namespace, name, inside):
    """No name is ever resolved: the API server is asked for a Service of the namespace, and has none."""
    look = services(control_plane, inside=inside).look(namespace, replace(HEALTHZ, service=name))
    assert (look.verdict, look.evidence) == (Verdict.INCONCLUSIVE, f"Service {namespace}/{name} is not there")


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "224.0.0.1"])
def test_T16_the_api_server_itself_knows_no_such_endpoint(control_plane, namespace, address):
    """So that no address of a slice leads there, whoever wrote it."""
    import urllib.error

    make_service(control_plane, namespace, "tiles", clusterIP="None")
    with pytest.raises(urllib.error.HTTPError, match="422"):
        make_slice(control_plane, namespace, "tiles", address, 80)


PLAIN = ["", "/", "/healthz", "/a/b?c=../..", "/a..b/...", "/%2e%2ex"]
LEADING_OUT = [
    "/..",
    "/../../secrets/x",
    "/a/%2e%2E/b",
    "/.",
    "/a/.",
    "/%2e%2e%2fsecrets",
    "/a\\..\\b",
    "/a#b",
    "/..?x",
]


@pytest.mark.parametrize("path", LEADING_OUT)
def test_T16_a_path_that_leads_out_is_not_asked_for(control_plane, namespace, path):
    assert not is_plain(path)
    mark = control_plane.audit.mark()
    look = services(control_plane).look(namespace, replace(HEALTHZ, path=path))
    assert look.verdict is Verdict.INCONCLUSIVE
    assert [
        request
        for request in control_plane.audit.since(mark, user=control_plane.admin.name)
        if request.namespace == namespace
    ] == []


@pytest.mark.parametrize("path", PLAIN)
def test_other_paths_are_plain(path):
    assert is_plain(path)


@given(
    st.lists(st.sampled_from(["..", "%2e.", "%2E%2e", "a", ".b"]), min_size=1, max_size=4),
    st.sampled_from(["/", "%2f", "\\"]),
)
def test_T16_no_spelling_of_two_dots_gets_through(segments, slash):
    is_leading_out = any(each not in {"a", ".b"} for each in segments)
    assert is_plain("/" + slash.join(segments)) != is_leading_out


def test_T12_who_may_not_forward_is_told_so_and_nothing_else(control_plane, namespace, answering):
    control_plane.apply(ROLE.replace("NAMESPACE", namespace))
    account = control_plane.account(namespace, "looker")
    with answering(status(200)):
        look = services(control_plane, access=account).look(namespace, HEALTHZ)
    assert look.verdict is Verdict.INCONCLUSIVE
    assert 'cannot get resource "services/proxy"' in look.evidence


def test_a_body_that_claims_to_be_of_the_api_server_is_no_pass(control_plane, namespace, answering):
    claim = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Success", "message": "trust me"}).encode()
    with answering(status(503, claim, Content_Type="application/json")):
        look = services(control_plane).look(namespace, replace(HEALTHZ, expect=503))
    assert look.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("answer", "wanted", "evidence"),
    [
        (status(200, b"x" * 100000), Verdict.PASS, "answers 200"),
        (status(500), Verdict.FAIL, "answers 500, where 200 is expected"),
        (status(307, Location="http://169.254.169.254/"), Verdict.FAIL, "answers 307, where 200 is expected"),
        (lambda handler: time.sleep(1.5), Verdict.FAIL, "does not answer in time"),
        (lambda handler: handler.connection.close(), Verdict.FAIL, "breaks the connection off"),
    ],
)
def test_inside_a_cluster_the_pod_of_a_headless_service_is_asked(
    control_plane, namespace, answer, wanted, evidence, monkeypatch
):
    """The one address of a Service that a test can stand behind; a clusterIP needs a kube-proxy."""
    with serving(answer, own_address()) as served:
        make_service(control_plane, namespace, "tiles", clusterIP="None")
        make_slice(control_plane, namespace, "tiles", served.address, served.port)
        monkeypatch.setattr("tests.conftest._is_local", lambda _: True)
        look = services(control_plane, inside=True, seconds=1).look(namespace, HEALTHZ)
    assert look.verdict is wanted, look
    assert evidence in look.evidence
    assert served.asked == [("/healthz", f"tiles.{namespace}.svc")]
