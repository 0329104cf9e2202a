"""How an API server serves a kind: under which path, and whether in namespaces. Only what is asked for is looked up.

An aggregated API that is broken so stands in nobody's way but of those who ask for its own kinds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from gitcd.cluster.api import Api, DeclinedError, Json
from gitcd.errors import RefusedError

_PATIENCE = 5.0  # seconds


class UnknownKindError(RefusedError):
    """The cluster serves no such kind, or not in that version."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as it is served. `plural` is its name in paths."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str = "") -> str:
        """The path of all objects of a namespace; of all there are where none is named, or the kind has none."""
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{_base(self.group, self.version)}{scope}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        return f"{self.collection(namespace)}/{quote(name, safe='')}"


class Discovery:
    """Answers from the server, each asked for once; `forget` what a new definition may have changed.

    It may be used by several threads.
    """

    def __init__(self, api: Api) -> None:
        self._api = api.hurried(_PATIENCE)
        self._lock = threading.RLock()
        self._versions: dict[str, list[str]] = {"": ["v1"]}  # by group, the preferred one first
        self._kinds: dict[tuple[str, str], dict[str, Resource]] = {}  # by group and version

    def find(self, group: str, kind: str, version: str = "") -> Resource:
        """How a kind is served in a version; where none is named, in the one that the server prefers.

        Raises:
            UnknownKindError: it is not.
            DeclinedError: the server does not say.
            TransientError: the server, or the one behind it that serves the group, is in trouble.
        """
        with self._lock:
            for each in [version] if version else self._served(group):
                if found := self._listed(group, each).get(kind):
                    return found
        raise _unknown(group, kind, version)

    def forget(self, group: str) -> None:
        """Look at the kinds of a group anew when they are asked for next."""
        with self._lock:
            self._kinds = {key: kinds for key, kinds in self._kinds.items() if key[0] != group}
            if group:
                self._versions.pop(group, None)

    def _served(self, group: str) -> list[str]:
        if group not in self._versions:
            answer = self._ask(f"/apis/{quote(group, safe='')}")
            preferred = (answer.get("preferredVersion") or {}).get("version")
            served = [each["version"] for each in answer.get("versions") or ()]
            self._versions[group] = sorted(served, key=lambda version: version != preferred)
        return self._versions[group]

    def _listed(self, group: str, version: str) -> dict[str, Resource]:
        key = group, version
        if key not in self._kinds:
            resources = self._ask(_base(group, version)).get("resources") or ()
            self._kinds[key] = {
                each["kind"]: Resource(group, version, each["kind"], each["name"], each["namespaced"])
                for each in resources
                if "/" not in each["name"]
            }
        return self._kinds[key]

    def _ask(self, path: str) -> Json:
        try:
            return self._api.get(path)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return {}
            raise


def _base(group: str, version: str) -> str:
    version = quote(version, safe="")
    return f"/apis/{quote(group, safe='')}/{version}" if group else f"/api/{version}"


def _unknown(group: str, kind: str, version: str) -> UnknownKindError:
    name = "/".join(filter(None, (group, version)))
    return UnknownKindError(
        f"the cluster serves no {kind}{f' of {name}' if name else ''}",
        remedy="Install its definition first, or write the apiVersion that `kubectl api-resources` shows.",
    )
