"""What becomes of branches that take declarations back, or over to the other slot, once nobody needs them any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable
from datetime import datetime

from gitcd.errors import GitcdError
from gitcd.git.branch import Branch, replaced
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.manifests.reading import read_hold
from gitcd.model.declaration import Identity
from gitcd.model.hold import hold_path
from gitcd.planning.holds import rejection
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.overview import live_images, telling_files
from gitcd.planning.pulls import Fate, is_switch_branch, together
from gitcd.planning.survey import survey
from gitcd.planning.switching import SlotImages, slot_images
from gitcd.usecases.pending_outdated import outdated, told, with_files

_log = logging.getLogger(__name__)


def fate_of_pending(
    mirror: Mirror, branch: Branch, inputs: Inputs, is_gone: Callable[[Identity], bool], now: datetime
) -> Fate | None:
    """What may become of it; None: it may still be merged, or nobody can tell, so it is left alone.

    It is of no use any more where the base says what it does, where its declarations have moved on, and where it would
    switch to what a hold keeps out, or to a slot that is not what was verified.
    """
    try:
        return _fate(mirror, branch, inputs, is_gone, now)
    except GitcdError as error:
        _log.info("whether %s is of use is not known: %s", branch.name, error.message)
        return None


def _fate(
    mirror: Mirror, branch: Branch, inputs: Inputs, is_gone: Callable[[Identity], bool], now: datetime
) -> Fate | None:
    declared = [each for each in inputs.declared if each.identity in branch.carried]
    known = {each.identity for each in declared}
    if any(each not in known and not is_gone(each) for each in branch.carried):
        return None
    if not declared:
        return _close(branch.carried, "is no longer declared")
    tip = CommitTree(mirror.git, mirror.tip)
    surveyed = survey(declared, tip, inputs.scopes)
    brought = {path: new for path, (_, new) in replaced(mirror, branch.parents[0], branch.tip).items()}
    telling = {path for each in surveyed for path in telling_files(each)} | brought.keys()
    passed = replaced(mirror, branch.parents[0], mirror.tip)
    since = {path: old for path, (old, _) in passed.items() if path in telling}
    here = _states(surveyed)
    after = _states(survey(declared, with_files(mirror, tip, since | brought), inputs.scopes))
    if here == after:
        return _close(branch.carried, "is current") if _holds_as_much(mirror, branch, inputs) else None
    if is_switch_branch(branch.name, mirror.line()):
        if found := _held_off(branch, inputs, now):
            return found
        if changed := outdated(mirror, branch, inputs, passed):
            return Fate(close=True, reason=together({each: told(ref) for each, ref in sorted(changed.items())}))
    before = _states(survey(declared, with_files(mirror, tip, since), inputs.scopes))
    if any(here[each] == before[each] for each in here):
        return None
    return _close(branch.carried, "has moved on")


def _close(identities: Collection[Identity], why: str) -> Fate:
    return Fate(close=True, reason=together(dict.fromkeys(sorted(identities), why)))


def _held_off(branch: Branch, inputs: Inputs, now: datetime) -> Fate | None:
    """The end of a switch to what is held off, if it is."""
    for identity, digest in branch.digests.items():
        if rejected := rejection(inputs.holds.get(identity), digest, now):
            because = f": {rejected.reason}" if rejected.reason else ""
            return _close([identity], f"is not switched to what its hold keeps out{because}")
    return None


def _holds_as_much(mirror: Mirror, branch: Branch, inputs: Inputs) -> bool:
    """Whether what the branch holds off is held off by now."""
    tree = CommitTree(mirror.git, branch.tip).excerpt([hold_path(each) for each in branch.carried])
    brought = [read_hold(entry.path, data)[0] for entry, data in tree.read(tree.entries())]
    there = {each.digest for identity in branch.carried if (hold := inputs.holds.get(identity)) for each in hold.reject}
    return all(each.digest in there for hold in brought if hold for each in hold.reject)


def _states(surveyed: Iterable[Surveyed]) -> dict[Identity, Hashable]:
    """What each deploys; of two slots what each of them holds, the live one first."""
    found: dict[Identity, Hashable] = {}
    for each in surveyed:
        slots = slot_images(each)
        pair = (slots.live.identifier, slots.idle.identifier) if isinstance(slots, SlotImages) else None
        found[each.declared.identity] = pair or live_images(each).value
    return found
