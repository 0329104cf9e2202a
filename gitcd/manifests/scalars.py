"""How a scalar is spelled so that every YAML reader takes it for the same string."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./@+:=-]*[A-Za-z0-9_./@+-])?")
_WRITABLE = re.compile(r"[ -~]*")
# `y` and `n` are booleans by the letter of YAML 1.1, though PyYAML reads strings.
_BOOLEANS = frozenset("yYnN")
_NUMBER_STARTS = frozenset("0123456789+-.")
_YAML11: Any = Resolver()


@lru_cache(maxsize=4096)
def is_plain_string(text: str) -> bool:
    """Whether `text`, written without quotes, is a string in YAML 1.1 (PyYAML), in YAML 1.2 (ruamel.yaml) and in Go."""
    if text in _BOOLEANS or _is_go_number(text):
        return False
    old: str = _YAML11.resolve(ScalarNode, text, (True, False))
    return old.endswith(":str") and str(_yaml12().resolve(_ruamel_scalar(), text, (True, False))).endswith(":str")


def _is_go_number(text: str) -> bool:
    """Whether go-yaml, which kubectl and Helm read with, may see a number: it drops `_` and takes `0X1F` too."""
    digits = text.replace("_", "")
    if text[:1] not in _NUMBER_STARTS:
        return False
    for read in (float, lambda number: int(number, 0)):
        with suppress(ValueError):
            read(digits)
            return True
    return False


def spell(text: str, style: str) -> tuple[bytes, str]:
    """Bytes for a scalar in the given style ("" plain, "'" or '"'), and the style that they came to have.

    A plain scalar gets double quotes where it would not be a string without.

    Raises:
        ValueError: the text holds something other than printable ASCII.
    """
    if not _WRITABLE.fullmatch(text):
        raise ValueError(f"{text!r} holds something other than printable ASCII")
    if style == "'":
        return b"'" + text.replace("'", "''").encode() + b"'", style
    if not style and _PLAIN.fullmatch(text) and is_plain_string(text):
        return text.encode(), ""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode(), '"'


@cache
def _yaml12() -> Any:
    from ruamel.yaml.resolver import VersionedResolver

    return VersionedResolver(version=(1, 2))


@cache
def _ruamel_scalar() -> Any:
    from ruamel.yaml.nodes import ScalarNode as RuamelScalar

    return RuamelScalar
