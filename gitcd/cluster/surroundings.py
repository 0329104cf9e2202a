"""What stands around many workloads: a list of all there is in a namespace in place of some requests for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gitcd.cluster.objects import Objects
from gitcd.model.health import Around
from gitcd.model.live import Json

_MANY = 32  # workloads: from here on lists of whole namespaces are less work, for both sides
_DEPLOYMENT = "Deployment"
_WORKLOADS = frozenset({_DEPLOYMENT, "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})

_Owned = Mapping[str, Sequence[Json]]  # by the owner's UID


def around_each(objects: Objects, values: Sequence[Json]) -> list[Around]:
    """What stands around each of the objects, in their order.

    Raises:
        DeclinedError: it may not be read.
        TransientError: the cluster is in trouble.
    """
    workloads = [each for each in values if each["kind"] in _WORKLOADS]
    if len(workloads) < _MANY:
        return [objects.around(each) for each in values]
    deployments = (each for each in workloads if each["kind"] == _DEPLOYMENT)
    sets = _owned(objects, "apps", "ReplicaSet", deployments)
    pods = _owned(objects, "", "Pod", workloads)
    return [_of(each, sets, pods) if each["kind"] in _WORKLOADS else objects.around(each) for each in values]


def _of(workload: Json, sets: _Owned, pods: _Owned) -> Around:
    uid = workload["metadata"]["uid"]
    mine = sets.get(uid, ())
    owners = (uid, *(each["metadata"]["uid"] for each in mine))
    return Around(tuple(pod for owner in owners for pod in pods.get(owner, ())), tuple(mine))


def _owned(objects: Objects, group: str, kind: str, owners: Iterable[Json]) -> _Owned:
    """All of a kind in the namespaces of the owners, by what owns them."""
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for namespace in sorted({each["metadata"]["namespace"] for each in owners}):
        for value in objects.list_kind(group, kind, namespace=namespace):
            for owner in value["metadata"].get("ownerReferences") or ():
                found[owner["uid"]].append(value)
    return found
