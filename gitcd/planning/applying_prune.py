"""What may be deleted: only what was written before, is still what was written, and has really left git."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitcd.model.applied import Entry
from gitcd.model.live import Json, Manifest, Ref
from gitcd.planning.applying import stage_of
from gitcd.planning.applying_fields import fields_of
from gitcd.planning.applying_parts import ENVIRONMENT
from gitcd.planning.applying_rules import ALWAYS, SECRET, tracker

MOST = 10  # objects that one run may delete
SHARE = 0.2  # of all that the inventory has
OPT_OUT = "gitcd/prune"

# With these, what people keep in them goes too: that is for people to delete.
KEPT = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume", "ContainerVersion"}
)
# The ways in which other tools are told to leave an object where it is.
_OTHERS: Mapping[str, str] = {
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "argocd.argoproj.io/sync-options": "Prune=false",
    "helm.sh/resource-policy": "keep",
}


@dataclass(frozen=True, slots=True)
class Pruning:
    """`doomed` are to be deleted in this order, each with the object as it was read; `kept` stay, and why.

    `gone` are not there any more, or on their way, or others bear their names, or they never were gitcd's.
    """

    doomed: tuple[tuple[Ref, Json], ...]
    kept: tuple[tuple[Ref, str], ...]
    gone: frozenset[Ref]


def leftovers(entries: Iterable[Entry], manifests: Iterable[Manifest], barred: Iterable[Ref] = ()) -> list[Entry]:
    """What was written, and is no longer among the manifests."""
    wanted = {each.ref for each in manifests} | set(barred)
    return [each for each in entries if each.ref not in wanted]


@dataclass(frozen=True, slots=True)
class Rails:
    """Whose objects may be deleted. `kinds` are those that the operator allows beyond the usual ones.

    `uids` are those of objects that git still wants.
    """

    environment: str
    manager: str
    kinds: Collection[str] = ()
    uids: Collection[str] = ()

    def judge(self, left: Sequence[Entry], live: Mapping[Ref, Json]) -> Pruning:
        """Judge each leftover by the object that is there."""
        doomed, kept, gone = [], [], set()
        for each in left:
            value = live.get(each.ref)
            if value is None or _is_ending(value) or self._is_not_meant(each, value):
                gone.add(each.ref)
            elif why := next(self._objections(each.ref, value), ""):
                kept.append((each.ref, why))
            else:
                doomed.append((each.ref, value))
        doomed.sort(key=lambda pair: (-stage_of(pair[0]), pair[0]))
        return Pruning(tuple(doomed), tuple(kept), frozenset(gone))

    def _is_not_meant(self, entry: Entry, value: Json) -> bool:
        """Whether it is another object of that name, or one that was going to be written and was left to its owner."""
        if entry.uid:
            return bool(value["metadata"].get("uid") != entry.uid)
        return not fields_of(value, self.manager)

    def _objections(self, ref: Ref, value: Json) -> Iterator[str]:
        """Why an object stays."""
        metadata = value["metadata"]
        annotations = metadata.get("annotations") or {}
        if ref.kind in KEPT:
            yield f"objects of kind {ref.kind} are never deleted"
        if ref.kind not in self.kinds and (ref.kind not in ALWAYS or ref.kind == SECRET):
            yield f"{ref.kind} is no kind that apply may write"
        if metadata.get("uid") in self.uids:
            yield "git wants it under another name of its API"
        if annotations.get(ENVIRONMENT) != self.environment:
            yield f"it does not say that it belongs to {self.environment}"
        if not fields_of(value, self.manager):
            yield "gitcd owns nothing of it"
        if metadata.get("ownerReferences"):
            yield "another object owns it"
        if who := tracker(value):
            yield f"{who} keeps it"
        if annotations.get(OPT_OUT) == "false" or any(
            word in annotations.get(key, "") for key, word in _OTHERS.items()
        ):
            yield "an annotation says so"


def _is_ending(value: Json) -> bool:
    return "deletionTimestamp" in value["metadata"]


def ceiling(doomed: int, total: int) -> str:
    """Why so many are not deleted without being asked twice; empty: they are few."""
    if doomed > MOST or doomed > SHARE * total:
        most = f"{MOST} are the most without --yes-prune, and {SHARE:.0%} of them"
        return f"{doomed} of the {total} objects on record would be deleted: {most}"
    return ""
