"""What of a manifest is gitcd's to write: not the replicas that an autoscaler sets, and maybe the images alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gitcd.model.declaration import Spec
from gitcd.model.live import Json, Manifest, Ref, part, template_at
from gitcd.model.reference import Reference, Repository
from gitcd.planning.applying_fields import NOISE, fields_of

ENVIRONMENT = "gitcd.io/environment"  # the annotation that says whose an object is

_AUTOSCALER = "HorizontalPodAutoscaler"
_LISTS = ("containers", "initContainers")
_OF_IMAGES = frozenset({".", "f:name", "f:image"})  # of a container, by which it is told from others

# Who wrote fields before the server kept account of them, or by `kubectl apply` without --server-side.
# Source: managedfields in client-go, util/csaupgrade.
_CLIENT_SIDE = frozenset({"kubectl-client-side-apply", "before-first-apply"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def marked(manifest: Manifest, environment: str) -> Manifest:
    """The manifest with the annotation that says which environment it belongs to.

    Without what the server writes and refuses from others, which a copy of an object that was read there brings along.
    """
    metadata = {key: each for key, each in manifest.value["metadata"].items() if key not in NOISE}
    annotations = {**(metadata.get("annotations") or {}), ENVIRONMENT: environment}
    return replace(manifest, value={**manifest.value, "metadata": {**metadata, "annotations": annotations}})


def in_namespace(manifest: Manifest, namespace: str) -> Manifest:
    """The manifest in this namespace; in none, where its kind has none."""
    metadata = {key: each for key, each in manifest.value["metadata"].items() if key != "namespace"}
    if namespace:
        metadata["namespace"] = namespace
    ref = replace(manifest.ref, namespace=namespace)
    return replace(manifest, ref=ref, value={**manifest.value, "metadata": metadata})


def autoscaled(autoscalers: Iterable[Json]) -> frozenset[Ref]:
    """The workloads whose replicas an autoscaler sets."""
    return frozenset(_target(each) for each in autoscalers)


def autoscalers(manifests: Iterable[Manifest]) -> Iterator[Json]:
    """Those that stand among the manifests."""
    return (each.value for each in manifests if each.ref.kind == _AUTOSCALER)


def _target(autoscaler: Json) -> Ref:
    target = part(autoscaler, "spec", "scaleTargetRef")
    group, _, _ = str(target.get("apiVersion", "")).rpartition("/")
    return Ref(str(target.get("kind")), autoscaler["metadata"].get("namespace", ""), str(target.get("name")), group)


def without_replicas(manifest: Manifest) -> Manifest:
    """The manifest without its number of replicas: somebody else sets it."""
    spec = part(manifest.value, "spec")
    if "replicas" not in spec:
        return manifest
    kept = {key: each for key, each in spec.items() if key != "replicas"}
    return replace(manifest, value={**manifest.value, "spec": kept})


def drops_replicas(live: Json, manifest: Manifest, manager: str) -> bool:
    """Whether the manager owns the number of replicas now, and by this manifest would let it fall to the default."""
    owns = "f:replicas" in (fields_of(live, manager).get("f:spec") or {})
    return owns and "replicas" not in part(manifest.value, "spec")


def carries(manifest: Manifest, repository: Repository, name: str = "") -> bool:
    """Whether a container of the manifest's pods runs an image of the repository; `name`: that container alone."""
    return any(True for _ in _images(manifest, repository, name))


def images_alone(manifest: Manifest, spec: Spec) -> Manifest:
    """The same object, but with nothing of it except the images that a declaration is about."""
    steps = template_at(manifest.ref.kind)
    pod: dict[str, Any] = {}
    name = spec.container.name if spec.container else ""
    for key, container in _images(manifest, spec.repository, name):
        pod.setdefault(key, []).append({"name": container["name"], "image": container["image"]})
    value: dict[str, Any] = {"spec": pod}
    for step in reversed(steps):
        value = {step: value}
    metadata = {"name": manifest.ref.name, "namespace": manifest.ref.namespace}
    return replace(
        manifest, value={"apiVersion": manifest.api_version, "kind": manifest.ref.kind, "metadata": metadata, **value}
    )


def is_image(field: str) -> bool:
    """Whether a conflict is about the image of a container: `.spec.template.spec.containers[name="web"].image`."""
    return field.endswith(".image") and any(f".{each}[name=" in field for each in _LISTS)


def owns_more_than_images(live: Json, manager: str) -> bool:
    """Whether the manager has applied more of an object than images: leaving that out would remove it."""
    return any(leaf not in _OF_IMAGES for leaf in _leaves(fields_of(live, manager)))


def _leaves(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in fields.items():
        if inner:
            yield from _leaves(inner)
        else:
            yield key


def _images(manifest: Manifest, repository: Repository, name: str) -> Iterator[tuple[str, Json]]:
    pod = part(manifest.value, *template_at(manifest.ref.kind), "spec")
    for key in _LISTS:
        listed = pod.get(key)
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, Mapping) and _is_of(each, repository) and name in {"", each.get("name")}:
                yield key, each


def _is_of(container: Json, repository: Repository) -> bool:
    image = container.get("image")
    if not (isinstance(image, str) and isinstance(container.get("name"), str)):
        return False
    try:
        return Reference.parse(image).repository == repository
    except ValueError:
        return False


def taken_over(live: Json, manager: str) -> list[dict[str, Any]]:
    """The JSON patch by which fields of client-side apply become the manager's own; empty: there is nothing to take.

    Server-side apply removes what left the manifest only from fields that its manager owns, and those of `kubectl
    apply` are another's. It is done once, before the manager's first apply.
    """
    entries = live["metadata"].get("managedFields") or []
    theirs = [each for each in entries if _is_client_side(each, live)]
    if not theirs or fields_of(live, manager):
        return []
    fields: dict[str, Any] = {}
    for each in theirs:
        fields = _union(fields, each.get("fieldsV1") or {})
    _forget(fields, ("f:metadata", "f:annotations", f"f:{_LAST_APPLIED}"))
    mine = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": theirs[-1]["apiVersion"],
        "time": theirs[-1].get("time"),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    kept = [each for each in entries if each not in theirs]
    return [{"op": "replace", "path": "/metadata/managedFields", "value": [*kept, mine]}]


def is_ended_by_taking_over(owners: Iterable[str], live: Json, manager: str) -> bool:
    """Whether conflicts with these managers are none any more, once the fields of client-side apply are taken over."""
    theirs = {
        each.get("manager") for each in live["metadata"].get("managedFields") or () if _is_client_side(each, live)
    }
    return bool(taken_over(live, manager)) and theirs.issuperset(owners)


def _is_client_side(entry: Mapping[str, Any], live: Json) -> bool:
    if entry.get("operation") != "Update" or entry.get("subresource"):
        return False
    applied = _LAST_APPLIED in (live["metadata"].get("annotations") or {})
    return entry.get("manager") in _CLIENT_SIDE or (entry.get("manager") == "kubectl" and applied)


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _union(one.get(key) or {}, other.get(key) or {})
        for key in [*one, *(each for each in other if each not in one)]
    }


def _forget(fields: dict[str, Any], path: Sequence[str]) -> None:
    for step in path[:-1]:
        fields = fields.get(step) or {}
    fields.pop(path[-1], None)
