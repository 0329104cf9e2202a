"""What a plan is made with, what it is made of, and whom it is about; how it is made is the planner's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitcd.model.declaration import Identity
from gitcd.model.evidence import Inspected, Inspection
from gitcd.model.registry import Answers, Failure, Query

if TYPE_CHECKING:  # a run that finds everything as it was has no use for these
    from datetime import datetime

    from gitcd.model.plan import Plan
    from gitcd.planning.decide import Decision
    from gitcd.planning.holds import Past
    from gitcd.planning.inputs import Inputs
    from gitcd.planning.limits import Limits
    from gitcd.planning.matching import Declared
    from gitcd.planning.precedents import Question
    from gitcd.planning.promotion import Aims
    from gitcd.planning.settling import Absent
    from gitcd.planning.shards import Part
    from gitcd.planning.soak import Soaked, SoakQuestion

Resolve = Callable[[Sequence[Query]], Answers]
Recall = Callable[["Sequence[Question]"], "Mapping[Identity, Past]"]
Inspect = Callable[[Sequence[Inspection]], Inspected]
Elsewhere = Callable[["Inputs"], "tuple[Inputs, Sequence[Absent]]"]
Soak = Callable[["Sequence[SoakQuestion]"], "Soaked"]
Share = Callable[["Inputs"], "Part | None"]


def uninspected(_: Sequence[Inspection]) -> Inspected:
    """For those who have nobody to ask: no answer, so no gate opens."""
    return Inspected()


def unsoaked(_: Sequence[SoakQuestion]) -> Soaked:
    """For those who know no history: nothing has soaked."""
    return {}


def default_line() -> str:
    """For those who work on the repository's default branch, or on no branch."""
    return ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which declarations a run acts on; empty: all.

    An app is given as `name`, `namespace/name` or `environment/namespace/name`. Who does not act, but looks, sees what
    a run for all would do with the selected. `among` are those (`namespace/name`) that the source was narrowed to;
    `only` are those that are this run's part of a work that several share.
    """

    environments: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    acts: bool = True
    among: frozenset[str] | None = None
    only: Collection[Identity] | None = None

    def takes(self, identity: Identity) -> bool:
        if self.only is not None and identity not in self.only:
            return False
        if self.among is not None and identity.app not in self.among:
            return False
        if self.environments and identity.environment not in self.environments:
            return False
        return not self.apps or not self.apps.isdisjoint({identity.name, identity.app, str(identity)})


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan is made with: who answers for the registry, for history and to gates, and what time it is.

    `given` are declarations that do not stand in the tree; they are planned beside those that do. A `source` answers
    the inputs with other declarations in place of the tree's, and with the members that groups lack for that;
    `failures` are what could not be had from it. `aims` are where declarations shall move in place of what their tags
    name; `soak` answers for how long such an image was in use. `share` answers the part of what is declared that this
    run acts on, None for all of it. `line` answers the base where it is not the repository's default branch, once
    something is proposed.
    """

    resolve: Resolve
    recall: Recall
    now: datetime
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=dict)
    inspect: Inspect = uninspected
    given: tuple[Declared, ...] = ()
    source: Elsewhere | None = None
    failures: tuple[Failure, ...] = ()
    aims: Aims = field(default_factory=dict)
    soak: Soak = unsoaked
    share: Share | None = None
    line: Callable[[], str] = default_line

    @property
    def is_of_tree(self) -> bool:
        """Whether the tree alone says what is declared."""
        return not self.given and self.source is None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the steps that led to it, and the part of what is declared that it is about, if not all of it."""

    plan: Plan
    inputs: Inputs
    decisions: tuple[Decision, ...]
    answers: Answers
    part: Part | None = None
