"""Declarations and gitcd.yaml that follow the images which another tool follows in the same repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from gitcd.errors import ConfigError
from gitcd.git.worktree import WorkTree
from gitcd.manifests import setters, to_yaml
from gitcd.manifests.foreign import Mark, Object, find_marks, find_sites, read_objects
from gitcd.manifests.kustomizations import is_kustomization
from gitcd.model.declaration import Origin
from gitcd.model.layout import FILE_NAME
from gitcd.model.migration import Draft, Drafted, Note
from gitcd.model.site import Found
from gitcd.model.tree import YAML_ENDINGS, Entry, Tree
from gitcd.planning import from_flux, from_image_updater
from gitcd.planning.screening import is_readable


def migrate_from(tool: str, place: str) -> Drafted:
    """What follows the same images as another tool does that works on the tree below a folder.

    Raises:
        ConfigError: there is no such folder.
    """
    if not Path(place).is_dir():
        raise ConfigError(f"{place} is no folder", remedy="Name the folder of the repository that the tool works on.")
    tree = WorkTree(Path(place))
    drafted = TOOLS[tool](tree)
    if not drafted.drafts or all(entry.path != FILE_NAME for entry in tree.entries()):
        return drafted
    there = Note(Origin(FILE_NAME), "ConfigRepository", "is there already: take over what it lacks of the one printed")
    return replace(drafted, notes=(*drafted.notes, there))


def render(drafted: Drafted) -> str:
    """gitcd.yaml and the declarations as one stream of documents, each below what it is."""
    documents = [f"# {FILE_NAME}\n{to_yaml(drafted.layout)}"] if drafted.environments else []
    documents += [f"# {each.source.subject}, {each.source.origin}\n{to_yaml(each.document)}" for each in drafted.drafts]
    return "---\n".join(documents)


def from_tree_of_flux(tree: Tree) -> Drafted:
    objects: list[Object] = []
    marks: list[Mark] = []
    found: dict[str, Found] = {}
    for entry, data in _files(tree):
        if any(group in data for group in (from_flux.GROUP.encode(), b"source.toolkit.fluxcd.io")):
            objects += read_objects(entry.path, data)
        if setters.WORD in data:
            found[entry.path] = find_sites(entry.path, data)
            marks += find_marks(entry.path, data, found[entry.path])
    return _valid(from_flux.draft(objects, marks, found))


def from_tree_of_image_updater(tree: Tree) -> Drafted:
    objects: list[Object] = []
    for entry, data in _files(tree):
        if b"argoproj.io" in data:
            objects += read_objects(entry.path, data)
    files = {entry.path: entry for entry in tree.entries() if is_readable(entry)}
    wanted = from_image_updater.files(objects)
    read = dict(tree.read([files[path] for path in sorted(wanted & files.keys())]))
    return _valid(from_image_updater.draft(objects, {entry.path: data for entry, data in read.items()}))


TOOLS: dict[str, Callable[[Tree], Drafted]] = {
    "argocd-image-updater": from_tree_of_image_updater,
    "flux": from_tree_of_flux,
}


def _files(tree: Tree) -> Iterator[tuple[Entry, bytes]]:
    """Every file that may hold objects or marks; a kustomization may go without an ending."""
    wanted = [
        entry
        for entry in tree.entries()
        if is_readable(entry) and (entry.path.endswith(YAML_ENDINGS) or is_kustomization(entry.path))
    ]
    return tree.read(wanted)


def _valid(drafted: Drafted) -> Drafted:
    """Without declarations that would not be valid; each of those is told of."""
    kept: list[Draft] = []
    notes = list(drafted.notes)
    for each in drafted.drafts:
        if problems := each.problems():
            faults = "; ".join(f"{problem.pointer}: {problem.message}" for problem in problems)
            notes.append(Note(each.source.origin, each.source.subject, f"cannot be declared: {faults}"))
        else:
            kept.append(each)
    return replace(drafted, drafts=tuple(kept), notes=tuple(notes))
