"""Which manifests a declaration is about: the workloads that run its image, and all that stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest, Ref, part, template_at
from gitcd.planning.applying_parts import carries, in_namespace
from gitcd.planning.matching import Declared


@dataclass(frozen=True, slots=True)
class Source:
    """Manifests that stand in one file, or are built from one kustomization; `path` is the file's."""

    path: str
    manifests: tuple[Manifest, ...]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Part:
    """A declaration with its manifests: those that carry its image, and those that its strategy or `config` names.

    `sources` are the paths of the sources that hold any of them.
    """

    declared: Declared
    workloads: tuple[Manifest, ...]
    others: tuple[Manifest, ...]
    sources: frozenset[str]

    @property
    def identity(self) -> Identity:
        return self.declared.identity


def parts(declared: Iterable[Declared], sources: Sequence[Source]) -> list[Part]:
    """What each declaration is about, in one order."""
    return [_part(each, sources) for each in sorted(declared, key=lambda each: each.identity)]


def _part(declared: Declared, sources: Sequence[Source]) -> Part:
    workloads, others, paths = [], [], set()
    named = _named(declared)
    for source in sources:
        if not declared.reach.holds(source.path, declared.identity.environment):
            continue
        for each in source.manifests:
            if each.ref.namespace not in {"", declared.identity.namespace}:
                continue
            if _is_workload(each, declared):
                workloads.append(each)
            elif (each.ref.kind, each.ref.name) in named:
                others.append(each)
            else:
                continue
            paths.add(source.path)
    namespace = declared.identity.namespace
    return Part(
        declared,
        tuple(in_namespace(each, namespace) for each in workloads),
        tuple(in_namespace(each, namespace) for each in others),
        frozenset(paths),
    )


def placed(sources: Sequence[Source], found: Sequence[Part]) -> list[Source]:
    """The same, with a namespace for manifests that name none: that of the declaration which they stand beside."""
    namespaces: dict[str, set[str]] = {}
    for each in found:
        for path in each.sources:
            namespaces.setdefault(path, set()).add(each.identity.namespace)
    return [_placed(source, namespaces.get(source.path, set())) for source in sources]


def _placed(source: Source, namespaces: set[str]) -> Source:
    if len(namespaces) != 1:
        return source
    (namespace,) = namespaces
    manifests = tuple(
        each if each.ref.namespace else in_namespace(each, namespace) for each in source.manifests
    )  # fmt: skip
    return Source(source.path, manifests)


def _named(declared: Declared) -> frozenset[tuple[str, str]]:
    """Kind and name of what the declaration's strategy and `config` name."""
    spec, strategy = declared.declaration.spec, declared.declaration.spec.strategy
    names = [("ConfigMap", spec.config.name)] if spec.config else []
    if strategy.blue_green:
        names += [("Service", strategy.blue_green.service_name)]
        names += [("Service", strategy.blue_green.verification_service_name)]
    if strategy.canary and (route := strategy.canary.http_route).name:
        names += [("HTTPRoute", route.name), ("Service", route.stable_service), ("Service", route.canary_service)]
    return frozenset(names)


def _is_workload(manifest: Manifest, declared: Declared) -> bool:
    """As places are found in git: an image of the repository, in a container and a workload that are selected."""
    spec = declared.declaration.spec
    if not carries(manifest, spec.repository, spec.container.name if spec.container else ""):
        return False
    if spec.workload:
        return (manifest.ref.kind, manifest.ref.name) == (spec.workload.kind, spec.workload.name)
    return any(spec.selector.items() <= labels.items() for labels in labels_of(manifest))


def labels_of(manifest: Manifest) -> list[Mapping[str, str]]:
    """Its own labels, and those of its pods."""
    return [part(manifest.value, *above, "metadata", "labels") for above in ((), template_at(manifest.ref.kind))]


def workloads_of(found: Iterable[Part]) -> Mapping[Ref, Part]:
    """The declaration of each workload; where several are about one, the first of them."""
    return {each.ref: part for part in reversed(list(found)) for each in part.workloads}
