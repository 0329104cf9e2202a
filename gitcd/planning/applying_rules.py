"""What apply may write at all: kinds, namespaces, and lists that an API server would refuse."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gitcd.manifests.objects import is_encrypted
from gitcd.model.applied import Applied, Fate
from gitcd.model.declaration import KIND
from gitcd.model.live import Json, Manifest, Ref, part
from gitcd.planning.limits import Limits
from gitcd.planning.scopes import Pattern

# What every environment may bring. Rights, secrets, webhooks, definitions and what belongs to a whole cluster only by
# the operator's word.
ALWAYS = frozenset(
    {
        *("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob", "Rollout"),
        *("Service", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim", "PodDisruptionBudget", KIND),
        *("HorizontalPodAutoscaler", "Ingress", "HTTPRoute", "GRPCRoute", "NetworkPolicy"),
    }
)
SECRET = "Secret"  # noqa: S105 - a kind
# Never deleted to be made anew: with these goes what people keep in them.
IRREPLACEABLE = frozenset(
    {"PersistentVolumeClaim", "PersistentVolume", "StatefulSet", "Namespace", "CustomResourceDefinition"}
)

# Lists whose items are told apart by these keys; twice the same is refused by server-side apply.
# Source: listMapKeys in the OpenAPI document of core/v1.
_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "env": (("name",),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
    "imagePullSecrets": (("name",),),
}
_PORTS: Mapping[str, tuple[str, ...]] = {"Service": ("port", "protocol"), "": ("containerPort", "protocol")}

_ARGO = "argocd.argoproj.io/tracking-id"
_FLUX = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
_ARGO_LABEL = "argocd.argoproj.io/instance"


def barred(manifest: Manifest, environment: str, kinds: Collection[str], limits: Limits) -> Applied | None:
    """Why an object is not written, whatever the cluster says; None: it may be.

    `kinds` are those that the operator allows beyond the usual ones.
    """
    ref, origin = manifest.ref, manifest.origin
    if is_encrypted(manifest):
        return Applied(ref, Fate.SKIPPED, origin, "sops has encrypted it, and it would mean nothing to the cluster")
    if ref.kind == SECRET and SECRET not in kinds:
        return Applied(
            ref, Fate.SKIPPED, origin, "Secrets are not applied", "Allow the kind in the setting allow.kinds."
        )
    if ref.kind not in ALWAYS and ref.kind not in kinds:
        message = f"{ref.kind} is no kind that apply may write"
        return Applied(ref, Fate.REFUSED, origin, message, f"Let the operator add {ref.kind} to allow.kinds.")
    if why := _outside(manifest, environment, limits):
        return Applied(ref, Fate.REFUSED, origin, why, "Let the operator map the namespace in the setting namespaces.")
    if found := list(duplicates(manifest.value)):
        remedy = "Write each once: server-side apply refuses lists in which one stands twice."
        return Applied(ref, Fate.REFUSED, origin, "; ".join(found), remedy)
    return None


def _outside(manifest: Manifest, environment: str, limits: Limits) -> str:
    """Why the operator does not let the environment write into the object's namespace; empty: he does."""
    namespace = manifest.ref.namespace
    if not (limits and namespace):
        return ""
    limit = limits.get(namespace)
    if limit is None or environment not in limit.environments:
        return f"the environment {environment} may not write into the namespace {namespace}"
    if limit.paths and all(Pattern.compile(path).covers(manifest.origin.path) < 0 for path in limit.paths):
        return f"what is written into the namespace {namespace} has to stand in {', '.join(limit.paths)}"
    return ""


def twice(manifests: Iterable[Manifest]) -> Iterator[Applied]:
    """Objects that stand in more than one place; which one is meant cannot be told."""
    places: defaultdict[Ref, list[Manifest]] = defaultdict(list)
    for each in manifests:
        places[each.ref].append(each)
    for ref, found in places.items():
        if len(found) > 1:
            where = ", ".join(sorted(str(each.origin) for each in found))
            yield Applied(
                ref, Fate.REFUSED, found[0].origin, f"it stands more than once: {where}", "Remove the others."
            )


def duplicates(value: Json) -> Iterator[str]:
    """Items of one list that bear the same name, anywhere in an object."""
    kind = str(value.get("kind", ""))
    yield from _duplicates(part(value, "spec"), "spec", _PORTS["Service"] if kind == "Service" else _PORTS[""])


def _duplicates(value: Any, path: str, ports: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, list) and (keys := ports if key == "ports" else _KEYS.get(key, ((),))[0]):
                yield from (f"{path}.{key} has {name} more than once" for name in _repeated(inner, keys))
            if isinstance(inner, dict | list):
                yield from _duplicates(inner, f"{path}.{key}", ports)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, dict | list):
                name = item.get("name") if isinstance(item, dict) else None
                yield from _duplicates(item, f"{path}[{name if isinstance(name, str) else number}]", ports)


def _repeated(items: Sequence[Any], keys: Sequence[str]) -> list[str]:
    names = [
        "/".join(str(item.get(key, "TCP" if key == "protocol" else "")) for key in keys)
        for item in items
        if isinstance(item, dict) and keys[0] in item
    ]
    return [name for name, count in Counter(names).items() if count > 1]


def tracker(live: Json) -> str:
    """Which other tool keeps an object as its own git says; empty: none that leaves a mark."""
    metadata = live["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if owner := annotations.get(_ARGO) or labels.get(_ARGO_LABEL):
        return f"Argo CD ({owner})"
    for label in _FLUX:
        if owner := labels.get(label):
            return f"Flux ({owner})"
    return ""
