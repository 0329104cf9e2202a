from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitcd.cli.terminal import Console, Stream, wants_color, write_diff
from tests.conftest import CANARIES

DIFF = [
    b"diff --git a/x.yaml b/x.yaml\n",
    b"--- a/x.yaml\n",
    b"+++ b/x.yaml\n",
    b"@@ -1,3 +1,3 @@\n",
    b" kept: \xff\r\n",
    b"--- removed: 1\n",
    b"-image: a:1\r\n",
    b"+image: a:2\r\n",
]


class Terminal(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> bytes:
        return self.buffer.getvalue()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    def attach(name: str) -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, name, stream)
        return stream

    return attach


@pytest.mark.parametrize(
    ("choice", "environ", "is_terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_decided_by_flag_then_variables_then_terminal(choice, environ, is_terminal, wanted) -> None:
    assert wants_color(choice, environ, is_terminal=is_terminal) is wanted


def test_an_uncoloured_diff_passes_byte_for_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    masked = write_diff(Stream("stdout"), DIFF)
    assert capfdbinary.readouterr().out == b"".join(DIFF)
    assert not masked


def test_a_secret_in_a_diff_is_masked_and_said(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert write_diff(Stream("stdout"), [b" token: ", CANARIES["GITHUB_TOKEN"].encode(), b"\n"])
    assert capfdbinary.readouterr().out == b" token: ***\n"


def test_a_diff_has_the_colours_of_git(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_diff(Stream("stdout", color=True), DIFF)
    lines = capfdbinary.readouterr().out.split(b"\n")
    assert lines[0] == b"\x1b[1mdiff --git a/x.yaml b/x.yaml\x1b[m"
    assert lines[1] == b"\x1b[1m--- a/x.yaml\x1b[m"
    assert lines[3] == b"\x1b[36m@@ -1,3 +1,3 @@\x1b[m"
    assert lines[4] == b" kept: \\xff\r"
    assert lines[5] == b"\x1b[31m--- removed: 1\x1b[m"
    assert lines[7] == b"\x1b[32m+image: a:2\x1b[m\r"


def test_no_diff_prints_nothing(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_diff(Stream("stdout", color=True), [])
    write_diff(Stream("stdout"), [])
    assert capfdbinary.readouterr().out == b""


HOSTILE = "a\x1b[2Jb\x9bc\u202ed\x00e\x07f"


@pytest.mark.parametrize("color", [True, False])
def test_T22_no_control_character_of_a_diff_reaches_a_terminal(terminal, color: bool) -> None:
    shown = terminal("stdout")
    write_diff(Stream("stdout", color=color), [b"@@\n", f"+{HOSTILE}\n".encode(), b"+\x9b2J\n"])
    text = re.sub(r"\x1b\[(32|36)?m", "", shown.shown.decode())
    assert not any(char in text for char in "\x1b\x9b\u202e\x00\x07")
    assert "a[2Jbcdef" in text


def test_T22_no_control_character_reaches_people_even_in_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = Console()
    console.error(HOSTILE, HOSTILE)
    console.warn(HOSTILE)
    console.say(HOSTILE)
    console.out.write(HOSTILE)
    out, err = capfdbinary.readouterr()
    text = (out + err).decode()
    assert not any(char in text for char in "\x1b\x9b\u202e\x00\x07")
    assert text.count("a[2Jbcdef") == 5


def test_T22_data_for_programs_is_cleaned_only_for_a_terminal(terminal, capfdbinary) -> None:
    Stream("stdout").write_data("x\x1by")
    assert capfdbinary.readouterr().out == b"x\x1by"
    shown = terminal("stdout")
    Stream("stdout").write_data("x\x1by")
    assert shown.shown == b"xy"


def test_T10_no_secret_in_any_form_of_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    secret = CANARIES["AWS_SESSION_TOKEN"]
    console = Console()
    console.error(secret, secret)
    console.warn(secret)
    console.out.write_data(secret)
    console.out.write_bytes(secret.encode())
    write_diff(Stream("stdout", color=True), [f"+{secret}\n".encode()])
    out, err = capfdbinary.readouterr()
    assert secret.encode() not in out + err
    assert (out + err).count(b"***") == 6


def test_quiet_leaves_errors_only(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = Console(quiet=True)
    console.say("talk")
    console.warn("careful")
    console.error("broken", "mend it")
    assert capfdbinary.readouterr() == (b"", b"error: broken\n  Mend it\n")


def test_an_output_of_another_encoding_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    Console().say("Zürich")
    assert stream.buffer.getvalue() == b"Z\\xfcrich\n"


def test_a_closed_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    stream = Stream("stdout")
    stream.write("x")
    stream.flush()
    assert not stream.is_terminal
    assert not stream.has_lost_its_reader


def test_a_status_line_is_replaced_by_what_follows(terminal) -> None:
    shown = terminal("stderr")
    console = Console()
    console.err.show_status("asking\nthe registry")
    console.err.show_status("planning")
    console.say("done")
    console.say("really")
    assert shown.shown == b"asking the registry\r\x1b[2Kplanning\r\x1b[2Kdone\nreally\n"


def test_a_status_line_is_gone_before_data_is_printed(terminal) -> None:
    talk, data = terminal("stderr"), terminal("stdout")
    console = Console()
    console.err.show_status("asking")
    console.out.write_bytes(b"patch")
    assert (talk.shown, data.shown) == (b"asking\r\x1b[2K", b"patch")


def test_a_status_line_is_for_terminals_only(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Stream("stderr").show_status("asking")
    assert capfdbinary.readouterr().err == b""


READER_GONE = """
import sys
from gitcd.cli.terminal import Stream
out = Stream("stdout")
before = out.has_lost_its_reader
sys.stdin.readline()
after = out.has_lost_its_reader
for _ in range(3):
    out.write_bytes(b"x" * 100_000)
print("more", flush=True)
sys.exit(5 if (before, after) == (False, True) else 1)
"""


def test_a_reader_that_goes_away_changes_nothing() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READER_GONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    ) as process:
        assert process.stdout is not None
        time.sleep(0.5)
        process.stdout.close()
        _, err = process.communicate(b"\n", timeout=20)
    assert (process.returncode, err) == (5, b"")
