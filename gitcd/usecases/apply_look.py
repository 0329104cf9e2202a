"""What is there, and what differs from it: the look by which a run decides whether there is anything to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.model.applied import Entry
from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest, Ref
from gitcd.planning.applying_prune import leftovers
from gitcd.rollout.facts import Release, Renamed
from gitcd.rollout.leftovers import copies_of, left_over
from gitcd.usecases.apply_apparent import AWAITED, has_failed, is_unwell
from gitcd.usecases.apply_live import Ahead, Hidden, Live, see
from gitcd.usecases.apply_record import Record
from gitcd.usecases.apply_release import declaration_ref, is_due
from gitcd.usecases.apply_wanted import Want
from gitcd.usecases.apply_write import Writer


@dataclass(frozen=True, slots=True)
class Look:
    """`work` are manifests as they are written, that differ or may; `same` counts the others.

    `due` are releases of which something has to move, `left` what was written once and git no longer has. `hidden` is
    what cannot be looked at: none of the others has to do with it. `resting` is what does not differ, and has health.
    """

    record: Record
    live: Live
    work: Mapping[Ref, Manifest]
    due: Sequence[Release]
    left: Sequence[Entry]
    same: int
    hidden: Mapping[Ref, Hidden]
    resting: Sequence[Ref]

    def ailing(self, commit: str) -> list[Ref]:
        """What an earlier run has written and not seen healthy, and what will not become so by itself any more."""
        was_well = self.record.inventory.commit == commit
        is_ailing = has_failed if was_well else is_unwell
        return [ref for ref in self.resting if is_ailing(self.live[ref])]


def take_look(writer: Writer, want: Want, record: Record, *, narrowed: bool, ahead: Ahead | None = None) -> Look:
    """See what there is, and find what differs. What was seen `ahead` counts while the record is the same."""
    entries = record.inventory.by_ref
    is_whole = not (narrowed or want.external)
    left = leftovers(entries.values(), want.manifests, (each.ref for each in want.unfit)) if is_whole else []
    sight = see(writer.objects, _looked_at(want, left), ahead if ahead and ahead.version == record.version else None)
    live, hidden = sight.live, sight.hidden
    wanted = (each for wave in want.waves for each in wave.manifests if each.ref not in hidden)
    prepared = [writer.prepare(each) for each in wanted]
    differing = (each for each in prepared if not writer.is_unchanged(each, live.get(each.ref), entries.get(each.ref)))
    work = {each.ref: each for each in differing}
    same = [each for each in prepared if each.ref not in work]
    for each in same:
        writer.learn(each, live[each.ref])
    resting = [each.ref for each in same if each.ref.kind in AWAITED]
    due = (
        each
        for each in _due(want, live, writer.renamed)
        if hidden.keys().isdisjoint(each.ref for each in objects_of(each))
    )
    seen = [each for each in left if each.ref not in hidden]
    return Look(record, live, work, tuple(due), seen, len(same), hidden, resting)


def objects_of(release: Release) -> tuple[Manifest, ...]:
    """All that a rollout may have to do with."""
    return (*release.workloads, *release.others)


def turns_of(want: Want, releases: Sequence[Release]) -> Mapping[int, Sequence[Release]]:
    """The releases by the wave after which they are taken live: the last one that has a workload of theirs.

    Those of one group all have the turn of the last of them. -1: there is no such wave.
    """
    numbers = {each.ref: number for number, wave in enumerate(want.waves) for each in wave.manifests}
    last: defaultdict[object, int] = defaultdict(lambda: -1)
    for release in releases:
        found = (numbers.get(each.ref, -1) for each in release.workloads)
        last[release.company] = max(last[release.company], *found, -1)
    turns: defaultdict[int, list[Release]] = defaultdict(list)
    for release in releases:
        turns[last[release.company]].append(release)
    return turns


def in_order(want: Want, releases: Sequence[Release]) -> list[Release]:
    """The same, each with the members of its group that it comes after."""
    after = {ref: refs for wave in want.waves for ref, refs in wave.after.items()}
    owners = {each.ref: release for release in releases for each in release.workloads}

    def first(release: Release) -> Iterator[Identity]:
        for ref in (ref for each in release.workloads for ref in after.get(each.ref, ())):
            other = owners.get(ref, release)
            if other is not release and other.company == release.company:
                yield other.identity

    return [replace(each, after=frozenset(first(each))) for each in releases]


def firsts(want: Want, releases: Sequence[Release]) -> dict[Identity, list[Ref]]:
    """What the manifests of each release come after, but for what moves together with them."""
    after = {ref: refs for wave in want.waves for ref, refs in wave.after.items()}
    moving = {each.ref for release in releases for each in objects_of(release)}
    return {
        release.identity: [ref for each in objects_of(release) for ref in after.get(each.ref, ()) if ref not in moving]
        for release in releases
    }


def _looked_at(want: Want, left: Sequence[Entry]) -> set[Ref]:
    """What is written, what may be deleted, and what rollouts are decided by."""
    releases = [each for each in want.releases.values() if isinstance(each, Release)]
    moved = {each.ref for release in releases for each in objects_of(release)}
    told = {declaration_ref(each.identity) for each in releases}
    copies = {ref for release in releases for ref in copies_of(release)}
    return want.refs | moved | told | copies | {each.ref for each in left}


def _due(want: Want, live: Live, renamed: Renamed) -> Iterator[Release]:
    """The declarations of which something has to move."""
    writable = {each.ref for each in want.manifests}
    for identity, release in want.releases.items():
        if not (isinstance(release, Release) and {each.ref for each in release.workloads} <= writable):
            continue
        found = replace(release, left=left_over(release, live))
        if is_due(found, live, live.get(declaration_ref(identity)), renamed):
            yield found
