"""The control plane that the other tests of this folder stand on, and its helpers."""

import json
import os
import subprocess
import sys
import textwrap
import time
import urllib.error
from pathlib import Path

import pytest

from tests.support.audit import Request, writes
from tests.support.controlplane import ControlPlane

ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: NAMESPACE}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: NAMESPACE}
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  replicas: 2
  progressDeadlineSeconds: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: app, image: "registry.example.com/app:TAG"}]}
"""


def test_the_server_says_which_version_it_is(control_plane: ControlPlane) -> None:
    version = control_plane.get("/version")
    assert (version["major"], version["minor"]) == ("1", "36")
    assert json.loads(control_plane.kubectl("version", "-o", "json").stdout)["clientVersion"]["minor"] == "36"


def test_the_admin_may_everything_and_the_user_nothing(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "one", "-n", namespace)
    refused = control_plane.kubectl("get", "configmaps", "-n", namespace, access=control_plane.user, check=False)
    assert refused.returncode != 0
    assert 'User "gitcd-test" cannot list resource "configmaps"' in refused.stderr


def test_the_audit_log_says_who_did_what(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.apply(ROLE.replace("NAMESPACE", namespace))
    account = control_plane.account(namespace, "reader")
    mark = control_plane.audit.mark()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    control_plane.request("GET", path, access=account)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        control_plane.request("POST", path, {"metadata": {"name": "x"}}, access=account)
    seen = control_plane.audit.since(mark, user=account.name)
    assert [(request.permission, request.namespace, request.status) for request in seen] == [
        (("", "configmaps", "list"), namespace, 200),
        (("", "configmaps", "create"), namespace, 403),
    ]
    assert [request.verb for request in writes(seen)] == ["create"]
    assert isinstance(seen[0], Request)


@pytest.mark.parametrize(
    ("tag", "ends"),
    [("1.0", "successfully rolled out"), ("bad-crash", "exceeded its progress deadline")],
)
def test_deployments_roll_out_or_do_not(workloads: ControlPlane, namespace: str, tag: str, ends: str) -> None:
    manifest = DEPLOYMENT.replace("NAMESPACE", namespace).replace("NAME", "app").replace("TAG", tag)
    workloads.apply(manifest)
    said = workloads.kubectl("rollout", "status", "deployment/app", "-n", namespace, "--timeout=30s", check=False)
    assert ends in said.stdout + said.stderr


OUTSIDE = """
from tests.support.controlplane import control_plane, namespace
import os, pathlib, time

def test_uses(control_plane, namespace):
    pathlib.Path(os.environ["TOLD"]).joinpath(str(os.getpid())).write_text(str(control_plane.ca.parent))

def test_uses_again(control_plane):
    pathlib.Path(os.environ["TOLD"]).joinpath(str(os.getpid())).write_text(str(control_plane.ca.parent))
    while "HANG" in os.environ:
        time.sleep(1)
"""


def _pytest(folder: Path, root: Path, *flags: str, **extra: str) -> "subprocess.Popen[bytes]":
    """A run of pytest of its own, in a new folder."""
    (folder / "told").mkdir(parents=True)
    (folder / "test_outside.py").write_text(textwrap.dedent(OUTSIDE))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *flags, "--rootdir", folder, folder]
    own = {"PYTHONPATH": str(root), "TOLD": str(folder / "told"), "PYTEST_DEBUG_TEMPROOT": str(folder)}
    return subprocess.Popen(command, env=os.environ | own | extra, cwd=folder, stdout=subprocess.PIPE)


def _servers(folder: Path) -> list[str]:
    """Servers whose command line names something below the folder."""
    listing = subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listing.splitlines() if str(folder) in line and "kube-apiserver" in line]


def _told(folder: Path) -> list[str]:
    return [path.read_text() for path in (folder / "told").iterdir()]


@pytest.mark.slow
def test_a_finished_run_leaves_nothing_behind(
    control_plane: ControlPlane, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    with _pytest(tmp_path, pytestconfig.rootpath, KUBEBUILDER_ASSETS=str(control_plane.binaries)) as run:
        output = run.communicate()[0].decode()
    assert "2 passed" in output
    (folder,) = _told(tmp_path)
    assert folder != str(control_plane.ca.parent), "another run, another control plane"
    assert _servers(tmp_path) == []


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_behind(
    control_plane: ControlPlane, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    assets = str(control_plane.binaries)
    with _pytest(tmp_path, pytestconfig.rootpath, KUBEBUILDER_ASSETS=assets, HANG="1") as run:
        while not _told(tmp_path):
            time.sleep(0.05)
        assert _servers(tmp_path)
        run.kill()
    for _ in range(200):
        if not _servers(tmp_path):
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {_servers(tmp_path)}")


def test_without_binaries_tests_are_skipped_or_fail_and_say_why(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    for require, verdict, status in ("", "2 skipped", 0), ("1", "2 errors", 1):
        extra = {"KUBEBUILDER_ASSETS": "/none", "GITCD_REQUIRE_CONTROL_PLANE": require}
        with _pytest(tmp_path / f"run{require}", pytestconfig.rootpath, "-ra", **extra) as run:
            output = run.communicate()[0].decode()
        assert verdict in output
        assert "kubectl not in KUBEBUILDER_ASSETS=/none; run `make control-plane` once" in output
        assert run.returncode == status
