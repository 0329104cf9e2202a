"""A run that ends while it signs: whatever ended it, the key does not outlive the program that signs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.keys import gpg_key, short_folder, ssh_key
from tests.support.programs import find
from tests.support.repos import Bare, make_bare
from tests.support.scenes import LAYOUT, app_files

_SECONDS = 1.0


@pytest.fixture
def declared(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "declared.git", {"gitcd.yaml": LAYOUT} | app_files("app"))


def slowly(folder: Path, name: str) -> Path:
    """A folder with the program, which takes its time before it signs; it leaves a file there when it begins."""
    folder.mkdir()
    program = folder / name
    waiting = f'case "$*" in *sign*) touch {folder}/begun; sleep {_SECONDS};; esac'
    program.write_text(f'#!/bin/sh\n{waiting}\nexec {find(name)} "$@"\n')
    program.chmod(0o755)
    return folder


def keys_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name == "key" or path.suffix == ".key"]


@pytest.mark.parametrize(
    ("format_", "number"), [("ssh", signal.SIGKILL), ("gpg", signal.SIGKILL), ("ssh", signal.SIGTERM)]
)
def test_T10_a_key_does_not_outlive_a_run_that_ends_while_it_signs(
    format_: str, number: int, declared: Bare, tmp_path: Path
) -> None:
    tools = slowly(tmp_path / "bin", "gpg" if format_ == "gpg" else "ssh-keygen")
    with gpg_key() as of_gpg, short_folder() as temporary:
        private = of_gpg.private if format_ == "gpg" else ssh_key(tmp_path / "key").private
        given = {"GITCD_SIGNING_FORMAT": format_, "GITCD_SIGNING_KEY_ENV": "MY_KEY", "MY_KEY": private}
        places = {"TMPDIR": str(temporary), "PATH": f"{tools}:{os.environ['PATH']}"}
        run = subprocess.Popen(
            [sys.executable, "-m", "gitcd", "hold", "app", declared.url],
            env=os.environ | given | places, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not (tools / "begun").exists():
            assert run.poll() is None
            time.sleep(0.01)
        assert len(keys_in(temporary)) == 1
        run.send_signal(number)
        run.wait()
        ends = time.monotonic() + 30
        while keys_in(temporary) and time.monotonic() < ends:
            time.sleep(0.05)
        assert keys_in(temporary) == []
    assert declared.count() == 1
