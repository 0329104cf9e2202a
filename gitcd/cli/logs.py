"""Logging: ours and, asked twice, the libraries'; as text for people or one JSON object a line for collectors."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

from gitcd.cli.terminal import Stream
from gitcd.redact import guard

LogFormat = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, msg, whatever was given as `extra`, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class LineHandler(logging.Handler):
    """Writes records as lines of an output."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(f"{self.format(record)}\n")


class StatusHandler(LineHandler):
    """Shows what gitcd is doing as a line that the next one replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            self.stream.show_status(f"{record.getMessage()} …")
        else:
            super().emit(record)


def set_up(stream: Stream, *, verbosity: int, quiet: bool, log_format: LogFormat) -> None:
    """Log to the stream: warnings; `-v` what gitcd does in detail; `-vv` libraries too; `--quiet` errors only.

    On a terminal gitcd's progress shows as one status line; in JSON it is always logged.
    """
    live = stream.is_terminal and log_format == "text" and not (verbosity or quiet)
    handler = StatusHandler(stream) if live else LineHandler(stream)
    text = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.setLevel(logging.ERROR if quiet else logging.NOTSET)
    guard(handler)
    root, ours = logging.getLogger(), logging.getLogger("gitcd")
    root.handlers = [each for each in root.handlers if not isinstance(each, LineHandler)] + [handler]
    root.setLevel(logging.DEBUG if verbosity > 1 else logging.WARNING)
    progress = logging.INFO if live or log_format == "json" else logging.WARNING
    ours.setLevel(logging.DEBUG if verbosity else progress)
