"""Put decisions together: which bytes they make, and in which commits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitcd import manifests
from gitcd.errors import RefusedError
from gitcd.model.declaration import Identity
from gitcd.model.layout import Granularity
from gitcd.model.plan import FileChange, Outcome, OutcomeKind, Plan, PlannedCommit, PlannedPull
from gitcd.model.registry import Failure
from gitcd.model.tree import Mode
from gitcd.planning import pulls
from gitcd.planning.decide import Decision
from gitcd.planning.scopes import Scopes
from gitcd.planning.settling import group_of, settle


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it is before the plan."""

    mode: Mode
    data: bytes


def assemble(
    decisions: Sequence[Decision],
    files: Mapping[str, Source],
    granularity: Granularity,
    base: str,
    scopes: Scopes,
) -> Plan:
    """Splice all edits, drop what cannot be done exactly (whole declarations at a time), cut commits and proposals."""
    writer = _Writer(files)
    settled = _settle_writes(decisions, writer)
    movers = [each for each in settled if each.edits]
    routes = pulls.routes(movers, scopes)
    outcomes = sorted((_told(each.outcome, routes) for each in settled), key=lambda outcome: outcome.identity)
    commits = _commits([each for each in movers if each.outcome.identity not in routes], writer, granularity)
    proposed = _pulls(movers, routes, writer)
    return Plan(base, tuple(outcomes), commits, pulls=proposed, shared=_shared(movers, commits, proposed, writer))


def _told(outcome: Outcome, routes: Mapping[Identity, str]) -> Outcome:
    branch = routes.get(outcome.identity)
    return pulls.propose(outcome, branch) if branch else outcome


def edited_paths(decisions: Iterable[Decision]) -> list[str]:
    """The files whose bytes `assemble` needs."""
    return sorted({edit.site.path for each in decisions for edit in each.edits})


def _settle_writes(decisions: Sequence[Decision], writer: _Writer) -> list[Decision]:
    """Try every file; a declaration with an edit that is refused moves nowhere, nor do those that it is bound to."""
    settled = list(decisions)
    while refused := _refusals(settled, writer):
        settled = settle(
            each.fail(refused[each.outcome.identity]) if each.outcome.identity in refused else each for each in settled
        )
    return settled


def _refusals(decisions: Sequence[Decision], writer: _Writer) -> dict[Identity, Failure]:
    by_path: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        for path in {edit.site.path for edit in decision.edits}:
            by_path[path].append(decision)
    refused: dict[Identity, Failure] = {}
    for path, owners in by_path.items():
        failure = _try(path, owners, writer)
        if failure is None:
            continue
        alone = {each.outcome.identity: _try(path, [each], writer) for each in owners}
        culprits = {identity: why for identity, why in alone.items() if why}
        refused |= culprits or dict.fromkeys(alone, failure)
    return refused


def _try(path: str, owners: Sequence[Decision], writer: _Writer) -> Failure | None:
    try:
        writer.write(path, owners)
    except RefusedError as error:
        return Failure("EditRefused", error.message, error.remedy or "Mend the file, or leave it out with spec.paths.")
    return None


class _Writer:
    """Writes files with the edits of some declarations, and remembers what it wrote."""

    def __init__(self, files: Mapping[str, Source]) -> None:
        self.files = files
        self._written: dict[tuple[str, frozenset[Identity]], bytes] = {}

    def write(self, path: str, owners: Iterable[Decision]) -> bytes:
        """The file's bytes with the edits of these declarations.

        Raises:
            RefusedError: an edit cannot be made exactly.
        """
        concerned = [each for each in owners if any(edit.site.path == path for edit in each.edits)]
        key = path, frozenset(each.outcome.identity for each in concerned)
        if key not in self._written:
            edits = {
                (edit.site.document, edit.site.pointer, edit.key): edit
                for each in concerned
                for edit in each.edits
                if edit.site.path == path
            }
            self._written[key] = manifests.write(path, self.files[path].data, list(edits.values()))
        return self._written[key]


@dataclass(slots=True)
class _Cut:
    """A commit in the making."""

    kind: OutcomeKind
    movers: list[Decision] = field(default_factory=list)


def _commits(movers: Sequence[Decision], writer: _Writer, granularity: Granularity) -> tuple[PlannedCommit, ...]:
    cuts: dict[tuple[bool, str], _Cut] = {}
    kinds = _kinds(movers)
    for mover in sorted(movers, key=lambda each: each.outcome.identity):
        identity, bond = mover.outcome.identity, _bond(mover)
        kind = kinds[bond]
        key = {"run": "", "environment": identity.environment, "app": bond}[granularity]
        cuts.setdefault((kind is OutcomeKind.BUMPED, key), _Cut(kind)).movers.append(mover)
    state = {path: source.data for path, source in writer.files.items()}
    done: list[Decision] = []
    commits: list[PlannedCommit] = []
    for _, cut in sorted(cuts.items()):
        done += cut.movers
        changes = _changes(cut.movers, done, writer, state)
        state.update({change.path: change.after for change in changes if change.after is not None})
        outcomes = tuple(each.outcome for each in cut.movers)
        if changes:
            environments = tuple(sorted({outcome.identity.environment for outcome in outcomes}))
            commits.append(PlannedCommit(cut.kind, environments, outcomes, tuple(changes)))
        else:
            _join_earlier(commits, outcomes)
    return tuple(commits)


def _pulls(movers: Sequence[Decision], routes: Mapping[Identity, str], writer: _Writer) -> tuple[PlannedPull, ...]:
    """The proposals, each as if nothing else were changed."""
    crews: defaultdict[str, list[Decision]] = defaultdict(list)
    for mover in movers:
        if branch := routes.get(mover.outcome.identity):
            crews[branch].append(mover)
    return tuple(_pull(branch, crew, writer) for branch, crew in sorted(crews.items()))


def _pull(branch: str, crew: Sequence[Decision], writer: _Writer) -> PlannedPull:
    state = {path: writer.files[path].data for path in edited_paths(crew)}
    outcomes = tuple(each.outcome for each in sorted(crew, key=lambda each: each.outcome.identity))
    kinds = {outcome.kind for outcome in outcomes}
    kind = OutcomeKind.BUMPED if OutcomeKind.BUMPED in kinds else OutcomeKind.PIN_ONLY
    environment = outcomes[0].identity.environment
    commit = PlannedCommit(kind, (environment,), outcomes, tuple(_changes(crew, crew, writer, state)))
    return PlannedPull(environment, branch, pulls.plan_id(outcomes), commit)


def _shared(
    movers: Sequence[Decision], commits: Sequence[PlannedCommit], proposed: Sequence[PlannedPull], writer: _Writer
) -> tuple[FileChange, ...]:
    """The files that a proposal changes and that something else changes too, with all of these changes."""
    parts = [{change.path for commit in commits for change in commit.files}]
    parts += [{change.path for change in pull.commit.files} for pull in proposed]
    count = Counter(path for paths in parts for path in paths)
    return tuple(
        FileChange(path, writer.files[path].mode, writer.files[path].data, writer.write(path, movers))
        for path in sorted(path for path, number in count.items() if number > 1)
    )


def _bond(mover: Decision) -> str:
    """Equal for movers that no two commits may part."""
    group = group_of(mover)
    return f"{group[0]} group {group[1]}" if group else str(mover.outcome.identity)


def _kinds(movers: Iterable[Decision]) -> Mapping[str, OutcomeKind]:
    """The kind of commit that each bond asks for: other content in one member makes it a bump."""
    kinds: dict[str, OutcomeKind] = {}
    for mover in movers:
        if kinds.get(bond := _bond(mover)) is not OutcomeKind.BUMPED:
            kinds[bond] = mover.outcome.kind
    return kinds


def _changes(
    movers: Sequence[Decision], done: Sequence[Decision], writer: _Writer, state: Mapping[str, bytes]
) -> list[FileChange]:
    """The files that these movers change, on top of what is done already."""
    changes = []
    for path in edited_paths(movers):
        after = writer.write(path, done)
        if after != state[path]:
            changes.append(FileChange(path, writer.files[path].mode, state[path], after))
    return changes


def _join_earlier(commits: list[PlannedCommit], outcomes: tuple[Outcome, ...]) -> None:
    """A declaration whose places an earlier commit has changed already is told of in that commit."""
    paths = {change.path for outcome in outcomes for change in outcome.changes}
    for number, commit in enumerate(commits):
        if paths & {change.path for change in commit.files}:
            environments = tuple(sorted({*commit.environments, *(each.identity.environment for each in outcomes)}))
            commits[number] = replace(commit, environments=environments, outcomes=(*commit.outcomes, *outcomes))
            return
