"""Text from outside made fit for a line of a commit message, or for a YAML document."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

_MAX_FIELD = 300
_LAST_OF_PLANE_0 = 0xFFFF
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])")
_ISSUE = re.compile(r"#(?=[0-9])")
# Lines that are read as more than text: the divider before a patch, a comment; a trailer of ours, even indented.
_SPECIAL = re.compile(r"^(?=---|#)", re.MULTILINE)
_TRAILER = re.compile(r"^(?= *Gitcd-)", re.MULTILINE)


def one_line(text: str) -> str:
    """The text on one line, without invisible characters, too short to flood, and unable to notify or to close."""
    return plain_line(_ISSUE.sub("# ", _MENTION.sub("(at)", visible(text))))


def plain_line(text: str) -> str:
    """The text on one line, without invisible characters, and too short to flood."""
    line = " ".join(visible(text).split())
    return line if len(line) <= _MAX_FIELD else line[: _MAX_FIELD - 1] + "…"


def message_body(text: str) -> str:
    """Rendered text with lines of no double meaning, no trailing blanks, and no blank lines in a row or at the ends."""
    lines = "\n".join(visible(line).rstrip() for line in text.expandtabs().split("\n"))
    return _TRAILER.sub("> ", _SPECIAL.sub(" ", re.sub(r"\n{3,}", "\n\n", lines.strip())))


def visible(text: str) -> str:
    """Control characters, directions, and blanks other than the space become spaces."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def moment(when: datetime) -> str:
    """A point in time for people, to the minute."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def quoted(value: object) -> str:
    """Plain data as JSON that is YAML too, on one line: what cannot be seen is escaped as YAML 1.2 has it (5.7)."""
    return "".join(
        char if char.isprintable() else _escaped(ord(char)) for char in json.dumps(value, ensure_ascii=False)
    )


def block(text: str, indent: int) -> str:
    """A text of several lines as people write one in YAML, line by line (YAML 1.2, 8.1.2); else as `quoted`."""
    lines = text.removesuffix("\n").split("\n")
    plain = all(line.isprintable() for line in lines)
    if not plain or lines[-1] == "" or lines[0][:1] in {"", " "}:
        return quoted(text)
    head = "|" if text.endswith("\n") else "|-"
    return "\n".join([head, *(" " * indent + line if line else "" for line in lines)])


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= _LAST_OF_PLANE_0 else f"\\U{code:08x}"
