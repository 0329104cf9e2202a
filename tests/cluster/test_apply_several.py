"""`gitcd apply` beside others: several environments in one run, and other runs on the same machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.objects import Objects
from gitcd.errors import ConfigError
from gitcd.usecases.apply_report import Report
from tests.support.applying import config_map, declaration, deployment, documents, scene, uid_of
from tests.support.containerversions import definition
from tests.support.ecr import CREDENTIALS, StandIn

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"
LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod}
"""


@pytest.fixture
def both(scene):
    """Two environments of one cluster, each with an object."""
    uid = uid_of(scene.plane)
    scene.settings = {"environments": [{"name": name, "cluster": uid} for name in ("dev", "prod")]}
    files = {f"envs/{name}/a.yaml": documents(config_map(scene.namespace, name, k="v")) for name in ("dev", "prod")}
    scene.commit({"gitcd.yaml": LAYOUT, **files})
    return scene


def outcomes(ran):
    return {
        each["environment"]: ([one["result"] for one in each["objects"]], each["problems"]) for each in ran.environments
    }


def test_a_record_that_is_none_stops_its_own_environment_only(both):
    both.plane.apply(json.dumps(config_map(both.namespace, "gitcd-dev", somebody="else")))
    ran = both.apply("--all")
    assert ran.code == 5
    assert outcomes(ran)["prod"] == (["Created"], [])
    (problem,) = outcomes(ran)["dev"][1]
    assert "is not the record of dev" in problem
    assert "error: dev: the ConfigMap gitcd-dev" in ran.err
    assert "dev at " in ran.err
    assert ": not applied" in ran.err


def test_a_lease_that_another_run_holds_stops_its_own_environment_only(both, monkeypatch):
    monkeypatch.setattr("gitcd.usecases.apply._PATIENCE", 0.5)
    spec = {"holderIdentity": "another-run", "leaseDurationSeconds": 600}
    metadata = {"name": "gitcd-dev", "namespace": both.namespace}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    both.plane.apply(json.dumps(lease))
    ran = both.apply("--all")
    assert ran.code == 3
    assert outcomes(ran)["prod"] == (["Created"], [])
    assert "dev is being applied by another-run" in ran.err


def test_a_kustomization_that_nothing_builds_stops_its_own_environment_only(both, monkeypatch):
    monkeypatch.setattr("gitcd.usecases.kustomizing._PROGRAMS", (("no-such-program", "build"),))
    both.commit({"envs/dev/app/kustomization.yaml": b"resources: []\n"})
    ran = both.apply("--all")
    assert ran.code == 2
    assert outcomes(ran)["prod"] == (["Created"], [])
    assert "neither kustomize nor kubectl" in outcomes(ran)["dev"][1][0]


def test_the_budget_is_that_of_the_whole_run(both, monkeypatch):
    ends = []

    def applied(_objects, environment, commit, want, how):
        ends.append(how.until)
        return Report(environment, commit, want)

    monkeypatch.setattr("gitcd.usecases.apply_work.apply_environment", applied)
    both.apply("--all", "--budget", "1h")
    assert len(ends) == 2
    assert len(set(ends)) == 1


def test_what_was_done_before_the_trouble_is_told_and_remembered(scene, monkeypatch):
    ns = scene.namespace
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": ns}}
    scene.commit({APP: documents(config_map(ns, "a", k="v"), {**service, "spec": {"ports": [{"port": 80}]}})})

    def refused(*_):
        raise DeclinedError(403, "Forbidden", "what nobody foresaw")

    monkeypatch.setattr("gitcd.usecases.apply_waves.Waves.settle", refused)
    ran = scene.apply("--all")
    assert ran.code == 5
    assert ran.results == {"ConfigMap/a": "Created", "Service/s": "Created"}
    assert "2 created, the rest is not known" in ran.err
    monkeypatch.undo()
    again = scene.apply("--all")
    assert (again.code, again.results, again.report["unchanged"]) == (0, {}, 2), again.err


def test_credentials_that_end_in_mid_run_are_told_once(scene, monkeypatch):
    ns = scene.namespace
    scene.commit({APP: documents(*(config_map(ns, f"m{number}", k="v") for number in range(40)))})
    write, written = Objects.apply, iter(range(10))

    def ended(*given, **named):
        if next(written, None) is None:
            raise ConfigError("the cluster does not accept these credentials")
        return write(*given, **named)

    monkeypatch.setattr(Objects, "apply", ended)
    ran = scene.apply("--all")
    assert ran.code == 2
    assert ran.err.count("does not accept these credentials") == 1
    assert set(ran.results.values()) <= {"Created"}
    monkeypatch.undo()
    again = scene.apply("--all")
    assert (again.code, again.report["unchanged"] + len(again.results)) == (0, 40), again.err


@pytest.mark.slow
def test_whoever_loses_its_lease_goes_no_further(scene):
    ns = scene.namespace
    image = "registry.example.com/team/web:bad-never"
    scene.commit({APP: documents(declaration(ns), deployment(ns, image=image))})
    with scene.started() as applying:
        wait_for(scene, "web bad-never: Settle")
        spec = {"holderIdentity": "thief", "leaseDurationSeconds": 600}
        scene.plane.kubectl("patch", "lease", "gitcd-prod", "-n", ns, "--type=merge", "-p", json.dumps({"spec": spec}))
        assert applying.wait(60) == 3
    assert "its Lease was lost to another run" in scene.talk.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("built", [False, True], ids=["plain", "kustomize"])
def test_a_newer_commit_ends_the_wait_for_what_it_changes(scene, monkeypatch, built):
    """Neither of two Deployments without a declaration ever becomes ready; the one that a commit mends is let go."""
    monkeypatch.setattr("gitcd.usecases.apply_newer.TIP_EVERY", timedelta())
    ns, broken = scene.namespace, "registry.example.com/team/web:bad-never"
    files = {"envs/prod/web/kustomization.yaml": b"resources: [app.yaml]\n"} if built else {}
    scene.commit({APP: documents(deployment(ns, image=broken)), **files})

    def mend():
        path = f"/apis/apps/v1/namespaces/{ns}/deployments"
        while not scene.plane.get(path)["items"]:
            time.sleep(0.1)
        scene.commit({"envs/prod/other.yaml": documents(config_map(ns, "other", k="v"))})
        time.sleep(1)
        scene.commit({APP: documents(deployment(ns))})

    with ThreadPoolExecutor(1) as aside:
        mending = aside.submit(mend)
        ran = scene.apply("--all", "--budget", "60s")
        mending.result()
    first, second = ran.environments
    assert ran.code == 0, ran.err
    assert [each["name"] for each in first["overtaken"]] == ["web"]
    assert "is waited for no longer: a newer commit changes it" in ran.err
    assert {each["name"]: each["result"] for each in second["objects"]} == {"web": "Changed", "other": "Created"}
    assert scene.apply("--all").report["objects"] == []


def wait_for(scene, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in scene.talk.read_text() and time.monotonic() < deadline:
        time.sleep(0.2)


@pytest.mark.slow
def test_others_have_the_kept_copy_while_the_cluster_is_waited_for(scene, monkeypatch):
    """What never becomes ready is waited for; meanwhile another process looks and commits, and apply takes that there."""
    ns, cache = scene.namespace, scene.folder / "cache"
    for name, value in {**CREDENTIALS, "GITCD_CACHE_DIR": str(cache)}.items():
        monkeypatch.setenv(name, value)
    with StandIn() as ecr:
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        repo = f"{ecr.host}/team/web"
        old, new = ecr.put("team/web", tags=["bad-never"]), ecr.put("team/web", tags=["1.1.0", "env-prod"])
        image = f"{repo}:bad-never@{old}"
        scene.commit({APP: documents(declaration(ns, imageRepo=repo), deployment(ns, image=image))})
        with scene.started() as applying:
            wait_for(scene, "web bad-never: Settle")
            for verb, code in (("diff", 1), ("reconcile", 0)):
                words = [sys.executable, "-m", "gitcd", verb, scene.remote.url]
                done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
                assert done.returncode == code, done.stderr
                assert applying.poll() is None
            assert applying.wait(60) == 0
    live = scene.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert live == f"{repo}:1.1.0@{new}"
