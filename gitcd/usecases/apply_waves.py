"""Wave after wave to the cluster: whatever failed stops what comes after it in the same folder, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gitcd.cluster.api import Json
from gitcd.cluster.objects import Objects
from gitcd.model.applied import BROKEN, Applied, Entry, Fate
from gitcd.model.health import Health, State
from gitcd.model.live import Manifest, Ref, part
from gitcd.planning.applying import Wave
from gitcd.usecases.apply_apparent import AWAITED
from gitcd.usecases.apply_live import WORKERS
from gitcd.usecases.apply_wish import DryRun, Note
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.evidence import Onlooker, with_log

_DEFINITION = "CustomResourceDefinition"
_ESTABLISHED_WITHIN = timedelta(minutes=1)
_POLL = 0.5  # seconds


@dataclass(slots=True)
class Progress:
    """What one run has done so far. `entries` are new words for the inventory."""

    note: Note
    results: dict[Ref, Applied] = field(default_factory=dict)
    entries: dict[Ref, Entry] = field(default_factory=dict)
    unhealthy: list[Health] = field(default_factory=list)
    overtaken: list[Ref] = field(default_factory=list)  # what a newer commit changes while it is waited for
    unwell: set[Ref] = field(default_factory=set)  # what is not as it shall be, so that nothing comes after it
    _stopped: dict[str, Applied] = field(default_factory=dict)  # by folder, the first that failed

    def add(self, applied: Applied, entry: Entry | None = None) -> None:
        self.results[applied.ref] = applied
        if entry:
            self.entries[applied.ref] = entry
        if applied.fate in BROKEN:
            self.stop(applied)
        if applied.fate in BROKEN or applied.fate is Fate.LEFT:
            self.unwell.add(applied.ref)
        self.note(applied)

    def stop(self, applied: Applied) -> None:
        """Begin nothing more that depends on this."""
        self._stopped.setdefault(folder(applied.origin.path), applied)
        if applied.ref.kind == "Namespace":
            self._stopped.setdefault(f"namespace {applied.ref.name}", applied)

    def obstacle(self, manifest: Manifest) -> Applied | None:
        """What failed that this depends on."""
        of_namespace = self._stopped.get(f"namespace {manifest.ref.namespace}")
        return of_namespace or self._stopped.get(folder(manifest.origin.path))

    def was_written(self, ref: Ref) -> bool:
        result = self.results.get(ref)
        return result is not None and result.fate in {Fate.CREATED, Fate.CHANGED}

    def ground_of(self, ref: Ref) -> Ref | None:
        """The namespace of an object, or the definition of its group, that this run is making."""
        made = (each.ref for each in self.results.values() if each.fate is Fate.CREATED)
        return next((each for each in made if _bears(each, ref)), None)

    def leave(self, manifest: Manifest, why: str) -> None:
        self.add(Applied(manifest.ref, Fate.LEFT, manifest.origin, why))


def not_yet(ref: Ref) -> str:
    """Why nothing is begun that comes after this."""
    return f"{ref} comes first, and is not as it shall be"


def _bears(ground: Ref, ref: Ref) -> bool:
    if ground.kind == "Namespace":
        return ground.name == ref.namespace
    return ground.kind == _DEFINITION and ground.name.partition(".")[2] == ref.group


def folder(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Waves:
    """Writes objects. `keep` is asked before each wave, and raises where this run must not go on.

    `is_changing` tells whether a newer commit changes a file; `paths` are those of what was written before.
    """

    objects: Objects
    writer: Writer
    until: float  # a moment of `time.monotonic()`
    keep: Callable[[], None]
    is_changing: Callable[[str], bool] = lambda _: False
    paths: Mapping[Ref, str] = field(default_factory=dict)

    def write(self, wave: Wave, work: Mapping[Ref, Manifest], live: Mapping[Ref, Json], progress: Progress) -> None:
        """Write what of a wave is to be written, several at a time, once that is well which it comes after."""
        self.keep()
        due = [work[each.ref] for each in wave.manifests if each.ref in work]
        free = [each for each in due if not self._is_stopped(each, progress)]
        if wave.after and self.writer.dry_run is DryRun.NONE:
            self.await_first([ref for each in free for ref in wave.after.get(each.ref, ())], progress)
            free = [each for each in free if not self._is_early(each, wave.after.get(each.ref, ()), progress)]
        for applied, entry in self._written(free, live):
            progress.add(self._foreseen(applied, progress), entry)
        if self.writer.dry_run is not DryRun.NONE:
            return
        definitions = [each for each in free if each.ref.kind == _DEFINITION]
        self._await_served(definitions, progress)

    def await_first(self, refs: Iterable[Ref], progress: Progress) -> None:
        """Wait for what others come after, whether this run has written it or one before."""
        self._await(sorted(set(refs) - progress.unwell), progress)

    def settle(self, refs: Iterable[Ref], progress: Progress) -> None:
        """Wait until these are healthy, or will not become so by themselves."""
        self._await([ref for ref in refs if ref.kind in AWAITED and ref not in progress.unwell], progress)

    def _foreseen(self, applied: Applied, progress: Progress) -> Applied:
        """In a rehearsal, without what the server cannot know: that namespace or kind are there by then."""
        if self.writer.dry_run is not DryRun.SERVER or applied.fate is not Fate.FAILED:
            return applied
        before = progress.ground_of(applied.ref)
        return (
            Applied(applied.ref, Fate.CREATED, applied.origin, f"not judged: there is no {before} yet")
            if before
            else applied
        )

    def _is_stopped(self, manifest: Manifest, progress: Progress) -> bool:
        obstacle = progress.obstacle(manifest) if self.writer.dry_run is DryRun.NONE else None
        if obstacle:
            progress.leave(manifest, f"{obstacle.ref} comes first, and failed")
        return obstacle is not None

    def _is_early(self, manifest: Manifest, first: Iterable[Ref], progress: Progress) -> bool:
        obstacle = next((ref for ref in first if ref in progress.unwell), None)
        if obstacle:
            progress.leave(manifest, not_yet(obstacle))
        return obstacle is not None

    def _written(
        self, manifests: Sequence[Manifest], live: Mapping[Ref, Json]
    ) -> Iterator[tuple[Applied, Entry | None]]:
        def write(manifest: Manifest) -> tuple[Applied, Entry | None]:
            return self.writer.write(manifest, live.get(manifest.ref))

        if len(manifests) <= 1:
            yield from map(write, manifests)
            return
        with ThreadPoolExecutor(min(WORKERS, len(manifests))) as pool:
            yield from pool.map(write, manifests)

    def _await_served(self, definitions: Collection[Manifest], progress: Progress) -> None:
        """Wait until the server knows the kinds that these define."""
        refs = [
            each.ref for each in definitions if each.ref not in progress.results or not self._broken(each, progress)
        ]
        self._await(refs, progress, _ESTABLISHED_WITHIN)
        for each in definitions:
            self.objects.discovery.forget(str(part(each.value, "spec").get("group", "")))

    def _broken(self, manifest: Manifest, progress: Progress) -> bool:
        return progress.results[manifest.ref].fate in BROKEN

    def _await(self, refs: Sequence[Ref], progress: Progress, limit: timedelta | None = None) -> None:
        until = min(self.until, time.monotonic() + limit.total_seconds()) if limit else self.until
        eye, waiting = Onlooker(self.objects), list(refs)
        while waiting:
            self.keep()
            began = time.monotonic()
            found = eye.look_at(waiting, datetime.now(UTC))
            for health in found:
                if health.state in {State.FAILED, State.MISSING}:
                    self._fail(with_log(self.objects, health), progress)
            waiting = [each.ref for each in found if each.state in {State.IN_PROGRESS, State.TERMINATING}]
            overtaken = [ref for ref in waiting if self._is_overtaken(ref, progress)]
            progress.overtaken += overtaken
            progress.unwell.update(overtaken)
            waiting = [ref for ref in waiting if ref not in overtaken]
            if waiting and time.monotonic() >= until:
                for late in (each for each in found if each.ref in waiting):
                    self._fail(late, progress, f"not healthy in time: {late.message}")
                return
            if waiting:  # of the time at most half is for looking: the server has them to start
                time.sleep(max(_POLL, time.monotonic() - began))

    def _is_overtaken(self, ref: Ref, progress: Progress) -> bool:
        path = progress.results[ref].origin.path if ref in progress.results else self.paths.get(ref)
        return path is not None and self.is_changing(path)

    def _fail(self, health: Health, progress: Progress, message: str = "") -> None:
        progress.unhealthy.append(health)
        progress.unwell.add(health.ref)
        if before := progress.results.get(health.ref):
            progress.stop(Applied(health.ref, Fate.FAILED, before.origin, message or health.message))
