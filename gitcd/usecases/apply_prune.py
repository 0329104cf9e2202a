"""Delete what has left git, as far as that is safe."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import MANAGER, Objects
from gitcd.errors import RefusedError
from gitcd.model.applied import NOWHERE, Applied, Entry, Fate
from gitcd.model.live import Ref
from gitcd.planning.applying_prune import Rails, ceiling
from gitcd.usecases.apply_live import Live
from gitcd.usecases.apply_waves import Note
from gitcd.usecases.apply_write import DryRun

Pruned = tuple[tuple[Applied, ...], tuple[tuple[Ref, str], ...]]


@dataclass(frozen=True, slots=True)
class Pruner:
    objects: Objects
    environment: str
    kinds: Collection[str]
    note: Note
    dry_run: DryRun

    def prune(self, left: Sequence[Entry], live: Live, wanted: Collection[Ref], total: int, *, many: bool) -> Pruned:
        """Delete of `left` what may be deleted; what was, and what stays and why. `total` objects are on record.

        Raises:
            RefusedError: it is too much to be meant.
        """
        if not wanted:
            raise RefusedError(
                f"{self.environment} has no manifest left, and everything would be deleted",
                remedy="Delete it by hand if that is meant, together with its record.",
            )
        uids = {live[ref]["metadata"].get("uid") for ref in wanted if ref in live}
        rails = Rails(self.environment, MANAGER, self.kinds, frozenset(filter(None, uids)))
        pruning = rails.judge(left, live)
        if not many and self.dry_run is DryRun.NONE and (why := ceiling(len(pruning.doomed), total)):
            raise RefusedError(why, remedy="Look at --dry-run=server --prune, and say --yes-prune if it is meant.")
        return tuple(self._deleted(ref, live[ref]) for ref, _ in pruning.doomed), pruning.kept

    def _deleted(self, ref: Ref, value: Json) -> Applied:
        metadata = value["metadata"]
        applied = Applied(ref, Fate.PRUNED, NOWHERE)
        if self.dry_run is DryRun.NONE:
            try:
                self.objects.delete(ref, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
            except DeclinedError as answer:
                applied = Applied(ref, Fate.FAILED, NOWHERE, answer.message)
        self.note(applied)
        return applied
