"""In which order objects are taken to a cluster: in stages by kind, and after what an annotation names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcd.model.declaration import KIND
from gitcd.model.live import Manifest, Ref, part
from gitcd.model.problem import Problem

AFTER = "gitcd/after"  # `Kind/name` or `Kind/namespace/name`, several divided by commas
WORKLOADS = 4

_STAGES: Mapping[str, int] = {
    kind: stage
    for stage, kinds in enumerate(
        (
            ("Namespace", "CustomResourceDefinition"),
            (KIND,),
            (
                *("ResourceQuota", "LimitRange", "NetworkPolicy", "PodDisruptionBudget", "PriorityClass"),
                *("StorageClass", "PersistentVolume", "PersistentVolumeClaim"),
                *("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
                *("Secret", "ConfigMap"),
            ),
            ("Service",),
            ("DaemonSet", "Pod", "ReplicaSet", "Deployment", "StatefulSet", "Job", "CronJob", "Rollout"),
        )
    )
    for kind in kinds
}
_LAST = 5
_ROOM = 1_000_000  # between two stages, for those that wait for each other
_NAMED = 2  # parts of `Kind/name`


@dataclass(frozen=True, slots=True)
class Wave:
    """Objects that may be written at once, when those of the waves before have been.

    `after` names what single ones come after: that has to be as it shall be first.
    """

    stage: int
    manifests: tuple[Manifest, ...]
    after: Mapping[Ref, tuple[Ref, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Ranks:
    """Where each object stands: in its stage, or behind what it comes after."""

    before: Mapping[Ref, Sequence[Ref]]
    found: dict[Ref, int] = field(default_factory=dict)
    open: list[Ref] = field(default_factory=list)
    cycles: dict[Ref, tuple[Ref, ...]] = field(default_factory=dict)

    def rank(self, ref: Ref) -> int:
        if ref in self.found:
            return self.found[ref]
        if ref in self.open:
            self.cycles[ref] = tuple(self.open[self.open.index(ref) :])
            return 0
        self.open.append(ref)
        rank = max([stage_of(ref) * _ROOM, *(self.rank(each) + 1 for each in self.before[ref])])
        self.open.pop()
        self.found[ref] = rank
        return rank


def stage_of(ref: Ref) -> int:
    """The stage of a kind; of one that is not known, the last."""
    return _STAGES.get(ref.kind, _LAST)


def waves(manifests: Sequence[Manifest], together: Iterable[Collection[Ref]] = ()) -> tuple[list[Wave], list[Problem]]:
    """The manifests in the order in which they are written, and annotations that name nothing, or go in a circle.

    Workloads that are taken live `together` are so once the last of them has its turn: what comes after one of them
    comes after all.
    """
    known = {each.ref: each for each in manifests}
    before: dict[Ref, list[Ref]] = {}
    problems: list[Problem] = []
    for ref, manifest in known.items():
        named = {name: _find(name, ref, known) for name in _after(manifest)}
        before[ref] = [each for each in named.values() if each]
        problems += [_nowhere(manifest, name) for name, each in named.items() if not each]
    company = {ref: frozenset(known.keys() & each) for each in together for ref in each}
    ranks = _Ranks({ref: _all_before(ref, before[ref], company) for ref in known})
    groups: defaultdict[int, list[Manifest]] = defaultdict(list)
    for ref, manifest in known.items():
        groups[ranks.rank(ref)].append(manifest)
    problems += [_circle(known[ref], cycle, company) for ref, cycle in ranks.cycles.items()]
    return [_wave(rank, groups[rank], before) for rank in sorted(groups)], problems


def _all_before(ref: Ref, named: Iterable[Ref], company: Mapping[Ref, Collection[Ref]]) -> list[Ref]:
    """What it comes after: with each that it names, but for its own company, those that are taken live with that."""
    own = company.get(ref, ())
    return sorted({one for each in named for one in (each, *(() if each in own else company.get(each, ())))})


def _wave(rank: int, manifests: Iterable[Manifest], before: Mapping[Ref, Sequence[Ref]]) -> Wave:
    ordered = tuple(sorted(manifests, key=lambda each: each.ref))
    return Wave(rank // _ROOM, ordered, {each.ref: tuple(before[each.ref]) for each in ordered if before[each.ref]})


def _after(manifest: Manifest) -> list[str]:
    text = part(manifest.value, "metadata", "annotations").get(AFTER, "")
    return [name.strip() for name in str(text).split(",") if name.strip()]


def _find(name: str, ref: Ref, known: Iterable[Ref]) -> Ref | None:
    kind, *rest = name.split("/")
    namespace, wanted = (
        (ref.namespace, rest[0]) if len(rest) + 1 == _NAMED else (rest[0], rest[-1]) if rest else ("", "")
    )
    places = {namespace, ""}  # what belongs to the whole cluster has no namespace to name
    found = (each for each in known if (each.kind, each.name) == (kind, wanted) and each.namespace in places)
    return next((each for each in found if each != ref), None)


def _nowhere(manifest: Manifest, name: str) -> Problem:
    return Problem(
        f"{manifest.ref} shall come after {name}, which is not among the manifests",
        f"write {AFTER}: Kind/name of an object of the same environment",
        ("metadata", "annotations", AFTER),
        path=manifest.origin.path,
        line=manifest.origin.line,
    )


def _circle(manifest: Manifest, cycle: Sequence[Ref], company: Mapping[Ref, Collection[Ref]]) -> Problem:
    united = sorted({tuple(sorted(company[each])) for each in cycle if len(company.get(each, ())) > 1})
    reasons = "".join(f"; {' and '.join(map(str, each))} are taken live together" for each in united)
    return Problem(
        f"these come after each other: {', '.join(map(str, cycle))}{reasons}",
        "take one of the annotations away" + (", or one of the workloads out of its group" if united else ""),
        ("metadata", "annotations", AFTER),
        path=manifest.origin.path,
        line=manifest.origin.line,
    )
