"""The guards of tests/conftest.py themselves: each must bite."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = """
import os, logging, subprocess, sys
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]

def test_prints():
    print(SECRET)

def test_logs():
    logging.getLogger("x").error("token %s", SECRET)

def test_reads_for_itself(capsys):
    print(SECRET)
    assert capsys.readouterr().out

def test_command():
    import click
    from click.testing import CliRunner
    CliRunner().invoke(click.Command("x", callback=lambda: click.echo(SECRET)))

def test_process():
    subprocess.run([sys.executable, "-c", f"print({SECRET!r})", "gitcd"], capture_output=True)

def test_file():
    from pathlib import Path
    Path.home().joinpath("left-behind").write_text(SECRET)

def test_silent():
    assert SECRET
"""


def test_a_printed_secret_fails_the_test(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    (tmp_path / "conftest.py").write_text((pytestconfig.rootpath / "tests/conftest.py").read_text())
    (tmp_path / "test_guarded.py").write_text(GUARDED)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    outcomes = set(re.findall(r"^(PASSED|FAILED|ERROR) .*::test_(\w+)", result.stdout, re.MULTILINE))
    caught = {("FAILED", name) for name in ("prints", "logs", "reads_for_itself", "command", "process")}
    assert outcomes == caught | {("PASSED", "silent"), ("PASSED", "file"), ("ERROR", "file")}


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "169.254.169.254"])
def test_connecting_beyond_loopback_is_refused(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(Exception, match="loopback only"):
        sock.connect((host, 80))


def test_looking_up_a_name_is_refused() -> None:
    with pytest.raises(Exception, match="loopback only"):
        socket.getaddrinfo("registry.example.com", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_nothing_of_the_developer_reaches_a_test() -> None:
    assert "GIT_ALLOW_PROTOCOL" not in os.environ
    assert "GIT_DIR" not in os.environ
    assert not list(os.scandir(os.environ["HOME"]))
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
