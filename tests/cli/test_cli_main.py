from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import click
import pytest

from gitcd.cli import main as entry
from gitcd.cli.main import VERBS, Verb, run
from gitcd.errors import ConfigError, ExitCode, GitcdError, RefusedError, TransientError
from gitcd.model.plan import exit_code
from tests.conftest import CANARIES

HEAVY = ("boto3", "botocore", "git", "yaml", "ruamel", "jinja2", "kubernetes", "rich", "urllib3", "asyncio")
GITCD = [sys.executable, "-m", "gitcd"]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Gives the command line a verb `try` that does what the test says."""

    def install(body: Callable[[], object]) -> None:
        module = ModuleType("gitcd.cli.attempt")
        module.command = click.Command("try", callback=body)
        monkeypatch.setitem(sys.modules, "gitcd.cli.attempt", module)
        monkeypatch.setitem(VERBS, "try", Verb("attempt", "Try."))

    return install


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("no branch", remedy="name one"), 2, "error: no branch\n  Name one\n"),
        (TransientError("throttled"), 3, "error: throttled\n"),
        (RefusedError("not that"), 5, "error: not that\n"),
        (GitcdError("somehow"), 5, "error: somehow\n"),
        (click.UsageError("odd"), 2, "error: odd\n"),
        (click.ClickException("odd"), 2, "error: odd\n"),
        (click.BadParameter("odd"), 2, "error: Invalid value: odd\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; nothing is half done\n"),
        (click.Abort(), 130, "error: interrupted; nothing is half done\n"),
        (entry.Terminated(), 143, "error: terminated; nothing is half done\n"),
    ],
)
def test_every_kind_of_end_has_its_exit_code(verb, capfd, error, code, said) -> None:
    verb(raising(error))
    assert run(["try"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(said.rstrip("\n"))


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError("x"), RecursionError("x"), BrokenPipeError("of some pipe"), AssertionError("x")]
)
def test_what_nobody_foresaw_is_a_bug_with_a_block_to_paste(verb, capfd, error) -> None:
    verb(raising(error))
    assert run(["try"]) == 70
    err = capfd.readouterr().err
    assert err.startswith("error: this is a bug in gitcd\n  Please report it")
    for line in ("gitcd:    0.1.0", "python:   3.", "git:      2.", "platform: ", "command:  gitcd try"):
        assert line in err
    assert f"{type(error).__name__}: " in err
    assert err.endswith("--- end ---\n")


def test_T10_the_diagnostic_block_carries_no_secret(verb, capfd) -> None:
    secret = CANARIES["GITCD_GIT_TOKEN"]
    verb(raising(ValueError(f"https://user:{secret}@example.com {secret}")))
    assert run(["try"]) == 70
    err = capfd.readouterr().err
    assert secret not in err
    assert "ValueError: https://***@example.com ***" in err


def test_T22_an_error_from_elsewhere_cannot_steer_the_terminal(verb, capfd) -> None:
    verb(raising(TransientError("remote: \x1b]0;owned\x07\x9b31m\u202eevil")))
    assert run(["try"]) == 3
    assert capfd.readouterr().err == "error: remote: ]0;owned31mevil\n"


@pytest.mark.parametrize("result", [None, 0, ExitCode.OK])
def test_a_verb_that_ends_well_exits_0(verb, result) -> None:
    verb(lambda: result)
    assert run(["try"]) == 0


def test_a_verb_answers_its_exit_code(verb) -> None:
    verb(lambda: ExitCode.DIFFERENCES)
    assert run(["try"]) == 1


def test_of_several_exit_codes_the_first_of_the_documented_order_wins() -> None:
    order = [70, 2, 4, 5, 3, 1]
    for number, code in enumerate(order):
        assert exit_code(map(ExitCode, order[number:])) == code
        assert exit_code(map(ExitCode, reversed(order[number:]))) == code
    assert exit_code([]) == 0
    assert exit_code([ExitCode.OK, ExitCode.DIFFERENCES]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vers"], "error: No such command 'vers'. Did you mean 'version'?\n  See `gitcd --help`.\n"),
        (
            ["version", "--colr"],
            "error: No such option '--colr'. Did you mean '--color'?\n  See `gitcd version --help`.\n",
        ),
        (
            ["version", "too", "much"],
            "error: Got unexpected extra arguments (too much)\n  See `gitcd version --help`.\n",
        ),
        (
            ["version", "-o", "xml"],
            "error: Invalid value for '--output' / '-o' (env var: 'GITCD_OUTPUT'): 'xml' is not",
        ),
    ],
)
def test_a_wrong_command_line_exits_2_and_points_to_the_help(capfd, arguments, said) -> None:
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(said)


def test_no_command_shows_the_overview_on_stderr(capfd) -> None:
    assert run([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("Usage: gitcd [OPTIONS] COMMAND")


def test_the_overview_names_every_verb_in_its_order(capfd) -> None:
    assert run(["--help"]) == 0
    out = capfd.readouterr().out
    listed = re.findall(r"^  ([a-z-]+)  ", out.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_that_names_variables(capfd, name: str) -> None:
    assert run([name, "--help"]) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"Usage: gitcd {name}")
    command = entry.root.get_command(click.Context(entry.root), name)
    for each in getattr(command, "commands", {name: command}).values():
        assert each.help
        assert each.name in {name, *getattr(command, "commands", {})}


def examples() -> Iterator[list[str]]:
    for name in VERBS:
        verb = entry.root.get_command(click.Context(entry.root), name)
        for each in [verb, *getattr(verb, "commands", {}).values()]:
            for line in (each.epilog or "").splitlines()[2:]:
                yield shlex.split(line.partition(">")[0])


def test_examples_of_the_help_are_command_lines() -> None:
    """Flags and operands are parsed; what they name need not be there."""
    found = list(examples())
    assert found
    for program, name, *rest in found:
        assert program == "gitcd"
        verb = entry.root.get_command(click.Context(entry.root), name)
        while isinstance(verb, click.Group):
            verb = verb.get_command(click.Context(verb), rest.pop(0))
        verb.make_parser(click.Context(verb)).parse_args(rest)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_can_talk_more_less_and_in_colour(name: str) -> None:
    command = entry.root.get_command(click.Context(entry.root), name)
    for each in getattr(command, "commands", {name: command}).values():
        flags = {flag for parameter in each.params for flag in parameter.opts}
        assert {"--verbose", "-v", "--quiet", "-q", "--color", "--log-format"} <= flags


def test_nothing_heavy_is_loaded_for_help_or_version() -> None:
    lines = [["--help"], ["--version"], *([name, "--help"] for name in VERBS)]
    script = f"""
        import sys
        from gitcd.cli.main import run
        for line in {lines}:
            assert run(line) == 0, line
            heavy = [name for name in {HEAVY} if name in sys.modules]
            assert not heavy, (line, heavy)
            usecases = [name for name in sys.modules if name.startswith(("gitcd.usecases.", "gitcd.model.plan"))]
            assert not usecases, (line, usecases)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_flag_names_gitcd_and_python(capfd) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gitcd \d+\.\d+\.\d+\S* \(Python 3\.\d+\.\S+\)\n", capfd.readouterr().out)


def _process(body: str, *arguments: str, **more: object) -> subprocess.Popen[bytes]:
    """A real process whose verb `try` has this body."""
    script = f"""
import sys, types, click, time, contextlib
from gitcd.cli import main

def body():
{textwrap.indent(textwrap.dedent(body), "    ")}

module = types.ModuleType("gitcd.cli.attempt")
module.command = click.Command("try", callback=body)
sys.modules["gitcd.cli.attempt"] = module
main.VERBS["try"] = main.Verb("attempt", "Try.")
sys.argv = ["gitcd", "try"]
main.main()
"""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment, **more)


SLOW = """
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("cleaned up", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_F24_a_signal_ends_the_process_after_the_clean_up(number: int, code: int) -> None:
    with _process(SLOW, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out == b"cleaned up\n"
    assert err.startswith(b"error: ")
    assert b"Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_F24_a_signal_that_comes_while_a_finaliser_runs_ends_the_process_too(number: int, code: int) -> None:
    body = f"""
    import os

    class Left:
        def __del__(self):
            os.kill(os.getpid(), {int(number)})

    Left()
    time.sleep(10)
    print("slept", flush=True)
    """
    with _process(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, b"")
    assert err.startswith(b"error: ")
    assert b"ignored" not in err


def test_a_process_that_shall_outlive_its_terminal_does() -> None:
    body = """
    import os, signal
    os.kill(os.getpid(), signal.SIGHUP)
    print("went on", flush=True)
    """
    ignore = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with _process(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=ignore) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"went on\n", b"")


def test_F24_a_second_sigterm_does_not_break_the_clean_up() -> None:
    body = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(0.5)
        print("cleaned up", flush=True)
    """
    with _process(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.stdout.readline() == b"cleaning\n"
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (143, b"cleaned up\n")


def test_F24_a_handler_of_exceptions_does_not_stop_sigterm() -> None:
    body = """
    print("ready", flush=True)
    for _ in range(3):
        with contextlib.suppress(Exception):
            time.sleep(20)
    """
    with _process(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        process.terminate()
        assert process.wait(timeout=30) == 143
        assert time.monotonic() - started < 18  # less than one of the sleeps


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["schema"], ["schema", "--help"]])
def test_a_reader_that_is_gone_is_no_error(arguments: list[str]) -> None:
    with subprocess.Popen([*GITCD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")


def test_completion_offers_the_verbs() -> None:
    environment = os.environ | {"_GITCD_COMPLETE": "bash_complete", "COMP_WORDS": "gitcd re", "COMP_CWORD": "1"}
    script = "import sys; sys.argv = ['gitcd']; from gitcd.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,reconcile", "plain,release"]


@pytest.mark.parametrize("name", ["apply", "diff", "explain", "promote", "reconcile", "rollback", "run", "status"])
def test_every_verb_that_asks_a_registry_can_be_given_a_stand_in(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "--ecr-endpoint-url URL" in capfd.readouterr().out
