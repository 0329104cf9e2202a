"""Delete what has left git, as far as that is safe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.objects import MANAGER, Objects
from gitcd.errors import TransientError
from gitcd.model.applied import NOWHERE, Applied, Entry, Fate
from gitcd.model.live import Json, Ref
from gitcd.planning.applying_prune import Pruning, Rails, ceiling
from gitcd.usecases.apply_answers import undeleted
from gitcd.usecases.apply_live import Live
from gitcd.usecases.apply_wish import DryRun, Note

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or in a dry run would be; what is kept, and why; or why nothing is deleted at all."""

    applied: tuple[Applied, ...] = ()
    kept: tuple[tuple[Ref, str], ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Pruner:
    """Deletes; what goes wrong with one object stops no other."""

    objects: Objects
    rails: Rails
    note: Note
    dry_run: DryRun

    def prune(self, left: Sequence[Entry], pruning: Pruning, total: int, *, many: bool) -> Pruned:
        """Delete what of `left` was judged to go, unless it is too much to be meant. `total` objects are on record."""
        why = "" if many else ceiling(len(pruning.doomed), total)
        doomed = () if why and self.dry_run is DryRun.NONE else pruning.doomed
        entries = {each.ref: each for each in left}
        applied = tuple(self._deleted(entries[ref], value) for ref, value in doomed)
        return Pruned(applied, pruning.kept, _with_remedy(why))

    def _deleted(self, entry: Entry, value: Json) -> Applied:
        ref = entry.ref
        applied = Applied(ref, Fate.PRUNED, NOWHERE)
        if self.dry_run is DryRun.NONE:
            try:
                self._delete(entry, value)
            except DeclinedError as answer:
                applied = undeleted(ref, answer)
            except TransientError as error:
                applied = Applied(ref, Fate.FAILED, NOWHERE, error.message, error.remedy, transient=True)
        self.note(applied)
        return applied

    def _delete(self, entry: Entry, value: Json) -> None:
        """Delete it as it was judged. What has changed since, as by a controller's status, is judged anew."""
        for attempt in range(1, _ATTEMPTS + 1):
            metadata = value["metadata"]
            try:
                self.objects.delete(entry.ref, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
            except DeclinedError as answer:
                if answer.status != HTTPStatus.CONFLICT or attempt == _ATTEMPTS:
                    raise
                now = self.objects.get(entry.ref)
                if now is None:
                    return
                if not self.rails.judge([entry], {entry.ref: now}).doomed:
                    raise
                value = now
            else:
                return


def rails_around(environment: str, kinds: Collection[str], wanted: Iterable[Ref], live: Live) -> Rails:
    """The rails of an environment: what of it git wants under any name stays."""
    uids = {live[ref]["metadata"].get("uid") for ref in wanted if ref in live}
    return Rails(environment, MANAGER, kinds, frozenset(filter(None, uids)))


def nothing_left(environment: str) -> Pruned:
    """Why nothing is deleted where everything would be."""
    message = f"{environment} has no manifest left, and everything would be deleted"
    return Pruned(refusal=f"{message}\n  Delete it by hand if that is meant, together with its record.")


def _with_remedy(why: str) -> str:
    return why and f"{why}\n  Look at --dry-run=server --prune, and say --yes-prune if it is meant."
