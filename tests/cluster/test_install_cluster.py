"""What `gitcd install` prints, on a real API server: taken without a warning, and its roles neither too small nor too big."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitcd.manifests.dump import to_yaml
from gitcd.usecases.install import install, objects, write
from tests.support import faultproxy, githttp
from tests.support.audit import Request, writes
from tests.support.containerversions import BASE, definition, deployment, manifest
from tests.support.controlplane import Access, ControlPlane
from tests.support.ecr import StandIn
from tests.support.manifests import by_name
from tests.support.repos import Bare, make_bare
from tests.support.running import Running
from tests.support.scenes import LAYOUT

__all__ = ["definition"]

TOKEN = "a-token-for-git"


@dataclass
class Operator:
    """A namespace for gitcd, one with a declaration that it serves, a git server that asks for a token, and an ECR."""

    plane: ControlPlane
    served: str
    remote: Bare
    repo: str
    ecr: StandIn
    folder: Path
    home: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = f"{self.served}-gitcd"

    def install(self, **flags: Any) -> str:
        """Render it, apply it as an operator does, and answer what the API server had to say."""
        uid = self.plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        settings = {
            "namespaces": [{"name": self.served, "environments": ["dev"]}],
            "environments": [{"name": "dev", "cluster": uid}],
        }
        (self.folder / "settings.yaml").write_text(json.dumps(settings))
        wanted = {"declarations_from": "cluster", "namespace": self.home, "create_namespace": True, **flags}
        self.files = install(wanted, {"repo": self.repo, "config": str(self.folder / "settings.yaml")})
        text = "---\n".join(self.files.values())
        return self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text).stderr

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in objects(self.files) if each["kind"] == kind]

    def run(self, access: Access, *, code: int = 0) -> str:
        """What the CronJob's container runs, by the process and with the variables that its manifest says.

        Who may read the whole cluster keeps to the served namespace here: others are those of other tests.
        """
        (job,) = self.objects("CronJob")
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        source = ["--namespace", self.served] if self.objects("ClusterRole") else ["--all-namespaces"]
        command = [sys.executable, "-m", "gitcd", *container["args"][:-1], *source]
        environ = self.environ(container, access)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr

    def environ(self, container: dict[str, Any], access: Access) -> dict[str, str]:
        """The variables of a container, with those of this machine that a process here needs."""
        environ = {each["name"]: each.get("value", TOKEN) for each in container["env"]}
        environ |= {
            "KUBECONFIG": str(access.kubeconfig),
            "GITCD_CONFIG": str(self.folder / "settings.yaml"),
            "GITCD_CACHE_DIR": str(self.folder / f"cache-{len(list(self.folder.iterdir()))}"),
            "GITCD_ECR_ENDPOINT_URL": self.ecr.url,
            "HOME": str(self.folder),
        }
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITCD_"))}
        return mine | environ


@pytest.fixture
def operator(definition: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    remote = make_bare(tmp_path / "git" / "remote.git", {"gitcd.yaml": LAYOUT} | deployment("app", namespace))
    with ExitStack() as stack:
        ecr = stack.enter_context(StandIn())
        ecr.put("team/app", tags=["1.1.0", "env-dev"])
        server = stack.enter_context(githttp.serve(tmp_path / "git", token=TOKEN))
        definition.apply(to_yaml(manifest("app", namespace)))
        folder = tmp_path / "operator"
        folder.mkdir()
        yield Operator(definition, namespace, remote, server.url(tmp_path / "git" / "remote.git"), ecr, folder)


def allowed(operator: Operator) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of every rule of the rendered roles."""
    return {
        (group, resource, verb)
        for role in (*operator.objects("Role"), *operator.objects("ClusterRole"))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def scenarios(operator: Operator, access: Access) -> list[Request]:
    """A bump; nothing new; a status that somebody else was faster to write; and all that was asked meanwhile."""
    mark = operator.plane.audit.mark()
    operator.run(access)
    tip = operator.remote.tip
    operator.run(access)
    assert operator.remote.tip == tip
    operator.ecr.put("team/app", tags=["1.2.0", "env-dev"])
    with faultproxy.before(operator.plane) as proxy:
        proxy.answer(409, path="/status", method="PATCH")
        operator.run(proxy.plane.account(operator.home, "gitcd"))
        assert not [fault for fault in proxy.faults if fault.times], "the conflict happened"
    assert operator.remote.tip != tip
    return [each for each in operator.plane.audit.since(mark, user=access.name) if each.resource]


@pytest.mark.slow
@pytest.mark.parametrize("cluster_wide", [False, True])
def test_the_roles_allow_what_runs_ask_and_nothing_more(operator: Operator, cluster_wide: bool) -> None:
    assert operator.install(cluster_wide=cluster_wide) == ""
    access = operator.plane.account(operator.home, "gitcd")
    asked = scenarios(operator, access)
    refused = {(each.permission, each.namespace) for each in asked if each.status == 403}
    everywhere = {(("gitcd.io", "containerversions", "list"), "")}
    assert refused == (set() if cluster_wide else everywhere), "only whether the whole cluster may be read is tried out"
    assert {each.permission for each in asked if each.status != 403} == allowed(operator)
    (ready,) = [
        each["status"]
        for each in operator.plane.get(f"{BASE}/namespaces/{operator.served}/containerversions/app")["status"][
            "conditions"
        ]
        if each["type"] == "Ready"
    ]
    assert ready == "True"


@contextmanager
def served(operator: Operator, access: Access, log: Path) -> Iterator[Running]:
    """What the Deployment's container runs, as a process."""
    (deployment,) = operator.objects("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    source = ["--namespace", operator.served] if len(operator.objects("ClusterRole")) > 1 else ["--all-namespaces"]
    words = [*(word for word in container["args"] if word != "--all-namespaces"), *source]
    here = ["--port", "0", "--leader-elect", "--lease-namespace", operator.home]
    with log.open("wb") as err:
        command = [sys.executable, "-m", "gitcd", *words, *here]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=operator.environ(container, access))
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("cluster_wide", [False, True])
def test_F43_the_roles_of_a_controller_allow_what_it_asks_and_nothing_more(
    operator: Operator, cluster_wide: bool, tmp_path: Path
) -> None:
    """It is elected, bumps, hears of an edit, writes over somebody's status, serves the list, and lets go."""
    assert operator.install(cluster_wide=cluster_wide, controller=True, http_auth=True) == ""
    access = operator.plane.account(operator.home, "gitcd")
    mark = operator.plane.audit.mark()
    path = f"{BASE}/namespaces/{operator.served}/containerversions/app"
    with faultproxy.before(operator.plane) as proxy:
        proxy.answer(409, path="/status", method="PATCH")
        with served(operator, proxy.plane.account(operator.home, "gitcd"), tmp_path / "run.log") as run:
            run.until(lambda: operator.plane.get(path).get("status", {}).get("observedGeneration") == 1)
            assert run.ask(f"/v1/cv/workloads?namespace={operator.served}", operator.plane.admin.token)[0] == 200
            operator.plane.request("PATCH", path, {"spec": {"suspend": True}}, kind="merge-patch+json")
            run.until(lambda: operator.plane.get(path)["status"]["observedGeneration"] == 2)
            assert run.end() == 143
            assert not [fault for fault in proxy.faults if fault.times], "the conflict happened"
    asked = [each for each in operator.plane.audit.since(mark, user=access.name) if each.resource]
    refused = {(each.permission, each.namespace) for each in asked if each.status == 403}
    everywhere = {(("gitcd.io", "containerversions", "list"), "")}
    assert refused == (set() if cluster_wide else everywhere), "only whether the whole cluster may be read is tried out"
    assert {each.permission for each in asked if each.status != 403} == allowed(operator)
    assert {(each.namespace, each.name) for each in asked if each.resource == "leases"} <= {
        (operator.home, "gitcd"),
        (operator.home, ""),
    }


@pytest.mark.slow
def test_F38_runs_in_any_number_come_to_the_same(operator: Operator) -> None:
    """With an empty cache each time: a human's revert stays, a hold stays, declarations that agree or not are told."""
    operator.install()
    access = operator.plane.account(operator.home, "gitcd")
    path = "envs/dev/app/deployment.yaml"
    before = operator.remote.show(path)
    operator.run(access)
    bumped = operator.remote.show(path)
    assert bumped != before

    operator.remote.commit({path: before})
    operator.run(access)
    assert operator.remote.show(path) == before, "what a human took back stays back"

    hold = f".gitcd/holds/dev/{operator.served}.app.yaml"
    operator.remote.commit({hold: b"freeze: true\nreason: not now\nby: somebody\n"})
    operator.ecr.put("team/app", tags=["1.2.0", "env-dev"])
    tip = operator.remote.tip
    mark = operator.plane.audit.mark()
    operator.run(access)
    operator.run(access)
    assert operator.remote.tip == tip
    told = [each for each in writes(operator.plane.audit.since(mark, user=access.name)) if each.status != 403]
    assert len({each.permission for each in told}) == len(told) <= 2, "the first run says so, the second says nothing"

    operator.remote.commit({hold: None})
    operator.plane.apply(to_yaml(renamed("same", operator.served)))
    operator.run(access)
    assert b"1.2.0@" in operator.remote.show(path), "two that want the same are one"

    operator.ecr.put("team/app", tags=["2.0.0", "env-other"])
    operator.plane.apply(to_yaml(renamed("other", operator.served, tag="env-other")))
    tip = operator.remote.tip
    assert "Conflict" in operator.run(access, code=5)
    assert operator.remote.tip == tip


def renamed(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """Another declaration of the same Deployment."""
    made = manifest("app", namespace, **spec)
    made["metadata"]["name"] = name
    return made


def test_what_reads_the_repository_may_nothing(operator: Operator) -> None:
    operator.install(declarations_from="repo")
    assert allowed(operator) == set()
    said = operator.plane.kubectl("auth", "can-i", "--list", f"--as=system:serviceaccount:{operator.home}:gitcd").stdout
    resources = [line.split()[0] for line in said.splitlines()[1:] if not line.startswith(" ")]
    assert {each.partition(".")[2] for each in resources} == {"authorization.k8s.io", "authentication.k8s.io"}


@pytest.mark.parametrize("flags", [{}, {"controller": True, "http_auth": True, "metrics_from": ("a", "b")}])
def test_the_api_server_keeps_every_field(operator: Operator, flags: dict[str, Any]) -> None:
    """Nothing is dropped as unknown, and what is there is what was rendered, defaults aside."""
    operator.install(environment=("dev",), role_arn="arn:aws:iam::123456789012:role/gitcd", pod_identity=True, **flags)
    for each in objects(operator.files):
        if each["kind"] == "CustomResourceDefinition":
            continue
        where = ["-n", each["metadata"]["namespace"]] if "namespace" in each["metadata"] else []
        found = operator.plane.kubectl("get", each["kind"], each["metadata"]["name"], *where, "-o", "json").stdout
        assert contains(json.loads(found), each), each["kind"]


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


@pytest.mark.slow
@pytest.mark.parametrize(("tag", "condition"), [("1.0", "Complete"), ("bad-job", "Failed")], ids=["done", "failed"])
def test_its_pods_run_where_only_restricted_ones_may(
    workloads: ControlPlane, operator: Operator, tag: str, condition: str
) -> None:
    operator.install(image=f"registry.example.com/gitcd:{tag}")
    workloads.kubectl("create", "job", "-n", operator.home, "--from=cronjob/gitcd-reconcile", "now")
    if condition == "Failed":
        workloads.kubectl("patch", "job", "-n", operator.home, "now", "-p", '{"spec": {"activeDeadlineSeconds": 2}}')
    workloads.kubectl("wait", "-n", operator.home, f"--for=condition={condition}", "job/now", "--timeout=30s")
    refused = workloads.kubectl("run", "root", "-n", operator.home, "--image=x", check=False).stderr
    assert 'violates PodSecurity "restricted' in refused


@pytest.mark.slow
def test_so_do_those_of_the_controller_and_its_service_leads_to_them(
    workloads: ControlPlane, operator: Operator
) -> None:
    operator.install(controller=True, image="registry.example.com/gitcd:1.0")
    workloads.kubectl("rollout", "status", "-n", operator.home, "deployment/gitcd-run", "--timeout=30s")

    def addresses() -> list[str]:
        slices = workloads.get(f"/apis/discovery.k8s.io/v1/namespaces/{operator.home}/endpointslices")["items"]
        named = [each for each in slices if each["metadata"]["labels"]["kubernetes.io/service-name"] == "gitcd-run"]
        assert {port["port"] for each in named for port in each["ports"] or []} <= {8081}
        return [each for part in named for end in part["endpoints"] or [] for each in end["addresses"]]

    deadline = time.monotonic() + 20
    while len(addresses()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_folder_is_a_kustomize_base(operator: Operator) -> None:
    operator.install()
    write(operator.folder / "base", operator.files)
    built = operator.plane.kubectl("kustomize", str(operator.folder / "base")).stdout
    assert by_name(objects({"": built})) == by_name(objects(operator.files))
