"""For declarations that own nothing: a second look, without screening, that says what came near."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from gitcd import manifests
from gitcd.manifests.chunks import is_disguised
from gitcd.model.registry import Failure
from gitcd.model.site import Found, Site
from gitcd.model.tree import Entry, Mode, Tree
from gitcd.planning.matching import UNSELECTED, NearMiss, Surveyed
from gitcd.planning.scopes import Reach, is_manifest
from gitcd.planning.screening import MAX_FILE, is_readable, needle

_SHOWN = 8
_DECLARES = b"ContainerVersion"
_LIKELY = re.compile(r"\.(json|ya?ml)(\.[a-z0-9]+)?$", re.IGNORECASE)
_OTHER_ENDING = "only .yaml and .yml files and Kustomization, outside folders such as .github, are searched"
_UNKNOWN_FORM = "in no form that is known; spec.places can name the spot"


def explain_empty(
    surveyed: Iterable[Surveyed],
    tree: Tree,
    entries: Sequence[Entry],
    owners: Mapping[str, str | None],
    owner_of: Callable[[str], str | None],
) -> None:
    """Take what the screen missed, in one pass for all; what still owns nothing fails, with its near misses."""
    seekers: defaultdict[Reach, list[Surveyed]] = defaultdict(list)
    for each in surveyed:
        if _is_empty(each):
            each.sought_anew = True
            seekers[each.declared.reach].append(each)
    if not seekers:
        return
    scopes = {entry: [reach for reach in seekers if reach.holds(entry.path, owners[entry.path])] for entry in entries}
    files = Counter(reach for reaches in scopes.values() for reach in reaches)
    for entry, reaches in scopes.items():
        if not is_readable(entry):
            for each in (each for reach in reaches for each in seekers[reach]):
                each.noted.append(_skipped(entry))
    for entry, data in tree.read([entry for entry, reaches in scopes.items() if reaches and is_readable(entry)]):
        _look(entry, data, [each for reach in scopes[entry] for each in seekers[reach]])
    empty = [each for group in seekers.values() for each in group if _is_empty(each)]
    _find_overlooked(empty, tree, owner_of)
    for each in empty:
        if _is_empty(each):
            _fail(each, files[each.declared.reach])


def _find_overlooked(empty: Sequence[Surveyed], tree: Tree, owner_of: Callable[[str], str | None]) -> None:
    """Note what no search looks into by its name or kind: other endings of files, and submodules."""
    odd = [entry for entry in tree.entries() if _is_odd(entry)] if empty else []
    reached = {
        entry: [each for each in empty if each.declared.reach.holds(entry.path, owner_of(entry.path))] for entry in odd
    }
    for entry, seekers in reached.items():
        if entry.mode is Mode.SUBMODULE:
            for each in seekers:
                each.noted.append(_skipped(entry))
    for entry, data in tree.read([entry for entry, seekers in reached.items() if seekers and is_readable(entry)]):
        for each in reached[entry] if _DECLARES not in data else ():
            if needle(each.declared.declaration.spec.repository) in data:
                each.noted.append(NearMiss(entry.path, "mentions the repository", _OTHER_ENDING))


def _is_odd(entry: Entry) -> bool:
    return entry.mode is Mode.SUBMODULE or bool(_LIKELY.search(entry.path) and not is_manifest(entry.path))


def _is_empty(surveyed: Surveyed) -> bool:
    owned = surveyed.image_sites or any(site.value is not None for site in surveyed.sites)
    return not (owned or surveyed.refusals or surveyed.failures)


def _look(entry: Entry, data: bytes, seekers: Iterable[Surveyed]) -> None:
    """Take what is theirs in one file, and note what only looks like it."""
    disguised = is_disguised(data)
    hopeful = [each for each in seekers if disguised or _may_hold(each, data)]
    found = manifests.find(entry.path, data) if hopeful else Found()
    for each in hopeful:
        repository = each.declared.declaration.spec.repository
        for site in found.sites:
            if site.repository is not None and _selected(each, site):
                each.take(site)
        each.take_parts(found.sites)
        if disguised:
            each.noted += [NearMiss(refusal.where, "is not searched", refusal.reason) for refusal in found.refusals]
        elif needle(repository) in data and _DECLARES not in data and not _told(each, entry.path):
            line = data[: data.index(needle(repository))].count(b"\n") + 1
            each.noted.append(NearMiss(f"{entry.path}:{line}", "mentions the repository", _UNKNOWN_FORM))


def _told(surveyed: Surveyed, path: str) -> bool:
    """Whether a place of this file is taken, or was passed over with a reason, already."""
    return any(where.startswith(f"{path}:") for where in _places(surveyed))


def _places(surveyed: Surveyed) -> Iterable[str]:
    yield from (site.where for site in (*surveyed.sites, *surveyed.passed))
    yield from (near.where for near in surveyed.noted)


def _may_hold(surveyed: Surveyed, data: bytes) -> bool:
    """Whether the file may hold the repository, spelled plainly or by escapes, or the container by its name."""
    spec = surveyed.declared.declaration.spec
    named = spec.container is not None and spec.container.name.encode() in data
    return named or needle(spec.repository) in data or b"\\" in data


def _selected(surveyed: Surveyed, site: Site) -> bool:
    """Whether a site of whatever repository stands in a workload that the declaration selects by more than labels."""
    spec = surveyed.declared.declaration.spec
    if site.repository == spec.repository:
        return site.where not in {*(each.where for each in surveyed.passed), *(each.where for each in surveyed.noted)}
    if not site.workload or spec.container is None:
        return False
    return site.container == spec.container.name


def _skipped(entry: Entry) -> NearMiss:
    reasons = {Mode.SYMLINK: "symbolic links are not followed", Mode.SUBMODULE: "submodules are not entered"}
    return NearMiss(entry.path, "is not read", reasons.get(entry.mode, f"larger than {MAX_FILE} bytes"))


def _fail(surveyed: Surveyed, files: int) -> None:
    """What owns nothing fails; which mistake it most likely is, as far as the near misses tell."""
    spec = surveyed.declared.declaration.spec
    if spec.container and surveyed.left_alone:
        found = ", ".join(sorted({f"{each.container} ({each.owner}, {each.where})" for each in surveyed.left_alone}))
        message = f"no container is called {spec.container.name}; {spec.image_repo} runs in {found}"
        surveyed.failures.append(Failure("ContainerNotFound", message, "Correct spec.container.name."))
        return
    surveyed.failures.append(_matched_nothing(surveyed, files))


def _matched_nothing(surveyed: Surveyed, files: int) -> Failure:
    declared = surveyed.declared
    where = (
        declared.reach.folder if declared.reach.folder is not None else f"environment {declared.identity.environment}"
    )
    misses = surveyed.near
    lines = [f"    {each}" for each in misses[:_SHOWN]]
    if hidden := len(misses) - len(lines):
        lines.append(f"    and {hidden} more")
    near = "\n".join(["Near misses:", *lines]) if lines else "No manifest there mentions that repository."
    repository = declared.declaration.spec.image_repo
    if any(each.reason == UNSELECTED for each in misses):
        message = f"workloads run {repository}, but {UNSELECTED}"
        return Failure("NothingSelected", message, f"Say which of them with spec.selector or spec.workload. {near}")
    if not files and declared.reach.paths:
        given = ", ".join(pattern.text for pattern in declared.reach.paths)
        within = f", and narrow {where}, never widen it" if where else ""
        near = f"spec.paths names {given}: paths count from the root of the repository{within}."
    if declared.reach.folder:
        near = f"There is no gitcd.yaml, so a declaration reaches its own folder and those below. {near}"
    message = f"{repository} was found in none of the {files} manifests of {where or 'the repository'}"
    return Failure("MatchedNothing", message, near)
