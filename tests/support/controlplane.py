"""A real Kubernetes control plane for tests: etcd and the API server with RBAC, started once.

tests/conftest.py imports the fixtures, for all tests:

`control_plane` (session) is a `ControlPlane`:
    .admin, .user           an `Access` each: may do everything; may do nothing (until a test binds a role to the user)
    .account(namespace, name)  an `Access` with a token of a service account that is there; good for one test's own roles
    .server, .ca            URL and path of the CA's certificate
    .kubectl(*words, access=..., stdin=..., check=True)    runs the built kubectl, as admin unless told otherwise
    .apply(manifests, ...)  server-side apply of YAML text by kubectl, as field manager `test`
    .get(path), .request(method, path, body)   the API by JSON, as admin
    .audit                  who did what: see tests.support.audit
`Access` has .name (as RBAC and the audit log call it), .token and .kubeconfig (a path).
`namespace` (function) is the name of a fresh namespace; it need not be deleted, the cluster goes with the run.
`workloads` (session) is the same `ControlPlane` after controllers, scheduler, and two nodes have been started too:
    Deployments roll out, Jobs run, CronJobs fire. Behaviour hangs on the image's tag (controlplane_stages.yaml):
    `:bad-crash`, `:bad-pull`, `:bad-never`, `:bad-later`, `:bad-job`; `:slow` is ready after four seconds; any other
    becomes ready at once, or succeeds as a Job.

The binaries are those of `make control-plane`, or in $KUBEBUILDER_ASSETS. Without them the tests are skipped, unless
GITCD_REQUIRE_CONTROL_PLANE is set: then they fail. Every worker of pytest-xdist that comes to such a test has a control
plane of its own, so that what is true of a whole cluster can be tested; controlplane_keeper.py says how it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.audit import AuditLog
from tests.support.controlplane_files import ADMIN, TOKENS, USER, kubeconfig
from tests.support.opening import urlopen
from tools.parts import CONTROL_PLANE

_KEEPER = Path(__file__).with_name("controlplane_keeper.py")
# Read here, because every test runs in an environment that is cleared of such names.
_ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")
_BUILT = CONTROL_PLANE.bin()
_REQUIRED = bool(os.environ.get("GITCD_REQUIRE_CONTROL_PLANE"))

NEEDED_FOR_API = ("etcd", "kube-apiserver", "kubectl")
NEEDED_FOR_WORKLOADS = ("kube-controller-manager", "kube-scheduler", "kwok")


@dataclass(frozen=True)
class Access:
    """One identity, and how to be it."""

    name: str
    token: str
    kubeconfig: Path


@dataclass(frozen=True)
class ControlPlane:
    server: str
    ca: Path
    admin: Access
    user: Access
    audit: AuditLog
    binaries: Path
    folder: Path  # of this worker alone

    def kubectl(
        self, *words: str, access: Access | None = None, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl. With `check`, an exit status other than 0 fails the test and shows what kubectl said."""
        command = [str(self.binaries / "kubectl"), f"--kubeconfig={(access or self.admin).kubeconfig}", *words]
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"kubectl {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def apply(self, manifests: str, *words: str, access: Access | None = None) -> str:
        """Server-side apply; returns what kubectl printed."""
        flags = ("apply", "--server-side", "--field-manager=test", "-f", "-", *words)
        return self.kubectl(*flags, access=access, stdin=manifests).stdout

    def get(self, path: str) -> dict[str, Any]:
        return self.request("GET", path)

    def request(
        self, method: str, path: str, body: object = None, *, access: Access | None = None, kind: str = "json"
    ) -> dict[str, Any]:
        """One request; `kind` is the content type's last part (`merge-patch+json`).

        Raises:
            urllib.error.HTTPError: for every status that is no success.
        """
        with self.open(method, path, body, access=access, kind=kind) as answer:
            return cast("dict[str, Any]", json.load(answer))

    def open(
        self, method: str, path: str, body: object = None, *, access: Access | None = None, kind: str = "json"
    ) -> HTTPResponse:
        """As `request`, to be read by the caller: for watches."""
        headers = {"Authorization": f"Bearer {(access or self.admin).token}", "Content-Type": f"application/{kind}"}
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self.server + path, data, headers, method=method)
        trust = ssl.create_default_context(cafile=str(self.ca))
        return urlopen(call, context=trust)

    def account(self, namespace: str, name: str) -> Access:
        """A service account that exists, by a token as its pods would have."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.request("POST", path, body)["status"]["token"]
        return self._access(f"system:serviceaccount:{namespace}:{name}", token, namespace)

    def _access(self, name: str, token: str, namespace: str = "default") -> Access:
        path = self.folder / f"{uuid.uuid4().hex}.kubeconfig"
        path.write_text(kubeconfig(self.server, self.ca, token, namespace=namespace))
        return Access(name, token, path)

    def through(self, server: str) -> ControlPlane:
        """The same cluster by another address, of a proxy say; with kubeconfigs for it."""
        moved = replace(self, server=server)
        admin, user = (moved._access(each.name, each.token) for each in (self.admin, self.user))
        return replace(moved, admin=admin, user=user)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with started(tmp_path_factory, "control-plane") as plane:
        yield plane


@contextmanager
def started(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[ControlPlane]:
    """One of this name, for as long as the block lasts; by itself it has no controllers."""
    binaries = _binaries(NEEDED_FOR_API)
    folder = tmp_path_factory.mktemp(name, numbered=False)
    with _using(folder, binaries, "api") as state:
        own = tmp_path_factory.mktemp(f"{name}-user")
        admin, user = (Access(who, TOKENS[who], folder / f"{who}.kubeconfig") for who in (ADMIN, USER))
        audit = AuditLog(folder / "audit.log")
        yield ControlPlane(state["server"], folder / "ca.crt", admin, user, audit, binaries, own)


@pytest.fixture(scope="session")
def workloads(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    _binaries(NEEDED_FOR_WORKLOADS)
    folder = tmp_path_factory.mktemp("control-plane-workloads", numbered=False)
    with _using(folder, control_plane.binaries, "workloads", str(control_plane.ca.parent)):
        yield control_plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    name = f"test-{uuid.uuid4().hex[:10]}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def program(name: str) -> str:
    """One of the built programs, for tests that need no server."""
    return str(_binaries((name,)) / name)


def _binaries(needed: tuple[str, ...]) -> Path:
    folder = Path(_ASSETS) if _ASSETS else _BUILT
    missing = [name for name in needed if not (folder / name).is_file()]
    if not missing:
        return folder
    where = f"KUBEBUILDER_ASSETS={folder}" if _ASSETS else str(folder)
    message = f"NO CONTROL PLANE: {', '.join(missing)} not in {where}; run `make control-plane` once (it needs Go)"
    if _REQUIRED:
        pytest.fail(f"{message}. GITCD_REQUIRE_CONTROL_PLANE is set, so this is no reason to skip.", pytrace=False)
    pytest.skip(message)


@contextmanager
def _using(folder: Path, binaries: Path, layer: str, *used: str) -> Iterator[dict[str, str]]:
    """Have the layer run while the block does, and no longer than this process lives."""
    with (folder / "user").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        keeper = _start_keeper(folder, str(binaries), layer, *used)
        state = json.loads((folder / "state.json").read_text())
        if "error" in state:
            pytest.fail(f"the control plane did not start: {state['error']}", pytrace=False)
        yield state
    keeper.wait()


def _start_keeper(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start it apart from the terminal, so that an interrupt reaches it by way of this process only."""
    command = [sys.executable, str(_KEEPER), str(folder), *words]
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_plain(), start_new_session=True
        )
    while not (folder / "state.json").exists():
        if keeper.poll() is not None:
            pytest.fail(f"{' '.join(command)} failed:\n{(folder / 'keeper.log').read_text()}", pytrace=False)
        time.sleep(0.05)
    return keeper


def _plain() -> dict[str, str]:
    """No proxy, no secret, no setting of the test that happens to be first."""
    return {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
