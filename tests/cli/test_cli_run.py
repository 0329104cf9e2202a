"""`gitcd run` as a process, over real git and a stand-in for ECR; and its command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitcd.cli import main
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare, make_worktree
from tests.support.running import Running
from tests.support.scenes import LAYOUT, app_files

DEPLOYMENT = "envs/dev/app/deployment.yaml"


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    files = {"gitcd.yaml": LAYOUT} | app_files("app")
    files["envs/dev/app/cv.yaml"] += b"  interval: 10s\n"
    return make_bare(tmp_path / "remote.git", files)


@pytest.fixture
def start(ecr: StandIn, remote: Bare, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running = []

    def start(*arguments: str, **environ: str) -> Running:
        log = tmp_path / f"{len(running)}.log"
        environment = os.environ | {
            "GITCD_REPO": remote.url,
            "GITCD_ECR_ENDPOINT_URL": ecr.url,
            "GITCD_CACHE_DIR": str(tmp_path / f"cache-{len(running)}"),
        }
        command = [sys.executable, "-m", "gitcd", "run", "--port", "0", *arguments]
        with log.open("wb") as err:
            process = subprocess.Popen(command, env=environment | environ, stdout=subprocess.PIPE, stderr=err)
        running.append(process)
        return Running(process, log)

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_F38_it_commits_what_is_new_whenever_that_came(ecr, remote, start) -> None:
    run = start()
    run.until(lambda: remote.count() == 2)
    ecr.put("team/app", tags=["1.2.0", "env-dev"])
    run.until(lambda: remote.count() == 3)
    assert b"team/app:1.2.0@sha256:" in remote.show(DEPLOYMENT)
    run.until(lambda: 'gitcd_runs_total{verb="run",outcome="done"} 2\n' in run.get("/metrics"))
    run.process.send_signal(signal.SIGTERM)
    out, _ = run.process.communicate(timeout=20)
    assert run.process.returncode == 143
    assert [line.split(b" ", 1)[1] for line in out.splitlines()] == [
        b"dev: app 1.0.0 -> 1.1.0",
        b"dev: app 1.1.0 -> 1.2.0",
    ]
    assert "Traceback" not in run.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_F24_a_signal_ends_it_while_it_waits(remote, start, number, code) -> None:
    run = start()
    run.until(lambda: 'gitcd_runs_total{verb="run",outcome="done"} 1\n' in run.get("/metrics"))
    assert run.get("/readyz") == "ok\n"
    run.process.send_signal(number)
    run.process.communicate(timeout=20)
    assert run.process.returncode == code
    assert remote.count() == 2
    assert "Traceback" not in run.err


def test_F24_it_ends_in_the_middle_of_a_push(remote, start, tmp_path) -> None:
    mark = tmp_path / "pushing"
    remote.hook("pre-receive", f"touch {mark}; sleep 2; exit 1")
    tip = remote.tip
    run = start()
    run.until(mark.exists)
    run.process.send_signal(signal.SIGTERM)
    run.process.communicate(timeout=20)
    assert run.process.returncode == 143
    assert remote.tip == tip
    assert "nothing is half done" in run.err


def test_what_goes_wrong_is_told_and_tried_again(remote, start) -> None:
    remote.commit({"gitcd.yaml": b"kind: nonsense\n"})
    run = start()
    run.until(lambda: "error: gitcd.yaml" in run.err)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        run.get("/readyz")
    assert 'gitcd_last_run_exit_code{verb="run"} 2\n' in run.get("/metrics")
    remote.commit({"gitcd.yaml": LAYOUT})
    run.until(lambda: 'gitcd_last_run_exit_code{verb="run"} 0\n' in run.get("/metrics"))
    assert run.get("/readyz") == "ok\n"
    assert b"1.1.0@sha256" in remote.show(DEPLOYMENT)


def test_F50_a_stats_host_that_is_down_changes_nothing(remote, start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        port = sink.getsockname()[1]
    run = start("--once", STATS_HOST=f"127.0.0.1:{port}")
    run.process.communicate(timeout=40)
    assert run.process.returncode == 0
    assert f"warning: metrics cannot be sent to 127.0.0.1:{port}" in run.err
    assert remote.count() == 2


class TestOnce:
    def arguments(self, ecr, tmp_path, *more: str) -> list[str]:
        return ["run", "--once", "--ecr-endpoint-url", ecr.url, "--cache-dir", str(tmp_path / "c"), *more]

    def test_it_is_a_reconcile(self, ecr, remote, tmp_path, capfd) -> None:
        assert main.run(self.arguments(ecr, tmp_path, "-o", "json", remote.url)) == 0
        said = json.loads(capfd.readouterr().out)
        assert (said["kind"], len(said["commits"]), remote.count()) == ("Report", 1, 2)
        assert main.run(self.arguments(ecr, tmp_path, remote.url)) == 0
        assert remote.count() == 2

    def test_its_exit_code_is_that_of_a_reconcile(self, ecr, remote, tmp_path, capfd) -> None:
        remote.commit({"envs/dev/app/cv.yaml": remote.show("envs/dev/app/cv.yaml").replace(b"env-dev", b"nosuch")})
        assert main.run(self.arguments(ecr, tmp_path, remote.url)) == 5
        remote.commit({"gitcd.yaml": b"nonsense"})
        assert main.run(self.arguments(ecr, tmp_path, remote.url)) == 2
        assert "Traceback" not in capfd.readouterr().err

    def test_cvmanagers_flags_are_taken_with_a_notice(self, ecr, remote, tmp_path, capfd) -> None:
        """The line of cvmanager's README with the one word replaced, and all flags of its code."""
        flags = ["--configmap-key=kube-system/cvmanager", "--cv-img-repo=nearmap/cvmanager", "--stats-provider=datadog", "--history", "--rollback=true", "--k8s-config", "~/.kube/config"]  # fmt: skip
        assert main.run(self.arguments(ecr, tmp_path, *flags, remote.url)) == 0
        err = capfd.readouterr().err
        for flag in ("--configmap-key", "--cv-img-repo", "--stats-provider", "--history", "--rollback"):
            assert f"warning: {flag} is not used" in err
        assert "--k8s-config is not used" not in err


class TestTheCommandLine:
    def test_without_a_repository_it_names_the_variable(self, capfd, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(make_worktree(tmp_path / "work", {"gitcd.yaml": LAYOUT}))
        assert main.run(["run", "--k8s-config", "~/.kube/config"]) == 2
        assert "GITCD_REPO" in capfd.readouterr().err

    def test_it_never_takes_a_work_tree(self, capfd, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(make_worktree(tmp_path / "work", {"gitcd.yaml": LAYOUT}))
        assert main.run(["run", "."]) == 2
        assert "never commits in somebody's checkout" in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (("--port", "70000"), "--port"),
            (("--address", "192.0.2.300"), "nothing can be served"),
            (("--stats-host", "h:port"), "--stats-host h:port"),
            (("--leader-elect",), "no cluster is configured"),
            (("--http-auth",), "no cluster is configured"),
            (("--from", "cluster"), "no cluster is configured"),
        ],
    )
    def test_a_mistake_is_told_before_anything_is_done(self, ecr, remote, tmp_path, capfd, flags, said) -> None:
        arguments = ["run", "--port", "0", "--cache-dir", str(tmp_path / "c"), *flags, remote.url]
        assert main.run(arguments) == 2
        assert said in capfd.readouterr().err
        assert remote.count() == 1
        assert not ecr.calls


class TestMetricsFile:
    def test_a_reconcile_leaves_one(self, ecr, remote, tmp_path, capfd) -> None:
        path = tmp_path / "gitcd.prom"
        shared = ["--metrics-file", str(path), "--ecr-endpoint-url", ecr.url, "--cache-dir", str(tmp_path / "c")]
        assert main.run(["reconcile", *shared, remote.url]) == 0
        text = path.read_text()
        assert 'gitcd_declarations{outcome="Bumped"} 1\n' in text
        assert 'gitcd_last_run_commits{verb="reconcile"} 1\n' in text
        assert main.run(["reconcile", *shared, f"file://{tmp_path}/nowhere.git"]) == 2
        assert 'gitcd_last_run_exit_code{verb="reconcile"} 2\n' in path.read_text()

    def test_F50_one_that_cannot_be_written_changes_no_exit_code(self, ecr, remote, tmp_path, capfd) -> None:
        arguments = ["reconcile", "--metrics-file", str(tmp_path / "no" / "x.prom"), "--ecr-endpoint-url", ecr.url]
        assert main.run([*arguments, "--cache-dir", str(tmp_path / "c"), remote.url]) == 0
        assert "warning: the metrics file" in capfd.readouterr().err
        assert remote.count() == 2

    def test_a_rehearsal_has_none(self, remote, capfd) -> None:
        assert main.run(["reconcile", "--metrics-file", "x.prom", "--dry-run", remote.url]) == 2
        assert "it goes with no rehearsal" in capfd.readouterr().err
