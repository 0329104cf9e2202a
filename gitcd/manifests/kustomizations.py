"""Kustomizations as files: what each names, and of which folders a build of it is made."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from gitcd.manifests import documents
from gitcd.model.site import Refusal

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REFERENCES = ("resources", "bases", "components")
# Text that is passed on as it is written, be it an address or not.
_PASSED_ON = frozenset({"commonAnnotations", "commonLabels", "labels", "literals", "options", "metadata"})
_ADDRESS = re.compile(r"(?:[^\s=]+=)?[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kustomization:
    """`references` are the folders and files that it names, as it writes them, `addresses` what it would fetch."""

    path: str
    references: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
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
    return Kustomization(path, named, tuple(_addresses(value)), value.get("kind") == "Component")


def needed(root: str, known: Mapping[str, Kustomization], files: Collection[str]) -> frozenset[str] | Refusal:
    """The folders that a build of the kustomization `root` reads, and single files; or what it names and is not there.

    `known` are all kustomizations by their folders, `files` all files. kustomize itself would look for what is not
    there outside the repository: in other folders of this machine, by git and by http.
    """
    found, waiting = {dirname(root)}, [dirname(root)]
    while waiting:
        here = known[waiting.pop()]
        absent = [each for place, each in here.targets.items() if place not in known and place not in files]
        if absent := [*absent, *here.addresses]:
            why = f"it names {absent[0]}, which is not in the repository, and nothing is fetched for it"
            return Refusal(here.path, 0, why)
        for target in here.targets:
            if target in known and target not in found:
                waiting.append(target)
            found.add(target)
    return frozenset(found)


def _addresses(value: object) -> Iterator[str]:
    """Whatever begins as an address does, where kustomize may take it for one."""
    if isinstance(value, str):
        if _ADDRESS.match(value):
            yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _addresses(each) if key not in _PASSED_ON else ()
    elif isinstance(value, list):
        for each in value:
            yield from _addresses(each)
