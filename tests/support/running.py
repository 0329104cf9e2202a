"""A `gitcd run` that lives in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.opening import urlopen


@dataclass
class Running:
    """The process, and the file that its stderr goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def err(self) -> str:
        return self.log.read_text()

    def until(self, true: Callable[[], object]) -> None:
        """Wait for something while it lives."""
        deadline = time.monotonic() + 40
        while not true():
            assert self.process.poll() is None, self.err
            assert time.monotonic() < deadline, self.err
            time.sleep(0.05)

    def get(self, path: str, token: str = "") -> str:
        """The body of what it serves there. Raises HTTPError for every status that is no success."""
        self.until(lambda: "serving http" in self.err)
        (url,) = re.findall(r"serving (http://[\w.:]+)", self.err)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urlopen(urllib.request.Request(url + path, headers=headers), timeout=20) as answer:
            assert answer.status == 200
            return answer.read().decode()

    def ask(self, path: str, token: str = "") -> tuple[int, str]:
        """Status and body, whatever the status."""
        try:
            return 200, self.get(path, token)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode
