"""Every exception gitcd raises on purpose, and the exit code each leads to.

Three kinds: the user must fix something, trying again may help, and everything else, which is a bug.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished process tells its caller; documented in docs/exit-codes.md."""

    OK = 0
    DIFFERENCES = 1
    USAGE = 2
    TRANSIENT = 3
    ROLLOUT_FAILED = 4
    ITEMS_FAILED = 5
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


_COMMANDS = frozenset({"aws", "chmod", "git", "gitcd", "kubectl"})


def as_sentence(remedy: str) -> str:
    """The remedy with a capital letter, unless it begins with a command or a name."""
    word = remedy.partition(" ")[0]
    return remedy if word in _COMMANDS or not word.isalpha() else remedy[0].upper() + remedy[1:]


class GitcdError(Exception):
    """A failure that was foreseen: one sentence of what is wrong and, where there is one, the remedy."""

    exit_code: ExitCode = ExitCode.ITEMS_FAILED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = as_sentence(remedy)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ConfigError(GitcdError):
    """Flags, settings, repository or layout are wrong: the run cannot start or cannot go on."""

    exit_code = ExitCode.USAGE


class TransientError(GitcdError):
    """Network, throttling, a lost race: running again may succeed."""

    exit_code = ExitCode.TRANSIENT


class HinderedError(TransientError):
    """One item cannot be done now, and nothing else is the worse for it."""


class RefusedError(GitcdError):
    """One item cannot be done, permanently, and is left as it was."""

    exit_code = ExitCode.ITEMS_FAILED
