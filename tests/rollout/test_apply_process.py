"""`gitcd apply` as a process, from a tag that moves to a cluster that runs it, and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ecr import CREDENTIALS, StandIn
from tests.support.gitrollouts import app
from tests.support.repos import Bare, make_bare
from tests.support.rollouts import Rollouts
from tests.support.scenes import LAYOUT

pytestmark = pytest.mark.slow


@dataclass
class Shop:
    """An operator's machine: settings, a registry, a config repository, a cluster."""

    cluster: Rollouts
    remote: Bare
    ecr: StandIn
    settings: Path

    def move(self, version: str) -> None:
        self.ecr.put("team/app", tags=[version, "env-dev"])
        done = self.gitcd("reconcile", self.remote.url)
        assert done.returncode == 0, done.stderr

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.gitcd("apply", *self._words(*words))

    def status(self) -> subprocess.CompletedProcess[str]:
        kubeconfig = ("--kubeconfig", str(self.cluster.plane.admin.kubeconfig))
        return self.gitcd("status", "--live", *kubeconfig, self.remote.url)

    def begin(self) -> subprocess.Popen[str]:
        """An apply that goes on, on another machine: two with one cache take turns."""
        command = [sys.executable, "-m", "gitcd", "apply", *self._words()]
        env = {**self._environment, "GITCD_CACHE_DIR": str(self.settings.with_name("cache"))}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def gitcd(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gitcd", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=90)

    def until_step(self, step: str) -> None:
        for _ in range(200):
            if (self.cluster.status("app").get("rollout") or {}).get("step") == step:
                return
            time.sleep(0.1)
        pytest.fail(f"the rollout does not come to {step}: {self.cluster.status('app')}")

    @property
    def in_git(self) -> str:
        data = json.loads(self.remote.show("envs/dev/app/workload.yaml"))
        return str(data["spec"]["template"]["spec"]["containers"][0]["image"])

    def _words(self, *words: str) -> list[str]:
        kubeconfig = str(self.cluster.plane.admin.kubeconfig)
        return ["--kubeconfig", kubeconfig, "--namespace", self.cluster.namespace, *words, self.remote.url]

    @property
    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"GITCD_CONFIG": str(self.settings), "GITCD_ECR_ENDPOINT_URL": self.ecr.url, "COLUMNS": "200"}
        return {**kept, **CREDENTIALS, "AWS_DEFAULT_REGION": self.ecr.region, "PYTHONPATH": str(Path.cwd()), **own}


@pytest.fixture
def shop(rollouts: Rollouts, tmp_path: Path) -> Iterator[Shop]:
    """app at 1.0.0, which runs."""
    uid = rollouts.plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps({"environments": [{"name": "dev", "cluster": uid}]}))
    remote = make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app("app", rollouts.namespace))
    with StandIn() as ecr:
        made = Shop(rollouts, remote, ecr, settings)
        made.move("1.0.0")
        first = made.apply()
        assert first.returncode == 0, first.stderr
        yield made


def test_what_fails_ends_with_code_4_and_git_and_cluster_agree(shop: Shop) -> None:
    assert shop.cluster.live_image("app") == shop.in_git
    good = shop.in_git
    shop.move("bad-crash")
    failed = shop.apply()
    assert failed.returncode == 4
    assert "container app: CrashLoopBackOff" in failed.stderr
    assert f"1.0.0 runs again, by commit {shop.remote.tip[:12]}" in failed.stderr
    assert shop.in_git == shop.cluster.live_image("app") == good
    again = shop.apply()
    assert again.returncode == 0
    shown = shop.status()
    (line,) = [each for each in shown.stdout.splitlines() if each.startswith(shop.cluster.namespace)]
    assert line.split()[:2] == [f"{shop.cluster.namespace}/app", "dev"]
    assert line.split()[5:7] == ["1.0.0", "1"]


def test_an_older_commit_that_fails_ends_with_code_4_though_the_branch_has_left_it(shop: Shop) -> None:
    before = shop.remote.show("envs/dev/app/workload.yaml")
    shop.move("bad-crash")
    older = shop.remote.tip
    shop.remote.commit({"envs/dev/app/workload.yaml": before})
    failed = shop.apply("--revision", older)
    assert failed.returncode == 4, failed.stderr
    assert "container app: CrashLoopBackOff" in failed.stderr
    assert "`gitcd apply` without --revision leads back there" in failed.stderr
    back = shop.apply()
    assert back.returncode == 0, back.stderr
    assert shop.cluster.live_image("app") == shop.in_git


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_who_is_stopped_leaves_a_record_that_the_next_run_goes_on_with(shop: Shop, number: int, code: int) -> None:
    shop.move("bad-never")
    process = shop.begin()
    shop.until_step("Settle")
    process.send_signal(number)
    assert process.wait(20) == code
    process.communicate()
    record = shop.cluster.status("app")["rollout"]
    assert (record["strategy"], record["step"], record["attempt"]) == ("RollingUpdate", "Settle", 1)
    shown = shop.status().stdout
    assert "RollingOut: step Settle" in shown
    shop.move("1.1.0")
    while (done := shop.apply()).returncode == 3:  # who was killed holds the Lease for some seconds
        assert "is being applied by" in done.stderr
    assert done.returncode == 0
    assert shop.cluster.live_image("app") == shop.in_git
    assert [each["result"] for each in shop.cluster.status("app")["history"]] == [
        "Succeeded",
        "Superseded",
        "Succeeded",
    ]


def test_a_newer_commit_ends_the_wait_for_a_broken_one_and_is_applied_by_the_same_run(shop: Shop) -> None:
    shop.move("bad-never")
    process = shop.begin()
    shop.until_step("Settle")
    shop.move("1.1.0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert shop.cluster.live_image("app") == shop.in_git
    app = f"dev/{shop.cluster.namespace}/app"
    assert f"{app} bad-never: Superseded: a newer commit wants it otherwise" in said
    assert f"{app} 1.1.0: Done: it runs and is healthy" in said


def test_a_person_goes_back_to_what_was_good_last(shop: Shop) -> None:
    """1.1.0 was committed and never found healthy, so --last-good passes it over."""
    for version in ("bad-never", "1.1.0"):
        shop.move(version)
    kubeconfig = ("--kubeconfig", str(shop.cluster.plane.admin.kubeconfig))
    done = shop.gitcd("rollback", "app", "--last-good", *kubeconfig, shop.remote.url)
    assert done.returncode == 0, done.stderr
    assert ":1.0.0@" in shop.in_git


def test_without_a_registry_it_goes_live_all_the_same(shop: Shop) -> None:
    """Only the way back needs it, and that is said."""
    shop.move("1.1.0")
    shop.ecr.url = "http://127.0.0.1:9"
    began = time.monotonic()
    done = shop.apply()
    assert done.returncode == 0, done.stderr
    assert "could not be taken back: " in done.stderr
    assert time.monotonic() - began < 60
    assert shop.cluster.live_image("app") == shop.in_git
