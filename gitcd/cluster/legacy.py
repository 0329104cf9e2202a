"""The kinds of cvmanager and kcd in a cluster: which of them are installed, and what their objects say today."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from gitcd.cluster.api import Api, DeclinedError, Json
from gitcd.model import legacy
from gitcd.model.declaration import ContainerVersion, Origin
from gitcd.model.problem import Problem

_BASE = f"/apis/{legacy.API_VERSION}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that the cluster serves, with its plural as paths have it."""

    name: str
    plural: str

    def path(self, namespace: str = "") -> str:
        return f"{_BASE}/namespaces/{namespace}/{self.plural}" if namespace else f"{_BASE}/{self.plural}"

    @property
    def title(self) -> str:
        """As messages and permissions name it."""
        return f"{self.plural}.{legacy.GROUP}"

    def origin(self, namespace: str, name: str) -> Origin:
        return Origin(f"{self.title}/{name} in namespace {namespace}")

    def read(self, item: Json) -> ContainerVersion | list[Problem]:
        """What an object of the kind declares, or all that is wrong with it."""
        metadata = {key: item["metadata"][key] for key in ("name", "namespace")}
        document = {"apiVersion": legacy.API_VERSION, "kind": self.name, "metadata": metadata}
        value, problems = legacy.modernise(document | ({"spec": item["spec"]} if "spec" in item else {})).read()
        if value is None:
            return problems
        return ContainerVersion(value.metadata, value.spec, self.origin(**metadata))


def installed(api: Api) -> list[Kind]:
    """The kinds of those that the cluster serves; none where it may not be asked.

    Raises:
        TransientError: it cannot be reached.
    """
    try:
        served = api.get(_BASE).get("resources", ())
    except DeclinedError as answer:
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            return []
        raise
    names = {each.get("name") for each in served}
    return [Kind(name, plural) for name, plural in legacy.PLURALS.items() if plural in names]
