"""For declarations that own nothing: a second look, without screening, that says what came near."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gitcd import manifests
from gitcd.model.registry import Failure
from gitcd.model.site import Site
from gitcd.model.tree import Entry, Mode, Tree
from gitcd.planning.matching import NearMiss, Surveyed
from gitcd.planning.scopes import Reach
from gitcd.planning.screening import MAX_FILE, is_readable, needle

_SHOWN = 8


def explain_empty(
    surveyed: Iterable[Surveyed], tree: Tree, entries: Sequence[Entry], owners: Mapping[str, str | None]
) -> None:
    """Take what the screen missed, in one pass for all; what still owns nothing fails, with its near misses."""
    seekers: defaultdict[Reach, list[Surveyed]] = defaultdict(list)
    for each in surveyed:
        if _is_empty(each):
            seekers[each.declared.reach].append(each)
    if not seekers:
        return
    scopes = {entry: [reach for reach in seekers if reach.holds(entry.path, owners[entry.path])] for entry in entries}
    files = Counter(reach for reaches in scopes.values() for reach in reaches)
    for entry, reaches in scopes.items():
        if not is_readable(entry):
            for each in (each for reach in reaches for each in seekers[reach]):
                each.near.append(_skipped(entry))
    for entry, data in tree.read([entry for entry, reaches in scopes.items() if reaches and is_readable(entry)]):
        _look(entry, data, [each for reach in scopes[entry] for each in seekers[reach] if _may_hold(each, data)])
    for each in (each for group in seekers.values() for each in group):
        if _is_empty(each):
            each.failures.append(_matched_nothing(each, files[each.declared.reach]))


def _is_empty(surveyed: Surveyed) -> bool:
    owned = surveyed.image_sites or any(site.value is not None for site in surveyed.sites)
    return not (owned or surveyed.refusals or surveyed.failures)


def _look(entry: Entry, data: bytes, seekers: Sequence[Surveyed]) -> None:
    sites = manifests.find(entry.path, data).sites if seekers else ()
    for each in seekers:
        for site in sites:
            if site.repository is not None and _selected(each, site):
                each.take(site)


def _may_hold(surveyed: Surveyed, data: bytes) -> bool:
    """Whether the file may hold the repository, spelled plainly or by escapes, or the container by its name."""
    spec = surveyed.declared.declaration.spec
    named = spec.container is not None and spec.container.name.encode() in data
    return named or needle(spec.repository) in data or b"\\" in data


def _selected(surveyed: Surveyed, site: Site) -> bool:
    """Whether a site of whatever repository stands in a workload that the declaration selects by more than labels."""
    spec = surveyed.declared.declaration.spec
    if site.repository == spec.repository:
        return not any(near.where == site.where for near in surveyed.near)
    if not site.workload or spec.container is None:
        return False
    return site.container == spec.container.name


def _skipped(entry: Entry) -> NearMiss:
    reasons = {Mode.SYMLINK: "symbolic links are not followed", Mode.SUBMODULE: "submodules are not entered"}
    return NearMiss(entry.path, "is not read", reasons.get(entry.mode, f"larger than {MAX_FILE} bytes"))


def _matched_nothing(surveyed: Surveyed, files: int) -> Failure:
    declared = surveyed.declared
    where = (
        declared.reach.folder if declared.reach.folder is not None else f"environment {declared.identity.environment}"
    )
    lines = [f"    {near}" for near in surveyed.near[:_SHOWN]]
    if hidden := len(surveyed.near) - len(lines):
        lines.append(f"    and {hidden} more")
    near = "\n".join(["Near misses:", *lines]) if lines else "No manifest there mentions that repository."
    repository = declared.declaration.spec.image_repo
    message = f"{repository} was found in none of the {files} manifests of {where or 'the repository'}"
    return Failure("MatchedNothing", message, near)
