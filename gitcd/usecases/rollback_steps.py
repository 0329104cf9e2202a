"""Where a rollback leads: the declaration that is named, and all that move with it, each back to what it held then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from gitcd.errors import RefusedError
from gitcd.git.history import Landed, Recollect
from gitcd.model.declaration import Identity
from gitcd.model.memory import Memory
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Surveyed
from gitcd.planning.overview import LiveImages, live_images
from gitcd.planning.promotion import Aim
from gitcd.planning.pulls import asks_for_pull
from gitcd.planning.survey import survey
from gitcd.usecases.context import Context
from gitcd.usecases.rollback_past import Stage, came_after, known, surveyed_at, trail_of
from gitcd.usecases.rollback_slots import Retreat, Way, is_slotted, retreat_along, retreat_of
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
from gitcd.usecases.status_past import Past, Subject
from gitcd.usecases.switch_aims import aims_of

_OTHERS = 20  # former values that are asked for in place of one that does not fit


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What to take back, where to (a version or digest that git held; empty: the one before), and why.

    `leaving` is the digest, or the tag where git names no digest, that has to stand there still; empty: any.
    `automatic`: no person asks, so what the tag names by now is not held off unread, two slots are left as they came,
    and a pull request that somebody closed is not opened again. `environments`: where `app` is looked for, or in all.
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
    environments: Collection[str] = ()


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
    """One declaration of the unit: what it leaves, and where it goes; None: it stays, and `note` may say why.

    `way` is how it goes there.
    """

    surveyed: Surveyed
    present: Former
    target: Former | None
    note: str = ""
    way: Way = Way.IMAGE

    @property
    def left(self) -> str:
        """The image that it leaves, by digest or else by tag."""
        return self.present.images[0].identifier


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
    return any(asks_for_pull(each.declared, inputs.scopes) for each in unit.members)


def _bonds(surveyed: Surveyed) -> Iterable[object]:
    if group := surveyed.declared.declaration.spec.strategy.group:
        yield group
    for site in surveyed.sites:
        yield site.spot


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all steps of one request rest on."""

    inputs: Inputs
    context: Context
    request: RollbackRequest
    sources: Sources


def find_steps(unit: Unit, inputs: Inputs, context: Context, request: RollbackRequest, sources: Sources) -> list[Step]:
    """Where each goes: the leader as it is asked, the others to what they held before what it leaves came in."""
    history = known(sources.recollect)
    ground = _Ground(inputs, context, request, sources)
    subjects = [Subject.of(each) for each in unit.members]
    past = Past(history, inputs.scopes, subjects)
    _check_clear(unit.leader)
    trail = trail_of(past, subjects[0])
    leader, values = _lead(unit.leader, trail, ground)
    if leader.target is None:
        return [leader]
    steps = [leader]
    if since := came_after(trail, leader.left, leader.target.landed, leader.way):
        then = surveyed_at(past, [(subject, since) for subject in subjects[1:]])
        wanted = aims_of(filter(is_slotted, unit.others), inputs, lambda: history, now=context.now)
        for each, former in zip(unit.others, then, strict=True):
            way = retreat_along(each, former, wanted[each.declared.identity]) if is_slotted(each) else None
            landed = leader.target.landed
            steps.append(
                _retreat(each, way, landed, ground) if way else _follow(each, live_images(former), landed, ground)
            )
    if not request.any_platform:
        _check_platforms(steps[0], usable(values), sources.manifests)
        for step in steps[1:]:
            _check_platforms(step, (), sources.manifests)
    return steps


def _lead(surveyed: Surveyed, trail: Sequence[Stage], ground: _Ground) -> tuple[Step, list[Former]]:
    """Where the leader goes, and all that it held."""
    request, identity = ground.request, surveyed.declared.identity
    if request.automatic and is_slotted(surveyed):
        step = _retreat(surveyed, retreat_of(surveyed, request.leaving), trail[0].landed, ground)
        return step, [step.present]
    found = formers([each.landed for each in trail], [live_images(each.surveyed) for each in trail])
    values = _judged(surveyed, found, ground)
    if not request.to and is_back(values, ground.inputs.holds.get(identity), ground.context.now):
        return Step(surveyed, values[0], None, _stays(surveyed, values)), values
    target = choose(values, request.to or _unless_present(ground.sources.good(identity), values[0]))
    return Step(surveyed, values[0], _unless_same(target, values[0])), values


def _retreat(surveyed: Surveyed, retreat: Retreat, landed: Landed, ground: _Ground) -> Step:
    both = [Former((retreat.left,), landed), Former((retreat.kept,), landed)]
    left, kept = _judged(surveyed, both, ground)
    return _check_sound(Step(surveyed, left, kept, way=retreat.way))


def _stays(surveyed: Surveyed, values: Sequence[Former]) -> str:
    further = next((f"; to go back further, say --to {each.name}" for each in usable(values)), "")
    return f"{surveyed.declared.identity} has gone back from {values[1].name} to {values[0].name} already{further}"


def _check_clear(surveyed: Surveyed) -> None:
    """Whether it can be told what a declaration deploys now.

    Raises:
        RefusedError: it cannot.
    """
    if doubt := live_images(surveyed).doubt:
        identity = surveyed.declared.identity
        raise RefusedError(f"what {identity} deploys now is not clear: {doubt.message}", remedy=doubt.remedy)


def _judged(surveyed: Surveyed, found: Sequence[Former], ground: _Ground) -> list[Former]:
    """Values that a declaration held, with what the registry and its hold say of each."""
    spec, identity = surveyed.declared.declaration.spec, surveyed.declared.identity
    answers = ground.context.resolve(queries(spec.repository, found, spec.tag))
    hold = ground.inputs.holds.get(identity)
    return Judge(spec.repository, answers, spec.tag, hold, ground.context.now).judged(found)


def _unless_present(good: str, present: Former) -> str:
    return "" if good == present.digest else good


def _unless_same(target: Former, present: Former) -> Former | None:
    return None if target.digest == present.digest else target


def _follow(surveyed: Surveyed, then: LiveImages, landed: Landed, ground: _Ground) -> Step:
    """Where a declaration goes that moves along: to what it held then. What was not there yet stays.

    Raises:
        RefusedError: it cannot go back, so nothing of the unit does.
    """
    _check_clear(surveyed)
    found = [each for stand in (live_images(surveyed), then) for each in formers([landed], [stand])]
    present, *before = _judged(surveyed, found, ground)
    if then.doubt or not before or before[0].digest == present.digest != "":
        return Step(surveyed, present, None)
    return _check_sound(Step(surveyed, present, before[0]))


def _check_sound(step: Step) -> Step:
    """The step, if nothing speaks against where it leads.

    Raises:
        RefusedError: something does.
    """
    if step.target and step.target.flaw:
        raise RefusedError(
            f"{step.surveyed.declared.identity} cannot go back to {step.target.name}: {step.target.flaw}",
            remedy="Name another version with --to.",
        )
    return step


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
