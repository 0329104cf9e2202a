"""What is written down validly but has no effect in this version: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from gitcd.model.layout import Environment
from gitcd.model.problem import Problem, Steps, pointer
from gitcd.model.registry import Failure


def in_environment(environment: Environment) -> Iterator[Problem]:
    """One problem for each such field of an environment; steps lead from the environment."""
    if not environment.promote_from and environment.gates.min_soak:
        yield _unsupported(
            ("gates", "minSoak"), "Remove it; gates.minAge waits for a time that is counted from the push."
        )


def failure(environment: Environment) -> Failure | None:
    """All of it as one failure of a declaration."""
    found = {f"environments[{environment.name}].{pointer(each.steps)}": each for each in in_environment(environment)}
    if not found:
        return None
    are = "is" if len(found) == 1 else "are"
    remedies = dict.fromkeys(each.remedy for each in found.values())
    return Failure(
        "NotSupportedYet", f"{', '.join(found)} {are} not supported by this version of gitcd", " ".join(remedies)
    )


def _unsupported(steps: Steps, remedy: str) -> Problem:
    return Problem("is not supported by this version of gitcd, so nothing that it concerns moves", remedy, steps)
