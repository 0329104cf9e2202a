"""What plain scalars are worth under the core schema of YAML 1.2 (section 10.3.2): `on`, `yes` and dates are text."""

from __future__ import annotations

import re

_MAX_DIGITS = 18
_CORE = re.compile(
    r"(?P<null>null|Null|NULL|~|)|(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+)|(?P<octal>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<infinity>[-+]?\.(?:inf|Inf|INF))|(?P<nan>\.(?:nan|NaN|NAN))",
)
_TELLING = frozenset(["", *"nNtTfF~-+.0123456789"])  # what begins otherwise is text


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar under the core schema; a number too long to be exact comes as a float."""
    match = _CORE.fullmatch(text) if text[:1] in _TELLING else None
    if match is None:
        return text
    match match.lastgroup:
        case "true" | "false" as word:
            return word == "true"
        case "int" if len(text) <= _MAX_DIGITS:
            return int(text)
        case "octal" | "hex" if len(text) <= _MAX_DIGITS:
            return int(text, 0)
        case "int" | "float":
            return float(text)
        case "octal" | "hex" | "infinity":
            return float("-inf" if text.startswith("-") else "inf")
        case "nan":
            return float("nan")
        case _:
            return None
