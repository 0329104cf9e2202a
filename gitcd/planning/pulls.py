"""Which pull requests should exist: who moves by one, with whom, on which branch; and what becomes of those there are.

A branch is `gitcd/<environment>/<group>`, the same in every run, so that one pull request is always up to date. Where
it is for another base than the repository's default branch, `@<base>` follows: two bases never share a branch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitcd.model.declaration import Identity
from gitcd.model.plan import BROKEN, Outcome, OutcomeKind, Plan

if TYPE_CHECKING:  # names of branches are asked for in every run, what stands on them in few
    from gitcd.planning.decide import Decision
    from gitcd.planning.matching import Declared
    from gitcd.planning.scopes import Scopes

FOLDER = "gitcd/"
ONE = "env"  # the group that is a whole environment
EACH = "app"  # the group that is every declaration by itself
OF_NAMESPACE = "namespace"  # the group that is a namespace of the environment
NOT_SELECTED = "not part of this run"  # how the reason ends where nothing else is to be said
_BACK = "rollback/"
_OVER = "switch/"
_LOCK = ".lock"  # no ref may end so
_AT = "@"  # which neither an environment nor a group holds


def branch_name(environment: str, group: str) -> str:
    """The branch of a pull request."""
    return f"{FOLDER}{environment}/{group}{'-' if group.endswith(_LOCK) else ''}"


def rollback_branch(identity: Identity, line: str = "") -> str:
    """The branch of the pull request that takes a declaration back, beside that of its environment."""
    name = branch_name(f"{_BACK}{identity.environment}", f"{identity.namespace}.{identity.name}")
    return f"{name}{_AT}{line}" if line else name


def switch_branch(identity: Identity, line: str = "") -> str:
    """The branch of the pull request that switches a declaration to its other slot."""
    name = branch_name(f"{_OVER}{identity.environment}", f"{identity.namespace}.{identity.name}")
    return f"{name}{_AT}{line}" if line else name


def is_branch(name: str, line: str = "") -> bool:
    """Whether a branch has the name of one that pull requests to this base come from, and not of one that takes back.

    `line` is the base where it is not the repository's default branch.
    """
    return _is_below(FOLDER, name, line)


def is_rollback_branch(name: str, line: str = "") -> bool:
    """Whether a branch has the name of one that takes a declaration back on this base."""
    return _is_below(f"{FOLDER}{_BACK}", name, line)


def is_switch_branch(name: str, line: str = "") -> bool:
    """Whether a branch has the name of one that switches a declaration to its other slot, on this base."""
    return _is_below(f"{FOLDER}{_OVER}", name, line)


def _is_below(folder: str, name: str, line: str) -> bool:
    own, at, base = name.partition(_AT)
    if (at, base) != (_AT if line else "", line):
        return False
    return own.startswith(folder) and own.removeprefix(folder).count("/") == 1


def on_line(plan: Plan, line: str) -> Plan:
    """The plan with branches for another base than the repository's default branch (empty: that one)."""
    if not line:
        return plan
    outcomes = (
        replace(each, proposal=f"{each.proposal}{_AT}{line}") if each.proposal else each for each in plan.outcomes
    )
    proposed = (replace(pull, branch=f"{pull.branch}{_AT}{line}") for pull in plan.pulls)
    return replace(plan, outcomes=tuple(outcomes), pulls=tuple(proposed))


def routes(movers: Sequence[Decision], scopes: Scopes) -> dict[Identity, str]:
    """The branch for each declaration that moves by a pull request; those that are not named move by a commit.

    What must move together goes the strictest way that one of it has to go.
    """
    chosen: dict[Identity, str] = {}
    for company in _companies(movers):
        branches = sorted(filter(None, (_branch(each, scopes) for each in company)))
        chosen |= {each.outcome.identity: branches[0] for each in company if branches}
    return chosen


def asks_for_pull(declared: Declared, scopes: Scopes) -> bool:
    """Whether a declaration may move by a pull request only, by its own word or its environment's."""
    own, common = declared.declaration.spec.delivery, scopes.layout_of(declared.identity.environment).delivery
    return "PullRequest" in {common.mode, own.mode if own else ""}


def _branch(mover: Decision, scopes: Scopes) -> str:
    """Where the declaration goes by itself; empty: straight to the base."""
    declared = mover.surveyed.declared
    environment = scopes.layout_of(declared.identity.environment)
    own, common = declared.declaration.spec.delivery, environment.delivery
    asked = mover.aim is not None and mover.aim.by_pull
    if not (asked or asks_for_pull(declared, scopes)):
        return ""
    group = (own.group if own else "") or common.group or EACH
    namespace, name = declared.identity.namespace, declared.identity.name
    known = {EACH: f"{namespace}.{name}", OF_NAMESPACE: namespace}
    return branch_name(environment.name, known.get(group, group))


def _companies(movers: Sequence[Decision]) -> Iterator[list[Decision]]:
    """Movers that no two commits may part: members of a group, and those that share a place."""
    leaders: dict[object, int] = {}
    company = list(range(len(movers)))

    def find(number: int) -> int:
        while company[number] != number:
            number = company[number]
        return number

    for number, mover in enumerate(movers):
        for bond in _bonds(mover):
            company[find(number)] = find(leaders.setdefault(bond, number))
    members: defaultdict[int, list[Decision]] = defaultdict(list)
    for number, mover in enumerate(movers):
        members[find(number)].append(mover)
    yield from members.values()


def _bonds(mover: Decision) -> Iterator[object]:
    from gitcd.planning.settling import group_of

    if group := group_of(mover):
        yield group
    for edit in mover.edits:
        yield edit.site.path, edit.site.document, edit.site.pointer, edit.key


def plan_id(outcomes: Iterable[Outcome]) -> str:
    """Stands for what a pull request brings: which images, by digest, to which declarations."""
    images = sorted(
        (str(each.identity), each.image_repo, each.resolved.digest if each.resolved else "") for each in outcomes
    )
    return hashlib.sha256(json.dumps(images, separators=(",", ":")).encode()).hexdigest()


def propose(outcome: Outcome, branch: str) -> Outcome:
    """The outcome of a declaration whose move waits in a pull request."""
    return replace(outcome, kind=OutcomeKind.PROPOSED, proposal=branch)


@dataclass(frozen=True, slots=True)
class Fate:
    """What shall become of a branch that is there. `reason` is one sentence for people; empty: it is carried on."""

    leave: bool = False
    close: bool = False
    reason: str = ""


CARRY_ON = Fate()


def is_merged(carried: Mapping[Identity, str], outcomes: Mapping[Identity, Outcome]) -> bool:
    """Whether git deploys by now what a branch moves its declarations to, by digest."""
    return bool(carried) and all(_deploys(outcomes.get(each), digest) for each, digest in carried.items())


def _deploys(outcome: Outcome | None, digest: str) -> bool:
    if outcome is None or not digest:
        return False
    if outcome.kind is OutcomeKind.CURRENT:
        return outcome.resolved is not None and outcome.resolved.digest == digest
    return outcome.old_digest == digest


def fate(
    carried: Collection[Identity],
    proposed: Collection[Identity],
    outcomes: Mapping[Identity, Outcome],
    known: Callable[[Identity], bool],
    *,
    merged: bool = False,
) -> Fate:
    """What a run may do to a branch that carries these declarations, and shall carry the proposed ones.

    A branch is left as it is while that cannot be said of all of them: the registry did not answer, the environment is
    frozen, they were not selected. `known`: whether a declaration that has no outcome is surely gone. `merged`: whether
    the base says what the branch does.
    """
    if merged and not proposed:
        return Fate(close=True, reason=together(dict.fromkeys(sorted(carried), "is current")))
    dropped = sorted(set(carried) - set(proposed))
    for identity in dropped:
        if why := _undecided(identity, outcomes.get(identity), known):
            return Fate(leave=True, reason=f"{identity} {why}")
    if proposed:
        return CARRY_ON
    if stuck := [each for each in dropped if (found := outcomes.get(each)) and found.kind in _STUCK]:
        return Fate(leave=True, reason=f"{stuck[0]} {_why(outcomes[stuck[0]])}")
    return Fate(close=True, reason=together({each: _why(outcomes.get(each)) for each in dropped}))


def together(reasons: Mapping[Identity, str]) -> str:
    """One sentence for each reason, with a few of those that it holds for."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for identity, why in reasons.items():
        alike[why].append(str(identity))
    return "; ".join(map(_sentence, alike.values(), alike))


def _sentence(names: Sequence[str], why: str) -> str:
    if len(names) == 1:
        return f"{names[0]} {why}"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    glue = ", " if more else " and "
    return f"{glue.join(names[:_NAMED])}{more} {re.sub('^is', 'are', why)}"


_STUCK = BROKEN | {OutcomeKind.BLOCKED}  # which may pass as it came: nothing is closed for that
_NAMED = 2  # declarations of one reason


def _undecided(identity: Identity, outcome: Outcome | None, known: Callable[[Identity], bool]) -> str:
    if outcome is None:
        return "" if known(identity) else f"is {NOT_SELECTED}"
    if outcome.transient:
        return f"could not be decided: {outcome.reason}"
    match outcome.kind:
        case OutcomeKind.FROZEN:
            return f"is frozen: {outcome.message}"
        case OutcomeKind.PROMOTED:
            return "moves by promotion"
        case OutcomeKind.BLOCKED if outcome.reason.endswith("NotSelected"):
            return "is not selected"
        case _:
            return ""


def _why(outcome: Outcome | None) -> str:
    if outcome is None:
        return "is no longer declared"
    match outcome.kind:
        case OutcomeKind.CURRENT:
            return "is current"
        case OutcomeKind.BUMPED | OutcomeKind.PIN_ONLY:
            return "is delivered by a commit now"
        case OutcomeKind.PROPOSED:
            return f"is proposed by {outcome.proposal} now"
        case _:
            return f"is {outcome.kind.lower()}: {outcome.message or outcome.reason}"
