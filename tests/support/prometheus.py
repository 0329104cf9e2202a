"""A real Prometheus for tests: the program `prometheus` (Debian's package of that name), which scrapes itself.

    from tests.support.prometheus import prometheus  # a fixture; `prometheus` is the address of the server

Without the program the tests are skipped, unless GITCD_REQUIRE_PROMETHEUS is set: then they fail.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.opening import urlopen

# Read here, because every test runs in an environment that is cleared of such names.
_REQUIRED = bool(os.environ.get("GITCD_REQUIRE_PROMETHEUS"))
_SECONDS_TO_START = 30.0
_CONFIG = """\
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs: [{job_name: itself, static_configs: [{targets: ["127.0.0.1:PORT"]}]}]
"""


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = _program()
    folder = tmp_path_factory.mktemp("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIG.replace("PORT", str(port)))
    command = [
        program,
        f"--config.file={folder / 'config.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await_ready(server, f"http://127.0.0.1:{port}", folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _program() -> str:
    if found := shutil.which("prometheus"):
        return found
    message = "NO PROMETHEUS: the program prometheus is not there; `apt-get install prometheus` brings it"
    if _REQUIRED:
        pytest.fail(f"{message}. GITCD_REQUIRE_PROMETHEUS is set, so this is no reason to skip.", pytrace=False)
    pytest.skip(message)


def _await_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(f"{url}/-/ready", timeout=1):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    pytest.fail(f"prometheus did not start:\n{log.read_text()}", pytrace=False)
