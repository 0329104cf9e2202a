"""Real processes: killed while they work, on a terminal, and with nowhere to write."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare, make_worktree
from tests.support.scenes import LAYOUT, app_files
from tests.support.waiting import wait_until

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]


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
    assert (process.returncode, json.loads(out)["kind"], json.loads(out)["exitCode"]) == (code, "Error", code)
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
    assert (process.returncode, json.loads(out)["kind"], json.loads(out)["exitCode"]) == (code, "Error", code)
    assert b"Traceback" not in err
    assert remote.tip == tip
    assert not list((tmp_path / "tmp").iterdir())
    remote.unhook()
    assert_next_run_is_whole(start, remote)


LOADING = """
import os, signal, sys

class Early:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
sys.argv = ["gitcd", "version"]
from gitcd.__main__ import main
main()
"""


@pytest.mark.parametrize(("module", "told"), [
    ("gitcd.cli.main", b""),
    ("click", b""),
    ("gitcd.cli.version", b"error: interrupted; nothing is half done\n"),  # by then it is heard
])  # fmt: skip
def test_an_interrupt_while_it_is_being_loaded_ends_it_without_a_traceback(module, told) -> None:
    done = subprocess.run([sys.executable, "-c", LOADING.format(module=module)], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", told)


def test_an_interrupt_that_somebody_said_to_ignore_is_ignored() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    script = LOADING.format(module="click")
    done = subprocess.run([sys.executable, "-c", script], preexec_fn=ignore, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_leaves_early_changes_neither_work_nor_code(remote, start) -> None:
    with start() as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert remote.count() == 2


def on_terminal(*arguments: str, environment: dict[str, str]) -> str:
    """What a person sees who runs this command line: both outputs, mixed."""
    master, slave = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "gitcd", *arguments], env=environment, stdout=slave, stderr=slave):
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal ends with its last writer
            while part := os.read(master, 4096):
                seen += part
    os.close(master)
    return seen.decode()


def test_T22_on_a_terminal_there_are_colours_and_progress_and_nothing_from_elsewhere(ecr, tmp_path) -> None:
    files = app_files("app")
    path = "envs/dev/app/deployment.yaml"
    files[path] = files[path].replace(b"# moves", b"# moves \xe2\x80\xaeover")
    folder = make_worktree(tmp_path / "checkout", {"gitcd.yaml": LAYOUT} | files)
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    seen = on_terminal("diff", str(folder), "--ecr-endpoint-url", ecr.url, environment=environment)
    assert f"reading {folder} …"[:79] + "\r\x1b[2K" in seen
    assert "\x1b[2K\x1b[1mdiff --git" in seen
    assert "\x1b[32m+          image: " in seen
    assert "# moves over\x1b[m" in seen
    assert set(re.findall(r"\x1b[^mK]*[mK]", seen)) <= {
        "\x1b[m",
        "\x1b[1m",
        "\x1b[2K",
        "\x1b[31m",
        "\x1b[32m",
        "\x1b[36m",
    }
    assert "\u202e" not in seen
    plain = on_terminal(
        "diff", "-q", str(folder), "--ecr-endpoint-url", ecr.url, environment=os.environ | {"NO_COLOR": "1"}
    )
    assert "\x1b" not in plain
    assert "# moves over\r\n" in plain


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_an_output_that_is_full_is_trouble_of_its_own(output: str) -> None:
    with Path("/dev/full").open("wb") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {output: full}
        done = subprocess.run(
            [sys.executable, "-m", "gitcd", "version", "-o", "xml" if output == "stderr" else "json"],
            check=False,
            **streams,
        )
    if output == "stdout":
        assert done.returncode == 3
        assert done.stderr == b"error: stdout cannot be written: No space left on device\n"
    else:
        assert (done.returncode, done.stdout) == (2, b"")


HELLO = """
import click

@click.command()
def hello():
    "Say hello."

hello()
"""


@pytest.mark.slow
def test_help_starts_nearly_as_fast_as_a_bare_click_program(tmp_path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    lines = {
        "hello": [sys.executable, str(tmp_path / "hello.py"), "--help"],
        "gitcd": [sys.executable, "-m", "gitcd", "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(9):
        for name, line in lines.items():
            began = time.perf_counter()
            subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - began)
    assert min(taken["gitcd"]) <= 1.5 * min(taken["hello"])
