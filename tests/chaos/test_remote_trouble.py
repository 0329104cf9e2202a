"""Whole command lines against a remote that drops, hangs, or answers late: never a second commit of one change."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.chaos import Branch, Place, await_no_processes, kill_all_of, processes_of
from tests.support.githttp import serve
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, Tags, app_files, reference

PATH = "envs/dev/app/deployment.yaml"


@pytest.fixture
def tags():
    tags = Tags()
    tags.move("team/app", "env-dev", "1.0.0")
    tags.move("team/app", "env-dev", "1.1.0")
    return tags


@pytest.fixture
def remote(tmp_path):
    return make_bare(tmp_path / "served" / "config.git", {"gitcd.yaml": LAYOUT} | app_files("app"))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "place", os.environ)


@pytest.fixture
def gitcd(zygote, remote, place, tags):
    """Run `gitcd reconcile` on the remote, or on another address of it."""

    def run(*options, url=remote.url):
        return zygote.run(["reconcile", *options, url], place.env(), place.next_folder(), tags)

    return run


def bumped_once(remote):
    branch = Branch.of(remote)
    return len(branch.trees) == 2 and reference("app", "1.1.0") in remote.show(PATH)


def test_F16_a_link_that_drops_before_the_ref_moved_costs_a_retry(gitcd, remote):
    remote.hook("pre-receive", "test -e seen || { touch seen; kill -9 $PPID; sleep 0.1; }")
    finished = gitcd()
    assert finished.status == 0, finished.err
    assert bumped_once(remote)


def test_F17_a_link_that_drops_after_the_ref_moved_is_a_success(gitcd, remote):
    remote.hook("post-receive", "kill -9 $PPID; sleep 0.1")
    finished = gitcd()
    assert finished.status == 0, finished.err
    assert finished.out.split()[0] == remote.tip
    assert "pushed 1 commit" in finished.err
    remote.unhook()
    assert gitcd().out == ""
    assert bumped_once(remote)


@pytest.mark.slow
def test_F19_a_lock_left_at_the_server_is_transient_and_stays(gitcd, remote):
    lock = remote.path / "refs" / "heads" / "main.lock"
    lock.touch()
    start = remote.tip
    finished = gitcd()
    assert finished.status == 3, finished.err
    assert (remote.tip, finished.out) == (start, "")
    assert lock.exists()
    lock.unlink()
    assert gitcd().status == 0
    assert bumped_once(remote)


@pytest.mark.slow
def test_F20_a_push_that_hangs_is_ended_and_lands_once(gitcd, remote, place, tmp_path):
    """Over http the server goes on without its client, so what hung may land beside what was sent again."""
    (tmp_path / "settings.yaml").write_text("deadlines: {git: 1s}\n")
    remote.hook("pre-receive", "test -e seen || { touch seen; sleep 2.5; }")
    with serve(tmp_path / "served") as server:
        finished = gitcd("--config", str(tmp_path / "settings.yaml"), url=server.url(remote.path))
        assert finished.status == 0, finished.err
        assert processes_of(place.root) == []
        assert await_no_processes(remote.path) == []
    assert bumped_once(remote)
    assert place.leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize("first", ["late push", "next run"])
def test_a_push_that_outlives_its_killed_run_makes_no_twin(zygote, gitcd, remote, place, tags, tmp_path, first):
    """gitcd and its git are killed while the server still thinks; then the next run comes, with other commit ids."""
    wait = "sleep 1" if first == "late push" else "test -e again || { touch again; sleep 4; }"
    remote.hook("pre-receive", f"touch {tmp_path}/seen; {wait}")
    with serve(tmp_path / "served") as server:
        url = server.url(remote.path)
        running = zygote.start(["reconcile", url], place.env(), place.next_folder(), tags)
        await_file(tmp_path / "seen")
        kill_all_of(running.pid, place.root)
        assert running.finish().status == -signal.SIGKILL
        finished = gitcd(url=url)
        assert finished.status == 0, finished.err
        assert await_no_processes(remote.path) == []
    assert bumped_once(remote)
    assert place.leftovers() == []
    assert bool(finished.out) == (first == "next run")


def test_F24_a_terminated_push_leaves_no_lock_in_a_local_remote(zygote, gitcd, remote, place, tags, tmp_path):
    """The receiving git of a local remote is a child of ours: it needs a moment to take its lock away."""
    remote.hook("reference-transaction", f'[ "$1" = prepared ] || exit 0; touch {tmp_path}/seen; sleep 1')
    running = zygote.start(["reconcile", remote.url], place.env(), place.next_folder(), tags)
    await_file(tmp_path / "seen")
    running.kill(signal.SIGTERM)
    assert running.finish().status == 143
    assert await_no_processes(remote.path) == []
    assert list(remote.path.rglob("*.lock")) == []
    remote.unhook()
    assert gitcd().status == 0


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
