"""What the API server tells of one namespace while a block runs: every state of every object, by watches, no samples."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.containerversions import BASE
from tests.support.controlplane import ControlPlane

SLICES, PODS, DEPLOYMENTS, JOBS, SETS = "endpointslices", "pods", "deployments", "jobs", "replicasets"
DECLARED, ROUTES, SERVICES = "containerversions", "httproutes", "services"
_GROUPS = {
    SLICES: "/apis/discovery.k8s.io/v1",
    PODS: "/api/v1",
    DEPLOYMENTS: "/apis/apps/v1",
    SETS: "/apis/apps/v1",
    JOBS: "/apis/batch/v1",
    DECLARED: BASE,
    ROUTES: "/apis/gateway.networking.k8s.io/v1",
    SERVICES: "/api/v1",
}
_PATIENCE = 20.0  # seconds for what is there to be told by the watches too


@dataclass
class Watch:
    """One kind in one namespace. `events` are (type, object), first those that were there already."""

    plane: ControlPlane
    path: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        server = urlsplit(self.plane.server)
        trust = ssl.create_default_context(cafile=str(self.plane.ca))
        self._connection = http.client.HTTPSConnection(server.hostname or "", server.port, context=trust)
        self._thread = threading.Thread(target=self._read)
        self._over = False

    def start(self) -> None:
        """From now on nothing is missed."""
        listed = self.plane.get(self.path)
        self.events += [("ADDED", each) for each in listed["items"]]
        self.since = listed["metadata"]["resourceVersion"]
        self._connection.request("GET", f"{self.path}?watch=1&resourceVersion={self.since}", headers=self._headers)
        self._thread.start()

    def catch_up(self) -> None:
        """Wait until each object has been told at the version that it is listed at, and no others are left."""
        ends = time.monotonic() + _PATIENCE
        while not self.errors and (listed := self._listed()) != (told := self._told()):
            if time.monotonic() > ends:
                self.errors.append(f"{self.path} is at {listed}, and the watch has told of {told}")
            time.sleep(0.02)

    def _listed(self) -> dict[str, str]:
        return dict(_version(each) for each in self.plane.get(self.path)["items"])

    def _told(self) -> dict[str, str]:
        told: dict[str, str] = {}
        for type_, value in list(self.events):
            told |= [_version(value)]
            if type_ == "DELETED":
                del told[value["metadata"]["name"]]
        return told

    def stop(self) -> None:
        self._over = True
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.plane.admin.token}"}

    def _read(self) -> None:
        try:
            for line in self._connection.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    self.errors.append(str(event["object"]))
                    return
                self.events.append((event["type"], event["object"]))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not self._over:
                self.errors.append(str(error))
            return
        if not self._over:
            self.errors.append("the watch ended by itself")


@dataclass
class Witness:
    """`watches` by the plural of their kind. What is asked of it is answered from all events until now."""

    watches: dict[str, Watch]

    def states(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        """Every state, in the order of time; of the object of that name alone, where one is given."""
        assert self.watches[kind].errors == []
        events = list(self.watches[kind].events)
        return [value for type_, value in events if type_ != "DELETED" and name in {"", value["metadata"]["name"]}]

    def ready(self, service: str) -> list[int]:
        """How many ready pods a Service selected, each time that any of its EndpointSlices had changed."""
        return [len(each) for each in self.endpoints(service)]

    def endpoints(self, service: str) -> list[set[str]]:
        """The UIDs of the ready pods that a Service selected, each time that any of its EndpointSlices had changed."""
        assert self.watches[SLICES].errors == []
        now: dict[str, set[str]] = {}
        found = []
        for type_, value in list(self.watches[SLICES].events):
            if value["metadata"]["labels"].get("kubernetes.io/service-name") == service:
                now[value["metadata"]["name"]] = set() if type_ == "DELETED" else _ready(value)
                found.append(set().union(*now.values()))
        return found

    def gains(self) -> list[tuple[str, int]]:
        """The Services that a route gave more traffic, each with how many ready pods it selected at that moment.

        The versions of all objects are those of one store, so that they tell what came before what.
        """
        weights: dict[str, int] = {}
        ready: dict[tuple[str, str], set[str]] = {}
        gains = []
        for kind, type_, value in self._in_order(SLICES, ROUTES):
            if kind == SLICES:
                service = value["metadata"]["labels"].get("kubernetes.io/service-name", "")
                ready[service, value["metadata"]["name"]] = set() if type_ == "DELETED" else _ready(value)
                continue
            backends = value["spec"]["rules"][0]["backendRefs"]
            now = {each["name"]: int(each["weight"]) for each in backends}
            more = [each for each in now if now[each] > weights.get(each, now[each])]
            gains += [(each, len(set().union(*(ready[key] for key in ready if key[0] == each)))) for each in more]
            weights = now
        return gains

    def selected(self, service: str) -> list[tuple[dict[str, str], int]]:
        """What a Service selected, and how many ready pods that were, after every change of either."""
        began = max(int(self.watches[kind].since) for kind in (PODS, SERVICES))
        pods: dict[str, dict[str, Any]] = {}
        selector: dict[str, str] = {}
        found = []
        for kind, type_, value in self._in_order(PODS, SERVICES):
            name = value["metadata"]["name"]
            if kind == PODS:
                pods |= {name: value}
                if type_ == "DELETED":
                    del pods[name]
            elif name == service:
                selector = {} if type_ == "DELETED" else value["spec"].get("selector") or {}
            if int(value["metadata"]["resourceVersion"]) > began or not found:
                ready = [each for each in pods.values() if selector and _serves(each, selector)]
                found.append((selector, len(ready)))
        return found[1:]

    def _in_order(self, *kinds: str) -> list[tuple[str, str, dict[str, Any]]]:
        found = [(kind, *event) for kind in kinds for event in list(self.watches[kind].events)]
        return sorted(found, key=lambda each: int(each[2]["metadata"]["resourceVersion"]))

    def images(self, deployment: str) -> list[str]:
        """The images that a Deployment had, one after the other."""
        found = [_image(each) for each in self.states(DEPLOYMENTS, deployment)]
        return [each for before, each in zip([None, *found], found, strict=False) if each != before]

    def sizes(self, deployment: str) -> list[tuple[str, int]]:
        """The images that a Deployment had, with how many pods it was to have of them."""
        found = [(_image(each), int(each["spec"]["replicas"])) for each in self.states(DEPLOYMENTS, deployment)]
        return [each for before, each in zip([None, *found], found, strict=False) if each != before]


@contextmanager
def witness(plane: ControlPlane, namespace: str, *kinds: str) -> Iterator[Witness]:
    """Watch these kinds of a namespace while the block runs, and until all is told that there is at its end."""
    found = Witness({kind: Watch(plane, f"{_GROUPS[kind]}/namespaces/{namespace}/{kind}") for kind in kinds})
    for each in found.watches.values():
        each.start()
    try:
        yield found
        for each in found.watches.values():
            each.catch_up()
    finally:
        for each in found.watches.values():
            each.stop()
    assert [each.errors for each in found.watches.values() if each.errors] == []


def _version(value: dict[str, Any]) -> tuple[str, str]:
    return value["metadata"]["name"], value["metadata"]["resourceVersion"]


def _ready(value: dict[str, Any]) -> set[str]:
    endpoints = value.get("endpoints") or ()
    return {each["targetRef"]["uid"] for each in endpoints if each["conditions"].get("ready")}


def _serves(pod: dict[str, Any], selector: dict[str, str]) -> bool:
    """Whether a ready pod that is to stay is selected."""
    conditions = pod["status"].get("conditions") or ()
    is_ready = any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)
    is_asked = selector.items() <= (pod["metadata"].get("labels") or {}).items()
    return is_ready and is_asked and "deletionTimestamp" not in pod["metadata"]


def _image(workload: dict[str, Any]) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])
