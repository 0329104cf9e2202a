"""From a tree to a plan: read, survey, ask the registry, decide, ask history and gates, assemble. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from operator import is_

from gitcd.errors import ConfigError
from gitcd.model.declaration import Identity
from gitcd.model.faults import did_you_mean
from gitcd.model.layout import Granularity
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome
from gitcd.model.registry import Query
from gitcd.model.tree import Tree
from gitcd.planning.absent_members import absent_members
from gitcd.planning.allowances import spend_allowances
from gitcd.planning.assemble import Source, assemble, edited_paths
from gitcd.planning.decide import Decision, Facts, decide
from gitcd.planning.inputs import Inputs, stray_holds
from gitcd.planning.inspections import inspections, judge
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.precedents import honour, questions
from gitcd.planning.promotion import aim_queries, merged
from gitcd.planning.pulls import on_line
from gitcd.planning.restrictions import noted
from gitcd.planning.settling import Absent, select, settle
from gitcd.planning.soak import ripen, soak_questions
from gitcd.planning.survey import queries, survey
from gitcd.planning.symlinks import linked_declarations
from gitcd.usecases.context import Context, Elsewhere, Planned, Selection

_SHOWN = 20


def make_plan(
    tree: Tree, context: Context, *, base: str = "", memory: Memory = FORGETFUL, hosts: Collection[str] | None = None
) -> Planned:
    """Decide what shall change in a tree. `memory` spares reading again what is known of its blobs.

    Of a tree that is an excerpt, `hosts` are the registries that the whole is searched for.

    Raises:
        ConfigError: gitcd.yaml is not valid, or the selection meets nothing.
    """
    inputs = read_inputs(tree, memory)
    inputs, lacking = context.source(inputs) if context.source else (inputs, ())
    inputs = replace(inputs, declared=(*inputs.declared, *context.given))
    if hosts is None:
        check_selection(context.selection, inputs)
    if part := context.share(inputs) if context.share else None:
        context = replace(context, selection=replace(context.selection, only=part.identities))
    permitted, refused = limit(inputs.declared, context.limits)
    # A search for a few apps must not take the place of what is remembered of the search for all.
    sought_in = FORGETFUL if context.selection.apps or context.given or part else memory
    surveyed = survey(_with_neighbours(permitted, context.selection), tree, inputs.scopes, sought_in, hosts=hosts or ())
    answers = context.resolve(_asked(surveyed, permitted, context))
    facts = Facts(inputs.scopes, answers, context.now, inputs.holds, context.aims)
    absent = [*absent_members((*inputs.broken, *refused), tree, inputs.scopes), *lacking]
    decisions = settle([decide(each, facts) for each in surveyed], absent)
    decisions = _resettled(decisions, honour(decisions, context.recall(questions(decisions)), inputs.holds), absent)
    if soaking := soak_questions(decisions, inputs.scopes, context.now):
        decisions = settle(ripen(decisions, context.soak(soaking), inputs.scopes, context.now), absent)
    inspected = context.inspect(inspections(decisions, inputs.scopes))
    decisions = _resettled(decisions, judge(decisions, inspected, inputs.scopes), absent)
    if not all(context.selection.takes(each.outcome.identity) for each in decisions):
        decisions = select(decisions, context.selection.takes, absent, acts=context.selection.acts)
    plan = assemble(decisions, _sources(tree, edited_paths(decisions)), _granularity(inputs), base, inputs.scopes)
    plan = on_line(plan, context.line()) if plan.pulls else plan
    plan = spend_allowances(plan, inputs.holds, lambda paths: _sources(tree, paths))
    broken = tuple(each for each in (*inputs.broken, *refused) if concerns(each, context.selection))
    found = noted((*plan.outcomes, *broken), inputs.holds, context.now)
    outcomes = tuple(sorted(found, key=lambda outcome: (outcome.identity, outcome.origin.path)))
    plan = replace(plan, outcomes=outcomes, failures=context.failures, warnings=_warnings(tree, inputs, context))
    return Planned(plan, inputs, tuple(decisions), answers, part)


def _asked(surveyed: Sequence[Surveyed], declared: Sequence[Declared], context: Context) -> list[Query]:
    asked = queries(surveyed)
    return merged([*asked, *aim_queries(declared, context.aims)]) if context.aims else asked


def _resettled(settled: list[Decision], now: list[Decision], absent: Sequence[Absent]) -> list[Decision]:
    """What the decisions mean for each other, if any of them has changed since that was settled."""
    return settled if all(map(is_, settled, now)) else settle(now, absent)


def declared_inputs(tree: Tree, source: Elsewhere | None, memory: Memory = FORGETFUL) -> Inputs:
    """The inputs of a tree, with the declarations of the source that takes its place, if there is one.

    Raises:
        ConfigError: gitcd.yaml is not valid.
    """
    inputs = read_inputs(tree, memory)
    return source(inputs)[0] if source else inputs


def check_selection(selection: Selection, inputs: Inputs) -> None:
    """A selection that meets nothing is most likely misspelt, and silence would hide it."""
    environments = selection.environments
    among = selection.among
    parts = {
        f"--app {app}": Selection(environments, frozenset({app}), among=among) for app in sorted(selection.apps)
    } or {f"--environment {name}": Selection(frozenset({name})) for name in sorted(environments)}
    declared = sorted(each.identity for each in inputs.declared)
    known = [*declared, *(each.identity for each in inputs.broken)]
    if lost := [flag for flag, part in parts.items() if not any(map(part.takes, known))]:
        hint = "`gitcd validate` tells which declarations cannot be read." if inputs.broken else ""
        remedy = f"{_there_are(selection, declared)} {hint}".strip()
        raise ConfigError(f"nothing is selected by {' and '.join(lost)}", remedy=remedy)


def _there_are(selection: Selection, declared: Sequence[Identity]) -> str:
    """What can be selected: environments or, where an app is looked for, declarations; first what may be meant."""
    named = [each for identity in declared for each in (identity.name, identity.app, str(identity))]
    meant = next(
        (hint for app in sorted(selection.apps) if app not in named and (hint := did_you_mean(app, named))), ""
    )
    known = [str(each) for each in declared] if selection.apps else sorted({each.environment for each in declared})
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{meant} There are: {', '.join(known[:_SHOWN])}{more}." if known else ""


def _with_neighbours(declared: Sequence[Declared], selection: Selection) -> list[Declared]:
    """The selected declarations, those that could share a place or a group with one of them, and theirs in turn."""
    chosen = [each for each in declared if selection.takes(each.identity)]
    others = [each for each in declared if not selection.takes(each.identity)]
    keys = {key for each in chosen for key in _bonds(each)}
    while near := {each.identity: each for each in others if not keys.isdisjoint(_bonds(each))}:
        chosen += near.values()
        keys |= {key for each in near.values() for key in _bonds(each)}
        others = [each for each in others if each.identity not in near]
    return chosen


def _bonds(declared: Declared) -> set[tuple[str, str]]:
    environment, spec = declared.identity.environment, declared.declaration.spec
    bonds = {(environment, str(spec.repository))}
    if spec.config:
        bonds.add((environment, f"ConfigMap {spec.config.name}"))
    bonds |= {(environment, f"file {place.file.rpartition('/')[2]}") for place in spec.places}
    if spec.strategy.group:
        bonds.add((environment, f"group {spec.strategy.group}"))
    return bonds


def _sources(tree: Tree, paths: Sequence[str]) -> dict[str, Source]:
    wanted = set(paths)
    entries = [entry for entry in tree.entries() if entry.path in wanted] if wanted else []
    return {entry.path: Source(entry.mode, data) for entry, data in tree.read(entries)}


def _warnings(tree: Tree, inputs: Inputs, context: Context) -> tuple[str, ...]:
    if not context.is_of_tree:
        return ()
    paths = {each.declaration.origin.path for each in inputs.declared}
    return *stray_holds(inputs), *linked_declarations(tree, paths)


def _granularity(inputs: Inputs) -> Granularity:
    return inputs.layout.commits if inputs.layout else "environment"


def concerns(outcome: Outcome, selection: Selection) -> bool:
    """Whether a broken declaration is reported: yes, unless it is surely not among the selected."""
    identity = outcome.identity
    if not identity.environment and not selection.apps and selection.among is None and selection.only is None:
        return True
    return selection.takes(identity)
