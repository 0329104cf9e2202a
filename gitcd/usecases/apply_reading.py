"""What git says of one environment at a commit: all that is asked of the repository before the cluster is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gitcd.git.history import Recollect
from gitcd.git.tree import CommitTree
from gitcd.model import legacy, schema
from gitcd.model.declaration import API_VERSION, KIND, Origin
from gitcd.model.live import Manifest, Ref
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome
from gitcd.model.site import Refusal
from gitcd.planning.applying_parts import in_namespace
from gitcd.planning.applying_scope import Part, Source, parts
from gitcd.planning.inputs import Inputs
from gitcd.planning.limits import Limits, limit
from gitcd.planning.matching import Declared
from gitcd.planning.scopes import Scopes
from gitcd.usecases.apply_sources import read_environment
from gitcd.usecases.context import Selection
from gitcd.usecases.rollout_releases import Said, releases_of
from gitcd.usecases.switch_aims import aims


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which declarations a run is; `now` is its moment, and `recollect` brings the history of the commit."""

    selection: Selection
    now: datetime
    limits: Limits
    memory: Memory = FORGETFUL
    recollect: Recollect = lambda: None


@dataclass(frozen=True, slots=True)
class Reading:
    """`parts` are all declarations with what they are about, `chosen` those that were asked for.

    `broken` are declarations that cannot be followed, `refusals` documents that are no objects.
    """

    environment: str
    scopes: Scopes
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    chosen: tuple[Part, ...]
    releases: Said
    refusals: tuple[Refusal, ...] = ()
    broken: tuple[Outcome, ...] = ()
    charts: tuple[str, ...] = ()


def read(tree: CommitTree, inputs: Inputs, environment: str, asked: Asked) -> Reading:
    """Read the manifests of an environment, and whose they are.

    History is asked for only where a declaration has two slots.

    Raises:
        ConfigError: there is a kustomization and no program that builds it.
        TransientError: the repository, or the disk, is in trouble.
    """
    here = [each for each in inputs.declared if each.identity.environment == environment]
    declared, refused = limit(here, asked.limits)
    found = read_environment(tree, inputs.scopes, environment, {each.declaration.origin.path for each in declared})
    sources = with_declarations(found.sources, declared)
    all_parts = parts(declared, sources)
    chosen = [each for each in all_parts if asked.selection.takes(each.identity)]
    names = {each.identity for each in chosen}
    aimed = aims(tree, inputs, names, asked.recollect, now=asked.now, memory=asked.memory)
    broken = [each for each in (*inputs.broken, *refused) if each.identity.environment in {"", environment}]
    return Reading(
        environment,
        inputs.scopes,
        tuple(sources),
        tuple(all_parts),
        tuple(chosen),
        releases_of(chosen, inputs, tree.commit, aimed),
        found.refusals,
        tuple(each for each in broken if asked.selection.takes(each.identity)),
        found.charts,
    )


def with_declarations(sources: Sequence[Source], declared: Sequence[Declared]) -> list[Source]:
    """The sources with the environment's own declarations as objects, those in an older form in the present one."""
    origins = {each.declaration.origin: each for each in declared}
    result: list[Source] = []
    for source in sources:
        kept = [_declaration(each, origins) if _declares(each.ref) else each for each in source.manifests]
        result.append(Source(source.path, tuple(each for each in kept if each)))
    there = {each.origin for source in result for each in source.manifests if each.ref.kind == KIND}
    return result + [Source(origin.path, (_rendered(each),)) for origin, each in origins.items() if origin not in there]


def _declares(ref: Ref) -> bool:
    """Whether it is a ContainerVersion, of any version, or a declaration of an older kind."""
    return ref.kind == KIND or (ref.group == legacy.GROUP and ref.kind in legacy.PLURALS)


def _declaration(manifest: Manifest, origins: dict[Origin, Declared]) -> Manifest | None:
    declared = origins.get(manifest.origin)
    if declared is None or manifest.api_version != API_VERSION:
        return None
    return in_namespace(manifest, declared.identity.namespace)


def _rendered(declared: Declared) -> Manifest:
    group, _, version = API_VERSION.partition("/")
    ref = Ref(KIND, declared.identity.namespace, declared.identity.name, group)
    metadata = {"name": ref.name, "namespace": ref.namespace}
    spec = schema.plain(declared.declaration.spec)
    return Manifest(
        ref,
        version,
        {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec},
        declared.declaration.origin,
    )
