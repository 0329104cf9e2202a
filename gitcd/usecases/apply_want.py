"""What a commit wants of one environment: its manifests in order, those that may not be written, and by whose word."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.discovery import UnknownKindError
from gitcd.cluster.objects import Objects
from gitcd.errors import TransientError
from gitcd.model.applied import Applied, Fate
from gitcd.model.declaration import KIND
from gitcd.model.live import Json, Manifest, Ref, part
from gitcd.planning.applying import waves
from gitcd.planning.applying_parts import autoscaled, autoscalers, in_namespace
from gitcd.planning.applying_rules import barred, twice
from gitcd.planning.applying_scope import Part, Source, placed
from gitcd.planning.scopes import Scopes
from gitcd.usecases.apply_live import listed
from gitcd.usecases.apply_reading import Reading
from gitcd.usecases.apply_wanted import Want
from gitcd.usecases.apply_wish import Bounds

_log = logging.getLogger(__name__)

_DEFINITION = "CustomResourceDefinition"
_AUTOSCALER = ("autoscaling", "HorizontalPodAutoscaler")
_KUSTOMIZE = "kustomize.config.k8s.io"  # the group of what steers kustomize, and is nothing to apply


def want_of(reading: Reading, objects: Objects, bounds: Bounds, *, everything: bool = False) -> Want:
    """What is to be written of what git says: the manifests of the chosen declarations, or all.

    Raises:
        DeclinedError: the cluster does not say how it serves a kind.
        TransientError: the cluster is in trouble.
    """
    environment, chosen = reading.environment, reading.chosen
    manifests, unfit = _sorted_out(placed(reading.sources, reading.parts), environment, objects, bounds)
    paths = {path for each in chosen for path in (*each.sources, each.declared.declaration.origin.path)}
    external = reading.scopes.layout_of(environment).applier == "external"
    theirs = _brought_by_others(reading.scopes, environment) if external else _of_others(reading.parts)
    wanted = [each for each in manifests if (everything or each.origin.path in paths) and not theirs(each)]
    ordered, problems = waves(wanted, _companies(reading.parts))
    return Want(
        tuple(ordered),
        tuple(manifests),
        chosen,
        tuple(each for each in unfit if everything or each.origin.path in paths),
        (*reading.refusals, *problems),
        reading.broken,
        reading.charts,
        0 if external else len(manifests) - len(wanted),
        reading.releases,
        tuple(unfit),
        external,
    )


def _companies(found: Iterable[Part]) -> Iterable[set[Ref]]:
    """The workloads that are taken live together: those of a declaration, or of a group."""
    companies: defaultdict[object, set[Ref]] = defaultdict(set)
    for each in found:
        group = each.declared.declaration.spec.strategy.group
        companies[group or each.identity] |= {one.ref for one in each.workloads}
    return companies.values()


def scaled(manifests: Iterable[Manifest], objects: Objects) -> frozenset[Ref]:
    """The workloads whose replicas an autoscaler sets, one of git's or one of the cluster's."""
    wanted = list(manifests)
    named = autoscaled(autoscalers(wanted))
    counted = [each.ref for each in wanted if "replicas" in part(each.value, "spec")]
    if not counted:
        return named
    return named | autoscaled(_autoscalers(objects, {each.namespace for each in counted}))


def _autoscalers(objects: Objects, namespaces: Collection[str]) -> Sequence[Json]:
    """Those of the cluster, as far as they may be read."""
    try:
        return listed(objects, *_AUTOSCALER, namespaces)
    except UnknownKindError:
        return []
    except DeclinedError as answer:
        _log.warning("whether autoscalers set replicas is not known: %s", answer.message)
        return []


def _brought_by_others(scopes: Scopes, environment: str) -> Callable[[Manifest], bool]:
    """What somebody else applies: all that lies in the environment's folders."""
    return lambda each: each.ref.kind != KIND or scopes.environment_of(each.origin.path) == environment


def _of_others(found: Sequence[Part]) -> Callable[[Manifest], bool]:
    """What stands beside workloads of which gitcd owns nothing but the image."""
    modes = {path: each.declared.declaration.spec.apply.ownership for each in found for path in each.sources}
    ours = {each.ref for part in found for each in part.workloads}
    return lambda each: modes.get(each.origin.path) == "Image" and each.ref not in ours and each.ref.kind != KIND


def _sorted_out(
    sources: Sequence[Source], environment: str, objects: Objects, bounds: Bounds
) -> tuple[list[Manifest], list[Applied]]:
    """The manifests that may be written, and the others with the reason."""
    found = [each for source in sources for each in source.manifests if each.ref.group != _KUSTOMIZE]
    coming = {defined(each) for each in found if each.ref.kind == _DEFINITION}
    served = [_served(each, objects, coming) for each in found]
    refused = [each for each in served if isinstance(each, Applied)]
    kept: list[Manifest] = []
    for each in (one for one in served if isinstance(one, Manifest)):
        unfit = barred(each, environment, bounds.kinds, bounds.limits or {})
        if unfit:
            refused.append(unfit)
        else:
            kept.append(each)
    doubled = list(twice(kept))
    unclear = {each.ref for each in doubled}
    return [each for each in kept if each.ref not in unclear], [*refused, *doubled]


def _served(manifest: Manifest, objects: Objects, coming: Collection[tuple[str, str]]) -> Manifest | Applied:
    """The manifest with a namespace, or with none, as the cluster serves its kind."""
    ref = manifest.ref
    try:
        namespaced = objects.resource(manifest).namespaced
    except UnknownKindError as error:
        if (ref.group, ref.kind) in coming:
            return manifest
        return Applied(ref, Fate.REFUSED, manifest.origin, error.message, error.remedy)
    except TransientError as error:
        message = f"the cluster does not say how it serves {ref.kind} of {ref.group or 'the core'}: {error.message}"
        return Applied(ref, Fate.FAILED, manifest.origin, message, error.remedy, transient=True)
    if not namespaced:
        return in_namespace(manifest, "") if ref.namespace else manifest
    if ref.namespace:
        return manifest
    message = "it names no namespace, and no declaration beside it says which"
    return Applied(ref, Fate.REFUSED, manifest.origin, message, "Write metadata.namespace.")


def defined(definition: Manifest) -> tuple[str, str]:
    """Group and kind that a CustomResourceDefinition brings."""
    spec = part(definition.value, "spec")
    return str(spec.get("group")), str(part(spec, "names").get("kind"))
