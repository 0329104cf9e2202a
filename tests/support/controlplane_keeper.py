"""Runs the processes of a control plane for as long as a test process lives: started by tests.support.controlplane.

    python controlplane_keeper.py FOLDER BINARIES LAYER [USED]

LAYER is `api` (etcd and the API server) or `workloads` (controllers, scheduler, kwok and its nodes; above the API server
whose folder USED is). The test process holds a shared lock on `user` in the folder. The keeper asks for that lock for
itself alone, gets it when the other has let go or has ended, however it did, and stops what it started.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

SECONDS_TO_START = 60.0
NODES = ("node-a", "node-b")
_POLL = 0.05
_ATTEMPTS = 3
_PR_SET_PDEATHSIG = 1


Layer = Callable[[ExitStack, Path, Path, Path | None], dict[str, str]]


class StartError(Exception):
    """A process ended, or was not ready in time; the message shows the end of its log."""


def keep(folder: Path, binaries: Path, layer: str, used: Path | None) -> None:
    """Start the layer, say so in `state.json`, wait for its user to go, stop it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        if used is not None:
            below = stack.enter_context((used / "user").open())
            fcntl.flock(below, fcntl.LOCK_SH)
        user = stack.enter_context((folder / "user").open())
        try:
            state = _start(stack, _LAYERS[layer], folder, binaries, used)
        except StartError as error:
            _publish(folder, {"error": str(error)})
            return
        _publish(folder, state)
        fcntl.flock(user, fcntl.LOCK_EX)


def _publish(folder: Path, state: dict[str, str]) -> None:
    (folder / "state.new").write_text(json.dumps(state))
    (folder / "state.new").rename(folder / "state.json")


def _start(stack: ExitStack, start: Layer, *where: Any) -> dict[str, str]:
    """Start a layer; anew where another process took a port between its choice and its use."""
    for left in reversed(range(_ATTEMPTS)):
        with ExitStack() as trial:
            try:
                state = start(trial, *where)
            except StartError:
                if not left:
                    raise
            else:
                stack.enter_context(trial.pop_all())
                return state
    raise AssertionError


def _start_api(stack: ExitStack, folder: Path, binaries: Path, _used: Path | None) -> dict[str, str]:
    from controlplane_files import TOKENS, kubeconfig, write_all

    write_all(folder)
    client, peer, port = _free_ports(3)
    etcd = f"http://127.0.0.1:{client}"
    stack.callback(shutil.rmtree, folder / "etcd", ignore_errors=True)
    stack.enter_context(
        _running(folder, [str(binaries / "etcd"), *_etcd_flags(folder, client, peer)], f"{etcd}/health")
    )
    server = f"https://127.0.0.1:{port}"
    command = [str(binaries / "kube-apiserver"), *_api_flags(folder, etcd, port)]
    stack.enter_context(_running(folder, command, f"{server}/readyz"))
    for user, token in TOKENS.items():
        (folder / f"{user}.kubeconfig").write_text(kubeconfig(server, folder / "ca.crt", token))
    return {"server": server}


def _etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}"}
    return [
        "--name=etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={urls['client']}",
        f"--advertise-client-urls={urls['client']}",
        f"--listen-peer-urls={urls['peer']}",
        f"--initial-advertise-peer-urls={urls['peer']}",
        f"--initial-cluster=etcd={urls['peer']}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def _api_flags(folder: Path, etcd: str, port: int) -> list[str]:
    return [
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder / 'serving.crt'}",
        f"--tls-private-key-file={folder / 'serving.key'}",
        f"--client-ca-file={folder / 'ca.crt'}",
        f"--service-account-key-file={folder / 'accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--endpoint-reconciler-type=none",
        "--enable-priority-and-fairness=false",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=4096",  # MB; readers follow one file
    ]


def _start_workloads(stack: ExitStack, folder: Path, binaries: Path, used: Path | None) -> dict[str, str]:
    assert used is not None
    config = f"--kubeconfig={used / 'admin.kubeconfig'}"
    controllers, scheduler, kwok = _free_ports(3)
    local = ["--bind-address=127.0.0.1", "--authorization-always-allow-paths=/healthz", "--leader-elect=false"]
    manager = [
        str(binaries / "kube-controller-manager"),
        *(config, *local, f"--secure-port={controllers}", f"--root-ca-file={used / 'ca.crt'}"),
        f"--service-account-private-key-file={used / 'accounts.key'}",
        "--use-service-account-credentials=true",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--horizontal-pod-autoscaler-sync-period=1s",
    ]
    stack.enter_context(_running(folder, manager, f"https://127.0.0.1:{controllers}/healthz"))
    placing = [str(binaries / "kube-scheduler"), config, *local, f"--secure-port={scheduler}"]
    stack.enter_context(_running(folder, placing, f"https://127.0.0.1:{scheduler}/healthz"))
    stages = Path(__file__).with_name("controlplane_stages.yaml")
    nodes = [
        *(str(binaries / "kwok"), config, f"--config={stages}", "--manage-all-nodes=true"),
        *("--node-ip=127.0.0.1", f"--server-address=127.0.0.1:{kwok}", "--node-lease-duration-seconds=40"),
    ]
    stack.enter_context(_running(folder, nodes, f"http://127.0.0.1:{kwok}/healthz"))
    _add_nodes(used)
    return {}


def _add_nodes(used: Path) -> None:
    """Create the nodes, and wait until each is ready and takes pods."""
    from controlplane_files import ADMIN, TOKENS

    server = json.loads((used / "state.json").read_text())["server"]

    def call(method: str, path: str, body: object = None) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {TOKENS[ADMIN]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(server + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(used / "ca.crt"))) as answer:
            return json.load(answer)

    for name in NODES:
        call("POST", "/api/v1/nodes", _node(name))
    _wait(lambda: all(not call("GET", f"/api/v1/nodes/{name}")["spec"].get("taints") for name in NODES), "a node")


def _node(name: str) -> dict[str, object]:
    capacity = {"cpu": "32", "memory": "256Gi", "pods": "500"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


_LAYERS: dict[str, Layer] = {
    "api": _start_api,
    "workloads": _start_workloads,
}


@contextmanager
def _running(folder: Path, command: list[str], ready: str) -> Iterator[None]:
    """One process, from when it says that it is ready; its output goes to a log of its name."""
    name = Path(command[0]).name
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_the_keeper,  # noqa: PLW1509 - this process has one thread
        )
    try:
        _wait(lambda: _is_ready(process, ready, log), name, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_the_keeper() -> None:
    """Where the system can: a keeper that is itself killed outright leaves nothing behind either."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    if process.poll() is not None:
        raise StartError(f"{process.args[0]} ended with exit status {process.returncode}:\n{_end_of(log)}")
    try:
        # Who answers is not verified: the scheduler and the controllers serve a certificate that they made themselves.
        with urllib.request.urlopen(url, timeout=1, context=ssl._create_unverified_context()) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def _wait(done: Callable[[], bool], what: str, log: Path | None = None) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not done():
        if time.monotonic() > end:
            raise StartError(f"{what} is not ready after {SECONDS_TO_START:.0f} s\n{_end_of(log) if log else ''}")
        time.sleep(_POLL)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]) if sys.argv[4:] else None)
