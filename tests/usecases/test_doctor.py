"""The doctor, with a real remote and the stand-in for ECR."""

from dataclasses import replace

import pytest

from gitcd.model.settings import Ecr, Settings
from gitcd.usecases.doctor import Verdict, examine
from gitcd.usecases.workspace import Workspace
from tests.support.ecr import StandIn
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, app_files


@pytest.fixture
def ecr():
    with StandIn() as server:
        server.put("team/app", tags=["1.0.0", "env-dev"])
        yield server


@pytest.fixture
def remote(tmp_path):
    return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app"))


def examined(ecr, repo, **changes):
    settings = Settings(repo=str(repo), ecr=Ecr(endpoint_url=ecr.url))
    return {check.name: check for check in examine(Workspace(replace(settings, **changes)))}


def test_all_is_well(ecr, remote):
    checks = examined(ecr, remote.url)
    assert {name: check.verdict for name, check in checks.items()} == dict.fromkeys(
        ["git", "repository", "push", "declarations", "registry"], Verdict.OK
    )
    assert "1 ContainerVersion in 2 environments" in checks["declarations"].message
    assert "1 of 1 repositories answer" in checks["registry"].message


def test_a_branch_that_is_not_there(ecr, remote):
    check = examined(ecr, remote.url, branch="trunk")["repository"]
    assert check.verdict is Verdict.FAILED
    assert "main" in check.remedy


def test_a_work_tree_is_read_as_it_lies(ecr, tmp_path):
    for path, data in app_files("app").items():
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_bytes(data)
    checks = examined(ecr, tmp_path / "tree")
    assert "push" not in checks
    assert checks["registry"].verdict is Verdict.OK


def test_F5_a_refusal_of_the_registry_names_the_permission(ecr, remote):
    ecr.fail("DescribeImages", "AccessDeniedException", times=-1)
    check = examined(ecr, remote.url)["registry"]
    assert check.verdict is Verdict.FAILED
    assert "ecr:DescribeImages" in check.remedy


def test_F2_missing_credentials_are_named(ecr, remote, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    check = examined(ecr, remote.url)["credentials"]
    assert check.verdict is Verdict.FAILED
    assert check.remedy


def test_broken_declarations_are_listed(ecr, remote):
    remote.commit({"envs/dev/bad.yaml": b"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {name: bad}\n"})
    check = examined(ecr, remote.url)["declaration"]
    assert check.verdict is Verdict.FAILED
    assert "envs/dev/bad.yaml" in check.message


def test_a_repository_without_declarations_is_a_warning(ecr, tmp_path):
    remote = make_bare(tmp_path / "plain.git", {"README": b"hello\n"})
    assert examined(ecr, remote.url)["declarations"].verdict is Verdict.WARNING
