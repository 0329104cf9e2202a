"""The ContainerVersions of a cluster: all that can be read, as declarations, with what their status says now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json, Query
from gitcd.errors import ConfigError
from gitcd.model.declaration import API_VERSION, ContainerVersion, Document, Origin
from gitcd.model.problem import Problem
from gitcd.model.registry import Failure
from gitcd.model.schema import read
from gitcd.model.status import OWNED

GROUP_PATH = f"/apis/{API_VERSION.partition('/')[0]}"
PLURAL = "containerversions"
_PATH = f"/apis/{API_VERSION}"
_INSTALL = "Install it: gitcd schema crd | kubectl apply --server-side -f -"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Live:
    """A ContainerVersion as it lies in the cluster, without its spec.

    `status` is the part of its status that gitcd writes when it plans; it is compared with, and decides nothing.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    status: Mapping[str, Any]

    @property
    def path(self) -> str:
        return f"{_PATH}/namespaces/{self.namespace}/{PLURAL}/{self.name}"


@dataclass(frozen=True, slots=True)
class Invalid:
    """A ContainerVersion that the API server took and gitcd does not; `group` is that of its rollout."""

    live: Live
    problems: tuple[Problem, ...]
    environment: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one run read. `unread` are the namespaces that could not be, each with the reason.

    `whole`: they were read all at once, and not namespace by namespace.
    """

    declarations: tuple[ContainerVersion, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    live: Mapping[Key, Live] = field(default_factory=dict)
    unread: Mapping[str, Failure] = field(default_factory=dict)
    whole: bool = True


def list_all(api: Api, namespaces: Iterable[str]) -> Listing:
    """Every ContainerVersion of the cluster; where that is forbidden, those of the named namespaces that may be read.

    What is being deleted declares nothing any more.

    Raises:
        ConfigError: the cluster knows no ContainerVersion of this version, or does not accept the credentials.
        TransientError: it cannot be reached.
    """
    unread: dict[str, Failure] = {}
    whole = True
    found: list[ContainerVersion | Invalid | None] = []
    live: dict[Key, Live] = {}

    def take(item: Json) -> ContainerVersion | Invalid | None:
        if item["metadata"].get("deletionTimestamp"):
            return None
        each = live_of(item)
        live[each.namespace, each.name] = each
        return _declared(item, each)

    try:
        found = api.collect(f"{_PATH}/{PLURAL}", take)
    except DeclinedError as answer:
        if answer.status != HTTPStatus.FORBIDDEN:
            raise _missing(api, answer) from answer
        whole = False
        for namespace in sorted(set(namespaces)):
            try:
                found += api.collect(f"{_PATH}/namespaces/{namespace}/{PLURAL}", take)
            except DeclinedError as refusal:
                if refusal.status != HTTPStatus.FORBIDDEN:
                    raise _missing(api, refusal) from refusal
                unread[namespace] = _forbidden(namespace, refusal)
    return Listing(
        tuple(each for each in found if isinstance(each, ContainerVersion)),
        tuple(each for each in found if isinstance(each, Invalid)),
        live,
        unread,
        whole,
    )


def names(api: Api, namespace: str, labels: str) -> frozenset[Key]:
    """Namespace and name of those that a label selector meets; `namespace` empty: in all.

    Raises:
        ConfigError: the selector is not valid.
        DeclinedError: they may not be listed.
    """
    path = f"{_PATH}/namespaces/{namespace}/{PLURAL}" if namespace else f"{_PATH}/{PLURAL}"
    query: Query = {"labelSelector": labels} if labels else {}
    try:
        return frozenset(api.collect(path, _key, query))
    except DeclinedError as answer:
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"--selector {labels}: {answer.words}") from answer
        raise


def get(api: Api, live: Live) -> Live | None:
    """The same object as it is now; None where it is gone."""
    try:
        return live_of(api.get(live.path))
    except DeclinedError as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def live_of(item: Json) -> Live:
    """The object without its spec."""
    metadata, status = item["metadata"], item.get("status") or {}
    namespace, name = _key(item)
    return Live(
        namespace,
        name,
        metadata.get("uid", ""),
        int(metadata.get("generation", 0)),
        metadata.get("resourceVersion", ""),
        {key: status[key] for key in OWNED if key in status},
    )


def origin(namespace: str, name: str) -> Origin:
    """Where a declaration of the cluster was read, as messages name it."""
    return Origin(f"{PLURAL}/{name} in namespace {namespace}")


def _key(item: Json) -> Key:
    metadata = item["metadata"]
    return metadata["namespace"], metadata["name"]


def _declared(item: Json, live: Live) -> ContainerVersion | Invalid:
    metadata = {"name": live.name, "namespace": live.namespace}
    document = {
        "apiVersion": item.get("apiVersion"),
        "kind": item.get("kind"),
        "metadata": metadata,
        "spec": item.get("spec"),
    }
    value, problems = read(Document, document)
    if value:
        return ContainerVersion(value.metadata, value.spec, origin(live.namespace, live.name))
    spec = item.get("spec") or {}
    group = (spec.get("strategy") or {}).get("group", "")
    return Invalid(live, tuple(problems), spec.get("environment", ""), group)


def _forbidden(namespace: str, answer: DeclinedError) -> Failure:
    return Failure(
        "NamespaceForbidden",
        f"the ContainerVersions of namespace {namespace} may not be read: {answer.words}",
        f"Allow the verb list on {PLURAL}.{API_VERSION.partition('/')[0]} there, with a Role and a RoleBinding.",
    )


def _missing(api: Api, answer: DeclinedError) -> Exception:
    """What a list is answered with where the kind, or this version of it, is not installed."""
    if answer.status != HTTPStatus.NOT_FOUND:
        return answer
    try:
        served = [each["version"] for each in api.get(GROUP_PATH).get("versions", ())]
    except DeclinedError:
        served = []
    others = f"; it serves {', '.join(served)} of that group" if served else ""
    return ConfigError(f"{api.server} has no ContainerVersion of {API_VERSION}{others}", remedy=_INSTALL)
