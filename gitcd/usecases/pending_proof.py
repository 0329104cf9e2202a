"""Whether a branch that takes declarations back, or over, holds what gitcd would have written, and nothing else.

Whoever may push to it can write our name into a commit. The cluster is driven by such a branch before anybody has
merged it, so it may bring nothing but images that git held there before, and Services that lead to the other slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitcd.errors import GitcdError
from gitcd.git.branch import Branch
from gitcd.git.history import Recollect
from gitcd.manifests import EditRefused, write
from gitcd.model.hold import hold_path
from gitcd.model.plan import FileChange
from gitcd.model.registry import Failure
from gitcd.model.site import Site, SiteEdit
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.overlay import Overlay
from gitcd.planning.survey import survey
from gitcd.planning.switching import slot_images
from gitcd.usecases.rollback_past import MOST, known, surveyed_at
from gitcd.usecases.status_past import Past, Subject
from gitcd.usecases.switch_pair import pair_of

_AT_ONCE = 20

_Value = tuple[str, str]  # tag and digest, or a text and nothing


def is_proper(tree: Tree, inputs: Inputs, branch: Branch, files: Sequence[FileChange], recollect: Recollect) -> bool:
    """Whether these files, on top of the tree, are such a change of the declarations that the branch carries.

    `recollect` brings the history of the tree; it is asked for where an image comes back that no slot holds.

    Raises:
        ConfigError: no permission.
        TransientError: history is not to be had.
    """
    held_off = {hold_path(each) for each in branch.carried}
    brought = [each for each in files if each.path not in held_off]
    declared = [each for each in inputs.declared if each.identity in branch.carried]
    if len(declared) != len(set(branch.carried)):
        return False
    before = survey(declared, tree, inputs.scopes)
    after = survey(declared, Overlay(tree).changed(brought), inputs.scopes)
    try:
        written = _written(tree, inputs, before, after)
    except (EditRefused, GitcdError):
        return False
    if written != {each.path: each.after for each in brought}:
        return False
    return all(_held_before(old, new, inputs, recollect) for old, new in zip(before, after, strict=True))


def _written(
    tree: Tree, inputs: Inputs, before: Sequence[Surveyed], after: Sequence[Surveyed]
) -> Mapping[str, bytes | None]:
    """The files as they become by bringing the images of another state into their places, and by switching."""
    changed = Overlay(tree)
    for old, new in zip(before, after, strict=True):
        changed = changed.changed(_with_images(changed, inputs, old, new))
    for old, new in zip(before, after, strict=True):
        then, now = slot_images(old), slot_images(new)
        if isinstance(then, Failure) or isinstance(now, Failure):
            continue
        if then.slots.live_name != now.slots.live_name:
            changed = changed.changed(pair_of(changed, inputs, old.declared.identity).switched())
    return {each.path: each.after for each in changed.changes}


def _with_images(changed: Overlay, inputs: Inputs, old: Surveyed, new: Surveyed) -> Iterator[FileChange]:
    wanted = {site.spot: site for site in new.sites}
    (here,) = survey([old.declared], changed, inputs.scopes)
    edits = [_edit(site, wanted[site.spot]) for site in here.sites if site.spot in wanted]
    paths = {each.site.path for each in edits}
    for entry, data in changed.read([each for each in changed.entries() if each.path in paths]):
        text = write(entry.path, data, [each for each in edits if each.site.path == entry.path])
        if text != data:
            yield FileChange(entry.path, entry.mode, data, text)


def _edit(site: Site, wanted: Site) -> SiteEdit:
    if site.repository is None:
        return SiteEdit(site, value=wanted.value or "")
    return SiteEdit(site, tag=wanted.tag, digest=wanted.digest)


def _values(surveyed: Surveyed) -> set[_Value]:
    return {(site.tag, site.digest) if site.repository else (site.value or "", "") for site in surveyed.sites}


def _unknown(values: set[_Value], known: set[_Value]) -> set[_Value]:
    """The values that are none of the known ones, in whatever spelling: a tag may stand there with its digest now."""
    tags, digests = {tag for tag, _ in known}, {digest for _, digest in known}
    bare = {tag for tag, digest in known if not digest}
    return {
        (tag, digest) for tag, digest in values if not (digest in digests or tag in bare if digest else tag in tags)
    }


def _held_before(old: Surveyed, new: Surveyed, inputs: Inputs, recollect: Recollect) -> bool:
    """Whether git held every value before, in a place of the declaration."""
    unknown = _unknown(_values(new), _values(old))
    if not unknown:
        return True
    subject = Subject.of(old)
    past = Past(known(recollect), inputs.scopes, [subject])
    trail = past.trail(subject)[:MOST]
    for start in range(0, len(trail), _AT_ONCE):
        found = surveyed_at(past, [(subject, each.commit.oid) for each in trail[start : start + _AT_ONCE]])
        unknown = _unknown(unknown, {value for each in found for value in _values(each)})
        if not unknown:
            return True
    return False
