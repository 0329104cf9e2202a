"""Whole command lines of `gitcd ecr-tags protect` and `unprotect`: a remote, its history, and a stand-in for ECR."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from gitcd.cli.main import run
from gitcd.usecases.protecting import keep_tag
from tests.support.ecr import StandIn
from tests.support.repos import Bare, git, make_bare
from tests.support.scenes import HOST, LAYOUT, app_files

APP = "team/app"
TEXT = {"type": "string"}
DIGEST = {"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"}
WHY = {"reason": TEXT, "message": TEXT, "remedy": TEXT}
CHANGE = {"repository": TEXT, "tag": TEXT, "action": TEXT, "old": DIGEST, "new": DIGEST}


def closed(properties: dict, optional: dict) -> dict:
    return {
        "type": "object",
        "properties": properties | optional,
        "required": list(properties),
        "additionalProperties": False,
    }


DOCUMENT = closed(
    {
        "apiVersion": {"const": "gitcd.io/v1"},
        "kind": {"const": "TagChanges"},
        "run": TEXT,
        "dryRun": {"type": "boolean"},
        "changes": {"type": "array", "items": closed(CHANGE, WHY | {"note": TEXT})},
    },
    {"problems": {"type": "array", "items": closed(WHY, {})}},
)
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

    def test_json_tells_changes_and_problems(self, ecr, versions, remote, gitcd) -> None:
        remote.commit(
            {"envs/dev/bad.yaml": b"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {name: bad}\n"}
        )
        for tag in ("1.0.0", "env-prod"):
            ecr.create(APP).tags.pop(tag)
            ecr.create(APP).images[versions["1.0.0"]].tags.discard(tag)
        out, err = gitcd("ecr-tags protect -o json", code=5)
        value = json.loads(out)
        jsonschema.validate(value, DOCUMENT)
        assert [each["reason"] for each in value["problems"]] == ["InvalidDeclaration"]
        assert {each["reason"] for each in value["changes"]} == {"ImageNotFound"}
        assert "envs/dev/bad.yaml" in err

    def test_who_it_is_comes_from_sts_where_asked(self, ecr, versions, remote, gitcd) -> None:
        out, _ = gitcd(
            "ecr-tags protect -e dev --journal - --caller-identity --role-arn arn:aws:iam::123456789012:role/keep"
        )
        assert json.loads(out)["caller"] == "arn:aws:iam::123456789012:user/tests"
        assert [each["RoleArn"] for each in ecr.roles] == ["arn:aws:iam::123456789012:role/keep"]


class TestTrouble:
    def test_a_history_that_cannot_be_had(self, ecr, versions, deploy, remote, gitcd, tmp_path) -> None:
        """Everything is put that is known, and nothing is taken off."""
        deploy("dev", "1.0.0", "1.1.0", "1.2.0")
        gitcd("ecr-tags protect")
        before = ecr.contents(APP)
        git(tmp_path, "clone", "--quiet", "--depth=1", remote.url, "shallow")
        _, err = gitcd("ecr-tags protect", tmp_path / "shallow", code=5)
        assert "git fetch --unshallow" in err
        assert ecr.contents(APP) == before
        gitcd("ecr-tags protect --keep 0", tmp_path / "shallow")
        assert kept(ecr, versions, "dev") == ["1.2.0"]

    def test_an_image_that_has_expired_is_told(self, ecr, versions, deploy, gitcd) -> None:
        deploy("dev", "1.0.0", "1.1.0", "1.2.0")
        ecr.delete(APP, versions["1.1.0"])
        _, err = gitcd("ecr-tags protect -e dev", code=5)
        assert f"has no image {versions['1.1.0']}, and dev/team/app may be taken back to it" in err
        assert kept(ecr, versions, "dev") == ["1.0.0", "1.2.0"]

    def test_throttling_that_stays_exits_3(self, ecr, versions, remote, gitcd, monkeypatch) -> None:
        monkeypatch.setattr("gitcd.registry.clients._ATTEMPTS", 1)
        ecr.fail("*", "ThrottlingException", times=-1)
        gitcd("ecr-tags protect", code=3)

    def test_a_repository_without_declarations_has_nothing_to_keep(self, ecr, tmp_path, gitcd) -> None:
        bare = make_bare(tmp_path / "plain.git", {"README.md": b"hello\n"})
        for verb in ("protect", "unprotect"):
            out, err = gitcd(f"ecr-tags {verb} --caller-identity {bare.url}")
            assert out == ""
            assert err == (
                "warning: no ContainerVersion is declared, so no image is known to be deployed\nnothing to do\n"
            )
        assert ecr.calls == []

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("protect -e staging", "nothing is selected by --environment staging"),
            ("unprotect -e staging", "nothing is selected by --environment staging"),
            ("protect --app nobody", "nothing is selected by --app nobody"),
            ("protect --keep -1", "--keep"),
            ("protect --journal - -o json", "--journal - takes stdout"),
            ("protect --journal /no/such/folder/j", "cannot be written"),
        ],
    )
    def test_a_wrong_line_exits_2_and_writes_nothing(self, ecr, versions, remote, gitcd, line: str, said: str) -> None:
        assert said in gitcd(f"ecr-tags {line}", code=2)[1]
        assert ecr.calls == []

    def test_a_registry_that_the_operator_does_not_allow(self, ecr, versions, remote, gitcd, tmp_path) -> None:
        settings = tmp_path / "settings.yaml"
        settings.write_text("allow: {registries: ['999999999999']}\n")
        _, err = gitcd(f"ecr-tags protect --config {settings}", code=5)
        assert "not among the registries that the operator allows" in err
        assert ecr.calls == []


def test_protecting_does_not_wait_for_the_neighbours(ecr, versions, remote) -> None:
    """What `protect` needs is loaded by it alone: the module beside it brings neither git nor YAML."""
    script = "import sys, gitcd.cli.ecr_tags; assert not {'git', 'yaml', 'ruamel', 'boto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
