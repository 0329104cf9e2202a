"""Admission webhooks of a test's own: a TLS server in this process that the API server asks, for one namespace.

with mutating(plane, namespace, tmp_path, lambda value: [{"op": "add", ...}]) as webhook:
    ...
    webhook.server.stop()  # from now on nobody answers
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError

from tests.support.controlplane import ControlPlane
from tests.support.listening import Quiet
from tests.support.tls import self_signed

Patch = list[dict[str, Any]]
_PROBE = "podtemplates"  # a kind that nobody else writes
_WRITES = ["CREATE", "UPDATE"]
_SECONDS = 10.0
_HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@dataclass
class Webhook:
    """`name` is that of the webhook, as the API server calls it."""

    name: str
    patched: Callable[[dict[str, Any]], Patch]
    is_known: bool = False  # the API server has begun to ask it
    server: ThreadingHTTPServer = field(init=False)

    def start(self, certificate: Path, key: Path) -> None:
        webhook = self

        class Handler(Quiet):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
                is_probe = request["resource"]["resource"] == _PROBE
                webhook.is_known |= is_probe
                patches = [] if is_probe else webhook.patched(request["object"])
                patch = base64.b64encode(json.dumps(patches).encode()).decode()
                answer = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
                body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more; whoever asks is refused the connection."""
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def mutating(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    patched: Callable[[dict[str, Any]], Patch],
    *,
    resource: tuple[str, str] = ("apps", "deployments"),
) -> Iterator[Webhook]:
    """A webhook whose patches every write of a resource in the namespace gets, and that no write gets by."""
    name = f"{namespace}.example.com"
    webhook = Webhook(name, patched)
    certificate, key = self_signed(folder)
    webhook.start(certificate, key)
    group, plural = resource
    hook = {
        "name": name,
        "clientConfig": {
            "url": f"https://127.0.0.1:{webhook.server.server_address[1]}/",
            "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
        },
        "rules": [
            {"apiGroups": ["", group], "apiVersions": ["*"], "operations": _WRITES, "resources": [plural, _PROBE]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    plane.request("POST", _HOOKS, {**kind, "metadata": {"name": name}, "webhooks": [hook]})
    try:
        _await(lambda: bool(_probed(plane, namespace)) and webhook.is_known)
        yield webhook
    finally:
        plane.request("DELETE", f"{_HOOKS}/{name}")
        webhook.stop()


def _probed(plane: ControlPlane, namespace: str) -> bool:
    """Whether a write that changes nothing is let pass."""
    template = {"metadata": {}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    body = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "probe"}, "template": template}
    try:
        plane.request("POST", f"/api/v1/namespaces/{namespace}/{_PROBE}?dryRun=All", body)
    except HTTPError:
        return False
    return True


def _await(is_so: Callable[[], bool]) -> None:
    """The API server learns of its admission's settings by and by."""
    end = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < end, "the API server does not follow the settings of its admission"
        time.sleep(0.05)


def sidecar(value: dict[str, Any]) -> Patch:
    """A container more in every pod, as a service mesh adds it."""
    if len(value["spec"]["template"]["spec"]["containers"]) > 1:
        return []
    added = {"name": "proxy", "image": "registry.example.com/mesh/proxy:1.0.0"}
    return [{"op": "add", "path": "/spec/template/spec/containers/-", "value": added}]


def mirrored(value: dict[str, Any]) -> Patch:
    """Every image from another registry."""
    found = value["spec"]["template"]["spec"]["containers"]
    return [
        {
            "op": "replace",
            "path": f"/spec/template/spec/containers/{number}/image",
            "value": each["image"].replace("registry.example.com/", "mirror.example.net/"),
        }
        for number, each in enumerate(found)
    ]


@contextmanager
def denying(
    plane: ControlPlane, namespace: str, resource: tuple[str, str], expression: str, message: str
) -> Iterator[None]:
    """A policy of the API server's own that lets writes in the namespace pass only where the expression is true."""
    group, plural = resource
    rule = {"apiGroups": ["", group], "apiVersions": ["*"], "operations": _WRITES, "resources": [plural, _PROBE]}
    meant = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {**meant, "resourceRules": [rule]},
        "validations": [{"expression": f"object.kind != 'PodTemplate' && ({expression})", "message": message}],
    }
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": meant}
    base = "/apis/admissionregistration.k8s.io/v1"
    kinds = (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding))
    for kind, spec in kinds:
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": namespace}}
        path = "validatingadmissionpolicies" if spec is policy else "validatingadmissionpolicybindings"
        plane.request("POST", f"{base}/{path}", {**body, "spec": spec})
    try:
        _await(lambda: not _probed(plane, namespace))
        yield
    finally:
        for path in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            plane.request("DELETE", f"{base}/{path}/{namespace}")
