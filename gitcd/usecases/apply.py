"""Take a commit to a cluster: what differs is written in order, and images move by their declaration's strategy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gitcd.cluster import lease
from gitcd.cluster.objects import Objects
from gitcd.errors import GitcdError, TransientError
from gitcd.git.runner import CorruptError
from gitcd.model.applied import BROKEN, Applied, Entry, Fate, Inventory
from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest, Ref
from gitcd.model.registry import Failure
from gitcd.planning.applying_fields import lacks
from gitcd.planning.applying_prune import KEPT
from gitcd.planning.applying_scope import workloads_of
from gitcd.rollout.facts import Facts, Release
from gitcd.usecases.apply_answers import unseen
from gitcd.usecases.apply_lease import Holds, held
from gitcd.usecases.apply_live import Ahead
from gitcd.usecases.apply_look import Look, firsts, in_order, objects_of, take_look, turns_of
from gitcd.usecases.apply_prune import Pruned, Pruner, nothing_left, rails_around
from gitcd.usecases.apply_record import read_record, write_record
from gitcd.usecases.apply_release import is_settled
from gitcd.usecases.apply_report import Report
from gitcd.usecases.apply_want import scaled
from gitcd.usecases.apply_wanted import Want
from gitcd.usecases.apply_waves import Progress, Waves, not_yet
from gitcd.usecases.apply_wish import DryRun, Note
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.rollout_end import End, Rolled

_PATIENCE = lease.LONGEST + 10.0  # seconds to wait for another run: longer than a Lease is believed that nobody renews

Absent = Callable[[Sequence[Release]], Mapping[Identity, Failure]]
Keep = Callable[[], None]  # raises TransientError where this run must not go on
Roll = Callable[[Sequence[Release], Writer, Keep], list[Rolled]]


@dataclass(frozen=True, slots=True)
class How:
    """What was asked for. `roll` takes releases live by their strategies; `until` is when the run has to end.

    `absent` answers which of them the registry lost.

    `is_changing` tells whether a newer commit changes a file, so that what comes from it is waited for no longer.

    `state` says that another run would want the same; `narrowed`: only some declarations were asked for, so what is
    missing among their manifests says nothing. `ahead` is a look at what was written before, begun some time ago.
    """

    namespace: str
    holder: str
    roll: Roll
    until: float
    absent: Absent = lambda _: {}
    dry_run: DryRun = DryRun.NONE
    wait: bool = True
    prune: bool = False
    prune_many: bool = False
    narrowed: bool = False
    state: str = ""
    kinds: frozenset[str] = frozenset()
    note: Note = field(default=lambda _: None)
    is_changing: Callable[[str], bool] = lambda _: False
    ahead: Ahead | None = None


def apply_environment(objects: Objects, environment: str, commit: str, want: Want, how: How) -> Report:
    """Make a cluster what a commit wants of an environment; where nothing differs, nothing is written at all.

    Raises:
        ConfigError: record or Lease may not be had.
        DeclinedError: something may not be read.
        TransientError: the cluster is in trouble, or somebody else is applying this environment.
    """
    writer = Writer(objects, environment, workloads_of(want.parts), scaled(want.manifests, objects), how.dry_run)
    record = read_record(objects.api, how.namespace, environment)
    look = take_look(writer, want, record, narrowed=how.narrowed, ahead=how.ahead)
    has_work = look.work or look.due or (look.left and how.prune)
    is_new = not (how.narrowed or want.external) and record.inventory.commit != commit
    if how.dry_run is not DryRun.NONE or not (has_work or is_new):
        return _Run(writer, commit, want, how, look).finish(lambda: True)
    with held(objects.api, how.namespace, environment, how.holder, _PATIENCE) as holds:
        now = read_record(objects.api, how.namespace, environment)
        if now.version != record.version:  # somebody has applied something since the look
            look = take_look(writer, want, now, narrowed=how.narrowed)
        return _Run(writer, commit, want, how, look).finish(holds)


class _Run:
    """One environment in one run."""

    def __init__(self, writer: Writer, commit: str, want: Want, how: How, look: Look) -> None:
        self._writer, self._objects, self._environment = writer, writer.objects, writer.environment
        self._commit, self._want, self._how, self._look = commit, want, how, look
        self._record, self._live, self._work = look.record, look.live, look.work
        self._due, self._left, self._same, self._hidden = look.due, look.left, look.same, look.hidden
        self._rails = rails_around(self._environment, how.kinds, (each.ref for each in want.manifests), look.live)
        self._pruning = self._rails.judge(look.left, look.live)
        self._progress = Progress(how.note)
        self._rolled: list[Rolled] = []
        self._error: GitcdError | None = None
        self._keep: Keep = lambda: None

    def finish(self, holds: Holds) -> Report:
        """Do what is to be done; where that comes to an end before its end, what was done is told and remembered."""
        is_real = self._how.dry_run is DryRun.NONE
        with self._noted():
            if is_real and (self._work or self._due):
                self._announce()
            self._write(holds)
        pruned = Pruned()
        with self._noted():
            if self._how.prune and self._left:
                self._keep()
                pruned = self._prune()
        with self._noted():
            if is_real and not self._want.external:
                self._remember(pruned.applied)
        gone = {each.ref for each in pruned.applied if each.fate is Fate.PRUNED}
        return Report(
            self._environment,
            self._commit,
            self._want,
            (*self._progress.results.values(), *pruned.applied),
            tuple(self._rolled),
            tuple(self._progress.unhealthy),
            tuple(ref for ref, _ in self._pruning.doomed if ref not in gone),
            pruned.kept or self._forgotten,
            self._same,
            pruned.refusal,
            self._error,
            tuple(self._progress.overtaken),
        )

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep the first trouble for the report."""
        try:
            yield
        except CorruptError:  # the copy of the repository is thrown away by whoever has opened it
            raise
        except GitcdError as error:
            self._error = self._error or error

    def _write(self, holds: Holds) -> None:
        """Everything in its order; what moves by a strategy when the turn of its workloads has come."""

        def keep() -> None:
            if not holds():
                raise TransientError("its Lease was lost to another run", remedy="Run again.")

        self._keep = keep
        is_real = self._how.dry_run is DryRun.NONE
        moving = {each.ref for release in self._due for each in objects_of(release)} if is_real else set()
        moving |= set() if self._want.external else self._leave_unclear()
        direct = {ref: each for ref, each in self._work.items() if ref not in moving}
        for wave in self._want.waves:
            for each in wave.manifests:
                if trouble := self._hidden.get(each.ref):
                    self._progress.add(unseen(each, trouble))
        paths = {each.ref: each.origin.path for each in self._want.manifests}
        waves = Waves(self._objects, self._writer, self._how.until, keep, self._how.is_changing, paths)
        turns = turns_of(self._want, self._due) if is_real else {}
        for number, wave in enumerate(self._want.waves):
            waves.write(wave, direct, self._live, self._progress)
            self._roll(waves, turns.get(number, ()))
        self._roll(waves, turns.get(-1, ()))  # somebody else writes the workloads
        if is_real and self._how.wait:
            ailing = (ref for ref in self._look.ailing(self._commit) if ref not in moving)
            waves.settle([*filter(self._progress.was_written, direct), *ailing], self._progress)

    def _leave_unclear(self) -> set[Ref]:
        """Leave the workloads of which it is not clear what they shall run."""
        left: set[Ref] = set()
        for part in self._want.parts:
            release = self._want.releases.get(part.identity)
            for each in (*part.workloads, *part.others) if isinstance(release, Failure) else ():
                left.add(each.ref)
                self._progress.leave(each, f"it is not clear what {part.identity} shall run")
        return left

    def _roll(self, waves: Waves, releases: Sequence[Release]) -> None:
        """Take these releases live; what is left of their manifests is written once they are."""
        free: list[Release] = []
        stopped = {
            part.declared.declaration.spec.strategy.group
            for part in self._want.parts
            if isinstance(self._want.releases.get(part.identity), Failure)
        }
        first = firsts(self._want, releases)
        waves.await_first((ref for refs in first.values() for ref in refs), self._progress)
        for release in releases:
            if why := self._obstacle(release, first[release.identity]):
                for each in objects_of(release):
                    self._progress.leave(each, why)
                stopped.add(release.spec.strategy.group)
            else:
                free.append(release)
        free = in_order(self._want, self._there(free, stopped))
        rolled = self._how.roll(free, self._writer, self._keep) if free else []
        self._rolled += rolled
        for ended in rolled:
            self._complete(ended)

    def _obstacle(self, release: Release, first: Sequence[Ref]) -> str:
        """Why its turn has not come; empty: it has."""
        if early := next((ref for ref in first if ref in self._progress.unwell), None):
            return not_yet(early)
        failed = next(filter(None, map(self._progress.obstacle, release.workloads)), None)
        return f"{failed.ref} comes first, and failed" if failed else ""

    def _there(self, releases: Sequence[Release], stopped: Collection[str]) -> list[Release]:
        """The releases whose images can be pulled, as far as the registry tells; of a group all, or none.

        `stopped` are the groups of which a member may not go on for another reason.
        """
        now = datetime.now(UTC)
        seen = (Facts(each, now, self._live, renamed=self._writer.renamed) for each in releases)
        absent = self._how.absent([each.release for each in seen if each.pending])
        groups = {*stopped, *(each.spec.strategy.group for each in releases if each.identity in absent)} - {""}
        for release in releases:
            why = absent.get(release.identity)
            for each in objects_of(release):
                if why:
                    self._progress.add(Applied(each.ref, Fate.REFUSED, each.origin, why.message, why.remedy))
                elif release.spec.strategy.group in groups:
                    self._progress.leave(each, "another declaration of its group cannot be taken live")
        return [each for each in releases if each.identity not in absent and each.spec.strategy.group not in groups]

    def _complete(self, rolled: Rolled) -> None:
        for each in () if self._want.external else objects_of(rolled.release):
            if rolled.end in {End.IDLE, End.DONE}:
                self._carry(each)
            elif rolled.end is not End.ROLLED_BACK:
                self._progress.leave(each, f"its rollout is {rolled.end}")
            else:
                self._progress.unwell.add(each.ref)

    def _carry(self, manifest: Manifest) -> None:
        before = self._live.get(manifest.ref)
        prepared = self._writer.prepare(manifest)
        applied, entry = self._writer.write(prepared, self._objects.get(manifest.ref))
        if applied.fate is Fate.UNCHANGED and manifest.ref in self._work:  # the rollout wrote it
            found = lacks(before, prepared.value) if before else ()
            applied = replace(applied, fate=Fate.CHANGED if before else Fate.CREATED, differences=found)
        if applied.fate is Fate.UNCHANGED:
            self._same += 1
            self._progress.entries |= {manifest.ref: entry} if entry else {}
            return
        self._progress.add(applied, entry)

    def _prune(self) -> Pruned:
        """Delete what has left git; last, and only where everything else went well."""
        if not self._want.is_whole or not self._went_well:
            why = "nothing is deleted before everything is applied and healthy"
            return Pruned(kept=(*self._pruning.kept, *((ref, why) for ref, _ in self._pruning.doomed)))
        if not self._want.manifests:
            return nothing_left(self._environment)
        pruner = Pruner(self._objects, self._rails, self._how.note, self._how.dry_run)
        total = len(self._record.inventory.entries)
        return pruner.prune(self._left, self._pruning, total, many=self._how.prune_many)

    @property
    def _forgotten(self) -> tuple[tuple[Ref, str], ...]:
        """What has left git and is never deleted: nothing is to be remembered of it, once that is told."""
        return tuple((ref, why) for ref, why in self._pruning.kept if ref.kind in KEPT) if self._want.is_whole else ()

    @property
    def _went_well(self) -> bool:
        fine = all(each.end in {End.IDLE, End.DONE} for each in self._rolled)
        broken = BROKEN | {Fate.LEFT}
        return (
            fine
            and self._error is None
            and not (self._progress.unhealthy or self._progress.overtaken)
            and not any(each.fate in broken for each in self._progress.results.values())
        )

    def _announce(self) -> None:
        """Write down what is going to be written, so that a run that is killed leaves nothing that nobody knows of."""
        known = self._record.inventory.by_ref
        new = [Entry(ref) for ref in self._work if ref not in known]
        self._save(Inventory(self._record.inventory.commit, (*self._record.inventory.entries, *new)))

    def _remember(self, pruned: Sequence[Applied]) -> None:
        kept = self._record.inventory.by_ref | self._progress.entries
        gone = {each.ref for each in pruned if each.fate is Fate.PRUNED}
        gone |= self._pruning.gone | {ref for ref, _ in self._forgotten}
        is_whole = self._went_well and not self._how.narrowed
        commit = self._commit if is_whole else self._record.inventory.commit
        entries = tuple(sorted((each for ref, each in kept.items() if ref not in gone), key=lambda each: each.ref))
        is_done = is_whole and self._want.is_whole and {each.ref for each in entries} <= self._want.refs
        releases = [each for each in self._want.releases.values() if isinstance(each, Release)]
        is_done = is_done and all(is_settled(each, self._live, self._writer.renamed) for each in releases)
        self._save(Inventory(commit, entries, self._how.state if is_done else ""))

    def _save(self, inventory: Inventory) -> None:
        self._record = write_record(self._objects.api, self._record, inventory)
