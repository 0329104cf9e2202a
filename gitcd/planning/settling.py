"""What decisions mean for each other: a place with several owners, and a group, move as one or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitcd.model.declaration import Identity, Spec
from gitcd.model.plan import CHANGING, Outcome, OutcomeKind
from gitcd.model.reference import Repository, is_tag
from gitcd.model.site import Form, Site
from gitcd.planning.decide import Decision
from gitcd.planning.followed import shown_rule
from gitcd.planning.resolving import pin_of

_MOVABLE = CHANGING | {OutcomeKind.CURRENT}
_NOT_SELECTED = "NotSelected"

Spot = tuple[str, int, str]
Group = tuple[str, str]  # environment and name


@dataclass(frozen=True, slots=True)
class Absent:
    """A member of a group about which nothing can be decided. An environment that is empty is not known."""

    environment: str
    group: str
    outcome: Outcome

    def belongs_to(self, group: Group) -> bool:
        return self.group == group[1] and self.environment in {"", group[0]}


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the decision of this number says of a place. No text: what it wants there is not known, or is nothing."""

    number: int
    text: str | None
    met: bool
    image: bool


def settle(decisions: Iterable[Decision], absent: Sequence[Absent] = ()) -> list[Decision]:
    """Let declarations that share a place, or a group, answer for each other, until nothing more follows.

    They come back by identity.
    """
    settled = sorted(decisions, key=lambda each: each.outcome.identity)
    shared = {spot: claims for spot, claims in _claims(settled).items() if len(claims) > 1}
    groups = _groups(settled)
    moving = None
    while moving != (moving := sum(bool(each.edits) for each in settled)):
        for (path, _, pointer), claims in shared.items():
            _settle_place(settled, claims, f"{path} {pointer}")
        for group, members in groups.items():
            _settle_group(settled, group, members, absent)
    return settled


def select(
    decisions: Iterable[Decision],
    takes: Callable[[Identity], bool],
    absent: Sequence[Absent] = (),
    *,
    acts: bool = True,
) -> list[Decision]:
    """The selected decisions. If these alone are acted on, what would take along half of another does not move."""
    if acts:
        decisions = settle((each if takes(each.outcome.identity) else _aside(each) for each in decisions), absent)
    return [each for each in decisions if takes(each.outcome.identity)]


def _aside(decision: Decision) -> Decision:
    return decision.stop(OutcomeKind.BLOCKED, _NOT_SELECTED, "it is not selected") if decision.edits else decision


def group_of(decision: Decision) -> Group | None:
    """The group that the declaration moves with."""
    declared = decision.surveyed.declared
    name = declared.declaration.spec.strategy.group
    return (declared.identity.environment, name) if name else None


def _claims(decisions: Sequence[Decision]) -> Mapping[Spot, list[_Claim]]:
    """Every place that the declarations own: those that they want something at, and those that they do not."""
    claims: defaultdict[Spot, list[_Claim]] = defaultdict(list)
    for number, decision in enumerate(decisions):
        goals = {goal.spot: goal for goal in decision.wanted}
        for goal in decision.wanted:
            claims[goal.spot].append(_Claim(number, goal.text, goal.met, goal.site.repository is not None))
        for site in decision.surveyed.sites:
            spot = _spot(site, decision.surveyed.declared.declaration.spec)
            if spot not in goals:
                claims[spot].append(_Claim(number, None, met=False, image=site.repository is not None))
    return claims


def _spot(site: Site, spec: Spec) -> Spot:
    inserted = site.form is Form.CONFIG and site.value is None and spec.config
    return site.path, site.document, f"{site.pointer}/{spec.config.key}" if inserted and spec.config else site.pointer


def _settle_place(settled: list[Decision], claims: Sequence[_Claim], place: str) -> None:
    """One wish is shared, several are a conflict; who stays keeps the others there."""
    wishes = [claim for claim in claims if claim.text is not None]
    for claim in wishes:
        others = [_wish(settled, other, claim) for other in claims if _contradict(settled, claim, other)]
        if others:
            settled[claim.number] = settled[claim.number].stop(
                OutcomeKind.CONFLICT,
                "Conflict",
                f"{place}: wants {claim.text}, but {', '.join(others)}",
                "Let one declaration own the place: narrow spec.paths, spec.selector or spec.container.",
            )
    stayers = [claim for claim in claims if _stays(settled[claim.number], claim)]
    for claim in wishes:
        keepers = [settled[each.number] for each in stayers if each.number != claim.number]
        if keepers and settled[claim.number].edits and not claim.met:
            settled[claim.number] = _keep(settled[claim.number], keepers, place)


def _contradict(settled: Sequence[Decision], one: _Claim, other: _Claim) -> bool:
    """Whether two claims cannot both be granted, judged by the declarations where the registry did not get a say."""
    if other.text is not None:
        return one.text != other.text
    stranger = settled[other.number]
    if stranger.wanted or stranger.outcome.transient:
        return False
    return _followed(settled[one.number], one) != _followed(stranger, one)


def _followed(decision: Decision, claim: _Claim) -> tuple[Repository, str, str]:
    spec = decision.surveyed.declared.declaration.spec
    return spec.repository, shown_rule(spec), pin_of(spec) if claim.image else ""


def _wish(settled: Sequence[Decision], claim: _Claim, rival: _Claim) -> str:
    outcome = settled[claim.number].outcome
    wish = claim.text
    if wish is None:
        repository, tag, pin = _followed(settled[claim.number], claim)
        wish = f"{repository.familiar}{':' if is_tag(tag) else ', '}{tag}" + (f" with pin {pin}" if pin else "")
    who = "another place of the same declaration" if claim.number == rival.number else str(outcome.identity)
    return f"{who} ({outcome.origin}) wants {wish}"


def _stays(decision: Decision, claim: _Claim) -> bool:
    """Whether the declaration leaves the place as it is: it may not move, or does not want to."""
    unmoved = not decision.edits and not claim.met
    return decision.outcome.kind not in _MOVABLE or claim.text is None or unmoved


def _keep(decision: Decision, keepers: Sequence[Decision], place: str) -> Decision:
    if remedy := _selecting(each.outcome for each in keepers):
        names = ", ".join(str(each.outcome.identity) for each in keepers)
        message = f"{place} is shared with {names}, which would move along and is not selected"
        return decision.stop(OutcomeKind.BLOCKED, "SharedPlaceNotSelected", message, remedy)
    first = keepers[0].outcome
    why = "leaves it as it is" if first.kind in _MOVABLE else f"is {first.kind}: {first.message}"
    message = f"{place} is shared with {first.identity}, which {why}"
    return decision.stop(OutcomeKind.BLOCKED, "SharedPlaceHeld", message)


def _groups(decisions: Sequence[Decision]) -> Mapping[Group, list[int]]:
    groups: defaultdict[Group, list[int]] = defaultdict(list)
    for number, decision in enumerate(decisions):
        if group := group_of(decision):
            groups[group].append(number)
    return groups


def _settle_group(settled: list[Decision], group: Group, members: Sequence[int], absent: Sequence[Absent]) -> None:
    """All or nothing for the members of one strategy.group in one environment."""
    stoppers = [
        *(settled[number].outcome for number in members if settled[number].outcome.kind not in _MOVABLE),
        *(each.outcome for each in absent if each.belongs_to(group)),
    ]
    for number in members:
        if stoppers and settled[number].edits:
            settled[number] = _wait(settled[number], group, stoppers)


def _wait(decision: Decision, group: Group, stoppers: Sequence[Outcome]) -> Decision:
    moves = f"group {group[1]} moves as one, and "
    if remedy := _selecting(stoppers):
        names = ", ".join(str(each.identity) for each in stoppers)
        return decision.stop(OutcomeKind.BLOCKED, "GroupNotSelected", f"{moves}{names} is not selected", remedy)
    first = stoppers[0]
    name = str(first.identity).strip("/") or "a declaration"
    return decision.stop(
        OutcomeKind.BLOCKED, "GroupIncomplete", f"{moves}{name} ({first.origin}) is {first.kind}: {first.reason}"
    )


def _selecting(stoppers: Iterable[Outcome]) -> str:
    """How to select all of them, where that alone is missing."""
    stoppers = list(stoppers)
    if any(each.reason != _NOT_SELECTED for each in stoppers):
        return ""
    return f"Select what moves along as well: {' '.join(f'--app {each.identity}' for each in stoppers)}"
