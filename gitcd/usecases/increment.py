"""Plan on a branch's tip, but only for those whom anything concerns that is new since the last plan.

The rest keep what was decided. Whatever is not sure to be told from what is remembered has everything planned anew, so
that the plan is the same as one that remembers nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gitcd.git.tree import CommitTree
from gitcd.model import hold
from gitcd.model.declaration import Identity
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, Plan
from gitcd.model.reference import Repository
from gitcd.model.registry import Answers, Query
from gitcd.model.tree import YAML_ENDINGS, Entry, Mode
from gitcd.planning.grounds import Ground, Grounds
from gitcd.planning.inputs import Inputs
from gitcd.planning.ledger import ODD, Ledger, pack_grounds, seal, unpack_grounds
from gitcd.planning.scopes import Scopes, is_manifest
from gitcd.planning.screening import MAX_FILE, REGULAR
from gitcd.usecases.context import Context, Planned, Selection

if TYPE_CHECKING:
    from gitcd.planning.decide import Decision

_PLAN, _GROUNDS = "plan", "grounds"
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_MOST = 0.5  # of all outcomes; where more are to be decided, all of them may as well be


class _AnewError(Exception):
    """What is remembered does not do: everything has to be planned anew."""


def plan_tip(tree: CommitTree, context: Context, memory: Memory) -> Planned:
    """The plan for a commit, with those of the steps that led to it that were taken in this run.

    Raises:
        ConfigError: gitcd.yaml is not valid, or the selection meets nothing.
    """
    if memory is FORGETFUL or not _is_usual(context):
        return _planned_whole(tree, context, memory)
    subject = f"plan {_key(context)}"
    with suppress(_AnewError):
        return _Increment.since(_Records(memory, subject), tree, context).plan()
    planned = _planned_whole(tree, context, memory)  # nothing holds the last plan here: no error, and no records
    _Records(memory, subject).note_whole(planned)
    return planned


def _planned_whole(tree: CommitTree, context: Context, memory: Memory) -> Planned:
    from gitcd.usecases.planner import make_plan

    return make_plan(tree, context, base=tree.commit, memory=memory)


def _is_usual(context: Context) -> bool:
    """Whether all or whole environments are planned, by the tree alone, and nothing else is out of the usual."""
    selection = Selection(context.selection.environments)
    usual = Context(context.resolve, context.recall, context.now, selection, context.limits, context.inspect)
    return context == replace(usual, soak=context.soak, line=context.line)


def _key(context: Context) -> str:
    """Stands for the settings that a plan follows from."""
    limits = sorted((name, scope.environments, scope.paths, scope.registries) for name, scope in context.limits.items())
    return hashlib.sha256(repr((limits, sorted(context.selection.environments))).encode()).hexdigest()


class _Records:
    """What is remembered of the last plan that was made with these settings."""

    def __init__(self, memory: Memory, subject: str) -> None:
        self._memory = memory
        self._subject = subject

    def recall(self) -> tuple[str, str]:
        """The commit of the last plan, and its ledger."""
        base, _, packed = (self._memory.recall(self._subject, _PLAN) or "").partition(" ")
        self._memory.recall(self._subject, _GROUNDS)  # what a run does not ask for is forgotten
        if not _COMMIT.fullmatch(base):
            raise _AnewError
        return base, packed

    @cached_property
    def grounds(self) -> Grounds:
        with _expecting_the_odd():
            return unpack_grounds(self._memory.recall(self._subject, _GROUNDS) or "")

    def note(self, base: str, packed: str, grounds: str = "") -> None:
        """Remember a ledger, and its grounds where these are others now."""
        self._memory.note(self._subject, _PLAN, f"{base} {packed}")
        if grounds:
            self._memory.note(self._subject, _GROUNDS, grounds)

    def note_whole(self, planned: Planned) -> None:
        """Remember a plan, if it can be told what its outcomes rest on."""
        if (decisions := _decisions(planned)) is not None:
            plan = planned.plan
            grounds = pack_grounds(Ground.of(decisions[outcome.identity]) for outcome in plan.outcomes)
            ledger = Ledger.of(planned.inputs.layout, plan, _asked(planned), planned.answers)
            self.note(plan.base, ledger.pack(), grounds)


@dataclass(frozen=True, slots=True)
class _Increment:
    """The last plan, made on the commit `base`, and the files that changed since, as they were and as they are."""

    records: _Records
    tree: CommitTree
    context: Context
    base: str
    packed: str
    ledger: Ledger
    changed: Sequence[Entry]

    @classmethod
    def since(cls, records: _Records, tree: CommitTree, context: Context) -> _Increment:
        """What is new since the last plan."""
        base, packed = records.recall()
        changed = tree.changes_since(base)
        if changed is None:
            raise _AnewError
        with _expecting_the_odd():
            return cls(records, tree, context, base, packed, Ledger.unpack(packed), changed)

    def plan(self) -> Planned:
        """The plan for the tree."""
        concerned = self._concerned()
        numbers = self._bound(concerned | self.ledger.open)
        answers, moved = self._ask({self.records.grounds.all[number].repository for number in numbers})
        if moved:
            numbers = self._bound(numbers | self.records.grounds.following(moved))
        if len(numbers) > _MOST * len(self.ledger.outcomes):
            raise _AnewError
        if numbers:
            return self._decide_anew(numbers, renew=bool(concerned or moved))
        if self.base != self.tree.commit:
            self.records.note(self.tree.commit, self.packed)
        outcomes = tuple(outcome for outcome in self.ledger.outcomes if outcome)
        inputs = Inputs(self.ledger.layout, Scopes(self.ledger.layout), (), (), {})
        plan = Plan(self.tree.commit, outcomes, warnings=self.ledger.warnings)
        return Planned(plan, inputs, (), answers)

    def _concerned(self) -> set[int]:
        """Whom the changed files concern."""
        found: set[int] = set()
        asked = [each for each in self.changed if _counts(each.path)]
        if any(each.size > MAX_FILE for each in asked) or any(each.mode is Mode.SYMLINK for each in self.changed):
            raise _AnewError
        for entry, data in self.tree.read([each for each in asked if each.mode in REGULAR]):
            numbers = self.records.grounds.concerned(entry.path, data)
            if numbers is None:
                raise _AnewError
            found |= numbers
        return found

    def _bound(self, numbers: set[int]) -> set[int]:
        return self.records.grounds.bound(numbers) if numbers else numbers

    def _ask(self, others: set[Repository]) -> tuple[Answers, set[Repository]]:
        """Ask the registry again about all other repositories: what it says, and of which it says something new."""
        asked = [each for each in self.ledger.asked if each[0].repository not in others]
        answers = self.context.resolve([query for query, _ in asked])
        return answers, {query.repository for query, said in asked if seal(query, answers) != said}

    def _decide_anew(self, numbers: set[int], *, renew: bool) -> Planned:
        """Plan these by themselves. `renew`: what is remembered of them is no longer so."""
        from gitcd.usecases.planner import make_plan

        grounds = self.records.grounds
        excerpt = self.tree.excerpt({*grounds.files(numbers), *(entry.path for entry in self.changed)})
        part = make_plan(excerpt, self.context, base=self.tree.commit, hosts=grounds.hosts)
        decisions = _decisions(part)
        by_identity = {grounds.all[number].identity: number for number in numbers}
        if decisions is None or part.plan.warnings or decisions.keys() != by_identity.keys():
            raise _AnewError
        fresh = {by_identity[outcome.identity]: outcome for outcome in part.plan.outcomes}
        if not part.plan.commits:
            self._remember(part, fresh, decisions, renew=renew)
        outcomes = [fresh.get(number) or each for number, each in enumerate(self.ledger.outcomes)]
        kept = tuple(outcome for outcome in outcomes if outcome)
        return replace(part, plan=replace(part.plan, outcomes=kept, warnings=self.ledger.warnings))

    def _remember(
        self, part: Planned, fresh: Mapping[int, Outcome], decisions: Mapping[Identity, Decision], *, renew: bool
    ) -> None:
        """Remember this plan in place of the last one, if that is worth it: those that are open are decided anyway."""
        ledger = self.ledger.updated(fresh, _asked(part), part.answers)
        if not renew and ledger.open == self.ledger.open:
            return
        grounds = list(self.records.grounds.all)
        for number, outcome in fresh.items():
            grounds[number] = Ground.of(decisions[outcome.identity])
        self.records.note(self.tree.commit, ledger.pack(), pack_grounds(grounds))


def _decisions(planned: Planned) -> Mapping[Identity, Decision] | None:
    """The decision behind every outcome; None if one has none, or rests on more than its declaration's own files."""
    plan, decisions = planned.plan, {each.outcome.identity: each for each in planned.decisions}
    vague = plan.failures or any(each.surveyed.sought_anew for each in planned.decisions)
    return None if vague or len(decisions) != len(plan.outcomes) else decisions


def _asked(planned: Planned) -> list[Query]:
    from gitcd.planning.survey import queries

    return queries(each.surveyed for each in planned.decisions)


def _counts(path: str) -> bool:
    """Whether a file may declare, hold off, or have an image."""
    return path.endswith(YAML_ENDINGS) or path.startswith(hold.FOLDER) or is_manifest(path)


@contextmanager
def _expecting_the_odd() -> Iterator[None]:
    try:
        yield
    except ODD:
        raise _AnewError from None
