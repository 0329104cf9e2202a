"""Where a rollback leads: the declaration that is named, and all that move with it, each back to what it held then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gitcd.errors import RefusedError, TransientError
from gitcd.git.history import History, Landed, MissingHistory
from gitcd.model.declaration import Identity
from gitcd.model.memory import Memory
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Surveyed
from gitcd.planning.overview import Standing, standing
from gitcd.planning.promotion import Aim
from gitcd.planning.survey import survey
from gitcd.usecases.context import Context
from gitcd.usecases.rollback_targets import (
    Former,
    Judge,
    Manifests,
    choose,
    formers,
    is_back,
    misfit,
    nearest,
    platforms,
    queries,
    usable,
)
from gitcd.usecases.status_past import Past, Recollect, Subject

_OTHERS = 20  # former values that are asked for in place of one that does not fit
_MOST = 500  # commits of one declaration that are looked at


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What to take back, where to (a version or digest that git held; empty: the one before), and why.

    `leaving` is the digest that has to stand there still; empty: any. `automatic`: no person asks, so what the tag
    names by now is not held off unread, and a pull request that somebody closed is not opened again.
    """

    app: str
    to: str = ""
    reason: str = ""
    by: str = ""
    until: str = ""
    any_platform: bool = False
    by_pull: bool = False
    leaving: str = ""
    automatic: bool = False


def _unknown(_: Identity) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked besides the tree: history, the registry for manifests, and who knows what was found healthy last.

    `good` answers that digest; empty: nobody knows, or nobody asks.
    """

    recollect: Recollect
    manifests: Manifests
    good: Callable[[Identity], str] = _unknown


@dataclass(frozen=True, slots=True)
class Unit:
    """The declaration that is taken back, and those that move with it: its group, and who shares a place."""

    leader: Surveyed
    others: tuple[Surveyed, ...]

    @property
    def members(self) -> tuple[Surveyed, ...]:
        return self.leader, *self.others


@dataclass(frozen=True, slots=True)
class Step:
    """One declaration of the unit: what it leaves, and where it goes; None: it stays, and `note` may say why."""

    surveyed: Surveyed
    present: Former
    target: Former | None
    note: str = ""


def find_unit(tree: Tree, inputs: Inputs, identity: Identity, context: Context, memory: Memory) -> Unit:
    """The declaration with its group and with those that share a place with one of them, and theirs in turn."""
    permitted, _ = limit(inputs.declared, context.limits)
    near = [each for each in permitted if each.identity.environment == identity.environment]
    surveyed = {each.declared.identity: each.in_order() for each in survey(near, tree, inputs.scopes, memory)}
    if identity not in surveyed:
        raise RefusedError(f"the operator does not let {identity} move", remedy="Ask the operator.")
    bonds = {each: set(_bonds(found)) for each, found in surveyed.items()}
    chosen, keys = {identity}, set(bonds[identity])
    while more := {each for each in bonds.keys() - chosen if not keys.isdisjoint(bonds[each])}:
        chosen |= more
        keys |= {key for each in more for key in bonds[each]}
    return Unit(surveyed[identity], tuple(surveyed[each] for each in sorted(chosen - {identity})))


def asks_for_pulls(unit: Unit, inputs: Inputs) -> bool:
    """Whether a part of the unit may move by a pull request only: then all of it does."""
    for each in unit.members:
        identity, own = each.declared.identity, each.declared.declaration.spec.delivery
        if "PullRequest" in {inputs.scopes.layout_of(identity.environment).delivery.mode, own.mode if own else ""}:
            return True
    return False


def _bonds(surveyed: Surveyed) -> Iterable[object]:
    if group := surveyed.declared.declaration.spec.strategy.group:
        yield group
    for site in surveyed.sites:
        yield site.path, site.document, site.pointer


def find_steps(unit: Unit, inputs: Inputs, context: Context, request: RollbackRequest, sources: Sources) -> list[Step]:
    """Where each goes: the leader as it is asked, the others to what they held at that commit."""
    history = sources.recollect()
    if not isinstance(history, History):
        raise _lost(history.reason if history else "there is no git history")
    subjects = [Subject.of(each) for each in unit.members]
    past = Past(history, inputs.scopes, subjects)
    trail = past.trail(subjects[0])[:_MOST]
    _check_clear(unit.leader)
    found = formers(trail, _standings(past, [(subjects[0], landed) for landed in trail]))
    values = _judged(unit.leader, found, inputs, context)
    if not request.to and is_back(values, inputs.holds.get(unit.leader.declared.identity), context.now):
        return [Step(unit.leader, values[0], None, _stays(unit.leader, values))]
    target = choose(values, request.to or _unless_present(sources.good(unit.leader.declared.identity), values[0]))
    steps = [Step(unit.leader, values[0], _unless_same(target, values[0]))]
    then = _standings(past, [(subject, target.landed) for subject in subjects[1:]])
    steps += [
        _follow(surveyed, stand, target, inputs, context) for surveyed, stand in zip(unit.others, then, strict=True)
    ]
    if not request.any_platform:
        _check_platforms(steps[0], usable(values), sources.manifests)
        for each in steps[1:]:
            _check_platforms(each, (), sources.manifests)
    return steps


def _stays(surveyed: Surveyed, values: Sequence[Former]) -> str:
    further = next((f"; to go back further, say --to {each.name}" for each in usable(values)), "")
    return f"{surveyed.declared.identity} has gone back from {values[1].name} to {values[0].name} already{further}"


def _standings(past: Past, asked: Sequence[tuple[Subject, Landed]]) -> list[Standing]:
    found = past.standings(asked)
    if isinstance(found, MissingHistory):
        raise _lost(found.reason)
    return list(found.values())


def _lost(reason: str) -> TransientError:
    return TransientError(f"history, which says what to go back to, is missing: {reason}", remedy="Run again.")


def _check_clear(surveyed: Surveyed) -> None:
    """Whether it can be told what a declaration deploys now.

    Raises:
        RefusedError: it cannot.
    """
    if doubt := standing(surveyed).doubt:
        identity = surveyed.declared.identity
        raise RefusedError(f"what {identity} deploys now is not clear: {doubt.message}", remedy=doubt.remedy)


def _judged(surveyed: Surveyed, found: Sequence[Former], inputs: Inputs, context: Context) -> list[Former]:
    """Values that a declaration held, with what the registry and its hold say of each."""
    spec, identity = surveyed.declared.declaration.spec, surveyed.declared.identity
    answers = context.resolve(queries(spec.repository, found, spec.tag))
    return Judge(spec.repository, answers, spec.tag, inputs.holds.get(identity), context.now).judged(found)


def _unless_present(good: str, present: Former) -> str:
    return "" if good == present.digest else good


def _unless_same(target: Former, present: Former) -> Former | None:
    return None if target.digest == present.digest else target


def _follow(surveyed: Surveyed, then: Standing, target: Former, inputs: Inputs, context: Context) -> Step:
    """Where a declaration goes that moves along: to what it held then. What was not there yet stays.

    Raises:
        RefusedError: it cannot go back, so nothing of the unit does.
    """
    _check_clear(surveyed)
    found = [each for stand in (standing(surveyed), then) for each in formers([target.landed], [stand])]
    present, *before = _judged(surveyed, found, inputs, context)
    if then.doubt or not before or before[0].digest == present.digest != "":
        return Step(surveyed, present, None)
    if before[0].flaw:
        raise RefusedError(
            f"{surveyed.declared.identity} moves along, and {before[0].name} cannot be gone back to: {before[0].flaw}",
            remedy="Name another version with --to.",
        )
    return Step(surveyed, present, before[0])


def _check_platforms(step: Step, others: Sequence[Former], manifests: Manifests) -> None:
    """Whether the target would run where the present image does, as far as their indexes tell. Else `others` may.

    Raises:
        RefusedError: it would not.
    """
    if step.target is None or not step.present.digest:
        return
    repository = step.surveyed.declared.declaration.spec.repository
    found = manifests(repository, [step.target.digest, step.present.digest])
    of_target, of_present = (platforms(found.get(each.digest)) for each in (step.target, step.present))
    if why := misfit(of_target, of_present):
        known = manifests(repository, [each.digest for each in others[:_OTHERS]])
        fitting = [each for each in others[:_OTHERS] if not misfit(platforms(known.get(each.digest)), of_present)]
        raise RefusedError(
            f"{step.target.name} might not run where {step.present.name} does: {why}",
            remedy=f"{nearest(fitting)} Or say --any-platform, if the nodes are known to fit.",
        )


def aim_of(step: Step) -> Aim:
    to = step.target or step.present
    return Aim(to.digest, to.images[0].tag, "RolledBack", f"rolled back from {step.present.name}", back=True)
