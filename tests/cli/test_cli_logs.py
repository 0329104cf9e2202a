from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from gitcd.cli import logs
from gitcd.cli.terminal import Stream
from tests.conftest import CANARIES


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "gitcd", "botocore", "urllib3")]
    levels = [logger.level for logger in loggers]
    handlers = list(loggers[0].handlers)
    yield
    loggers[0].handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def set_up(verbosity: int = 0, *, quiet: bool = False, log_format: logs.LogFormat = "text") -> None:
    logging.getLogger().handlers = []  # pytest's own show what is logged before it is cleaned
    logs.set_up(Stream("stderr"), verbosity=verbosity, quiet=quiet, log_format=log_format)


def talk() -> None:
    for name in ("gitcd.x", "lib.y", "botocore.z", "urllib3.connectionpool"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(level, "%s %d", name, level)


@pytest.mark.parametrize(
    ("verbosity", "quiet", "ours", "library", "wire"),
    [(0, False, 30, 30, 30), (1, False, 10, 30, 30), (2, False, 10, 10, 30), (0, True, 40, 40, 40)],
)
def test_T11_verbosity_never_reaches_the_wire_logs(capfd, verbosity, quiet, ours, library, wire) -> None:
    set_up(verbosity, quiet=quiet)
    talk()
    lines = capfd.readouterr().err.splitlines()
    lowest = {
        name: min(int(line.split()[-1]) for line in lines if name in line)
        for name in ("gitcd", "lib.", "botocore", "urllib3")
    }
    assert lowest == {"gitcd": ours, "lib.": library, "botocore": wire, "urllib3": wire}


def test_text_lines_name_level_and_logger(capfd) -> None:
    set_up()
    logging.getLogger("gitcd.git").warning("slow")
    assert capfd.readouterr().err == "WARNING gitcd.git: slow\n"


def test_json_lines_carry_time_level_message_extras_and_traceback(capfd) -> None:
    set_up(log_format="json")
    logging.getLogger("gitcd").info("moved %s", "tiles", extra={"repo": "r", "old": "1", "new": "2"})
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("gitcd").exception("failed")
    first, second = map(json.loads, capfd.readouterr().err.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {"level": "info", "logger": "gitcd", "msg": "moved tiles", "repo": "r", "old": "1", "new": "2"}
    assert "ValueError: broken" in second["traceback"]


def test_T10_logs_carry_no_secret_and_no_control_character(capfd) -> None:
    for log_format in ("text", "json"):
        set_up(2, log_format=log_format)
        logging.getLogger("gitcd").warning(
            "a %s\x1b[2J", CANARIES["GITCD_GIT_TOKEN"], extra={"x": CANARIES["GITHUB_TOKEN"]}
        )
    err = capfd.readouterr().err
    assert err.count("***") == 3
    assert "\x1b" not in err


def test_setting_up_twice_logs_once(capfd) -> None:
    set_up()
    set_up()
    logging.getLogger("gitcd").warning("once")
    assert capfd.readouterr().err.count("once") == 1


def test_progress_is_one_line_on_a_terminal(monkeypatch, capfd) -> None:
    monkeypatch.setattr(Stream, "is_terminal", True)
    set_up()
    logging.getLogger("gitcd").info("asking")
    logging.getLogger("gitcd").warning("slow")
    assert capfd.readouterr().err == "asking …\r\x1b[2KWARNING gitcd: slow\n"
