"""Services of a real cluster that lead to HTTP servers of this process.

The API server forwards to no loopback address, so the servers listen at the machine's own one; where it has none but
loopback, the tests that need one are skipped.
"""

from __future__ import annotations

import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.listening import Quiet, listening

CONFLICT = 409

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Served:
    address: str
    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, Host


def own_address() -> str:
    """An address of this machine that is not loopback."""
    listing = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout
    found = next((each for each in listing.split() if "." in each), "")
    if not found:
        pytest.skip("this machine has no IPv4 address but loopback, and the API server forwards to none of that")
    return found


@contextmanager
def serving(answer: Answer, address: str) -> Iterator[Served]:
    """A server that does what `answer` does with each request."""
    served = Served(address, 0)

    class Handler(Quiet):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers["Host"]))
            answer(self)

    with listening(Handler, address=address) as served.port:
        yield served


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def make_service(plane: ControlPlane, namespace: str, name: str, **spec: Any) -> None:
    whole = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}], **spec}
    _create(plane, f"/api/v1/namespaces/{namespace}/services", {"metadata": {"name": name}, "spec": whole})


def make_slice(plane: ControlPlane, namespace: str, service: str, address: str, port: int, **how: Any) -> None:
    """An EndpointSlice. `how`: fields of its one endpoint."""
    body = {
        "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], **how}],
        "ports": [{"name": "http", "port": port}],
    }
    _create(plane, f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", body)


def stand_behind(plane: ControlPlane, namespace: str, service: str, served: Served, **spec: Any) -> None:
    """A Service that leads to that server: all that the API server wants to see before it forwards anything.

    The pod bears the server's address and is never scheduled, so that nobody gives it another. What the controllers
    make of it, where they run, is the same.
    """
    target = {"name": "http", "port": 80, "targetPort": served.port}
    make_service(plane, namespace, service, ports=[target], **spec)
    _make_pod(plane, namespace, service, served.address)
    make_slice(plane, namespace, service, served.address, served.port)
    address = {"ip": served.address, "targetRef": {"kind": "Pod", "name": service, "namespace": namespace}}
    subsets = [{"addresses": [address], "ports": [{"name": "http", "port": served.port}]}]
    _create(plane, f"/api/v1/namespaces/{namespace}/endpoints", {"metadata": {"name": service}, "subsets": subsets})


def _make_pod(plane: ControlPlane, namespace: str, name: str, address: str) -> None:
    _create(plane, f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    pods = f"/api/v1/namespaces/{namespace}/pods"
    containers = [{"name": "app", "image": "registry.example.com/app:1"}]
    spec = {"schedulerName": "nobody", "automountServiceAccountToken": False, "containers": containers}
    _create(plane, pods, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    plane.request("PATCH", f"{pods}/{name}/status", {"status": status}, kind="merge-patch+json")


def _create(plane: ControlPlane, path: str, body: dict[str, Any]) -> None:
    """Create it, unless a controller has been quicker."""
    try:
        plane.request("POST", path, body)
    except urllib.error.HTTPError as error:
        if error.code != CONFLICT:
            raise
