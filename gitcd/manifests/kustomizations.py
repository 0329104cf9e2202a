"""Kustomizations as files: what each names, and of which folders a build of it is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from gitcd.manifests import documents
from gitcd.model.site import Refusal

NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_REFERENCES = ("resources", "bases", "components")


@dataclass(frozen=True, slots=True)
class Kustomization:
    """`references` are the folders and files that it names, as it writes them."""

    path: str
    references: tuple[str, ...] = ()
    is_component: bool = False

    @property
    def folder(self) -> str:
        return dirname(self.path)

    @property
    def targets(self) -> dict[str, str]:
        """Where in the tree they lie, each with how it is written; the root is empty."""
        found = {normpath(join(self.folder, each)): each for each in self.references}
        return {"" if place == "." else place: each for place, each in found.items()}


def is_kustomization(path: str) -> bool:
    return path.rpartition("/")[2] in NAMES


def read(path: str, data: bytes) -> Kustomization:
    """What a file says, as far as it can be read: building it tells the rest."""
    try:
        value = next(documents.compose(documents.decode(data)), None)
    except documents.UnreadableError:
        return Kustomization(path)
    if not isinstance(value, documents.Map):
        return Kustomization(path)
    lists = (value.get(key) for key in _REFERENCES)
    named = tuple(each for found in lists if isinstance(found, list) for each in found if isinstance(each, str))
    return Kustomization(path, named, value.get("kind") == "Component")


def needed(root: str, known: Iterable[Kustomization], files: Collection[str]) -> frozenset[str] | Refusal:
    """The folders that a build of the kustomization `root` reads, and single files; or what it names and is not there.

    kustomize itself would look for that outside the repository: in other folders of this machine, by git and by http.
    """
    by_folder = {each.folder: each for each in known}
    found, waiting = {dirname(root)}, [dirname(root)]
    while waiting:
        here = by_folder[waiting.pop()]
        for target, written in here.targets.items():
            if target not in by_folder and target not in files:
                why = f"it names {written}, which is not in the repository, and nothing is fetched for it"
                return Refusal(here.path, 0, why)
            if target in by_folder and target not in found:
                waiting.append(target)
            found.add(target)
    return frozenset(found)
