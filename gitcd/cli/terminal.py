"""Where output goes: stdout is data, stderr is talk. All of it passes the redactor here, and colour is decided here."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, TextIO

from gitcd.errors import TransientError, as_sentence

ColorChoice = Literal["auto", "always", "never"]

_RESET = "\x1b[m"
_STYLES = {"bold": "\x1b[1m", "red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "cyan": "\x1b[36m"}
_LINE_STYLES = {"@": "cyan", "-": "red", "+": "green"}
_CLEAR_LINE = "\r\x1b[2K"


@dataclass(slots=True)
class Stream:
    """One of the two outputs of the process.

    A reader that goes away (`| head`) ends the output and nothing else: the command does its work all the same, and its
    exit code stays what it is.
    """

    name: Literal["stdout", "stderr"]
    color: bool = False
    neighbour: Stream | None = None  # whose status line goes before anything is written here
    is_used: bool = False  # whether anything was written here
    _status: bool = False
    _redaction: ModuleType | None = None

    @property
    def is_terminal(self) -> bool:
        stream = self._stream()
        return stream is not None and stream.isatty()

    def write(self, text: str) -> None:
        """Text for people: without secrets, and without characters that steer a terminal."""
        self._emit(self.clean(text))

    def write_data(self, text: str) -> None:
        """Text for programs: without secrets, otherwise as it is, unless a terminal would heed it."""
        self._emit(self.clean(text) if self.is_terminal else self._redact(text))

    def write_bytes(self, data: bytes) -> bool:
        """Bytes for programs, exactly as they are but for secrets; the answer says whether some were masked."""
        text = data.decode("utf-8", "surrogateescape")
        safe = self._redact(text)
        self._send(data if safe == text else safe.encode("utf-8", "surrogateescape"))
        return safe != text

    def write_styled(self, pieces: Iterable[tuple[str, str]]) -> None:
        """Pieces of (text, style), the text already clean; styles show where the stream is coloured."""
        self._emit("".join(self._styled(text, style) for text, style in pieces))

    def show_status(self, text: str) -> None:
        """A line that the next output replaces; only a terminal gets it."""
        if self.is_terminal:
            self._emit(self.clean(text).replace("\n", " ")[: _width()])
            self._status = True

    def clear_status(self) -> None:
        if self._status:
            self._emit("")

    @property
    def has_lost_its_reader(self) -> bool:
        stream = self._stream()
        if stream is None:
            return False
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def flush(self) -> None:
        self._send(b"")

    def clean(self, text: str) -> str:
        """The text without secrets and without characters that steer a terminal."""
        safe: str = self._guard().clean(text)
        return safe

    def _redact(self, text: str) -> str:
        safe: str = self._guard().redact(text)
        return safe

    def _guard(self) -> ModuleType:
        """The redactor, which knows this environment's secrets; `--help` and `--version` do without its import."""
        if self._redaction is None:
            from gitcd import redact

            redact.register_environment(os.environ)
            self._redaction = redact
        return self._redaction

    def _styled(self, text: str, style: str) -> str:
        if not (self.color and style):
            return text
        body = text.rstrip("\r\n")
        return f"{_STYLES[style]}{body}{_RESET}{text[len(body) :]}"

    def _emit(self, text: str) -> None:
        if self._status:
            self._status = False
            text = _CLEAR_LINE + text
        encoding = getattr(self._stream(), "encoding", None) or "utf-8"
        self._send(text.encode(encoding, "backslashreplace"))

    def _send(self, data: bytes) -> None:
        stream = self._stream()
        if stream is None:
            return
        self.is_used |= bool(data)
        if self.neighbour is not None:
            self.neighbour.clear_status()
        try:
            stream.flush()
            stream.buffer.write(data)
            stream.buffer.flush()
        except BrokenPipeError:
            _discard(stream)
        except OSError as error:
            _discard(stream)
            if self.name == "stdout":
                raise TransientError(f"stdout cannot be written: {error.strerror}") from error

    def _stream(self) -> TextIO | None:
        return sys.stdout if self.name == "stdout" else sys.stderr


def _discard(stream: TextIO) -> None:
    """Send what is still to come nowhere, so that the interpreter's own flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _width() -> int:
    """How much of a line is free of the risk to wrap; a terminal may not know its size."""
    try:
        columns = os.get_terminal_size(2).columns
    except OSError:
        columns = 0
    return (columns or 80) - 1


@dataclass(slots=True)
class Console:
    """Both outputs, and how much is said."""

    out: Stream = field(default_factory=lambda: Stream("stdout"))
    err: Stream = field(default_factory=lambda: Stream("stderr"))
    quiet: bool = False
    verbose: bool = False
    structured: bool = False  # talk is logged, one JSON object a line

    def __post_init__(self) -> None:
        self.out.neighbour = self.err

    def set_color(self, choice: ColorChoice, environ: Mapping[str, str]) -> None:
        for stream in (self.out, self.err):
            stream.color = wants_color(choice, environ, is_terminal=stream.is_terminal)

    def say(self, text: str, **details: object) -> None:
        """Talk that `--quiet` silences."""
        if self.structured:
            self._log("info", text, details)
        elif not self.quiet:
            self.err.write(f"{text}\n")

    def warn(self, text: str) -> None:
        if self.structured:
            self._log("warning", text, {})
        elif not self.quiet:
            self.err.write_styled([("warning:", "yellow"), (self.err.clean(f" {text}\n"), "")])

    def error(self, message: str, remedy: str = "", *, report: str = "") -> None:
        """What went wrong and what to do; `report` is for whoever is told about it."""
        if self.structured:
            self._log("error", message, {"remedy": remedy} | ({"report": report} if report else {}))
            return
        hint = f"  {as_sentence(remedy)}\n" if remedy else ""
        self.err.write_styled([("error:", "red"), (self.err.clean(f" {message}\n{hint}{report}"), "")])

    def _log(self, level: str, text: str, details: Mapping[str, object]) -> None:
        import logging

        logging.getLogger("gitcd").log(getattr(logging, level.upper()), "%s", text, extra=dict(details))


def wants_color(choice: ColorChoice, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """The flag, then NO_COLOR, then FORCE_COLOR (both by being set and not empty), then whether a terminal looks on."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal and environ.get("TERM") != "dumb"


def write_diff(stream: Stream, lines: Iterable[bytes]) -> bool:
    """A unified diff: in git's colours, or byte for byte; the answer says whether a secret in it was masked.

    Where it is coloured or a terminal shows it, characters that steer a terminal are taken out.
    """
    data = b"".join(lines)
    if not (stream.color or stream.is_terminal):
        return stream.write_bytes(data)
    stream.write_styled(_painted(stream.clean(data.decode("utf-8", "backslashreplace"))))
    return False


def _painted(diff: str) -> Iterator[tuple[str, str]]:
    header = True
    for line in diff.split("\n")[:-1]:
        if line.startswith("diff --git "):
            header = True
        elif line.startswith("@@"):
            header = False
        yield f"{line}\n", "bold" if header else _LINE_STYLES.get(line[:1], "")
