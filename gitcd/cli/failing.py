"""The end of a command line that failed: told to people on stderr, and to programs as a document on stdout."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Literal

from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode, GitcdError

_OUTPUT = re.compile(r"(?:-o=?|--output=)(.+)|-o|--output")


def fail(
    console: Console, arguments: Sequence[str], code: ExitCode, message: str, remedy: str = "", *, report: str = ""
) -> ExitCode:
    """Tell about it on stderr; whoever asked for a document on stdout gets one of kind Error, unless there is one."""
    console.error(message, remedy, report=report)
    if (form := _form(arguments)) and not console.out.is_used:
        from gitcd.cli import output

        error = output.document("Error", message=message, remedy=remedy, exitCode=int(code))
        with suppress(GitcdError):  # stdout may be what failed
            output.write_document(console.out, error, form)
    return code


def _form(arguments: Sequence[str]) -> Literal["json", "yaml", ""]:
    """The kind of document that a command line asks for; it may be one that cannot be parsed."""
    form = os.environ.get("GITCD_OUTPUT", "")
    for word, following in pairwise([*arguments, ""]):
        if word == "--":
            break
        if match := _OUTPUT.fullmatch(word):
            form = match[1] or following
    return "json" if form == "json" else "yaml" if form == "yaml" else ""
