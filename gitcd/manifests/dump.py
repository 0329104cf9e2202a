"""YAML output for people and scripts (`-o yaml`); never for manifests."""

from __future__ import annotations

from typing import Any

import yaml

from gitcd.manifests.scalars import is_plain_string


class _Dumper(yaml.SafeDumper):
    """Repeats what occurs twice in place of naming it with anchors, and indents the items of lists."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - its caller names it
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if is_plain_string(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def to_yaml(value: object) -> str:
    """Plain data (dicts, lists, strings, numbers, booleans, None) as YAML, keys in their order.

    Raises:
        TypeError: something in the value is no plain data.
    """
    try:
        return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
    except yaml.representer.RepresenterError as error:
        raise TypeError(f"{error.args[-1]!r} is no plain data") from error
