"""The journal of tag moves: ECR keeps no history of them, so each move is one line of JSON in a file.

A journal may have been written by anybody. What is read from it is checked, and a line that is none is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gitcd.model.reference import is_digest, is_tag

KIND = "TagMove"
API_VERSION = "gitcd.io/v1"
_LONGEST_TEXT = 512
LONGEST_LINE = 64 * 1024  # bytes; more than any entry takes, whose characters are up to twelve bytes each


class NoEntryError(ValueError):
    """A line is not one of a journal; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag that was moved. `old` and `new` are digests, empty where the tag named nothing before or after.

    `by` is what the mover's surroundings claim; `caller` is the AWS identity that was confirmed, empty if not asked.
    """

    time: datetime
    run: str
    by: str
    repository: str
    tag: str
    old: str
    new: str
    caller: str = ""

    def line(self) -> bytes:
        """The entry as one line, ASCII only, with its line end."""
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "time": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "run": self.run[:_LONGEST_TEXT],
            "by": self.by[:_LONGEST_TEXT],
            **({"caller": self.caller[:_LONGEST_TEXT]} if self.caller else {}),
            "repository": self.repository,
            "tag": self.tag,
            "old": self.old,
            "new": self.new,
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes) -> Entry:
    """Read one line.

    Raises:
        NoEntryError: it is not an entry.
    """
    if len(line) > LONGEST_LINE:
        raise NoEntryError(f"it is longer than {LONGEST_LINE} bytes")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise NoEntryError("it is not JSON") from None
    if not isinstance(value, dict) or value.get("kind") != KIND or value.get("apiVersion") != API_VERSION:
        raise NoEntryError(f"it is no {KIND} of {API_VERSION}")
    tag, old, new = _text(value, "tag"), _text(value, "old"), _text(value, "new")
    if not is_tag(tag):
        raise NoEntryError("its tag is none")
    if not all(is_digest(each) or not each for each in (old, new)):
        raise NoEntryError("its old or new is no digest")
    caller = _text(value, "caller") if "caller" in value else ""
    run, by, repository = _text(value, "run"), _text(value, "by"), _text(value, "repository")
    return Entry(_time(value), run, by, repository, tag, old, new, caller)


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise NoEntryError(f"its {name} is not a text of at most {_LONGEST_TEXT} characters")
    return text


def _time(value: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value, "time"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise NoEntryError("its time is not a moment with its zone")
