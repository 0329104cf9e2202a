"""Templates to text, in a sandbox: a template reads what it is given, and can neither change it nor reach beyond it.

Templates come from gitcd itself, or from the operator's folder, which is looked into first. Never from a config
repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gitcd.errors import ConfigError
from gitcd.rendering.text import block, quoted

TEMPLATES = Path(__file__).parent.parent / "templates"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, in which a short template cannot multiply itself into a huge text either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError(f"the operator {operator} is for small numbers only")
        return super().call_binop(context, operator, left, right)


def render(name: str, values: Mapping[str, Any], *, folder: Path | None = None, limit: int) -> str:
    """Fill in the template called `name`. What goes beyond `limit` bytes is cut off at the end of a line.

    `folder` is the operator's template folder.

    Raises:
        ConfigError: the template is missing or wrong, names a value that there is not, or tries to leave the sandbox.
    """
    try:
        return _cut(_environment(folder).get_template(name).generate(values), limit)
    except TemplateError as error:
        raise ConfigError(
            f"template {_where(name, error)}: {error.message or type(error).__name__}",
            remedy=f"Look at the file in {folder or TEMPLATES}; docs/settings.md lists the values it may use.",
        ) from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise ConfigError(f"template {name}: {error}") from error


@cache
def _environment(folder: Path | None) -> _Sandbox:
    folders = [folder, TEMPLATES] if folder else [TEMPLATES]
    sandbox = _Sandbox(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=_is_markup,
    )
    sandbox.filters["quoted"] = quoted
    sandbox.filters["block"] = block
    return sandbox


def _is_markup(name: str | None) -> bool:
    """Whether texts are escaped where a template of this name puts them."""
    return name is not None and name.endswith(".html.j2")


def _cut(chunks: Iterable[str], limit: int) -> str:
    text = "".join(_up_to(chunks, limit))
    if len(text.encode()) <= limit:
        return text
    head = text.encode()[:limit].decode(errors="ignore")
    return head[: head.rfind("\n") + 1]


def _up_to(chunks: Iterable[str], limit: int) -> Iterator[str]:
    size = 0
    for chunk in chunks:
        yield chunk
        size += len(chunk)
        if size > limit:
            return


def _where(name: str, error: TemplateError) -> str:
    line = getattr(error, "lineno", None)
    return f"{getattr(error, 'name', None) or name}:{line}" if line else name
