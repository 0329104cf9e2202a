"""The switch between two slots as git has it: which slot shall be live, and the edits that make it so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitcd.manifests import EditRefused, write
from gitcd.manifests.selectors import reselect, selectors
from gitcd.model.hold import Hold
from gitcd.model.plan import FileChange
from gitcd.model.registry import Failure
from gitcd.model.site import Site, SiteEdit
from gitcd.model.strategy import BlueGreen
from gitcd.model.tree import Entry, Tree
from gitcd.planning import bluegreen, holds
from gitcd.planning.bluegreen import Slots
from gitcd.planning.content import Held, held
from gitcd.planning.matching import Surveyed

VERB, BACK = "switch", "rollback"


@dataclass(frozen=True, slots=True)
class LastMove:
    """To which digest gitcd moved a declaration last, in which files, and by which command; none: the tag moved it."""

    digest: str
    verb: str = ""
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The image that shall be live, by digest or else by tag. `returns`: the idle slot's, by somebody's rollback."""

    identifier: str
    returns: bool = False


@dataclass(frozen=True, slots=True)
class SlotImages:
    """What the two slots hold in git."""

    slots: Slots
    live: Held
    idle: Held

    @property
    def is_even(self) -> bool:
        """Whether both hold the same, so that there is nothing to ask."""
        return self.live.identifier == self.idle.identifier


def slot_images(surveyed: Surveyed) -> SlotImages | Failure:
    """Both slots of a declaration; a Failure where they cannot be told apart, or one holds several images."""
    spec = surveyed.declared.declaration.spec
    if spec.strategy.blue_green is None:
        return Failure("BlueGreenMissing", "it has no strategy ServiceBlueGreen")
    slots = bluegreen.slots(surveyed, spec.strategy.blue_green)
    if isinstance(slots, Failure):
        return slots
    found = []
    for name, sites in ((slots.live_name, slots.live), (slots.idle_name, slots.idle)):
        images = {held(site, spec.repository) for site in sites}
        if len({each.identifier for each in images}) != 1:
            return Failure("SeveralImages", f"{name} names several images of {spec.image_repo}")
        found.append(images.pop())
    return SlotImages(slots, *found)


def aim(stand: SlotImages, last: LastMove | None, hold: Hold | None, now: datetime) -> Wanted:
    """What shall be live, as git tells it: the idle slot's image, if that is what gitcd moved the declaration to last.

    Not where a hold keeps it out, and not where the switch to it was made before: then a person has taken it back.
    """
    stays, wanted = Wanted(stand.live.identifier), stand.idle.identifier
    if last is None or last.verb == VERB or stand.is_even or not leads_to_idle(last, stand):
        return stays
    return stays if hold and _is_rejected(hold, wanted, now) else Wanted(wanted, returns=last.verb == BACK)


def leads_to_idle(last: LastMove, stand: SlotImages) -> bool:
    """By digest; where the slot names a tag alone, by the files that were moved."""
    if stand.idle.digest:
        return last.digest == stand.idle.digest
    return any(site.path in last.paths for site in stand.slots.idle)


def _is_rejected(hold: Hold, digest: str, now: datetime) -> bool:
    found = holds.applies(Hold(reject=hold.reject), digest, now)
    return found is not None


def switch_changes(tree: Tree, surveyed: Surveyed, slots: Slots, paths: Iterable[Entry]) -> list[FileChange] | Failure:
    """The files with both Services leading to the other slot; `paths` are the files in which they are looked for."""
    declaration = surveyed.declared.declaration
    blue_green = declaration.spec.strategy.blue_green
    if blue_green is None:
        return Failure("BlueGreenMissing", "it has no strategy ServiceBlueGreen")
    changes = _wanted(blue_green, slots)
    return _changed(tree, declaration.namespace, changes, [*paths])


def _wanted(blue_green: BlueGreen, slots: Slots) -> dict[str, dict[str, str]]:
    """The selectors of both Services after the switch, as far as they tell the slots apart."""
    found = {blue_green.service_name: _own(slots.idle, blue_green)}
    if blue_green.verification_service_name:
        found[blue_green.verification_service_name] = _own(slots.live, blue_green)
    return found


def _own(sites: Sequence[Site], blue_green: BlueGreen) -> dict[str, str]:
    labels = sites[0].owner.pod_labels
    return {key: labels[key] for key in blue_green.label_names if key in labels}


def _changed(
    tree: Tree, namespace: str, changes: Mapping[str, Mapping[str, str]], paths: Sequence[Entry]
) -> list[FileChange] | Failure:
    found: dict[str, list[str]] = {name: [] for name in changes}
    files = []
    try:
        for entry, data in tree.read(paths):
            here = {name: selectors(entry.path, data, namespace, name) for name in changes}
            for name, each in here.items():
                found[name] += [entry.path] * len(each)
            after = reselect(entry.path, data, {name: changes[name] for name in here if here[name]}, namespace)
            if after != data:
                files.append(FileChange(entry.path, entry.mode, data, after))
    except EditRefused as error:
        return Failure("SelectorRefused", f"{error.refusal.where}: {error.refusal.reason}", "Mend the file.")
    return next(_astray(found), None) or files


def _astray(found: Mapping[str, Sequence[str]]) -> Iterator[Failure]:
    for name, paths in found.items():
        if not paths:
            yield Failure("ServiceNotFound", f"no Service {name} stands in git", "Add it, or correct spec.strategy.")
        if len(paths) > 1:
            yield Failure("ServiceAmbiguous", f"Service {name} stands in git more than once: {', '.join(paths)}")


def image_changes(tree: Tree, sites: Sequence[Site], image: Held) -> list[FileChange] | Failure:
    """The files with another image at these sites."""
    entries = {entry.path: entry for entry in tree.entries() if entry.path in {site.path for site in sites}}
    files = []
    try:
        for entry, data in tree.read(list(entries.values())):
            edits = [SiteEdit(each, tag=image.tag, digest=image.digest) for each in sites if each.path == entry.path]
            after = write(entry.path, data, edits)
            if after != data:
                files.append(FileChange(entry.path, entry.mode, data, after))
    except EditRefused as error:
        return Failure("ManifestRefused", f"{error.refusal.where}: {error.refusal.reason}", "Mend the file.")
    return files
