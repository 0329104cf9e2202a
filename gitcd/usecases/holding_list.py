"""List what is held in a config repository, what was held, and hold files that hold nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from gitcd.model.hold import hold_path
from gitcd.model.layout import FILE_NAME
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.restrictions import Restriction, State, freezes, restrictions


@dataclass(frozen=True, slots=True)
class Listed:
    """One row: `subject` is a declaration, or an environment; `note` says why a hold file holds nothing, or all."""

    subject: str
    file: str
    held: Restriction
    note: str = ""


def list_holds(tree: Tree, now: datetime, environments: Collection[str] = ()) -> list[Listed]:
    """Every hold and freeze, by the name of what it holds; those of some environments where any are given.

    Raises:
        ConfigError: gitcd.yaml is not valid.
    """
    inputs = read_inputs(tree)
    rows = [*_windows(inputs, now), *_holds(inputs, now), *_unreadable(inputs)]
    return [each for each in rows if not environments or each.subject.partition("/")[0] in environments]


def _windows(inputs: Inputs, now: datetime) -> Iterator[Listed]:
    for name, environment in sorted(inputs.scopes.environments.items()):
        yield from (Listed(name, FILE_NAME, each) for each in freezes(environment, now))


def _holds(inputs: Inputs, now: datetime) -> Iterator[Listed]:
    known = {each.identity for each in inputs.declared} | {each.identity for each in inputs.broken}
    for identity, hold in sorted(inputs.holds.items()):
        note = "" if identity in known else "there is no such declaration"
        yield from (Listed(str(identity), hold_path(identity), each, note) for each in restrictions(hold, now))


def _unreadable(inputs: Inputs) -> Iterator[Listed]:
    for identity, problem in sorted(inputs.unreadable.items()):
        held = Restriction("everything", State.IN_FORCE, reason="the file cannot be read")
        yield Listed(str(identity), problem.path, held, problem.message)
    for path in inputs.unnamed:
        yield Listed("-", path, Restriction("nothing", State.OVER), "the path names no declaration")
