"""What other people's pipelines run on a pull request: the GitHub action and the GitLab component around `gitcd diff --ci`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ecr import StandIn
from tests.support.forges import TOKEN, FakeBench, fake_bench
from tests.support.repos import make_worktree
from tests.support.scenes import LAYOUT, app_files

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/diff"
COMPONENT = ROOT / "ci/gitlab/diff/template.yml"
HEAD = "c" * 40


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBench]:
    with fake_bench("github", monkeypatch) as bench:
        yield bench


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_worktree(tmp_path / "checkout", {"gitcd.yaml": LAYOUT} | app_files("app"))


def action() -> Any:
    return yaml.safe_load((ACTION / "action.yml").read_text())


def command(folder: Path) -> Path:
    script = folder / "gitcd"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gitcd "$@"\n')
    script.chmod(0o755)
    return script


def environment(folder: Path, ecr: StandIn, **more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GITLAB_", "CI", "GITEA_"))
    }
    return kept | {"GITCD_ECR_ENDPOINT_URL": ecr.url, "PATH": f"{folder}:{os.environ['PATH']}"} | more


def test_no_input_is_pasted_into_a_shell() -> None:
    steps = action()["runs"]["steps"]
    assert [step["run"] for step in steps if "${{" in step["run"]] == []
    assert not [step for step in steps if "uses" in step]
    assert [script.name for script in ACTION.glob("*.sh") if "${{" in script.read_text()] == []


def test_every_input_of_the_action_arrives() -> None:
    given = [value for step in action()["runs"]["steps"] for value in step["env"].values()]
    named = {match[1] for value in given if (match := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value))}
    assert named == set(action()["inputs"])


def test_the_page_shows_what_exists() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/ci.md").read_text(), re.MULTILINE | re.DOTALL)
    workflow = yaml.safe_load(blocks[-1])
    *_, ours = workflow["jobs"]["diff"]["steps"]
    assert ours["uses"].partition("@")[0].endswith(f"gitcd/{ACTION.relative_to(ROOT)}")
    assert set(ours.get("with", {})) <= set(action()["inputs"])
    assert workflow["permissions"]["statuses"] == "write"


def test_the_action_shows_a_status_and_heeds_no_commands(github: FakeBench, checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"head": {"sha": HEAD}}}))
    with StandIn() as ecr:
        ecr.put("team/app", tags=["1.0.0"])
        ecr.put("team/app", tags=["1.1.0", "env-dev"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", ACTION / "run.sh"],
            cwd=checkout,
            env=environment(
                tmp_path,
                ecr,
                GITCD_CI_GITCD=str(command(tmp_path)),
                GITCD_REPO=".",
                GITCD_ENVIRONMENT="",
                GITCD_FORGE_TOKEN=TOKEN,
                GITHUB_ACTIONS="true",
                GITHUB_SERVER_URL=github.server.url,
                GITHUB_REPOSITORY="atlas/config",
                GITHUB_EVENT_PATH=str(tmp_path / "event.json"),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    first, *patch, last = done.stdout.splitlines()
    assert first == f"::stop-commands::{last.strip(':')}"
    assert patch[0].startswith("diff --git")
    assert github.statuses(HEAD) == [("gitcd diff", "success")]


def test_the_component_keeps_the_patch_and_the_exit_code(checkout: Path, tmp_path: Path) -> None:
    (_, jobs) = yaml.safe_load_all(COMPONENT.read_text())
    (job,) = jobs.values()
    script = "\n".join(job["script"])
    assert "$[[" not in script
    command(tmp_path)
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.example/a/b", "CI_COMMIT_SHA": HEAD}
    with StandIn() as ecr:
        ecr.put("team/app", tags=["1.0.0", "env-dev"])
        plain = environment(tmp_path, ecr, GITCD_CI_ROLE_ARN="", GITCD_REPO=".", GITCD_ENVIRONMENT="", **gitlab)
        plain = {name: value for name, value in plain.items() if not name.endswith("_TOKEN")}
        done = subprocess.run(
            ["sh", "-c", script], cwd=checkout, env=plain, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (checkout / "gitcd.patch").read_text() == done.stdout
        assert "no status is shown" in done.stderr
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=checkout,
            env=plain | {"GITCD_ENVIRONMENT": "no such"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
