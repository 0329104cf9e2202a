"""What one tree declares: layout, declarations and holds, with what could not be read of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitcd.model import hold
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.layout import ConfigRepository
from gitcd.model.plan import Outcome
from gitcd.model.problem import Problem
from gitcd.planning.scopes import Scopes

if TYPE_CHECKING:  # a run that finds everything as it was reads no declaration
    from gitcd.planning.matching import Declared


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one tree declares. `broken` are the declarations that cannot be followed, each with its cause.

    `unreadable` is what is wrong with hold files, of which each holds its declaration; `unnamed` are those whose paths
    are not of the form that names one.
    """

    layout: ConfigRepository | None
    scopes: Scopes
    declared: tuple[Declared, ...]
    broken: tuple[Outcome, ...]
    holds: dict[Identity, Hold]
    unreadable: dict[Identity, Problem] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()


def stray_holds(inputs: Inputs) -> tuple[str, ...]:
    """One warning for each hold file that holds nothing because no declaration has that name."""
    known = {each.identity for each in inputs.declared} | {each.identity for each in inputs.broken}
    warnings = [f"{path}: the path names no declaration, so this holds nothing" for path in inputs.unnamed]
    if any(not (each.environment and each.name) for each in known):
        return tuple(warnings)  # a declaration that cannot be read may be the one that is meant
    paths = {each: hold.hold_path(each) for each in inputs.holds} | {
        each: problem.path for each, problem in inputs.unreadable.items()
    }
    warnings += [
        f"{paths[each]}: there is no declaration {each}, so this holds nothing; rename it as the declaration was, "
        f"or remove it with `gitcd release {each}`"
        for each in sorted(paths.keys() - known)
    ]
    return tuple(warnings)
