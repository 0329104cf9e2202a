"""What a cluster has of the objects that an environment wants: few of a kind by one request each, many by one list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.discovery import UnknownKindError
from gitcd.cluster.objects import Objects, ref_of
from gitcd.model.live import Ref

WORKERS = 16
_FEW = 8  # of one kind: so many requests are quicker than a list of all that there are

Live = dict[Ref, Json]
Given = TypeVar("Given")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Given], Found], items: Sequence[Given]) -> list[Found]:
    """What `work` makes of each, in their order; several are worked on at a time."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        return list(pool.map(work, items))


def read_live(objects: Objects, refs: Iterable[Ref]) -> Live:
    """The objects that are there; of a kind that the cluster does not serve none is.

    Raises:
        DeclinedError: some may not be read.
        TransientError: the cluster is in trouble.
    """
    kinds: defaultdict[tuple[str, str], list[Ref]] = defaultdict(list)
    for ref in refs:
        kinds[ref.group, ref.kind].append(ref)
    found = side_by_side(lambda wanted: _of_kind(objects, wanted), list(kinds.values()))
    return {ref: value for part in found for ref, value in part.items()}


def _of_kind(objects: Objects, refs: Sequence[Ref]) -> Live:
    try:
        objects.discovery.find(refs[0].group, refs[0].kind)
    except UnknownKindError:
        return {}
    if len(refs) <= _FEW:
        answers = side_by_side(objects.get, refs)
        return {ref: value for ref, value in zip(refs, answers, strict=True) if value is not None}
    wanted = set(refs)
    group, kind = refs[0].group, refs[0].kind
    found = listed(objects, group, kind, {ref.namespace for ref in refs})
    return {ref: value for ref, value in ((ref_of(value), value) for value in found) if ref in wanted}


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
