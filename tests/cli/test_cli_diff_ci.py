"""`gitcd diff --ci`: a job on a pull request that shows what gitcd would do with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gitcd.cli.main import run
from gitcd.errors import ConfigError
from gitcd.usecases.ci import Job, job_of
from tests.support.ecr import StandIn
from tests.support.forges import TOKEN, FakeBench, fake_bench
from tests.support.gitea import Repository, gitea, repository  # noqa: F401 - fixtures
from tests.support.repos import make_worktree
from tests.support.scenes import LAYOUT, app_files

HEAD = "c" * 40


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_worktree(tmp_path / "checkout", {"gitcd.yaml": LAYOUT} | app_files("app"))


@pytest.fixture(autouse=True)
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    for name in os.environ:
        if name.startswith(("GITHUB_", "GITEA_", "GITLAB_", "CI_")):
            monkeypatch.delenv(name)
    with StandIn() as server:
        server.put("team/app", tags=["1.0.0"])
        server.put("team/app", tags=["1.1.0", "env-dev"])
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBench]:
    with fake_bench("github", monkeypatch) as bench:
        yield bench


def actions(monkeypatch: pytest.MonkeyPatch, folder: Path, server: str, commit: str = HEAD, **more: str) -> None:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": commit}}}))
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": server,
        "GITHUB_REPOSITORY": "atlas/config",
        "GITHUB_RUN_ID": "17",
        "GITHUB_SHA": "d" * 40,
        "GITHUB_EVENT_PATH": str(event),
        "GITCD_FORGE_TOKEN": TOKEN,
        **more,
    }.items():
        monkeypatch.setenv(name, value)


def test_the_head_of_the_pull_request_gets_a_status(github, checkout, tmp_path, monkeypatch, capfd) -> None:
    actions(monkeypatch, tmp_path, github.server.url)
    assert run(["diff", "--ci", str(checkout)]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("diff --git")
    assert err.splitlines()[-1] == "1 bumped"
    (request,) = github.server.requests
    assert request.path.endswith(f"/statuses/{HEAD}")
    assert request.body == {
        "state": "success",
        "context": "gitcd diff",
        "description": "1 bumped",
        "target_url": f"{github.server.url}/atlas/config/actions/runs/17",
    }


def test_a_declaration_that_fails_is_a_failure_there_too(github, checkout, tmp_path, monkeypatch, capfd) -> None:
    actions(monkeypatch, tmp_path, github.server.url)
    declared = next(path for path in checkout.rglob("*.yaml") if b"ContainerVersion" in path.read_bytes())
    declared.write_bytes(declared.read_bytes().replace(b"env-dev", b"no-such-tag"))
    assert run(["diff", "--ci", str(checkout)]) == 5
    (request,) = github.server.requests
    assert (request.body["state"], request.body["description"]) == ("failure", "1 failed")
    capfd.readouterr()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_status_that_cannot_be_shown_is_a_warning(
    github, checkout, tmp_path, monkeypatch, capfd, status: int
) -> None:
    actions(monkeypatch, tmp_path, github.server.url)
    github.server.fail("POST", "statuses", status, times=9, body={"message": "Resource not accessible by integration"})
    assert run(["diff", "--ci", str(checkout)]) == 0
    assert f"no status is shown at {HEAD[:12]}" in capfd.readouterr().err


def test_T10_a_forge_that_echoes_the_token_shows_it_to_nobody(github, checkout, tmp_path, monkeypatch, capfd) -> None:
    secret = "forge-token/of+a-pipeline=="
    actions(monkeypatch, tmp_path, github.server.url, GITCD_FORGE_TOKEN=secret)
    said = {
        "message": f"Bad credentials: Authorization: Bearer {secret}",
        "errors": [{"message": quote(secret, safe="")}],
    }
    github.server.fail("POST", "statuses", 422, body=said)
    assert run(["diff", "--ci", "-vv", str(checkout)]) == 0
    out, err = capfd.readouterr()
    assert "Bad credentials" in err
    assert [form for form in (secret, quote(secret, safe=""), quote(secret)) if form in out + err] == []
    assert github.server.requests[0].headers["authorization"] == f"Bearer {secret}"
    assert secret.encode() not in Path("/proc/self/cmdline").read_bytes()


def test_no_token_is_a_warning(github, checkout, tmp_path, monkeypatch, capfd) -> None:
    actions(monkeypatch, tmp_path, github.server.url)
    for name in ("GITCD_FORGE_TOKEN", "GITCD_GIT_TOKEN"):
        monkeypatch.delenv(name)
    assert run(["diff", "--ci", str(checkout)]) == 0
    assert "there is no token" in capfd.readouterr().err
    assert github.server.requests == []


def test_elsewhere_it_is_a_usage_error(checkout, capfd) -> None:
    assert run(["diff", "--ci", str(checkout)]) == 2
    assert "Leave --ci out" in capfd.readouterr().err


def test_a_real_gitea_shows_it(
    repository: Repository,  # noqa: F811 - the fixture
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    forge = repository.forge
    oid = repository.commit("proposal", "a.yaml", "a: 1\n", base="main")
    names = {"GITEA_ACTIONS": "true", "GITHUB_REPOSITORY": repository.full_name, "GITCD_FORGE_TOKEN": forge.bot.token}
    actions(monkeypatch, tmp_path, forge.url, oid, **names)
    assert run(["diff", "--ci", str(checkout)]) == 0
    capfd.readouterr()
    (shown,) = forge.api("GET", f"{repository.path}/commits/{oid}/statuses")
    assert (shown["context"], shown["status"], shown["description"]) == ("gitcd diff", "success", "1 bumped")


def test_gitlab_names_the_source_branch_of_merged_results() -> None:
    environ = {
        "GITLAB_CI": "true",
        "CI_PROJECT_URL": "https://gitlab.example.com/a/b/config",
        "CI_SERVER_URL": "https://gitlab.example.com",
        "CI_COMMIT_SHA": "d" * 40,
        "CI_JOB_URL": "https://gitlab.example.com/a/b/config/-/jobs/17",
    }
    job = Job(environ["CI_PROJECT_URL"], "d" * 40, environ["CI_JOB_URL"], "gitlab", "https://gitlab.example.com")
    assert job_of(environ) == job
    assert job_of(environ | {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}).commit == HEAD


@pytest.mark.parametrize("event", ["", "nonsense", "[]", '{"pull_request": null}', '{"push": 1}'])
def test_an_event_that_is_no_pull_request_is_about_the_commit(tmp_path: Path, event: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(event)
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "d" * 40, "GITHUB_EVENT_PATH": str(path)}
    assert job_of(environ).commit == "d" * 40
    with pytest.raises(ConfigError, match="which commit"):
        job_of(environ | {"GITHUB_SHA": "main; rm -rf /"})
