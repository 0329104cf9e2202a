"""A run that is ended before any of its git processes leaves the remote whole, and the next run ends as if nothing was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gitjob import NEW, OLD, PATH, job
from tests.support.repos import Bare, make_bare


def ended_run(remote: Bare, cache: Path | None, step: int, signum: int) -> int:
    words = [sys.executable, "-m", "tests.support.gitjob", remote.url, str(cache or ""), str(step), str(int(signum))]
    return subprocess.run(words, cwd=Path(__file__).parents[2], check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "status", "kept"), [(signal.SIGKILL, -signal.SIGKILL, True), (signal.SIGTERM, 143, False)]
)
def test_F23_F24_ended_before_any_step(
    tmp_path: Path, temporary_folder: Path, signum: int, status: int, kept: bool
) -> None:
    cache = tmp_path / "cache" if kept else None
    step, result = 0, status
    while result:
        step += 1
        remote = make_bare(tmp_path / f"{step}.git", {PATH: OLD})
        result = ended_run(remote, cache, step, signum)
        assert result in {0, status}
        if signum == signal.SIGTERM:
            assert list(temporary_folder.iterdir()) == []
        assert remote.git("fsck", "--strict", "--no-dangling") == ""
        job(remote.url, cache)
        assert remote.count() == 2
        assert remote.show(PATH) == NEW
    assert step > 8
    assert list(temporary_folder.glob("gitcd-*")) == []
