"""The proxy of the tests, seen by kubectl and by plain requests."""

import http.client
import ssl
import time
import urllib.error

import pytest

from tests.support import faultproxy
from tests.support.controlplane import ControlPlane

NAMESPACES = "/api/v1/namespaces"


def test_what_no_fault_takes_goes_through(control_plane: ControlPlane, namespace: str) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.plane.kubectl("create", "configmap", "one", "-n", namespace)
        assert proxy.plane.get(f"{NAMESPACES}/{namespace}/configmaps/one")["metadata"]["name"] == "one"
        refused = proxy.plane.kubectl("get", "pods", access=proxy.plane.user, check=False)
    assert "gitcd-test" in refused.stderr
    assert ("GET", f"{NAMESPACES}/{namespace}/configmaps/one") in proxy.seen


@pytest.mark.parametrize("status", [410, 429, 500, 503])
def test_a_status_is_answered_so_many_times(control_plane: ControlPlane, status: int) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.answer(status, path="/namespaces", times=2, retry_after=7)
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError) as raised:
                proxy.plane.get(NAMESPACES)
            assert (raised.value.code, raised.value.headers["Retry-After"]) == (status, "7")
        assert proxy.plane.get(NAMESPACES)["items"]


def test_a_client_that_retries_gets_its_answer(control_plane: ControlPlane) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.answer(429, path="/namespaces", retry_after=1)
        assert "kube-system" in proxy.plane.kubectl("get", "namespaces").stdout


def test_a_watch_expires_in_its_stream(control_plane: ControlPlane) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.expire_watch()
        event = proxy.plane.get(f"{NAMESPACES}?watch=true")
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_body_is_cut(control_plane: ControlPlane) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.cut(after=50)
        with pytest.raises(http.client.IncompleteRead):
            proxy.plane.get(NAMESPACES)
        assert proxy.plane.get(NAMESPACES)["items"]


def test_open_watches_are_closed(control_plane: ControlPlane) -> None:
    with faultproxy.before(control_plane) as proxy, proxy.plane.open("GET", f"{NAMESPACES}?watch=true") as watch:
        assert watch.readline().startswith(b'{"type":"ADDED"')
        proxy.close_streams()
        with pytest.raises((http.client.IncompleteRead, ssl.SSLEOFError)):
            watch.read()


def test_an_answer_is_delayed(control_plane: ControlPlane) -> None:
    with faultproxy.before(control_plane) as proxy:
        proxy.delay(0.3)
        begun = time.monotonic()
        proxy.plane.get("/version")
        assert time.monotonic() - begun >= 0.3
