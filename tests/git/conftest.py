"""Fixtures of the git tests: a remote, and a record of every process that was started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.repos import Bare, make_bare

_recording: list[list[str]] | None = None


def _record(event: str, args: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _recording is not None:
        _recording.append([os.fsdecode(word) for word in args[1]])


sys.addaudithook(_record)


@pytest.fixture
def processes() -> Iterator[list[list[str]]]:
    """The command lines of all processes that this process started during the test."""
    global _recording  # noqa: PLW0603 - an audit hook cannot be taken away again
    _recording = []
    yield _recording
    _recording = None


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own, so that what is left behind can be seen."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


FILES = {"prod/app.yaml": b"image: a:1\n", "dev/app.yaml": b"image: a:2\n", "README.md": b"# Config\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "remote.git", FILES)
