"""What a shell offers in place of names: those of the repository that the command line would work on."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from gitcd.cli.session import settings_flags

if TYPE_CHECKING:
    from gitcd.model.declaration import Identity
    from gitcd.usecases.completing import Names


def environments(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Environments that are not on the command line yet."""
    given = _given(context)
    return [
        CompletionItem(name)
        for name in _names(context).environments
        if name.startswith(incomplete) and name not in given
    ]


def apps(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Declarations of the environments that are on the command line, or of all: by name, or as far as it takes."""
    given = _given(context)
    known = [each for each in _names(context).apps if not given or each.environment in given]
    forms = [defaultdict[str, list[str]](list) for _ in range(3)]
    for each in known:
        for form, name in zip(forms, _forms(each), strict=True):
            form[name].append(each.environment)
    for form in forms[incomplete.count("/") :]:
        if fitting := [(name, places) for name, places in form.items() if name.startswith(incomplete)]:
            return [CompletionItem(name, help=_listed(places)) for name, places in sorted(fitting)]
    return []


def folders(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Left to the shell, which knows folders."""
    return [CompletionItem(incomplete, type="dir")]


def _forms(identity: Identity) -> tuple[str, str, str]:
    return identity.name, identity.app, str(identity)


def _listed(environments: Iterable[str]) -> str:
    return f"in {' '.join(sorted(set(environments)))}"  # click's script for fish takes a comma for an end


def _given(context: click.Context) -> frozenset[str]:
    named = context.params.get("environment") or ()
    return frozenset([*named, *filter(None, (context.params.get("source"), context.params.get("target")))])


def _names(context: click.Context) -> Names:
    from gitcd.usecases.completing import names

    return names(settings_flags(context.params), os.environ)
