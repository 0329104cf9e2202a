"""The block that a person pastes into a report when gitcd itself failed."""

from __future__ import annotations

import platform
import shlex
import sys
import traceback
from collections.abc import Sequence

from gitcd import __version__
from gitcd.errors import GitcdError


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Versions, platform, the command and the traceback. Whoever prints it takes the secrets out."""
    trace = "".join(traceback.format_exception(error))
    return (
        f"--- gitcd diagnostics ---\n"
        f"gitcd:    {__version__}\n"
        f"python:   {sys.version.split()[0]}\n"
        f"git:      {git_version()}\n"
        f"platform: {platform.platform()}\n"
        f"command:  gitcd {shlex.join(arguments)}\n"
        f"{trace}"
        f"--- end ---\n"
    )


def git_version() -> str:
    """The version of the installed git, or what is wrong with it."""
    from gitcd.git import runner

    try:
        return ".".join(map(str, runner.version()))
    except GitcdError as error:
        return f"none ({error.message})"
