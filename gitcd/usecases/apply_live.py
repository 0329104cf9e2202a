"""What a cluster has of the objects that an environment wants: few of a kind by one request each, many by one list."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.discovery import UnknownKindError
from gitcd.cluster.objects import Objects, ref_of
from gitcd.errors import TransientError
from gitcd.model.live import Ref
from gitcd.usecases.aside import begin

WORKERS = 16
_FRESH = 5.0  # seconds for which a look that was begun ahead counts
_FEW = 8  # of one kind: so many requests are quicker than a list of all that there are

Live = dict[Ref, Json]
Hidden = DeclinedError | TransientError
Given = TypeVar("Given")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Given], Found], items: Sequence[Given]) -> list[Found]:
    """What `work` makes of each, in their order; several are worked on at a time."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        return list(pool.map(work, items))


@dataclass(frozen=True, slots=True)
class Sight:
    """The objects that are there, and those of which it cannot be told, with what stands against it."""

    live: Live = field(default_factory=dict)
    hidden: Mapping[Ref, Hidden] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A look at what was written before, begun while the repository is still being read: most of it is wanted again.

    It counts for a moment only. `version` is that of the record that names those objects.
    """

    version: str
    refs: frozenset[Ref]
    sight: Future[Sight]
    began: float = field(default_factory=time.monotonic)

    def of(self, refs: Collection[Ref]) -> Sight | None:
        """What was seen of these; None: that was too long ago."""
        if time.monotonic() > self.began + _FRESH:
            return None
        seen = self.sight.result()
        live = {ref: seen.live[ref] for ref in refs if ref in seen.live}
        return Sight(live, {ref: seen.hidden[ref] for ref in refs if ref in seen.hidden})


def look_ahead(objects: Objects, refs: Iterable[Ref], version: str) -> Ahead:
    """Begin to look at these."""
    wanted = frozenset(refs)
    return Ahead(version, wanted, begin(lambda: see(objects, wanted)))


def see(objects: Objects, refs: Iterable[Ref], ahead: Ahead | None = None) -> Sight:
    """What there is of these; of a kind that the cluster does not serve nothing is. `ahead` need not be asked again."""
    wanted = set(refs)
    if ahead and (early := ahead.of(wanted & ahead.refs)):
        rest = see(objects, wanted - ahead.refs)
        return Sight(early.live | rest.live, {**early.hidden, **rest.hidden})
    kinds: defaultdict[tuple[str, str], list[Ref]] = defaultdict(list)
    for ref in wanted:
        kinds[ref.group, ref.kind].append(ref)
    parts = side_by_side(lambda wanted: _of_kind(objects, wanted), list(kinds.values()))
    found = [pair for part in parts for pair in part.items()]
    live = {ref: each for ref, each in found if isinstance(each, dict)}
    return Sight(live, {ref: each for ref, each in found if not isinstance(each, dict)})


def read_live(objects: Objects, refs: Iterable[Ref]) -> Live:
    """The objects that are there; of a kind that the cluster does not serve none is.

    Raises:
        DeclinedError: some may not be read.
        TransientError: the cluster is in trouble.
    """
    sight = see(objects, refs)
    for trouble in sight.hidden.values():
        raise trouble
    return sight.live


def _of_kind(objects: Objects, refs: Sequence[Ref]) -> dict[Ref, Json | Hidden]:
    group, kind = refs[0].group, refs[0].kind
    try:
        objects.discovery.find(group, kind)
    except UnknownKindError:
        return {}
    except (DeclinedError, TransientError) as error:
        return dict.fromkeys(refs, error)
    if len(refs) <= _FEW:
        answers = side_by_side(lambda ref: _tried(lambda: objects.get(ref)), refs)
        return {ref: value for ref, value in zip(refs, answers, strict=True) if value is not None}
    wanted = set(refs)
    namespaces = {ref.namespace for ref in refs}
    everywhere = _tried(lambda: listed(objects, group, kind, namespaces))
    if isinstance(everywhere, list):
        return _among(wanted, everywhere)
    found: dict[Ref, Json | Hidden] = {}
    for namespace in sorted(namespaces):
        here = {ref for ref in refs if ref.namespace == namespace}
        answer = _tried(partial(objects.list_kind, group, kind, namespace=namespace))
        found |= _among(here, answer) if isinstance(answer, list) else dict.fromkeys(here, answer)
    return found


def _tried(ask: Callable[[], Found]) -> Found | Hidden:
    try:
        return ask()
    except (DeclinedError, TransientError) as error:
        return error


def _among(wanted: Collection[Ref], values: Iterable[Json]) -> dict[Ref, Json | Hidden]:
    return {ref: value for ref, value in ((ref_of(value), value) for value in values) if ref in wanted}


def listed(objects: Objects, group: str, kind: str, namespaces: Collection[str]) -> list[Json]:
    """All of a kind in one namespace, or everywhere; in each namespace where everywhere may not be read.

    Raises:
        UnknownKindError: the cluster does not serve it.
        DeclinedError: they may not be read.
        TransientError: the cluster is in trouble.
    """
    if len(namespaces) == 1:
        return objects.list_kind(group, kind, namespace=next(iter(namespaces)))
    try:
        return objects.list_kind(group, kind)
    except DeclinedError as answer:
        if answer.status != HTTPStatus.FORBIDDEN:
            raise
    return [each for namespace in sorted(namespaces) for each in objects.list_kind(group, kind, namespace=namespace)]
