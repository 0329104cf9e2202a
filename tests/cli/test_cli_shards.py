"""Several processes that share the declarations of one repository, and push to one branch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitcd.cli import main
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare
from tests.support.scenes import LAYOUT, app_files

APPS = [f"app-{number:02}" for number in range(20)]
GROUP = (APPS[0], APPS[5], APPS[11])
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def ecr() -> Iterator[StandIn]:
    with StandIn() as server:
        for name in APPS:
            server.put(f"team/{name}", tags=["1.1.0", "env-dev"])
        yield server


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    files = {"gitcd.yaml": LAYOUT}
    for name in APPS:
        files |= app_files(name)
        if name in GROUP:
            files[f"envs/dev/{name}/cv.yaml"] += b"  strategy: {group: together}\n"
    return make_bare(tmp_path / "remote.git", files)


@pytest.fixture
def start(ecr: StandIn, remote: Bare, tmp_path: Path) -> Start:
    """Start one shard, with a cache of its own as on a machine of its own."""

    def start(number: int, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "GITCD_REPO": remote.url,
            "GITCD_ECR_ENDPOINT_URL": ecr.url,
            "GITCD_CACHE_DIR": str(tmp_path / f"cache-{number}"),
        }
        command = [sys.executable, "-m", "gitcd", "reconcile", "-o", "json", *arguments]
        return subprocess.Popen(command, env=environment | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def four(start: Start) -> list[subprocess.Popen[bytes]]:
    """As a person numbers them, and as an Indexed Job does."""
    by_flag = [start(number, "--shard", f"{number}/4") for number in range(2)]
    return by_flag + [start(number, "--shards", "4", JOB_COMPLETION_INDEX=str(number)) for number in range(2, 4)]


def ends(processes: list[subprocess.Popen[bytes]]) -> list[dict[str, object]]:
    documents = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        documents.append(json.loads(out))
    return documents


def test_four_shards_push_to_one_branch_and_lose_nothing(remote: Bare, start: Start, tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    # The first pushes wait for each other, so that all but one of them find a tip that has moved.
    count = f"$(ls {meeting} | wc -l)"
    wait = f"touch {meeting}/$$; n=0; while [ {count} -lt 3 ] && [ $n -lt 60 ]; do sleep 0.1; n=$((n+1)); done"
    remote.hook("pre-receive", wait)
    documents = ends(four(start))
    moved = [
        sorted(each["identity"]["name"] for each in said["outcomes"] if each["kind"] == "Bumped") for said in documents
    ]
    assert sorted(name for names in moved for name in names) == APPS
    assert sum(set(GROUP) <= set(names) for names in moved) == 1
    assert all(names for names in moved)
    assert remote.count() == 1 + 4
    for name in APPS:
        image = remote.show(f"envs/dev/{name}/deployment.yaml").decode()
        assert re.search(rf"team/{name}:1\.1\.0@sha256:[0-9a-f]{{64}}  # moves\n", image)
    tip = remote.tip
    assert [said["commits"] for said in ends(four(start))] == [[], [], [], []]
    assert remote.tip == tip


def test_a_conflict_is_seen_by_the_shard_of_those_who_have_it(remote: Bare, start: Start) -> None:
    """Two that want different things of one place are judged together, whichever shard that is."""
    declared = remote.show("envs/dev/app-01/cv.yaml")
    remote.commit(
        {"envs/dev/other/cv.yaml": declared.replace(b"name: app-01, ", b"name: other, ") + b"  pin: Digest\n"}
    )
    codes, conflicts = [], []
    for process in four(start):
        out, _ = process.communicate(timeout=120)
        codes.append(process.returncode)
        conflicts += [each["identity"]["name"] for each in json.loads(out)["outcomes"] if each["kind"] == "Conflict"]
    assert (sorted(codes), sorted(conflicts)) == ([0, 0, 0, 5], ["app-01", "other"])


def test_a_shard_without_declarations_says_so(remote, ecr, tmp_path, capfd) -> None:
    shared = ["--ecr-endpoint-url", ecr.url, "--cache-dir", str(tmp_path / "c"), "-e", "prod"]
    remote.commit(app_files("app-00", environment="prod"))
    said = []
    for number in range(2):
        assert main.run(["reconcile", "--shard", f"{number}/2", *shared, remote.url]) in {0, 5}
        said.append("no declaration is of this part" in capfd.readouterr().err)
    assert sorted(said) == [False, True]


@pytest.mark.parametrize(
    ("arguments", "index", "said"),
    [
        (["--shard", "4/4"], "", "of 4 they are 0/4, 1/4, 2/4 and 3/4"),
        (["--shard", "one"], "", "'one' is no shard"),
        (["--shards", "4"], "", "JOB_COMPLETION_INDEX"),
        (["--shards", "4"], "4", "is 4"),
        (["--shard", "0/4", "--shards", "4"], "", "exclude each other"),
        (["--shard", "0/4", "--plan", "plan.json"], "", "not divided into shards"),
    ],
)
def test_a_shard_that_there_is_not(remote, ecr, capfd, monkeypatch, arguments, index, said) -> None:
    if index:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    assert main.run(["reconcile", *arguments, "--ecr-endpoint-url", ecr.url, remote.url]) == 2
    assert said in capfd.readouterr().err
