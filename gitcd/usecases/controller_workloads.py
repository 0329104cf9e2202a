"""What runs in the cluster of what is declared: the list that cvmanager served."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitcd.cluster.api import Api
from gitcd.cluster.workloads import Workload, list_workloads
from gitcd.model import reference
from gitcd.model.declaration import ContainerVersion
from gitcd.model.reference import Reference, short
from gitcd.rendering.workloads import Row

_KEPT_SECONDS = 5.0


@dataclass(slots=True)
class _Answer:
    at: float
    rows: tuple[Row, ...]


class Workloads:
    """Answers for some seconds what was found before, so that no number of readers is a load for the API server."""

    def __init__(self, api: Api, declared: Callable[[], Sequence[ContainerVersion]]) -> None:
        self._api = api
        self._declared = declared
        self._lock = threading.Lock()
        self._kept: dict[str, _Answer] = {}

    def rows(self, namespace: str = "") -> tuple[Row, ...]:
        """The workloads of what is declared in a namespace, or in all.

        Raises:
            DeclinedError: they may not be listed.
            TransientError: the cluster is in trouble.
        """
        with self._lock:
            answer = self._kept.get(namespace)
            if answer is None or time.monotonic() - answer.at >= _KEPT_SECONDS:
                answer = _Answer(time.monotonic(), tuple(self._find(namespace)))
                self._kept = {name: each for name, each in self._kept.items() if answer.at - each.at < _KEPT_SECONDS}
                self._kept[namespace] = answer
        return answer.rows

    def _find(self, namespace: str) -> Iterator[Row]:
        wanted: defaultdict[str, list[ContainerVersion]] = defaultdict(list)
        for each in self._declared():
            if namespace in {"", each.namespace}:
                wanted[each.namespace].append(each)
        for name in sorted(wanted):
            yield from match(wanted[name], list_workloads(self._api, name))


def match(declared: Iterable[ContainerVersion], workloads: Sequence[Workload]) -> list[Row]:
    """A row for every container that a declaration is about."""
    return sorted(
        Row(
            each.namespace,
            workload.name,
            workload.kind,
            container,
            _version(image),
            workload.available,
            each.metadata.name,
            each.spec.tag,
        )
        for each in declared
        for workload in workloads
        if _is_about(each, workload)
        for container, image in workload.images
        if _is_meant(each, container, image)
    )


def _is_about(declared: ContainerVersion, workload: Workload) -> bool:
    spec = declared.spec
    if spec.workload:
        return (spec.workload.kind, spec.workload.name) == (workload.kind, workload.name)
    wanted = spec.selector.items()
    return bool(wanted) and any(wanted <= labels.items() for labels in workload.labels)


def _is_meant(declared: ContainerVersion, container: str, image: str) -> bool:
    named = declared.spec.container
    if named:
        return named.name == container
    try:
        return Reference.parse(image).repository == declared.spec.repository
    except reference.ReferenceError:
        return False


def _version(image: str) -> str:
    """The tag, else the beginning of the digest, else the whole image as it stands."""
    try:
        read = Reference.parse(image)
    except reference.ReferenceError:
        return image
    return read.tag or short(read.digest) or "latest"
