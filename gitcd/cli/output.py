"""Data in the forms that a person or a program asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from unicodedata import east_asian_width

from gitcd.cli.terminal import Stream

API_VERSION = "gitcd.io/v1"
_GAP = "  "


def document(kind: str, **fields: Any) -> dict[str, Any]:
    """A document as programs get it: `apiVersion` and `kind` come first."""
    return {"apiVersion": API_VERSION, "kind": kind, **fields}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, two blanks apart, without trailing blanks; no rows, no text."""
    lines = [[" ".join(cell.split()) for cell in row] for row in rows]
    if not lines:
        return ""
    lines.insert(0, list(header))
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "".join(_line(line, widths) for line in lines)


def write_document(stream: Stream, value: dict[str, Any], form: Literal["json", "yaml"]) -> None:
    """The document as JSON (ASCII only, so that nothing in it can steer a terminal) or as YAML."""
    if form == "json":
        stream.write_data(json.dumps(value, indent=2) + "\n")
        return
    from gitcd.manifests.dump import to_yaml

    stream.write_data(to_yaml(value))


def write_names(stream: Stream, names: Iterable[str]) -> None:
    stream.write_data("".join(f"{name}\n" for name in names))


def counted(number: int, noun: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def worded(kind: str) -> str:
    """`AwaitsPromotion` as a reader would say it: `awaits promotion`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return _GAP.join(padded).rstrip() + "\n"


def _width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
