"""Text from outside made fit for Markdown, so that no name, tag or file can break out, notify, link or load anything.

Whatever comes from outside stands in code: as a span, where no forge looks for mentions, issues, links or HTML, or in a
fenced block whose fence is longer than any in it. Inside HTML it is escaped besides.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from gitcd.rendering.text import plain_line, visible

_FENCE = 3
_TICKS = re.compile(r"`+")
_LONGEST_LINE = 500
_SOURCE = re.compile(r"https://(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?)/(?P<path>[A-Za-z0-9._~/-]+?)(\.git)?/?")
_REVISION = re.compile(r"[0-9a-f]{7,64}")


def code(text: str) -> str:
    """The text as a code span that can also stand in the cell of a table; nothing where it is empty."""
    line = plain_line(text).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else ""


def html_code(text: str) -> str:
    """The text as code inside HTML."""
    return f"<code>{html.escape(plain_line(text))}</code>"


def fenced(lines: Iterable[str], language: str = "") -> str:
    """The lines as a block of code, without a final newline."""
    shown = [_line(line) for line in lines]
    longest = max((len(run) for line in shown for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(_FENCE, longest + 1)
    return "\n".join([f"{fence}{language}", *shown, fence])


def compare_link(source: str, old: str, new: str) -> str:
    """A link to what lies between two revisions of a source repository; empty where that is not sure.

    `source` and the revisions are labels of images, which anybody may have written. Source: the image annotations of
    the OCI image specification, `org.opencontainers.image.source` and `.revision`.
    """
    found = _SOURCE.fullmatch(source)
    if not found or ".." in found["path"] or "//" in f"/{found['path']}":
        return ""
    if not (_REVISION.fullmatch(old) and _REVISION.fullmatch(new)) or old == new:
        return ""
    host, path = found["host"], found["path"]
    if "gitlab" in host:
        way = f"-/compare/{old}...{new}"
    elif host == "bitbucket.org":
        way = f"branches/compare/{new}%0D{old}"
    else:
        way = f"compare/{old}...{new}"
    return f"[{code(f'{old[:7]}..{new[:7]}')}](https://{host}/{path}/{way})"


def _line(line: str) -> str:
    text = visible(line.rstrip("\r\n").expandtabs())
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"
