"""Which image of two slots shall be live, as git and its history tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from gitcd.git.history import History, MissingHistory, Recollect, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.model import trailers
from gitcd.model.declaration import Identity
from gitcd.model.hold import hold_path
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.registry import Failure
from gitcd.model.tree import Tree
from gitcd.planning import bluegreen
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.overview import telling_files
from gitcd.planning.survey import survey
from gitcd.planning.switching import LastMove, Wanted, aim, slot_images

Aims = Mapping[Identity, Wanted | Failure]


def recollected(mirror: Mirror, commit: str) -> Recollect:
    """Brings the history of a commit. Of one that is not on the branch, the branch's: what it does is not past yet."""

    def recollect() -> History | MissingHistory:
        tip = mirror.tip or commit
        found = ensure_history(mirror, commit)
        return ensure_history(mirror, tip) if isinstance(found, MissingHistory) and tip != commit else found

    return recollect


def aims(
    tree: Tree,
    inputs: Inputs,
    identities: Collection[Identity],
    recollect: Recollect,
    *,
    now: datetime,
    memory: Memory = FORGETFUL,
) -> Aims:
    """For those of these declarations that have two slots: what shall be live.

    History is asked for only where the slots differ.
    """
    slotted = [
        each
        for each in inputs.declared
        if each.identity in identities and each.declaration.spec.strategy.blue_green is not None
    ]
    return aims_of(survey(slotted, tree, inputs.scopes, memory) if slotted else (), inputs, recollect, now=now)


def aims_of(slotted: Iterable[Surveyed], inputs: Inputs, recollect: Recollect, *, now: datetime) -> Aims:
    """The same for declarations with two slots whose places are known."""
    found: dict[Identity, Wanted | Failure] = {}
    shared = bluegreen.shared(inputs.declared)
    open_ones: list[Surveyed] = []
    for surveyed in slotted:
        stand = shared.get(surveyed.declared.identity) or slot_images(surveyed)
        if isinstance(stand, Failure):
            found[surveyed.declared.identity] = stand
        elif stand.is_even:
            found[surveyed.declared.identity] = Wanted(stand.live.identifier)
        else:
            open_ones.append(surveyed)
    return found | _from_history(open_ones, inputs, recollect, now)


def _from_history(
    surveyed: Iterable[Surveyed], inputs: Inputs, recollect: Recollect, now: datetime
) -> dict[Identity, Wanted | Failure]:
    asked = list(surveyed)
    history = recollect() if asked else None
    found: dict[Identity, Wanted | Failure] = {}
    for each in asked:
        identity, stand = each.declared.identity, slot_images(each)
        if isinstance(history, MissingHistory):
            found[identity] = Failure("HistoryMissing", history.reason, history.remedy, transient=not history.lasting)
        elif not isinstance(stand, Failure):
            last = last_move(history, each) if history else None
            found[identity] = aim(stand, last, inputs.holds.get(identity), now)
    return found


def last_move(history: History, surveyed: Surveyed) -> LastMove | None:
    """The newest commit of gitcd's that moved the declaration."""
    identity = surveyed.declared.identity
    for commit in history.past_moves([*telling_files(surveyed), hold_path(identity)]):
        for move in commit.moves:
            if move.identity == identity:
                paths = history.changed_in([commit.oid])[commit.oid]
                return LastMove(move.digest, next(iter(trailers.verbs(commit.message)), ""), frozenset(paths))
    return None
