"""Objects of a cluster, of whatever kind: read, listed, applied, patched, scaled, deleted. Plain JSON in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json, Query
from gitcd.cluster.discovery import Discovery, Resource
from gitcd.model import live
from gitcd.model.health import Around
from gitcd.model.live import Manifest, Ref

MANAGER = "gitcd"  # of what stands in manifests
ROLLOUT_MANAGER = "gitcd-rollout"  # of replica counts and weights while a rollout is under way

_SERVICE_OF_SLICE = "kubernetes.io/service-name"
_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "", "DoesNotExist": "!"}


class Objects:
    """The objects that an API server holds.

    Every method raises UnknownKindError where the server does not serve the kind, and what those of `Api` raise. It may
    be used by several threads.
    """

    def __init__(self, api: Api, discovery: Discovery | None = None) -> None:
        self.api = api
        self.discovery = discovery or Discovery(api)

    def get(self, ref: Ref) -> Json | None:
        """The object as it is now; None where there is none."""
        try:
            return self.api.get(self._path(ref))
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list_kind(
        self, group: str, kind: str, *, version: str = "", namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Json]:
        """All objects of a kind, of a namespace or of all; `labels` and `fields` are selectors."""
        resource = self.discovery.find(group, kind, version)
        query: Query = {
            key: text for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text
        }  # fmt: skip
        return self.api.collect(
            resource.collection(namespace),
            lambda item: {"apiVersion": resource.api_version, "kind": resource.kind, **item},
            query,
            namespaced=resource.namespaced,
        )

    def apply(self, manifest: Manifest, *, manager: str = MANAGER, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply; the object as it is, or in a dry run would be, afterwards.

        Raises:
            DeclinedError: besides others, with status 409 where another manager owns a field and `force` is not set;
                its causes name field and manager.
        """
        path = self._path(manifest.ref, manifest.version)
        return self.api.apply(path, dict(manifest.value), manager=manager, force=force, dry_run=dry_run)

    def patch(
        self, ref: Ref, operations: Iterable[Mapping[str, Any]], *, manager: str = MANAGER, resource_version: str = ""
    ) -> Json:
        """A JSON patch. With `resource_version` it is made on that version of the object alone, else it is a conflict.

        Raises:
            DeclinedError: besides others, with status 409 or 422 where the object has another version, or a test of
                the patch fails.
        """
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
        steps = [*([test] if resource_version else []), *map(dict, operations)]
        return self.api.patch(self._path(ref), steps, manager=manager)

    def scale(self, ref: Ref, replicas: int, *, manager: str = ROLLOUT_MANAGER, uid: str = "") -> Json:
        """Take over how many replicas a workload has, and nothing else of it.

        With `uid` it is a conflict where the workload was replaced by another of its name, and none is made.
        """
        resource = self.discovery.find(ref.group, ref.kind)
        metadata = {"name": ref.name, "namespace": ref.namespace} | ({"uid": uid} if uid else {})
        body = {
            "apiVersion": resource.api_version,
            "kind": ref.kind,
            "metadata": metadata,
            "spec": {"replicas": replicas},
        }
        return self.api.apply(resource.path(ref.namespace, ref.name), body, manager=manager, force=True)

    def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "", propagation: str = "Background") -> bool:
        """Delete the very object that is meant; False where it is gone already, or another bears its name.

        Raises:
            DeclinedError: besides others, with status 409 where it has changed since `resource_version`.
        """
        tests = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: text for key, text in tests.items() if text}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": preconditions,
        }
        try:
            self.api.delete(self._path(ref), body)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND or (answer.status == HTTPStatus.CONFLICT and not resource_version):
                return False
            raise
        return True

    def around(self, value: live.Json) -> Around:
        """What stands around an object, so that one can say how it is."""
        match value.get("kind"):
            case "Deployment":
                return Around(pods=tuple(self.pods(value)), replica_sets=tuple(self.replica_sets(value)))
            case "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
                return Around(pods=tuple(self.pods(value)))
            case "Service":
                return Around(slices=tuple(self.slices(ref_of(value))))
            case _:
                return Around()

    def pods(self, workload: live.Json) -> list[Json]:
        """The pods that a workload's selector meets; none where it has no selector."""
        return self._selected("", "Pod", workload)

    def replica_sets(self, deployment: live.Json) -> list[Json]:
        """The ReplicaSets that a Deployment's selector meets."""
        return self._selected("apps", "ReplicaSet", deployment)

    def slices(self, service: Ref) -> list[Json]:
        """The EndpointSlices of a Service."""
        labels = f"{_SERVICE_OF_SLICE}={service.name}"
        return self.list_kind("discovery.k8s.io", "EndpointSlice", namespace=service.namespace, labels=labels)

    def log_tail(
        self, namespace: str, pod: str, container: str, lines: int = 10, *, previous: bool = False
    ) -> tuple[str, ...]:
        """The last lines that a container wrote; of the run before, where `previous` asks for that.

        Raises:
            DeclinedError: there is no such log.
        """
        query: Query = {"container": container, "tailLines": lines, "previous": str(previous).lower()}
        text = self.api.text(f"{self._path(Ref('Pod', namespace, pod))}/log", query)
        return tuple(text.splitlines()[-lines:])

    def resource(self, manifest: Manifest) -> Resource:
        """How the server serves the manifest's kind, in the manifest's version."""
        return self.discovery.find(manifest.ref.group, manifest.ref.kind, manifest.version)

    def _path(self, ref: Ref, version: str = "") -> str:
        return self.discovery.find(ref.group, ref.kind, version).path(ref.namespace, ref.name)

    def _selected(self, group: str, kind: str, workload: live.Json) -> list[Json]:
        selector = (workload.get("spec") or {}).get("selector")
        labels = label_selector(selector) if isinstance(selector, dict) else ""
        if not labels:
            return []
        return self.list_kind(group, kind, namespace=workload["metadata"]["namespace"], labels=labels)


def ref_of(value: live.Json) -> Ref:
    """Which object it is that the API answered with."""
    metadata = value["metadata"]
    group, _, _ = str(value.get("apiVersion", "")).rpartition("/")
    return Ref(value["kind"], metadata.get("namespace", ""), metadata["name"], group)


def label_selector(selector: Mapping[str, Any]) -> str:
    """A LabelSelector as queries write it; empty where it selects nothing in particular."""
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        operator, values = _OPERATORS[each["operator"]], ",".join(each.get("values") or ())
        terms.append(f"{each['key']} {operator} ({values})" if values else f"{operator}{each['key']}")
    return ",".join(terms)
