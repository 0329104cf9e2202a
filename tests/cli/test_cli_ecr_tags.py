"""Whole command lines of `gitcd ecr-tags`, over a stand-in for ECR; among them those of cvmanager's README."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from gitcd.cli.ecr_report import size
from gitcd.cli.main import run
from tests.conftest import CANARIES
from tests.support.ecr import ACCOUNT, GET_BLOB, SIGNATURE, Call, StandIn

APP = "team/app"
HOST = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
HEAVY = ("kubernetes", "git", "yaml", "ruamel", "jinja2", "rich", "asyncio", "moto")
DIGEST = {"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"}
IMAGE = {
    "digest": DIGEST, "tags": {"type": "array", "items": {"type": "string"}}, "pushedAt": {"type": ["string", "null"]},
    "size": {"type": ["integer", "null"]}, "mediaType": {"type": "string"},
}  # fmt: skip
TEXT = {"type": "string"}
CHANGE = {"repository": TEXT, "tag": TEXT, "action": {"enum": ["Added", "Moved", "Unchanged", "Removed", "Absent", "Kept", "Failed"]}, "old": DIGEST, "new": DIGEST}  # fmt: skip
WHY = {"reason": TEXT, "message": TEXT, "remedy": TEXT, "note": TEXT}
MOVE = {"time": TEXT, "run": TEXT, "by": TEXT, "caller": {"type": ["string", "null"]}, "repository": TEXT, "tag": TEXT, "old": DIGEST, "new": DIGEST}  # fmt: skip


def closed(properties: dict, **optional: object) -> dict:
    every = properties | optional
    return {"type": "object", "properties": every, "required": list(properties), "additionalProperties": False}


def a_document(kind: str, **properties: object) -> dict:
    return closed({"apiVersion": {"const": "gitcd.io/v1"}, "kind": {"const": kind}} | properties)


def items(schema: dict) -> dict:
    return {"type": "array", "items": schema}


PLATFORMS = {"type": ["array", "null"], "items": TEXT}
SCHEMAS = {
    "EcrImage": a_document("EcrImage", repository=TEXT, platforms=PLATFORMS, **IMAGE),
    "EcrImageList": a_document("EcrImageList", repository=TEXT, items=items(closed(IMAGE))),
    "TagChanges": a_document("TagChanges", run=TEXT, dryRun={"type": "boolean"}, changes=items(closed(CHANGE, **WHY))),
    "TagMoveList": a_document("TagMoveList", items=items(closed(MOVE))),
}


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with StandIn() as server:
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


@pytest.fixture
def one(ecr: StandIn) -> str:
    return ecr.put(APP, tags=["1.0.0", "env-prod"])


@pytest.fixture
def two(ecr: StandIn) -> str:
    return ecr.put_index(APP, tags=["2.0.0"])


@pytest.fixture
def gitcd(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def call(line: str, *more: object, code: int = 0) -> tuple[str, str]:
        got = run(["ecr-tags", *shlex.split(line), *map(str, more)])
        out, err = capfd.readouterr()
        assert got == code, err
        return out, err

    return call


def asked(ecr: StandIn) -> Call:
    """The last request to the API."""
    return [call for call in ecr.calls if call.operation != GET_BLOB][-1]


def document(out: str) -> dict:
    value = json.loads(out)
    jsonschema.validate(value, SCHEMAS[value["kind"]])
    return value


class TestPredecessor:
    """The lines of cvmanager's README for its tagger, with the one word replaced."""

    NAME = "nearmap/cvmanager"
    SHA = "4b1d9c7e5f3a2b8d6c0e1f2a3b4c5d6e7f8a9b0c"

    def line(self, words: str, capfd: pytest.CaptureFixture[str], code: int = 0) -> str:
        program, *arguments = shlex.split(words.replace("<SHA>", self.SHA))
        assert program == "cvmanager"
        assert run(arguments) == code
        return capfd.readouterr().out

    def test_get_prints_the_tags_of_the_image(self, ecr: StandIn, capfd) -> None:
        ecr.put(self.NAME, tags=[self.SHA, "env-audev-api", "latest"])
        out = self.line("cvmanager ecr-tags get --ecr nearmap/cvmanager --version <SHA>", capfd)
        assert [line.split()[0] for line in out.splitlines()[1:]] == [self.SHA, "env-audev-api", "latest"]

    def test_add_moves_the_tags_onto_the_image(self, ecr: StandIn, capfd) -> None:
        old = ecr.put(self.NAME, tags=["0ld", "env-audev-api"])
        new = ecr.put(self.NAME, tags=[self.SHA])
        line = "cvmanager ecr-tags add --ecr nearmap/cvmanager --tags env-audev-api,env-usdev-api --version <SHA>"
        for _ in range(2):
            self.line(line, capfd)
            assert ecr.contents(self.NAME) == {old: {"0ld"}, new: {self.SHA, "env-audev-api", "env-usdev-api"}}

    def test_remove_takes_the_tags_away(self, ecr: StandIn, capfd) -> None:
        digest = ecr.put(self.NAME, tags=[self.SHA, "env-audev-api"])
        line = "cvmanager ecr-tags remove --ecr nearmap/cvmanager --tags env-audev-api,env-usdev-api"
        for _ in range(2):
            self.line(line, capfd)
            assert ecr.contents(self.NAME) == {digest: {self.SHA}}

    def test_remove_for_add_as_its_page_has_it_by_mistake_moves_nothing(self, ecr: StandIn, capfd) -> None:
        old = ecr.put(self.NAME, tags=["0ld", "env-audev-api"])
        new = ecr.put(self.NAME, tags=[self.SHA])
        line = "cvmanager ecr-tags remove --ecr nearmap/cvmanager --tags env-audev-api,env-usdev-api --version <SHA>"
        run(shlex.split(line.replace("<SHA>", self.SHA))[1:])
        assert "Did you mean `add`?" in capfd.readouterr().err
        self.line(line, capfd, code=5)
        assert ecr.contents(self.NAME) == {old: {"0ld", "env-audev-api"}, new: {self.SHA}}


class TestGet:
    @pytest.mark.parametrize("flag", ["--version 1.0.0", "--tag env-prod", "--digest {one}"])
    def test_an_image_by_any_of_its_names(self, ecr: StandIn, one: str, gitcd, flag: str) -> None:
        value = document(gitcd(f"get --ecr {APP} -o json {flag.format(one=one)}")[0])
        assert (value["digest"], value["tags"]) == (one, ["1.0.0", "env-prod"])
        assert (value["pushedAt"], value["size"]) == ("2026-01-15T12:00:00Z", 33_455_385)
        assert value["platforms"] == ["linux/amd64"]

    def test_the_table_has_a_line_for_each_tag(self, ecr: StandIn, one: str, gitcd) -> None:
        out, err = gitcd(f"get --ecr {APP} --tag env-prod")
        rows = [line.split() for line in out.splitlines()]
        assert rows[0] == ["TAG", "DIGEST", "PUSHED", "SIZE", "PLATFORMS"]
        assert rows[1:] == [[tag, one, "2026-01-15T12:00:00Z", "31.9", "MiB", "linux/amd64"] for tag in ("1.0.0", "env-prod")]  # fmt: skip
        assert err == ""

    def test_platforms_of_an_index(self, ecr: StandIn, two: str, gitcd) -> None:
        out, _ = gitcd(f"get --ecr {HOST}/{APP} --version 2.0.0")
        assert out.splitlines()[1].endswith("linux/amd64,linux/arm64")

    @pytest.mark.parametrize(
        ("operation", "version"),
        [("BatchGetImage", "1.0.0"), ("BatchGetImage", "2.0.0"), ("GetDownloadUrlForLayer", "1.0.0")],
    )
    def test_platforms_that_may_not_be_read_are_left_out(self, ecr, one, two, gitcd, operation, version) -> None:
        ecr.fail(operation, "AccessDeniedException", times=-1, message="User: tagger is not authorized")
        out, err = gitcd(f"get --ecr {HOST}/{APP} --version {version}")
        assert all(line.split()[-1] == "-" for line in out.splitlines()[1:])
        assert err == (
            f"warning: the platforms are not known: not allowed to call ecr:{operation} on "
            f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{APP}: User: tagger is not authorized\n"
        )
        assert document(gitcd(f"get --ecr {APP} --version {version} -o json")[0])["platforms"] is None

    def test_the_address_of_a_configuration_is_never_shown(self, ecr, one, gitcd) -> None:
        ecr.fail(GET_BLOB, "AccessDenied", status=403, times=-1)
        for form in ("table", "json", "yaml"):
            said = "".join(gitcd(f"get --ecr {APP} --version 1.0.0 -vv -o {form}"))
            assert "127.0.0.1 did not give an image's configuration" in said
            assert SIGNATURE not in said
        assert ecr.counted()[GET_BLOB] == 3

    def test_names_need_no_platforms(self, ecr, one, gitcd) -> None:
        ecr.fail("BatchGetImage", "AccessDeniedException", times=-1)
        assert gitcd(f"get --ecr {APP} --version 1.0.0 -o name") == ("1.0.0\nenv-prod\n", "")
        assert ecr.counted() == {"DescribeImages": 1}

    def test_names_and_yaml(self, ecr: StandIn, one: str, gitcd) -> None:
        assert gitcd(f"get --ecr {APP} --version 1.0.0 -o name")[0] == "1.0.0\nenv-prod\n"
        assert gitcd(f"get --ecr {APP} --version 1.0.0 -o yaml")[0].startswith(
            "apiVersion: gitcd.io/v1\nkind: EcrImage\n"
        )

    def test_an_untagged_image(self, ecr: StandIn, gitcd) -> None:
        digest = ecr.put(APP)
        assert gitcd(f"get --ecr {APP} --digest {digest}")[0].splitlines()[1].startswith(f"-    {digest}")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("get --version 1", "Missing option '--ecr'"),
            ("get --ecr team/app", "name the image by one of --version, --tag and --digest"),
            ("get --ecr team/app --version 1 --tag 2", "name the image by one of"),
            ("get --ecr team/app --version 'a b'", "neither a tag nor a digest"),
            ("get --ecr team/app --digest 1234", "is not a digest"),
            ("get --ecr team/app:1 --version 1", "--ecr: "),
            ("list --ecr team/app --filter [", "Invalid value for --filter"),
            ("list --ecr team/app --limit 0", "--limit"),
            ("add --ecr team/app --version 1", "a tag is needed"),
            ("add --ecr team/app --tags a", "Missing option '--version'"),
            ("add --version 1 --tags a", "name a repository with --ecr"),
            ("add --ecr team/app --version 1 --tags a,,b/c", "'b/c' is not a tag"),
            ("add --ecr team/app --version 1 --tags a --expect-current x", "is not a digest"),
            ("remove --ecr team/app --tags ,", "a tag is needed"),
            ("add --ecr team/app --version 1 --tags a --journal - -o json", "--journal - takes stdout"),
            ("add --ecr team/app --version 1 --tags a --journal /no/such/folder/j", "cannot be written"),
            ("log /no/such/file", "cannot be read"),
            ("get --ecr '' --version 1", "--ecr: no repository is named"),
            ("get --ecr team/app --version 1 --role-arn tagger", "'tagger' is not the Amazon Resource Name of a role"),
            ("get --ecr team/app --version 1 --region 'us east'", "'us east' is not a region"),
            ("get --ecr team/app --version 1 --region=-x", "'-x' is not a region"),
        ],
    )  # fmt: skip
    def test_a_wrong_line_exits_2_and_asks_nobody(self, ecr: StandIn, gitcd, line: str, said: str) -> None:
        assert said in gitcd(line, code=2)[1]
        assert ecr.calls == []


class TestList:
    def test_images_with_a_filter_and_a_limit(self, ecr: StandIn, gitcd) -> None:
        for number in range(4):
            ecr.put(APP, tags=[f"1.{number}", f"env-{number}"], pushed_at=1_700_000_000 + number)
        assert gitcd(f"list --ecr {APP} -o name --filter ^env --limit 2")[0].split() == ["env-3", "env-2"]
        value = document(gitcd(f"list --ecr {APP} -o json")[0])
        assert [item["tags"] for item in value["items"]] == [[f"1.{n}", f"env-{n}"] for n in (3, 2, 1, 0)]
        assert len(gitcd(f"list --ecr {APP}")[0].splitlines()) == 9

    def test_an_empty_repository_lists_nothing(self, ecr: StandIn, gitcd) -> None:
        ecr.create(APP)
        assert gitcd(f"list --ecr {APP}") == ("", "")


class TestAdd:
    def test_from_and_to_are_shown(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        out, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --tags env-a,env-b")
        rows = [line.split() for line in out.splitlines()]
        assert rows[1] == [APP, "env-prod", one[7:19], two[7:19], "Moved", "-"]
        assert rows[2] == [APP, "env-a", "-", two[7:19], "Added", "-"]
        assert err == "1 moved, 2 added\n"
        assert ecr.contents(APP)[two] == {"2.0.0", "env-prod", "env-a", "env-b"}

    def test_json_is_one_document(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        ecr.create(APP).immutable = True
        out, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod,new --run pipeline-7 -o json", code=5)
        value = document(out)
        assert (value["run"], value["dryRun"]) == ("pipeline-7", False)
        assert [(each["action"], each.get("reason")) for each in value["changes"]] == [
            ("Failed", "ImmutableTag"),
            ("Added", None),
        ]
        assert "error: team/app does not let the tag env-prod move: its tag mutability is IMMUTABLE\n" in err

    def test_names_are_those_that_moved(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        assert gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod,2.0.0 -o name")[0] == f"{APP}:env-prod\n"

    def test_several_repositories_each_with_its_result(self, ecr: StandIn, one, two, gitcd, tmp_path) -> None:
        ecr.put("team/other", tags=["2.0.0"])
        file = tmp_path / "repositories"
        file.write_text(f"# services\nteam/other\n\n{APP}  # this one too\nno/such\n")
        out, err = gitcd(f"add --ecr {APP} --ecr-file {file} --version 2.0.0 --tags env-prod", code=5)
        assert [line.split()[0] for line in out.splitlines()[1:]] == [APP, "team/other", "no/such"]
        assert "there is no repository arn:aws:ecr:us-east-1:*:repository/no/such" in err
        assert err.endswith("1 moved, 1 added, 1 failed\n")
        assert all("env-prod" in set().union(*ecr.contents(name).values()) for name in (APP, "team/other"))

    @pytest.mark.parametrize("text", [b"\xef\xbb\xbfteam/app\r\n", b"\r\n# x\r\nteam/app # y\r\n\r\nteam/app"])
    def test_a_file_as_other_systems_write_it(self, ecr: StandIn, one, two, gitcd, tmp_path, text: bytes) -> None:
        (tmp_path / "file").write_bytes(text)
        out, _ = gitcd(f"add --ecr-file {tmp_path / 'file'} --version 2.0.0 --tags env-prod -o name")
        assert out == f"{APP}:env-prod\n"

    @pytest.mark.parametrize(
        ("text", "said"), [("team/app\n".encode("utf-16"), "it is not UTF-8"), (b"a\0b", "--ecr: ")]
    )
    def test_a_file_of_another_kind_is_refused_whole(self, ecr: StandIn, gitcd, tmp_path, text: bytes, said) -> None:
        (tmp_path / "file").write_bytes(text)
        assert said in gitcd(f"add --ecr {APP} --ecr-file {tmp_path / 'file'} --version 2 --tags x", code=2)[1]
        assert ecr.calls == []

    def test_a_dry_run_says_so(self, ecr: StandIn, one: str, two: str, gitcd, tmp_path) -> None:
        before, journal = ecr.contents(APP), tmp_path / "journal"
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --dry-run --journal {journal}")
        assert err == "dry run, nothing was written: 1 moved\n"
        assert ecr.contents(APP) == before
        assert not journal.exists()

    def test_a_dry_run_that_could_not_look_warns(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        ecr.fail("DescribeRepositories", "AccessDeniedException", times=-1)
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --dry-run")
        assert err.startswith("warning: team/app:env-prod: whether it may move could not be found out")

    def test_a_tag_that_is_not_where_it_is_expected(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        before = ecr.contents(APP)
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --expect-current {two}", code=5)
        assert f"names {one}, and not {two}; it was left alone" in err
        assert ecr.contents(APP) == before
        gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --expect-current {one}")
        gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-first --expect-current none")

    def test_throttling_exits_3(self, ecr: StandIn, one: str, two: str, gitcd, monkeypatch) -> None:
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        ecr.fail("PutImage", "ThrottlingException", times=-1)
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod", code=3)
        assert "throttled every attempt" in err

    def test_every_input_may_come_from_the_environment(self, ecr: StandIn, one, two, gitcd, monkeypatch) -> None:
        values = {"ECR": APP, "VERSION": "2.0.0", "TAGS": "env-prod,env-a", "EXPECT_CURRENT": ""}
        for name, value in values.items():
            monkeypatch.setenv(f"GITCD_ECR_TAGS_{name}", value)
        gitcd("add")
        assert ecr.contents(APP)[two] == {"2.0.0", "env-prod", "env-a"}


class TestRemove:
    def test_what_goes_what_was_not_there_and_what_must_stay(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        out, err = gitcd(f"remove --ecr {APP} --tags env-prod,nope,2.0.0", code=5)
        assert [line.split()[-2:] for line in out.splitlines()[1:]] == [
            ["Removed", "-"], ["Absent", "-"], ["Failed", "LastTag"],
        ]  # fmt: skip
        assert "--delete-untagged" in err
        contents = ecr.contents(APP)
        assert (contents[one], contents[two], len(contents)) == ({"1.0.0"}, {"2.0.0"}, 4)

    def test_delete_untagged_takes_that_image_alone(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        before = ecr.contents(APP)
        gitcd(f"remove --ecr {APP} --tags 1.0.0,env-prod --delete-untagged")
        del before[one]
        assert ecr.contents(APP) == before

    def test_delete_untagged_is_no_variable(self, ecr: StandIn, one: str, gitcd, monkeypatch) -> None:
        monkeypatch.setenv("GITCD_ECR_TAGS_DELETE_UNTAGGED", "1")
        gitcd(f"remove --ecr {APP} --tags 1.0.0,env-prod", code=5)
        assert one in ecr.contents(APP)

    def test_a_dry_run_removes_nothing(self, ecr: StandIn, one: str, gitcd) -> None:
        before = ecr.contents(APP)
        gitcd(f"remove --ecr {APP} --tags env-prod --dry-run")
        assert ecr.contents(APP) == before

    def test_the_help_says_what_cannot_be_promised(self, gitcd) -> None:
        removing, adding = (" ".join(gitcd(f"{verb} --help")[0].split()) for verb in ("remove", "add"))
        assert "The check cannot be one with the removal" in removing
        assert "ECR has no compare-and-set" in adding


class TestReach:
    """By which region, account, role and profile."""

    def test_a_full_name_needs_no_region(self, ecr: StandIn, gitcd, monkeypatch) -> None:
        monkeypatch.delenv("AWS_REGION")
        name = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/app"
        ecr.put(name, tags=["1.0.0"])
        gitcd(f"get --ecr {name} --version 1.0.0")
        assert (asked(ecr).region, asked(ecr).body["registryId"]) == ("eu-west-1", "210987654321")

    def test_no_region_exits_2(self, ecr: StandIn, gitcd, monkeypatch) -> None:
        monkeypatch.delenv("AWS_REGION")
        assert "AWS_REGION" in gitcd(f"get --ecr {APP} --version 1.0.0", code=2)[1]

    @pytest.mark.parametrize(
        ("flag", "variables", "region"),
        [
            ("", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
            ("", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
            ("--region eu-west-3", {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-3"),
        ],
    )
    def test_a_bare_name_is_in_the_region_of_the_environment(
        self, ecr: StandIn, gitcd, monkeypatch, flag: str, variables: dict[str, str], region: str
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ecr.put(f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{APP}", tags=["1.0.0"])
        gitcd(f"get --ecr {APP} --version 1.0.0 {flag}")
        assert asked(ecr).region == region

    def test_a_role_is_assumed(self, ecr: StandIn, one: str, gitcd) -> None:
        gitcd(f"get --ecr {APP} --version 1.0.0 --role-arn arn:aws:iam::{ACCOUNT}:role/tagger")
        assert [role["RoleArn"] for role in ecr.roles] == [f"arn:aws:iam::{ACCOUNT}:role/tagger"]
        assert asked(ecr).access_key == "ASIAROLE00000001"

    def test_a_profile_gives_keys_and_region(self, ecr: StandIn, gitcd, monkeypatch, tmp_path) -> None:
        ecr.put(f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/{APP}", tags=["1.0.0"])
        file = tmp_path / "aws-config"
        file.write_text("[profile ci]\nregion = eu-central-1\naws_access_key_id = AKIACI\naws_secret_access_key = s\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        gitcd(f"get --ecr {APP} --version 1.0.0 --profile ci")
        assert (asked(ecr).access_key, asked(ecr).region) == ("AKIACI", "eu-central-1")
        assert "profile" in gitcd(f"get --ecr {APP} --version 1.0.0 --profile nobody", code=2)[1]

    @pytest.mark.parametrize(
        ("operation", "line"),
        [
            ("DescribeImages", "get --version 1.0.0"),
            ("DescribeImages", "list"),
            ("PutImage", "add --version 2.0.0 --tags env-prod"),
            ("BatchGetImage", "add --version 2.0.0 --tags env-prod"),
            ("BatchDeleteImage", "remove --tags env-prod"),
        ],
    )
    def test_a_denial_names_action_and_resource(self, ecr, one, two, gitcd, operation: str, line: str) -> None:
        ecr.fail(operation, "AccessDeniedException", times=-1, message="User: arn:aws:iam::1:user/x is not authorized")
        _, err = gitcd(f"{line} --ecr {HOST}/{APP}", code=5)
        arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{APP}"
        assert f"not allowed to call ecr:{operation} on {arn}: User: arn:aws:iam::1:user/x" in err
        assert f"ecr:{operation}" in err.partition("\n")[2]

    def test_credentials_that_have_expired_exit_3(self, ecr: StandIn, one: str, gitcd) -> None:
        ecr.fail("*", "ExpiredTokenException", times=-1)
        _, err = gitcd(f"get --ecr {APP} --version 1.0.0", code=3)
        assert "have expired" in err
        assert "aws sso login" in err

    def test_a_key_that_kms_refuses_is_named(self, ecr: StandIn, one: str, gitcd) -> None:
        ecr.put(APP, tags=["2.0.0"], trouble="KmsError")
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod", code=5)
        assert "KMS key" in err


class TestJournal:
    def test_moves_are_journalled_and_told(self, ecr: StandIn, one: str, two: str, gitcd, tmp_path) -> None:
        journal = tmp_path / "journal"
        for line in ("add --version 2.0.0 --tags env-prod", "add --version 1.0.0 --tags env-prod,x", "remove --tags x"):
            gitcd(f"{line} --ecr {APP} --journal {journal} --by ann --run r1")
        assert len(journal.read_text().splitlines()) == 4
        out, err = gitcd(f"log {journal} --ecr {APP} --tag env-prod")
        rows = [line.split()[1:] for line in out.splitlines()]
        assert rows[1:] == [
            ["ann", f"{HOST}/{APP}", "env-prod", one[7:19], two[7:19], "r1"],
            ["ann", f"{HOST}/{APP}", "env-prod", two[7:19], one[7:19], "r1"],
        ]
        value = document(gitcd(f"log {journal} -o json")[0])
        assert [(item["tag"], item["old"], item["new"]) for item in value["items"]] == [
            ("env-prod", one, two), ("env-prod", two, one), ("x", None, one), ("x", one, None),
        ]  # fmt: skip
        assert err == ""

    def test_a_journal_on_stdout_leaves_nothing_else_there(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        out, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal -")
        (line,) = out.splitlines()
        assert (json.loads(line)["kind"], json.loads(line)["old"]) == ("TagMove", one)
        assert "Moved" in err

    def test_T10_no_secret_gets_into_a_journal(self, ecr: StandIn, one: str, two: str, gitcd, tmp_path) -> None:
        journal, secret = tmp_path / "journal", CANARIES["GITHUB_TOKEN"]
        run_address = f"https://x:{secret}@ci.example.com/7"
        gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal {journal} --by {secret} --run {run_address}")
        entry = json.loads(journal.read_text())
        assert (entry["by"], entry["run"]) == ("***", "https://***@ci.example.com/7")

    def test_who_it_is_comes_from_sts_where_asked(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        out, _ = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal - --caller-identity")
        assert json.loads(out)["caller"] == f"arn:aws:iam::{ACCOUNT}:user/tests"
        assert ecr.calls[0].operation == "GetCallerIdentity"

    def test_who_it_is_that_sts_does_not_say_moves_nothing(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        before = ecr.contents(APP)
        ecr.fail("GetCallerIdentity", "AccessDenied", status=403, times=-1)
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --caller-identity", code=5)
        assert "sts:GetCallerIdentity" in err
        assert ecr.contents(APP) == before

    def test_a_full_disk_is_told_with_the_line(self, ecr: StandIn, one: str, two: str, gitcd) -> None:
        if not os.access("/dev/full", os.W_OK):
            pytest.skip("no /dev/full here")
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal /dev/full", code=5)
        assert "the journal could not be written: No space left on device" in err
        assert '"tag":"env-prod"' in err
        assert ecr.contents(APP)[two] == {"2.0.0", "env-prod"}

    def test_a_stdout_that_takes_nothing_is_told_with_every_line(
        self, ecr: StandIn, one, two, gitcd, monkeypatch
    ) -> None:
        if not os.access("/dev/full", os.W_OK):
            pytest.skip("no /dev/full here")
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod,a,b --journal -", code=5)
        assert [f'"tag":"{tag}"' in err for tag in ("env-prod", "a", "b")] == [True, True, True]
        assert ecr.contents(APP)[two] == {"2.0.0", "env-prod", "a", "b"}

    def test_a_reader_that_went_away_loses_no_line(self, ecr: StandIn, one, two, gitcd, monkeypatch) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as gone:
            monkeypatch.setattr(sys, "stdout", gone)
            _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal -", code=5)
        assert "the journal could not be written: Broken pipe" in err
        assert '"tag":"env-prod"' in err

    def test_a_closed_stdout_moves_nothing(self, ecr: StandIn, one, two, gitcd, monkeypatch) -> None:
        before = ecr.contents(APP)
        monkeypatch.setattr(sys, "stdout", None)
        _, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod --journal -", code=2)
        assert "stdout is closed" in err
        assert ecr.contents(APP) == before

    def test_hostile_lines_are_warned_of_and_cannot_steer_the_terminal(self, gitcd, tmp_path) -> None:
        journal = tmp_path / "journal"
        entry = {
            "apiVersion": "gitcd.io/v1", "kind": "TagMove", "time": "2026-01-01T00:00:00Z", "run": "r", "by": "\x1b]0;x\x07eve",
            "repository": "r", "tag": "t", "old": "", "new": "sha256:" + "1" * 64,
        }  # fmt: skip
        bad = [entry | {"tag": "a b"}, entry | {"new": "x"}, entry | {"time": "2026-01-01"}, entry | {"by": None}]
        journal.write_bytes(b"\n".join([b"\x00\xff", *(json.dumps(each).encode() for each in [*bad, entry])]))
        out, err = gitcd(f"log {journal}")
        assert len(err.splitlines()) == 5
        assert f"warning: {journal}:2: skipped, as its tag is none" in err
        assert "eve" in out
        assert "\x1b" not in out


class TestInterrupted:
    """A signal comes when a request has reached ECR, and its answer has not reached gitcd."""

    @pytest.fixture
    def interrupt(self, ecr: StandIn) -> Callable[..., None]:
        def before(operation: str, *acts: Callable[[], object]) -> None:
            ecr.before(
                operation, lambda: ([act() for act in acts], os.kill(os.getpid(), signal.SIGINT), time.sleep(0.3))
            )

        return before

    def test_F24_what_was_moved_is_told_and_journalled_and_nothing_more_moves(
        self, ecr: StandIn, one, two, gitcd, interrupt, tmp_path
    ) -> None:
        journal = tmp_path / "journal"
        interrupt("PutImage")
        out, err = gitcd(f"add --ecr {APP} --version 2.0.0 --tags env-prod,b,c,d --journal {journal}", code=130)
        assert (out, ecr.contents(APP)[two]) == ("", {"2.0.0", "env-prod"})
        assert [json.loads(line)["tag"] for line in journal.read_text().splitlines()] == ["env-prod"]
        assert [line.split()[1:] for line in err.splitlines()[:2]] == [
            ["TAG", "FROM", "TO", "RESULT", "REASON"],
            ["env-prod", one[7:19], two[7:19], "Moved", "-"],
        ]

    def test_F24_an_image_that_another_one_stripped_is_put_back_all_the_same(
        self, ecr: StandIn, gitcd, interrupt, tmp_path
    ) -> None:
        image = ecr.put(APP, tags=["1.0.0", "env-prod"])
        stored = ecr.create(APP)
        interrupt("BatchDeleteImage", lambda: (stored.tags.pop("1.0.0"), stored.images[image].tags.remove("1.0.0")))
        gitcd(f"remove --ecr {APP} --tags env-prod --journal {tmp_path / 'journal'}", code=130)
        assert ecr.contents(APP) == {image: {"env-prod"}}
        entries = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
        assert [(each["old"], each["new"]) for each in entries] == [(image, ""), ("", image)]

    def test_what_one_repository_got_is_told_where_another_has_no_region(
        self, ecr: StandIn, one, two, gitcd, monkeypatch
    ) -> None:
        monkeypatch.delenv("AWS_REGION")
        _, err = gitcd(f"add --ecr {HOST}/{APP} --ecr {APP} --version 2.0.0 --tags env-prod", code=2)
        assert ("Moved" in err) is (ecr.contents(APP)[two] == {"2.0.0", "env-prod"})
        assert "no region is known" in err


def process(body: str, ecr: StandIn) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", textwrap.dedent(body)]
    return subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(Path.cwd())})  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "get --version 2.0.0", "list", "add --version 2.0.0 --tags env-prod --journal j", "remove --tags env-prod -o json",
        "get --version 1.0.0 -o name",
    ],
)  # fmt: skip
def test_a_fast_start_loads_nothing_it_does_not_need(ecr: StandIn, one, two, line: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GITCD_ECR_TAGS_JOURNAL", str(tmp_path / "journal"))
    line = line.replace("--journal j", "")
    done = process(
        f"""
        import sys
        from gitcd.cli.main import run
        assert run({["ecr-tags", *line.split(), "--ecr", APP]!r}) == 0
        heavy = [name for name in {HEAVY} if name in sys.modules]
        assert not heavy, heavy
        ours = [name for name in sys.modules if name.startswith(("gitcd.git", "gitcd.manifests", "gitcd.usecases.settings"))]
        assert not ours, ours
        """,
        ecr,
    )
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10**9, "953.7 MiB"), (2**50, "1024.0 TiB")])  # fmt: skip
def test_sizes_for_people(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize("name", ["move", "promote", "tag"])
def test_who_wants_to_move_a_tag_is_not_sent_to_remove(capfd, name):
    assert run(["ecr-tags", name, "--ecr", "team/app"]) == 2
    said = capfd.readouterr().err
    assert "`gitcd ecr-tags add`" in said
    assert "remove" not in said
