"""The ContainerVersions of a cluster: all that can be read, as declarations, with what their status says now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from gitcd.cluster import legacy
from gitcd.cluster.api import Api, DeclinedError, Json, Query
from gitcd.errors import ConfigError
from gitcd.model.declaration import API_VERSION, GROUP, PLURAL, ContainerVersion, Document, Origin
from gitcd.model.problem import Problem
from gitcd.model.registry import Failure
from gitcd.model.schema import read
from gitcd.model.status import OWNED

GROUP_PATH = f"/apis/{GROUP}"
_PATH = f"/apis/{API_VERSION}"
_TITLE = f"{PLURAL}.{GROUP}"
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

    namespace: str
    name: str
    origin: Origin
    problems: tuple[Problem, ...]
    environment: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one run read. `unread` are the namespaces that could not be, each with the reason.

    `live` are the objects that take a status. Those of `old` kinds do not. `whole`: they were read all at once, and not
    namespace by namespace.
    """

    declarations: tuple[ContainerVersion, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    live: Mapping[Key, Live] = field(default_factory=dict)
    unread: Mapping[str, Failure] = field(default_factory=dict)
    whole: bool = True
    old: tuple[legacy.Kind, ...] = ()

    @property
    def keys(self) -> frozenset[Key]:
        """Namespace and name of all that was read."""
        read = [(each.namespace, each.metadata.name) for each in self.declarations]
        return frozenset([*self.live, *read, *((each.namespace, each.name) for each in self.invalid)])


def list_all(api: Api, namespaces: Iterable[str]) -> Listing:
    """Every ContainerVersion of the cluster; where that is forbidden, those of the named namespaces that may be read.

    Where the kinds of cvmanager and kcd are installed, their objects are read as well. What is being deleted declares
    nothing any more.

    Raises:
        ConfigError: the cluster knows no ContainerVersion of any version read here, or does not accept the credentials.
        TransientError: it cannot be reached.
    """
    old = legacy.installed(api)
    live: dict[Key, Live] = {}

    def take(item: Json) -> ContainerVersion | Invalid:
        each = live_of(item)
        live[each.namespace, each.name] = each
        return _declared(item, each)

    reader = _Reader(api, sorted(set(namespaces)))
    try:
        reader.read(path, take, _TITLE)
    except DeclinedError as answer:
        if not (old and answer.status == HTTPStatus.NOT_FOUND):
            raise _missing(api, answer) from answer
    for kind in old:
        reader.read(kind.path, partial(_legacy, kind), kind.title)
    return Listing(
        tuple(each for each in reader.found if isinstance(each, ContainerVersion)),
        tuple(each for each in reader.found if isinstance(each, Invalid)),
        live,
        reader.unread,
        reader.whole,
        tuple(old),
    )


@dataclass(slots=True)
class _Reader:
    """Collects the objects of several kinds, all at once where that is allowed, else namespace by namespace."""

    api: Api
    namespaces: Sequence[str]
    found: list[ContainerVersion | Invalid] = field(default_factory=list)
    unread: dict[str, Failure] = field(default_factory=dict)
    whole: bool = True

    def read(self, path: Callable[[str], str], take: Callable[[Json], ContainerVersion | Invalid], title: str) -> None:
        """Read one kind; `path` answers where it is listed in a namespace, or in all for the empty name.

        Raises:
            DeclinedError: for another reason than a missing permission.
        """
        try:
            self._collect(path(""), take)
        except DeclinedError as answer:
            if answer.status != HTTPStatus.FORBIDDEN:
                raise
            self.whole = False
            for namespace in self.namespaces:
                self._read_one(namespace, path(namespace), take, title)

    def _read_one(
        self, namespace: str, path: str, take: Callable[[Json], ContainerVersion | Invalid], title: str
    ) -> None:
        try:
            self._collect(path, take)
        except DeclinedError as answer:
            if answer.status != HTTPStatus.FORBIDDEN:
                raise
            self.unread.setdefault(namespace, _forbidden(namespace, title, answer))

    def _collect(self, path: str, take: Callable[[Json], ContainerVersion | Invalid]) -> None:
        found = self.api.collect(path, lambda item: None if item["metadata"].get("deletionTimestamp") else take(item))
        self.found += [each for each in found if each is not None]


def names(api: Api, namespace: str, labels: str, old: Iterable[legacy.Kind] = ()) -> frozenset[Key]:
    """Namespace and name of those that a label selector meets; `namespace` empty: in all.

    Raises:
        ConfigError: the selector is not valid.
        DeclinedError: they may not be listed.
    """
    query: Query = {"labelSelector": labels} if labels else {}
    paths = [path(namespace), *(kind.path(namespace) for kind in old)]
    try:
        return frozenset(key for each in paths for key in api.collect(each, _key, query))
    except DeclinedError as answer:
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"--selector {labels}: {answer.words}") from answer
        raise


def path(namespace: str = "") -> str:
    """Where they are listed: in a namespace, or in all."""
    return f"{_PATH}/namespaces/{namespace}/{PLURAL}" if namespace else f"{_PATH}/{PLURAL}"


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


def _legacy(kind: legacy.Kind, item: Json) -> ContainerVersion | Invalid:
    namespace, name = _key(item)
    read = kind.read(item)
    if isinstance(read, ContainerVersion):
        return read
    return Invalid(namespace, name, kind.origin(namespace, name), tuple(read))


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
    where = origin(live.namespace, live.name)
    return Invalid(live.namespace, live.name, where, tuple(problems), spec.get("environment", ""), group)


def _forbidden(namespace: str, title: str, answer: DeclinedError) -> Failure:
    return Failure(
        "NamespaceForbidden",
        f"the ContainerVersions of namespace {namespace} may not be read: {answer.words}",
        f"Allow the verb list on {title} there, with a Role and a RoleBinding; `gitcd install` renders them.",
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
