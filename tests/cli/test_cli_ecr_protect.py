"""Whole command lines of `gitcd ecr-tags protect` and `unprotect`: a remote, its history, and a stand-in for ECR."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitcd.cli.main import run
from gitcd.usecases.protecting import keep_tag
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare
from tests.support.scenes import HOST, LAYOUT, app_files

APP = "team/app"
ENVIRONMENTS = ("dev", "prod")


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with StandIn() as server:
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


@pytest.fixture
def versions(ecr: StandIn) -> dict[str, str]:
    """Six versions, each an image of its own; dev and prod begin at the first."""
    found = {f"1.{number}.0": ecr.put(APP, tags=[f"1.{number}.0"]) for number in range(6)}
    for environment in ENVIRONMENTS:
        ecr.move(APP, f"env-{environment}", found["1.0.0"])
    return found


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bare:
    """One application in two environments."""
    bare = make_bare(
        tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("app", environment="prod")
    )
    monkeypatch.setenv("GITCD_REPO", bare.url)
    return bare


@pytest.fixture
def gitcd(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def call(line: str, *more: object, code: int = 0) -> tuple[str, str]:
        got = run([*shlex.split(line), *map(str, more)])
        out, err = capfd.readouterr()
        assert got == code, err
        return out, err

    return call


@pytest.fixture
def deploy(ecr: StandIn, versions: dict[str, str], remote: Bare, gitcd) -> Callable[..., None]:
    """Let an environment run through versions, with a reconcile at each."""

    def through(environment: str, *names: str) -> None:
        for name in names:
            ecr.move(APP, f"env-{environment}", versions[name])
            gitcd("reconcile")

    return through


def kept(ecr: StandIn, versions: dict[str, str], environment: str, name: str = APP) -> list[str]:
    """The versions that have their keep tag of an environment; no other image may have one."""
    by_tag = {keep_tag(environment, digest): version for version, digest in versions.items()}
    found = []
    for digest, tags in ecr.contents(name).items():
        for tag in tags:
            if tag.startswith(f"keep-{environment}-"):
                assert tag == keep_tag(environment, digest)
                found.append(by_tag[tag])
    return sorted(found)


def without_keep_tags(contents: dict[str, set[str]]) -> dict[str, set[str]]:
    return {digest: {tag for tag in tags if not tag.startswith("keep-")} for digest, tags in contents.items()}


class TestProtect:
    def test_what_is_deployed_and_the_versions_before_are_kept(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0")
        before = ecr.contents(APP)
        out, err = gitcd("ecr-tags protect --keep 2")
        assert kept(ecr, versions, "dev") == ["1.2.0", "1.3.0", "1.4.0"]
        assert kept(ecr, versions, "prod") == ["1.0.0"]
        assert without_keep_tags(ecr.contents(APP)) == before
        assert [line.split()[4] for line in out.splitlines()[1:]] == ["Added"] * 4
        assert err == "4 added\n"

    def test_a_second_run_changes_nothing(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0")
        gitcd("ecr-tags protect")
        before = ecr.contents(APP)
        ecr.calls.clear()
        _, err = gitcd("ecr-tags protect")
        assert err == "3 unchanged\n"
        assert ecr.contents(APP) == before
        assert ecr.counted() == {"DescribeImages": 2}

    def test_it_moves_on_with_git(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0")
        for version, expected in [("1.2.0", ["1.1.0", "1.2.0"]), ("1.3.0", ["1.2.0", "1.3.0"])]:
            deploy("dev", version)
            gitcd("ecr-tags protect --keep 1")
            assert kept(ecr, versions, "dev") == expected
        gitcd("ecr-tags protect --keep 0")
        assert kept(ecr, versions, "dev") == ["1.3.0"]

    def test_unprotect_is_the_inverse(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0", "1.2.0")
        before = ecr.contents(APP)
        gitcd("ecr-tags protect")
        _, err = gitcd("ecr-tags unprotect")
        assert err == "4 removed\n"
        assert ecr.contents(APP) == before
        assert gitcd("ecr-tags unprotect") == ("", "nothing to do\n")

    @pytest.mark.parametrize("verb", ["protect", "unprotect"])
    def test_a_dry_run_foresees_and_writes_nothing(self, ecr, versions, deploy, gitcd, verb: str, tmp_path) -> None:
        deploy("dev", "1.0.0", "1.1.0")
        gitcd("ecr-tags protect")
        deploy("dev", "1.2.0")
        before = ecr.contents(APP)
        journal = tmp_path / "journal"
        foreseen, err = gitcd(f"ecr-tags {verb} -e dev --dry-run --journal {journal}")
        assert err.startswith("dry run, nothing was written: ")
        assert ecr.contents(APP) == before
        assert not journal.exists()
        assert gitcd(f"ecr-tags {verb} -e dev")[0] == foreseen

    def test_environments_are_apart(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0")
        deploy("prod", "1.1.0")
        gitcd("ecr-tags protect --keep 0")
        both = {keep_tag(each, versions["1.1.0"]) for each in ENVIRONMENTS}
        assert both < ecr.contents(APP)[versions["1.1.0"]]
        gitcd("ecr-tags unprotect -e dev")
        assert (kept(ecr, versions, "dev"), kept(ecr, versions, "prod")) == ([], ["1.1.0"])
        deploy("prod", "1.2.0")
        gitcd("ecr-tags protect -e dev --keep 0")
        assert (kept(ecr, versions, "dev"), kept(ecr, versions, "prod")) == (["1.1.0"], ["1.1.0"])


class TestJournalAndOutput:
    def test_each_move_is_journalled(self, ecr, versions, deploy, gitcd, tmp_path) -> None:
        deploy("dev", "1.0.0")
        journal = tmp_path / "journal"
        gitcd(f"ecr-tags protect -e dev --journal {journal} --run r1 --by ann")
        gitcd(f"ecr-tags unprotect -e dev --journal {journal} --run r2 --by ann")
        tag, digest = keep_tag("dev", versions["1.0.0"]), versions["1.0.0"]
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [(each["run"], each["repository"], each["tag"], each["old"], each["new"]) for each in entries] == [
            ("r1", f"{HOST}/{APP}", tag, "", digest), ("r2", f"{HOST}/{APP}", tag, digest, ""),
        ]  # fmt: skip

    def test_names_are_those_that_were_written(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0")
        tag = keep_tag("dev", versions["1.0.0"])
        assert gitcd("ecr-tags protect -e dev -o name")[0] == f"{HOST}/{APP}:{tag}\n"
        assert gitcd("ecr-tags protect -e dev -o name")[0] == ""
