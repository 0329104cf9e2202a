"""Real processes that are killed while they work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare
from tests.support.scenes import LAYOUT, app_files

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture
def ecr() -> Iterator[StandIn]:
    with StandIn() as server:
        server.put("team/app", tags=["1.1.0", "env-dev"])
        yield server


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app"))


@pytest.fixture
def start(ecr: StandIn, remote: Bare, tmp_path: Path) -> Callable[[], subprocess.Popen[bytes]]:
    """Start a reconcile of the remote, with a cache and a folder for temporary files of its own."""
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "GITCD_REPO": remote.url,
        "GITCD_ECR_ENDPOINT_URL": ecr.url,
        "GITCD_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    return lambda: subprocess.Popen(
        [sys.executable, "-m", "gitcd", "reconcile", "-o", "json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_next_run_is_whole(start, remote: Bare) -> None:
    with start() as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [commit["id"] for commit in json.loads(out)["commits"]] == [remote.tip]
    assert remote.count() == 2


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_F24_a_run_killed_while_it_asks_the_registry(ecr, remote, start, tmp_path, number, code) -> None:
    slow = ecr.fail("*", delay=3, times=-1)
    tip = remote.tip
    with start() as process:
        wait_until(lambda: ecr.calls)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert remote.tip == tip
    assert not list((tmp_path / "tmp").iterdir())
    ecr.faults.remove(slow)
    assert_next_run_is_whole(start, remote)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_F24_a_run_killed_while_it_pushes(remote, start, tmp_path, number, code) -> None:
    mark = tmp_path / "pushing"
    remote.hook("pre-receive", f"touch {mark}; sleep 3; exit 1")
    tip = remote.tip
    with start() as process:
        wait_until(mark.exists)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert remote.tip == tip
    assert not list((tmp_path / "tmp").iterdir())
    remote.unhook()
    assert_next_run_is_whole(start, remote)


def test_a_reader_that_leaves_early_changes_neither_work_nor_code(remote, start) -> None:
    with start() as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert remote.count() == 2
