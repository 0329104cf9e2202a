"""Text from outside made fit for a line of a commit message."""

from __future__ import annotations

import re
import unicodedata

_MAX_FIELD = 300
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])")
_ISSUE = re.compile(r"#(?=[0-9])")
# Lines that git or gitcd read as more than text: the divider before a patch, a comment, a trailer of ours.
_SPECIAL = re.compile(r"^(?=---|#|Gitcd-)", re.MULTILINE)


def one_line(text: str) -> str:
    """The text on one line, without invisible characters, too short to flood, and unable to notify or to close."""
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = " ".join(visible.split())
    line = _ISSUE.sub("# ", _MENTION.sub("(at)", line))
    return line if len(line) <= _MAX_FIELD else line[: _MAX_FIELD - 1] + "…"


def message_body(text: str) -> str:
    """Rendered text with lines of no double meaning, no trailing blanks, and no blank lines in a row or at the ends."""
    printable = "".join(char for char in text.expandtabs() if char == "\n" or unicodedata.category(char)[0] != "C")
    lines = "\n".join(line.rstrip() for line in printable.split("\n"))
    return _SPECIAL.sub(" ", re.sub(r"\n{3,}", "\n\n", lines.strip()))
