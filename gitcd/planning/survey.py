"""The survey: one pass over the tree that finds, for every declaration, the places it owns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from gitcd import manifests
from gitcd.model.declaration import ConfigKey, Follow, Place
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Query
from gitcd.model.site import Form, Found, Refusal, Service, Site
from gitcd.model.tree import Entry, Tree
from gitcd.planning import bluegreen
from gitcd.planning.content import carriers, held
from gitcd.planning.left_out import warn_left_out
from gitcd.planning.matching import Declared, Surveyed, warn_left_alone
from gitcd.planning.nearmisses import explain_empty
from gitcd.planning.remembered import concerns
from gitcd.planning.scopes import Scopes, Tie, is_manifest, is_safe
from gitcd.planning.screening import Clue, Screen, is_only_in_comments, is_readable, needle

__all__ = ["is_readable", "queries", "survey"]

_IN_LIST = re.compile(r"^(/items/\d+)+")  # where an object of a `kind: List` stands


def survey(
    declared: Sequence[Declared],
    tree: Tree,
    scopes: Scopes,
    memory: Memory = FORGETFUL,
    *,
    hosts: Iterable[str] = (),
) -> list[Surveyed]:
    """Find the places of every declaration; what matches nothing carries a failure that says what was near.

    `hosts` are registries that are searched for beside those of these declarations.
    """
    index = _Index(declared)
    entries = [entry for entry in tree.entries() if is_manifest(entry.path)]
    claims = {entry.path: scopes.environment_of(entry.path) for entry in entries}
    owners = {path: _sole(claim) for path, claim in claims.items()}
    bare = {each.declaration.origin.path for each in declared if each.alone}
    readable = [
        entry
        for entry in entries
        if is_readable(entry) and index.concerns(owners[entry.path]) and entry.path not in bare
    ]
    screen = Screen((Clue.of(each.declaration) for each in declared), hosts)
    for entry, (needles, found) in concerns(tree, readable, screen, memory, index.subject):
        index.collect(entry, owners[entry.path], needles, found)
    _read_refusals(index, tree)
    _locate_places(index, tree, owners)
    safe = [entry for entry in entries if is_safe(entry.path)]
    explain_empty(index.surveyed, tree, safe, owners, lambda path: _sole(scopes.environment_of(path)))
    warn_left_alone(index.surveyed)
    warn_left_out(index.surveyed, tree, ((entry, claims[entry.path]) for entry in entries), screen, memory)
    shared = bluegreen.shared(declared)
    for surveyed in index.surveyed:
        _check_config(surveyed)
        if failure := shared.get(surveyed.declared.identity):
            surveyed.failures.append(failure)
    return index.surveyed


def _sole(claim: str | Tie | None) -> str | None:
    return None if isinstance(claim, Tie) else claim


def queries(surveyed: Iterable[Surveyed]) -> list[Query]:
    """All that the registry has to be asked: the followed tags and rules, and what the manifests hold now."""
    tags: defaultdict[Repository, set[str]] = defaultdict(set)
    digests: defaultdict[Repository, set[str]] = defaultdict(set)
    follows: defaultdict[Repository, set[Follow]] = defaultdict(set)
    for each in surveyed:
        spec = each.declared.declaration.spec
        if spec.tag:
            tags[spec.repository].add(spec.tag)
        if spec.follow:
            follows[spec.repository].add(spec.follow)
        for present in (held(site, spec.repository) for site in carriers(each.sites)):
            if present.digest:
                digests[spec.repository].add(present.digest)
            elif present.tag:
                tags[spec.repository].add(present.tag)
    return [
        Query(each, frozenset(tags.pop(each, ())), frozenset(digests.pop(each, ())), frozenset(follows.pop(each, ())))
        for each in sorted(tags.keys() | digests.keys() | follows.keys())
    ]


@dataclass(slots=True)
class _Index:
    """Finds the declarations that a site, a ConfigMap or a Service may concern."""

    declared: Sequence[Declared]
    surveyed: list[Surveyed] = field(init=False)
    refused: list[tuple[Entry, list[Surveyed]]] = field(default_factory=list)
    _environments: set[str] = field(init=False)
    _folders: bool = field(init=False)
    _by_needle: dict[bytes, list[Surveyed]] = field(init=False)

    def __post_init__(self) -> None:
        self.surveyed = [Surveyed(each) for each in self.declared]
        self._environments = {each.reach.environment for each in self.declared}
        self._folders = any(each.reach.folder is not None for each in self.declared)
        by_needle: defaultdict[bytes, list[Surveyed]] = defaultdict(list)
        for each in self.surveyed:
            for key in Clue.of(each.declared.declaration).needles:
                by_needle[key].append(each)
        self._by_needle = dict(by_needle)

    def concerns(self, environment: str | None) -> bool:
        return self._folders or environment in self._environments

    @property
    def subject(self) -> str:
        """Under what name it is remembered which files concern these declarations."""
        return " ".join(["manifests", *sorted(self._environments)])

    def collect(self, entry: Entry, environment: str | None, needles: Collection[bytes], found: Found) -> None:
        mentioned = {id(each): each for key in needles for each in self._by_needle.get(key, ())}
        for each in mentioned.values():
            each.looked_into.append(entry.path)
        concerned = {key: each for key, each in mentioned.items() if each.declared.reach.holds(entry.path, environment)}
        if not is_safe(entry.path):
            for each in concerned.values():
                each.refusals.append(_strange(entry.path))
            return
        for each in concerned.values():
            _assign(each, found)
        if concerned and found.refusals:
            self.refused.append((entry, list(concerned.values())))


def _assign(surveyed: Surveyed, found: Found) -> None:
    """Hand a declaration what one file holds for it."""
    spec = surveyed.declared.declaration.spec
    names_container = spec.container.name if spec.container else None
    for site in found.sites:
        if site.repository == spec.repository or (site.workload and site.container == names_container):
            surveyed.take(site)
        elif spec.config and _is_config(site, spec.config, surveyed.declared):
            surveyed.sites.append(site)
    surveyed.take_parts(found.sites)
    if spec.strategy.blue_green:
        surveyed.services += [each for each in found.services if _is_service(each, surveyed.declared)]


def _strange(path: str) -> Refusal:
    return Refusal(repr(path), 0, "no commit may write a path like this; rename the file")


def _read_refusals(index: _Index, tree: Tree) -> None:
    """Give each declaration the refusals of documents that mention its own repository."""
    concerned = {entry.path: each for entry, each in index.refused}
    for entry, data in tree.read([entry for entry, _ in index.refused]):
        own: dict[tuple[bytes, ...], tuple[Refusal, ...]] = {}
        for each in concerned[entry.path]:
            spec = each.declared.declaration.spec
            names = (needle(spec.repository), *([spec.config.name.encode()] if spec.config else []))
            if names not in own:
                idle = is_only_in_comments(data, names)
                own[names] = () if idle else manifests.find(entry.path, data, names).refusals
            each.refusals += own[names]


def _is_config(site: Site, config: ConfigKey, declared: Declared) -> bool:
    key = config.key.replace("~", "~0").replace("/", "~1")
    return (
        site.form is Form.CONFIG
        and site.owner.name == config.name
        and site.owner.namespace in {"", declared.declaration.namespace}
        and _IN_LIST.sub("", site.pointer) in {f"/data/{key}", "/data", ""}
    )


def _is_service(service: Service, declared: Declared) -> bool:
    blue_green = declared.declaration.spec.strategy.blue_green
    return (
        blue_green is not None
        and service.name == blue_green.service_name
        and service.namespace in {"", declared.declaration.namespace}
    )


def _check_config(surveyed: Surveyed) -> None:
    """Keep one site for the ConfigMap key: the key itself, else the spot where it is to be inserted."""
    declaration = surveyed.declared.declaration
    config = declaration.spec.config
    if config is None:
        return
    candidates = [
        site for site in surveyed.sites if site.repository is None and _is_config(site, config, surveyed.declared)
    ]
    keys = [site for site in candidates if site.value is not None]
    keyed_files = {(site.path, site.document) for site in keys}
    drop = [site for site in candidates if site.value is None and (site.path, site.document) in keyed_files]
    hollow = [site for site in candidates if not _IN_LIST.sub("", site.pointer)]
    surveyed.sites = [site for site in surveyed.sites if site not in [*drop, *hollow]]
    if hollow and len(hollow) == len(candidates):
        message = f"{hollow[0].where}: ConfigMap {config.name} has no data"
        surveyed.failures.append(Failure("ConfigMapWithoutData", message, "Add `data: {}` to it."))
    if not candidates:
        surveyed.failures.append(
            Failure(
                "ConfigMapNotFound",
                f"no ConfigMap {config.name} was found in the declaration's scope",
                f"Add this manifest:\n{_config_map(config, declaration.metadata.namespace)}",
            ),
        )


def _config_map(config: ConfigKey, namespace: str) -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return (
        f"    apiVersion: v1\n    kind: ConfigMap\n    metadata: {{name: {config.name}{where}}}\n"
        f'    data:\n      {config.key}: ""'
    )


def _locate_places(index: _Index, tree: Tree, owners: dict[str, str | None]) -> None:
    """Find the places that declarations name by file and pointer."""
    asked: defaultdict[str, list[tuple[Surveyed, Place]]] = defaultdict(list)
    if not any(each.declared.declaration.spec.places for each in index.surveyed):
        return
    entries = {entry.path: entry for entry in tree.entries()}
    for each in index.surveyed:
        for place in each.declared.declaration.spec.places:
            path = _place_path(each.declared, place, entries)
            if path is None or not each.declared.reach.holds(path, owners.get(path)) or not is_readable(entries[path]):
                message = f"spec.places names {place.file}, which is no file within the declaration's scope"
                each.failures.append(Failure("PlaceNotFound", message, "Correct spec.places[].file."))
            else:
                each.looked_into.append(path)
                asked[path].append((each, place))
    for entry, data in tree.read([entries[path] for path in sorted(asked)]):
        for each, place in asked[entry.path]:
            located = manifests.locate(entry.path, data, place)
            if isinstance(located, Refusal):
                each.refusals.append(located)
            else:
                each.place(located)


def _place_path(declared: Declared, place: Place, entries: dict[str, Entry]) -> str | None:
    """Beside the declaration first, else from the root of the repository."""
    folder = declared.declaration.origin.path.rpartition("/")[0]
    candidates = (f"{folder}/{place.file}" if folder else place.file, place.file)
    return next((path for path in candidates if path in entries and is_manifest(path)), None)
