"""The manifests of an environment, read from a tree: plain files as they stand, kustomizations as they are built."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from posixpath import dirname

from gitcd.manifests import kustomizations
from gitcd.manifests.kustomizations import Kustomization, is_kustomization
from gitcd.manifests.objects import read_objects
from gitcd.model.live import Manifest
from gitcd.model.site import Refusal
from gitcd.model.tree import Entry, Tree, lies_in, upward
from gitcd.planning.applying_scope import Source
from gitcd.planning.scopes import Scopes, is_manifest, is_safe
from gitcd.planning.screening import REGULAR
from gitcd.usecases.apply_kustomize import build

_JSON = ".json"
_CHART = "Chart.yaml"


@dataclass(frozen=True, slots=True)
class Found:
    """What an environment holds; `refusals` are no objects, `charts` are folders that are passed over."""

    sources: tuple[Source, ...]
    refusals: tuple[Refusal, ...] = ()
    charts: tuple[str, ...] = ()


def read_environment(tree: Tree, scopes: Scopes, environment: str, beside: Collection[str] = ()) -> Found:
    """Read and build every manifest of an environment. `beside` are files that are read wherever they lie.

    Raises:
        ConfigError: there is a kustomization, and no program that builds it.
    """
    entries = [each for each in tree.entries() if _is_of(each, scopes, environment)]
    kustomized = _kustomizations(tree, [each for each in entries if is_kustomization(each.path)])
    charts = sorted({dirname(each.path) for each in entries if _name(each) == _CHART})
    passed = {*kustomized.parts, *charts}
    plain = [each for each in entries if _is_plain(each) and not lies_in(each.path, passed)]
    known = {each.path for each in plain}
    plain += [each for each in tree.entries() if each.path in beside and each.path not in known]
    found = [(entry.path, read_objects(entry.path, data)) for entry, data in tree.read(plain)]
    found += build(tree, kustomized.roots, kustomized.read) if kustomized.roots else []
    return Found(
        tuple(Source(path, tuple(each for each in read if isinstance(each, Manifest))) for path, read in found),
        tuple(each for _, read in found for each in read if isinstance(each, Refusal)),
        tuple(charts),
    )


def _is_of(entry: Entry, scopes: Scopes, environment: str) -> bool:
    if entry.mode not in REGULAR or not is_safe(entry.path):
        return False
    return not scopes.environments or scopes.environment_of(entry.path) == environment


def _is_plain(entry: Entry) -> bool:
    if entry.path.endswith(_JSON):
        return is_manifest(f"{entry.path.removesuffix(_JSON)}.yaml")
    return is_manifest(entry.path)


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class _Kustomizations:
    """Those of an environment. `roots` are files of those that are built by themselves, `parts` what belongs to any."""

    read: tuple[Kustomization, ...]
    roots: tuple[str, ...]
    parts: frozenset[str]


def _kustomizations(tree: Tree, entries: Sequence[Entry]) -> _Kustomizations:
    """Those that are neither below another nor a part of one are built by themselves."""
    read = tuple(kustomizations.read(entry.path, data) for entry, data in tree.read(entries))
    files = {each.folder: each.path for each in read}
    used = {place for each in read for place in each.targets}
    parts = used | {each.folder for each in read if each.is_component}
    roots = [
        path
        for folder, path in files.items()
        if folder not in parts and files.keys().isdisjoint(islice(upward(folder), 1, None))
    ]
    return _Kustomizations(read, tuple(sorted(roots)), frozenset(files) | used)
