"""What holds for every test: no secret comes out, no network but loopback, nothing of the developer's own set-up.

The environment carries canary secrets. A test fails if one of them, plain or encoded, turns up in what it printed,
logged or left in its home folder; see `leaks`.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings

# One control plane for all folders of tests: a second import elsewhere would be fixtures of its own.
from tests.support.controlplane import control_plane, namespace, workloads

__all__ = ["control_plane", "namespace", "workloads"]
CANARIES = {
    name: f"canary/{name.lower()}+9f27=="
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GITCD_GIT_TOKEN",
        "GITHUB_TOKEN",
        "GITLAB_TOKEN",
    )
}
ACCOUNT = "123456789012"
REGION = "us-east-1"

# Processes inherit that a signal is ignored, as nohup and a shell's `&` have it; the tests send these and want to be heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile(
    "default",
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def leaks(output: str | bytes) -> list[str]:
    """Names of the canary secrets that the output shows: as they are, percent-encoded or in base64."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return [name for name, secret in CANARIES.items() if any(form in text for form in _forms(secret))]


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()


def _refuse_leaks(where: str, *outputs: object) -> None:
    for output in outputs:
        if isinstance(output, str | bytes) and (names := leaks(output)):
            pytest.fail(f"{where} shows the secret of {', '.join(names)}", pytrace=False)


@pytest.fixture(autouse=True)
def isolated_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home, a fake AWS account, canary secrets, and git variables that gitcd must not heed."""
    home = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(("GIT_", "AWS_", "GITCD_", "XDG_", "KUBE")):
            monkeypatch.delenv(name)
    for name, value in (_plain_environment(home) | _poison() | CANARIES).items():
        monkeypatch.setenv(name, value)
    yield
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _refuse_leaks(f"the file {path.name} in the home folder", path.read_bytes())


def _plain_environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_ACCOUNT_ID": ACCOUNT,
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


def _poison() -> dict[str, str]:
    """Git variables that a test's own git commands survive and that no commit or push of gitcd may show."""
    return {
        "GIT_AUTHOR_NAME": "poison",
        "GIT_AUTHOR_EMAIL": "poison@example.invalid",
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00+0000",
        "GIT_COMMITTER_NAME": "poison",
        "GIT_COMMITTER_EMAIL": "poison@example.invalid",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00+0000",
        "GIT_SSH_COMMAND": "false",
        "GIT_ASKPASS": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "false",
    }


class NetworkBlockedError(Exception):
    """A test reached for a host other than this one. No OSError, so no retry swallows it."""


def _block_network(event: str, args: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if not _is_local(host):
        raise NetworkBlockedError(f"{event}: tests talk to loopback only, not to {host!r}")


def _is_local(host: object) -> bool:
    """Whether this names the machine itself; everything that is no IP address or `localhost` counts as far away."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_block_network)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Fail a test whose captured output or log shows a canary."""
    report = yield
    for title, content in report.sections:
        if title.endswith(str(report.when)) and (names := leaks(content)):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {title} shows the secret of {', '.join(names)}"
    return report


@pytest.fixture(autouse=True, scope="session")
def watched_outputs() -> Iterator[None]:
    """Look for canaries also in output that a test takes for itself, where the report no longer shows it."""
    with pytest.MonkeyPatch.context() as patch:
        _watch_capture(patch)
        _watch_click(patch)
        _watch_processes(patch)
        yield


def _watch_capture(patch: pytest.MonkeyPatch) -> None:
    original = pytest.CaptureFixture.readouterr

    def readouterr(self: pytest.CaptureFixture[Any]) -> Any:
        result = original(self)
        _refuse_leaks("captured output", result.out, result.err)
        return result

    patch.setattr(pytest.CaptureFixture, "readouterr", readouterr)


def _watch_click(patch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    original = CliRunner.invoke

    def invoke(self: CliRunner, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        _refuse_leaks("output of the command", result.output, result.stderr)
        return result

    patch.setattr(CliRunner, "invoke", invoke)


def _watch_processes(patch: pytest.MonkeyPatch) -> None:
    original = subprocess.run

    def run(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if any(Path(str(word)).name == "gitcd" for word in result.args):
            _refuse_leaks("output of the process", result.stdout, result.stderr)
        return result

    patch.setattr(subprocess, "run", run)
