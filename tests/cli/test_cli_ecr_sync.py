"""`gitcd ecr-sync` as whole command lines, over real git and a stand-in for ECR."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from gitcd.cli.ecr_sync import command
from gitcd.cli.main import run
from gitcd.model import document
from tests.conftest import ACCOUNT, REGION
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare, make_worktree
from tests.support.waiting import wait_until

OLD, NEW = "0a1b2c3d4e", "5f6a7b8c9d"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nearmap/tiles"
DEPLOYMENT = f"""\
# tilesapp, as deployed
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tilesapp, namespace: default}}
spec:
  template:
    spec:
      containers:
        - name: tilesapp-container
          image: {IMAGE}:{OLD}  # moves
        - {{name: proxy, image: "proxy:1"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tilesjobs}}
spec:
  template:
    spec:
      containers:
        - {{name: tilesapp-container, image: "{IMAGE}:{OLD}"}}
""".encode()
CONFIG = f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: tiles}}\ndata:\n  version: "{OLD}"\n'.encode()
LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod}
"""
PATH = "envs/dev/tiles/deployment.yaml"
FILES = {"gitcd.yaml": LAYOUT, PATH: DEPLOYMENT, "envs/dev/tiles/config.yaml": CONFIG}
FLAGS = (
    "--tag=dev", "--ecr=nearmap/tiles", "--deployment=tilesapp", "--container=tilesapp-container",
    "--namespace=default", "--sync=1",
)  # fmt: skip


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The Deployment runs OLD; the tag `dev` names NEW."""
    with StandIn() as server:
        server.put("nearmap/tiles", tags=[OLD, "env-prod"])
        server.put("nearmap/tiles", tags=[NEW, "dev"])
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", server.url)
        yield server


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bare:
    bare = make_bare(tmp_path / "remote.git", FILES)
    monkeypatch.setenv("GITCD_REPO", bare.url)
    return bare


def sync(capfd, *arguments: str, code: int = 0, flags: tuple[str, ...] = FLAGS) -> tuple[str, str]:
    """Run the command with cvmanager's flags and some more; its exit code is the one expected."""
    got = run(["ecr-sync", *flags, *map(str, arguments)])
    out, err = capfd.readouterr()
    assert got == code, err
    return out, err


def moved(ecr: StandIn, version: str = NEW, tag: str = "dev") -> bytes:
    """The manifest after a move to what the tag names."""
    digest = ecr.create("nearmap/tiles").tags[tag]
    return DEPLOYMENT.replace(f"{IMAGE}:{OLD}  #".encode(), f"{IMAGE}:{version}@{digest}  #".encode())


class TestOnce:
    def test_the_one_container_moves_and_not_a_byte_else(self, ecr, remote, capfd) -> None:
        out, _ = sync(capfd, "--once")
        assert out == f"{remote.tip} dev: tilesapp {OLD} -> {NEW}\n"
        assert remote.show(PATH) == moved(ecr)
        assert remote.git("diff-tree", "-r", "--name-only", "HEAD~1", "HEAD").split() == [PATH]
        assert "Gitcd-App: default/tilesapp" in remote.git("log", "-1", "--format=%B")

    def test_F32_a_second_poll_makes_no_commit(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once")
        tip = remote.tip
        out, err = sync(capfd, "--once")
        assert (out, remote.tip) == ("", tip)
        assert err.endswith("1 current\nnothing to do\n")

    def test_the_version_is_written_to_the_config_map_in_the_same_commit(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once", "--configKey", "tiles/version")
        assert remote.count() == 2
        assert remote.show("envs/dev/tiles/config.yaml") == CONFIG.replace(OLD.encode(), NEW.encode())

    def test_a_repository_named_in_full_needs_no_look_for_its_registry(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once", f"--ecr={IMAGE}")
        assert remote.show(PATH) == moved(ecr)
        assert set(ecr.counted()) == {"DescribeImages"}

    def test_a_hash_may_stand_anywhere_in_the_version(self, ecr, remote, capfd) -> None:
        ecr.put("nearmap/tiles", tags=["main-77aa77aa", "dev"])
        sync(capfd, "--once")
        assert remote.show(PATH) == moved(ecr, "main-77aa77aa")

    def test_two_such_tags_are_not_guessed_about(self, ecr, remote, capfd) -> None:
        ecr.put("nearmap/tiles", tags=["main-77aa77aa", "77aa77aa", "dev"])
        _, err = sync(capfd, "--once", code=5)
        assert "several tags of the image match" in err
        assert "77aa77aa, main-77aa77aa" in err
        sync(capfd, "--once", "--version-syntax", "[0-9a-f]{8}")
        assert remote.show(PATH) == moved(ecr, "77aa77aa")

    def test_the_pin_can_be_what_cvmanager_wrote(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once", "--pin=Version")
        assert remote.show(PATH) == DEPLOYMENT.replace(f"{IMAGE}:{OLD}  #".encode(), f"{IMAGE}:{NEW}  #".encode())

    def test_the_report_for_programs(self, ecr, remote, capfd) -> None:
        report = json.loads(sync(capfd, "--once", "-o", "json")[0])
        assert [commit["id"] for commit in report["commits"]] == [remote.tip]
        (outcome,) = report["outcomes"]
        assert outcome["identity"] == {"environment": "dev", "namespace": "default", "name": "tilesapp"}
        assert (outcome["kind"], outcome["resolved"]["version"]) == ("Bumped", NEW)
        jsonschema.validate(report, document.report_schema())

    @pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
    def test_the_region_of_a_bare_name_is_that_of_the_environment(
        self, ecr, remote, capfd, monkeypatch, variable
    ) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv(variable, "eu-west-1")
        image = IMAGE.replace(REGION, "eu-west-1")
        ecr.put(image, tags=[NEW, "dev"])
        ecr.put(image, tags=[OLD])
        remote.commit({PATH: DEPLOYMENT.replace(IMAGE.encode(), image.encode())})
        sync(capfd, "--once")
        assert f"{image}:{NEW}@sha256:".encode() in remote.show(PATH)
        assert {call.region for call in ecr.calls} == {"eu-west-1"}

    def test_flags_may_come_from_the_environment(self, ecr, remote, capfd, monkeypatch) -> None:
        for flag in FLAGS:
            name, _, value = flag.removeprefix("--").partition("=")
            monkeypatch.setenv(f"GITCD_ECR_SYNC_{name.upper()}", value)
        sync(capfd, "--once", flags=())
        assert remote.show(PATH) == moved(ecr)


class TestPlaces:
    """Where the Deployment is looked for: what fits one place only moves without being named."""

    def test_two_environments_are_not_moved_at_once(self, ecr, remote, capfd) -> None:
        tip = remote.commit({"envs/prod/tiles.yaml": DEPLOYMENT})
        _, err = sync(capfd, "--once", code=2)
        assert err == ("error: Deployment tilesapp is in the environments dev, prod\n  Choose with --environment.\n")
        assert remote.tip == tip
        sync(capfd, "--once", "-e", "dev")
        assert (remote.show(PATH), remote.show("envs/prod/tiles.yaml")) == (moved(ecr), DEPLOYMENT)

    def test_both_are_moved_where_both_are_chosen(self, ecr, remote, capfd) -> None:
        remote.commit({"envs/prod/tiles.yaml": DEPLOYMENT})
        sync(capfd, "--once", "-e", "dev", "-e", "prod")
        assert remote.show(PATH) == remote.show("envs/prod/tiles.yaml") == moved(ecr)
        assert remote.count() == 4

    def test_an_environment_with_another_account_is_no_rival(self, ecr, remote, capfd) -> None:
        other = DEPLOYMENT.replace(ACCOUNT.encode(), b"210987654321")
        remote.commit({"envs/prod/tiles.yaml": other})
        sync(capfd, "--once")
        assert (remote.show(PATH), remote.show("envs/prod/tiles.yaml")) == (moved(ecr), other)

    def test_an_environment_that_is_not_there(self, ecr, remote, capfd) -> None:
        _, err = sync(capfd, "--once", "-e", "staging", code=2)
        assert err == "error: gitcd.yaml has no environment staging\n  It has: dev, prod.\n"

    def test_nothing_found_tells_the_near_misses(self, ecr, remote, capfd) -> None:
        _, err = sync(capfd, "--once", "--deployment=tilesap", code=5)
        assert f"{IMAGE} was found in none of the 2 environments" in err
        assert "envs/dev/tiles/deployment.yaml:11 Deployment/tilesapp" in err.replace(":10 ", ":11 ")
        assert "spec.workload is Deployment/tilesap" in err

    def test_a_container_that_runs_another_repository_is_told(self, ecr, remote, capfd) -> None:
        _, err = sync(capfd, "--once", "--container=proxy", code=5)
        assert "container proxy of Deployment/tilesapp runs proxy, but imageRepo is" in err

    def test_without_a_layout_two_folders_are_not_moved_at_once(self, ecr, remote, capfd) -> None:
        tip = remote.commit({"gitcd.yaml": None, "envs/prod/tiles.yaml": DEPLOYMENT})
        _, err = sync(capfd, "--once", code=2)
        assert "Deployment tilesapp is in the folders envs/dev/tiles, envs/prod" in err
        assert remote.tip == tip
        sync(capfd, "--once", "--path", "envs/dev")
        assert (remote.show(PATH), remote.show("envs/prod/tiles.yaml")) == (moved(ecr), DEPLOYMENT)

    def test_without_a_layout_one_folder_is_enough(self, ecr, remote, capfd) -> None:
        remote.commit({"gitcd.yaml": None})
        sync(capfd, "--once")
        assert remote.show(PATH) == moved(ecr)
        _, err = sync(capfd, "--once", "-e", "dev", code=2)
        assert "the repository has no gitcd.yaml" in err

    @pytest.mark.parametrize("path", ["../elsewhere", "/etc", "envs/../../x"])
    def test_F42_a_path_stays_inside_the_repository(self, ecr, remote, capfd, path) -> None:
        _, err = sync(capfd, "--once", "--path", path, code=2)
        assert path in err


class TestRules:
    """A poll is a whole reconcile: what people said counts."""

    def test_a_revert_is_respected_until_the_tag_moves(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once")
        tip = remote.commit({PATH: DEPLOYMENT}, "Revert, it crashes")
        _, err = sync(capfd, "--once")
        assert "Held" in err
        assert remote.tip == tip
        ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
        sync(capfd, "--once")
        assert remote.show(PATH) == moved(ecr, "99aa99aa99")

    def test_a_hold_file_is_respected(self, ecr, remote, capfd) -> None:
        tip = remote.commit({".gitcd/holds/dev/default.tilesapp.yaml": b"freeze: true\nreason: audit\n"})
        out, _ = sync(capfd, "--once", "-o", "json")
        (outcome,) = json.loads(out)["outcomes"]
        assert (outcome["kind"], outcome["reason"], outcome["message"]) == ("Held", "Frozen", "frozen: audit")
        assert "remove .gitcd/holds/dev/default.tilesapp.yaml" in outcome["remedy"]
        assert remote.tip == tip

    @pytest.mark.parametrize("content", [b"freeze: maybe\n", b"{", b"\xff"])
    def test_a_hold_file_that_cannot_be_read_holds(self, ecr, remote, capfd, content) -> None:
        tip = remote.commit({".gitcd/holds/dev/default.tilesapp.yaml": content})
        _, err = sync(capfd, "--once", code=5)
        assert ".gitcd/holds/dev/default.tilesapp.yaml" in err
        assert remote.tip == tip

    def test_a_freeze_of_the_environment_is_respected(self, ecr, remote, capfd) -> None:
        frozen = LAYOUT.replace(b"path: envs/dev}", b"path: envs/dev, freeze: [{from: 2020-01-01, until: 2999-01-01}]}")
        tip = remote.commit({"gitcd.yaml": frozen})
        _, err = sync(capfd, "--once")
        assert "environment dev is frozen" in err
        assert remote.tip == tip

    def test_what_is_declared_by_the_same_name_is_left_to_reconcile(self, ecr, remote, capfd) -> None:
        tip = remote.commit({"envs/dev/tiles/cv.yaml": declared("tilesapp", "dev")})
        _, err = sync(capfd, "--once", code=2)
        assert "dev/default/tilesapp is declared already, in envs/dev/tiles/cv.yaml:1" in err
        assert "gitcd reconcile --app dev/default/tilesapp" in err
        assert remote.tip == tip

    def test_a_declaration_that_wants_another_image_there_is_a_conflict(self, ecr, remote, capfd) -> None:
        tip = remote.commit({"envs/dev/tiles/cv.yaml": declared("tiles", "env-prod")})
        _, err = sync(capfd, "--once", code=5)
        assert "dev/default/tilesapp (the command line)" in err
        assert "dev/default/tiles (envs/dev/tiles/cv.yaml:1) wants" in err
        assert remote.tip == tip

    def test_a_place_that_a_declaration_shares_is_left_to_reconcile(self, ecr, remote, capfd) -> None:
        tip = remote.commit({"envs/dev/tiles/cv.yaml": declared("tiles", "dev")})
        _, err = sync(capfd, "--once")
        assert "is shared with dev/default/tiles" in err
        assert remote.tip == tip

    def test_operator_limits_hold_for_flags_too(self, ecr, remote, capfd, tmp_path) -> None:
        settings = tmp_path / "config.yaml"
        settings.write_text("namespaces: [{name: default, environments: [prod]}]\n")
        _, err = sync(capfd, "--once", "--config", settings, code=5)
        assert "the operator does not let namespace default reach environment dev" in err
        assert "Ask the operator for it in the setting namespaces" in err

    def test_a_registry_that_is_not_allowed(self, ecr, remote, capfd, monkeypatch) -> None:
        monkeypatch.setenv("GITCD_ALLOW_REGISTRIES", "210987654321")
        _, err = sync(capfd, "--once", code=5)
        assert "not among the registries that the operator allows" in err
        monkeypatch.setenv("GITCD_ALLOW_REGISTRIES", ACCOUNT)
        sync(capfd, "--once")


def declared(name: str, tag: str) -> bytes:
    return (
        f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {name}}}\n"
        f"spec: {{imageRepo: {IMAGE}, tag: {tag}, workload: {{kind: Deployment, name: tilesapp}}}}\n"
    ).encode()


class TestTrouble:
    @pytest.mark.parametrize(
        ("flags", "code", "said"),
        [
            (("--tag=nosuch",), 5, "Push an image under it, or correct --tag"),
            (("--ecr=nearmap/nosuch",), 5, "nearmap/nosuch"),
            (("--tag=a/b",), 2, "--tag:"),
            (("--ecr=Nearmap/Tiles",), 2, "--ecr:"),
            (("--deployment=Tiles_App",), 2, "--deployment:"),
            (("--container=a b",), 2, "--container:"),
            (("--namespace=Team_1",), 2, "--namespace:"),
            (("--configKey=tiles",), 2, "--configKey: 'tiles' is not of the form name/key"),
            (("--configKey=tiles/",), 2, "--configKey:"),
            (("--version-syntax=(",), 2, "--version-syntax:"),
            (("--sync=0",), 2, "--sync"),
            (("--sync=often",), 2, "--sync"),
            (("--pin=Everything",), 2, "--pin"),
        ],
    )
    def test_every_mistake_is_told_by_its_flag(self, ecr, remote, capfd, flags, code, said) -> None:
        tip = remote.tip
        _, err = sync(capfd, "--once", *flags, code=code)
        assert said in err
        assert remote.tip == tip

    @pytest.mark.parametrize("flag", ["tag", "ecr", "deployment"])
    def test_what_cannot_be_left_out(self, ecr, remote, capfd, flag) -> None:
        flags = tuple(each for each in FLAGS if not each.startswith(f"--{flag}="))
        _, err = sync(capfd, "--once", flags=flags, code=2)
        assert f"--{flag}" in err

    def test_trouble_that_passes_is_said_to(self, ecr, remote, capfd) -> None:
        ecr.fail("*", "ServerException", status=500, times=-1)
        sync(capfd, "--once", code=3)

    def test_a_registry_without_a_name_is_never_guessed(self, ecr, remote, capfd) -> None:
        digest = ecr.create("nearmap/tiles").tags["dev"]
        image = {"repositoryName": "nearmap/tiles", "imageId": {"imageDigest": digest}, "imageManifest": "{}"}
        ecr.fail("BatchGetImage", answer=json.dumps({"images": [image], "failures": []}).encode(), times=-1)
        _, err = sync(capfd, "--once", code=3)
        assert "ECR did not say whose repository nearmap/tiles is" in err

    def test_without_repository_and_cluster_it_says_what_is_missing(self, ecr, capfd, monkeypatch, tmp_path) -> None:
        monkeypatch.chdir(make_worktree(tmp_path / "checkout", FILES))
        _, err = sync(capfd, "--once", code=2)
        assert "GITCD_REPO names no config repository" in err
        assert "no cluster is configured" in err
        assert not ecr.calls

    def test_without_a_repository_no_place_in_one_is_chosen(self, ecr, capfd) -> None:
        _, err = sync(capfd, "--once", "--path=envs/dev", code=2)
        assert "--environment and --path choose a place in a config repository" in err

    def test_a_work_tree_is_never_committed_to(self, ecr, capfd, tmp_path) -> None:
        folder = make_worktree(tmp_path / "checkout", FILES)
        _, err = sync(capfd, "--once", folder, code=2)
        assert "never commits in somebody's checkout" in err
        assert "--in-place" not in err, "a flag that this verb does not have"
        assert (folder / PATH).read_bytes() == DEPLOYMENT

    @pytest.mark.parametrize("bare", [True, False])
    def test_a_dry_run_prints_the_patch_and_writes_nothing(self, ecr, remote, capfd, tmp_path, bare) -> None:
        folder = make_worktree(tmp_path / "checkout", FILES)
        tip = remote.tip
        patch, _ = sync(capfd, "--dry-run", remote.url if bare else folder)
        assert (remote.tip, (folder / PATH).read_bytes()) == (tip, DEPLOYMENT)
        subprocess.run(["git", "apply", "-"], cwd=folder, input=patch.encode(), check=True)
        assert (folder / PATH).read_bytes() == moved(ecr)

    @pytest.mark.parametrize("spelled", ["--logtostderr", "--logtostderr=true"])
    def test_flags_without_an_effect_are_taken_and_told(self, ecr, remote, capfd, spelled: str) -> None:
        old = ("--k8s-config=~/.kube/config", "--stats-provider=datadog", "--stats-host=h", "--v=2", spelled)
        _, err = sync(capfd, "--once", *old)
        for flag in old:
            assert f"warning: {flag.partition('=')[0]} is not used" in err
        assert remote.show(PATH) == moved(ecr)


@pytest.mark.parametrize(
    ("words", "successor"),
    [
        ("cr sync --tag dev", "gitcd ecr-sync"),
        ("cr tags add", "gitcd ecr-tags"),
        ("registry sync status --by 5m", "gitcd ecr-sync"),
        ("registry tags get", "gitcd ecr-tags"),
        ("cv get", "gitcd diff -o json"),
        ("rd get", "gitcd diff -o json"),
        ("run --k8s-config x", "GITCD_REPO"),
    ],
)
def test_older_commands_name_their_successor(capfd, words: str, successor: str) -> None:
    assert run(words.split()) == 2
    assert successor in capfd.readouterr().err


@pytest.fixture
def start(ecr: StandIn, remote: Bare, tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start it as a process that polls for good."""
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "INSTANCENAME": "tiles-7d9f"}

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "gitcd", "ecr-sync", *FLAGS, *arguments]
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        limit = threading.Timer(60, process.kill)  # so that a test fails rather than hangs
        limit.daemon = True
        limit.start()
        return process

    return begin


def read_until(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Wait for a line on stderr with this text in it."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


def finished(process: subprocess.Popen[bytes], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    return process.returncode, err.decode()


# Runs the command, and has a signal come in the finaliser of something that the first poll leaves behind.
DROPS = """
import os, sys
from gitcd.cli import ecr_sync, main

class Left:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))

def tell(*of, tell=ecr_sync.tell_published):
    code = tell(*of)
    Left()
    return code

ecr_sync.tell_published = tell
main.run, run = lambda words, ready: run(["ecr-sync", *words[1:]], ready), main.run
main.main()
"""


class TestLoop:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_F24_it_polls_until_a_signal_and_leaves_nothing(self, ecr, remote, start, tmp_path, number, code) -> None:
        with start("--sync=0.002") as process:
            wait_until(lambda: remote.count() == 2)
            ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
            wait_until(lambda: remote.count() == 3)
            got, err = finished(process, number)
        assert got == code, err
        assert "nothing is half done" in err
        assert "Traceback" not in err
        assert remote.show(PATH) == moved(ecr, "99aa99aa99")
        assert not list((tmp_path / "tmp").iterdir())

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_F24_a_signal_that_comes_while_a_finaliser_runs_ends_it_too(self, ecr, remote, number, code) -> None:
        words = [sys.executable, "-c", DROPS, str(int(number)), *FLAGS, "--sync=0.002"]
        done = subprocess.run(words, capture_output=True, timeout=20, check=False)
        assert done.returncode == code, done.stderr
        assert b"Exception ignored in" not in done.stderr
        assert remote.count() == 2

    def test_a_poll_that_fails_is_told_and_the_next_one_comes(self, ecr, remote, start) -> None:
        with start("--sync=0.002") as process:
            wait_until(lambda: remote.count() == 2)
            gone = remote.path.rename(remote.path.with_name("away"))
            read_until(process, b"error: ")
            gone.rename(remote.path)
            ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
            wait_until(lambda: remote.count() == 3)
            assert finished(process, signal.SIGTERM)[0] == 143

    def test_a_layout_that_somebody_broke_is_waited_out(self, ecr, remote, start) -> None:
        with start("--sync=0.002") as process:
            wait_until(lambda: remote.count() == 2)
            remote.commit({"gitcd.yaml": b"kind: Nonsense\n"})
            read_until(process, b"gitcd.yaml")
            remote.commit({"gitcd.yaml": LAYOUT})
            ecr.put("nearmap/tiles", tags=["99aa99aa99", "dev"])
            wait_until(lambda: remote.count() == 5)
            assert finished(process, signal.SIGTERM)[0] == 143

    def test_a_set_up_that_is_wrong_ends_it_at_once(self, ecr, remote, start) -> None:
        with start("-e", "nosuch") as process:
            _, err = process.communicate(timeout=20)
        assert process.returncode == 2, err

    def test_the_line_of_cvmanagers_readme_with_one_word_replaced(self, ecr, remote, tmp_path, monkeypatch) -> None:
        line = (
            "INSTANCENAME=<pod name> cvmanager ecr-sync --tag=dev --ecr=nearmap/tiles --deployment=tilesapp "
            "--container=tilesapp-container --namespace=default --sync=1 --k8s-config ~/.kube/config"
        )
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        line = line.replace("<pod name>", "tiles-7d9f").replace("cvmanager", "gitcd", 1)
        with in_shell(line) as process:
            assert process.stdout is not None
            told = process.stdout.readline().decode()
            os.killpg(process.pid, signal.SIGTERM)
            _, err = process.communicate(timeout=20)
        assert told == f"{remote.tip} dev: tilesapp {OLD} -> {NEW}\n"
        assert remote.show(PATH) == moved(ecr)
        assert b"--k8s-config is not used" in err
        monkeypatch.delenv("GITCD_REPO")
        with in_shell(line) as process:
            _, err = process.communicate(timeout=20)
        assert process.returncode == 2
        assert b"warning: GITCD_REPO names no config repository: the cluster is changed directly" in err
        assert b".kube/config does not exist" in err


def in_shell(line: str) -> subprocess.Popen[bytes]:
    """Type a line; the process leads a group, so that a signal reaches the command too."""
    return subprocess.Popen(
        ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def test_the_page_for_those_who_come_from_cvmanager_knows_every_flag() -> None:
    """Each flag of the command is on the page, or shared with every other command."""
    page = (Path(__file__).parents[2] / "docs/from-cvmanager.md").read_text()
    section = page.partition("## ECR Syncer")[2].partition("\n## ")[0]
    shared = {"branch", "cache_dir", "config", "ecr_endpoint_url", "verbose", "quiet", "color", "log_format", "repo"}
    flags = {each.name: each.opts for each in command.params if each.name not in shared}
    assert [name for name, spelled in flags.items() if not any(f"`{flag}" in section for flag in spelled)] == []
