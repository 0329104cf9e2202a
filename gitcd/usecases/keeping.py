"""What must not expire: the images that a config repository deploys, and those that it can be taken back to.

The unit is a repository in an environment, with all the declarations that share it, because they share its keep tags.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitcd.git.history import History, MissingHistory, Recollect
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.declaration import Identity
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.model.tree import Tree
from gitcd.planning.deployed import Deployed, deployed
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import Limits, limit
from gitcd.planning.matching import Declared
from gitcd.planning.survey import survey
from gitcd.usecases.context import Selection
from gitcd.usecases.history import trails
from gitcd.usecases.planner import check_selection
from gitcd.usecases.workspace import Target, Workspace

Unit = tuple[str, Repository]


@dataclass(frozen=True, slots=True)
class Need:
    """What one declaration needs kept.

    `images` are those deployed now, by digest or tag, each with a place that holds it; `past` the digests that it was
    moved to before, newest first, each once, those of now among them.
    """

    identity: Identity
    images: Mapping[str, str]
    past: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Duty:
    """What is to be kept in one repository: whatever else has a keep tag of these environments is not.

    `unsure` are environments that may need more than is known here; nothing is taken from them.
    """

    repository: Repository
    environments: frozenset[str]
    needs: tuple[Need, ...] = ()
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Duties:
    """All duties, and why something may be missing from them: by mistakes, or by intent, as warnings tell."""

    duties: tuple[Duty, ...]
    problems: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The config repository as one commit holds it; `recollect` brings its history."""

    tree: Tree
    recollect: Recollect
    limits: Limits
    memory: Memory = FORGETFUL


def source_of(workspace: Workspace, target: Target) -> Source:
    """A work tree as it lies, or a branch at its tip.

    Raises:
        TransientError: the remote cannot be reached.
    """

    def recollect() -> History | MissingHistory | None:
        return workspace.history(target)

    if isinstance(target, WorkTree):
        return Source(target, recollect, workspace.limits)
    return Source(CommitTree(target.git, target.fetch()), recollect, workspace.limits, target.memory)


def to_protect(source: Source, selection: Selection, *, past: bool = True) -> Duties:
    """What the chosen declarations, and those that share a repository with one of them, need kept.

    `past`: whether history is asked.

    Raises:
        ConfigError: gitcd.yaml is not valid, or the selection meets nothing.
    """
    inputs, declared, broken = _read(source, selection)
    units = {_unit(each) for each in declared if selection.takes(each.identity)}
    sharing = [each for each in declared if _unit(each) in units]
    memory = FORGETFUL if selection.apps else source.memory
    stands = [deployed(each) for each in survey(sharing, source.tree, inputs.scopes, memory)]
    known = _past(stands, source.recollect) if past else {}
    lost = isinstance(known, Failure)
    needs = {each.identity: _need(each, {} if isinstance(known, Failure) else known) for each in stands}
    blind = {each.identity.environment for each in broken}
    unsure = {
        _unit_of(each)
        for each in stands
        if each.doubt or each.warnings or lost or not blind.isdisjoint({"", each.identity.environment})
    }
    problems = [*map(_problem, broken), *(each.doubt for each in stands if each.doubt)]
    problems += [known] if isinstance(known, Failure) else []
    warnings = tuple(f"{each.identity}: {warning}" for each in stands for warning in each.warnings)
    return Duties(tuple(_duties(units, stands, needs, unsure)), tuple(problems), warnings)


def to_unprotect(source: Source, selection: Selection) -> Duties:
    """The same repositories, with nothing in them to keep.

    Raises:
        ConfigError: gitcd.yaml is not valid, or the selection meets nothing.
    """
    _, declared, broken = _read(source, selection)
    units = {_unit(each) for each in declared if selection.takes(each.identity)}
    return Duties(tuple(_duties(units, (), {}, set())), tuple(map(_problem, broken)))


def _read(source: Source, selection: Selection) -> tuple[Inputs, list[Declared], list[Outcome]]:
    """What is declared, and the declarations that cannot be followed though they may concern the selection."""
    inputs = read_inputs(source.tree, source.memory)
    check_selection(selection, inputs)
    permitted, refused = limit(inputs.declared, source.limits)
    environments = selection.environments
    concerned = {"", *environments}
    broken = [each for each in (*inputs.broken, *refused) if not environments or each.identity.environment in concerned]
    return inputs, permitted, broken


def _past(stands: Sequence[Deployed], recollect: Recollect) -> Mapping[Identity, tuple[str, ...]] | Failure:
    """The digests that history tells of, newest first; a Failure where it is not to be had."""
    if not stands:
        return {}
    history = recollect()
    if not isinstance(history, History):
        reason = history.reason if history else "this folder has no git history"
        message = f"earlier versions are not known, and no keep tag is taken off: {reason}"
        remedy = "Name the repository by its address, or go without by --keep 0."
        own = f"{history.remedy} " if history and history.remedy else ""
        return Failure("HistoryMissing", message, own + remedy)
    paths = sorted({path for each in stands for path in each.paths})
    moves = trails(history.past_moves(paths))
    return {identity: tuple(dict.fromkeys(digest for _, digest in trail)) for identity, trail in moves.items()}


def _need(stand: Deployed, past: Mapping[Identity, tuple[str, ...]]) -> Need:
    return Need(stand.identity, stand.images, past.get(stand.identity, ()))


def _duties(
    units: Iterable[Unit], stands: Iterable[Deployed], needs: Mapping[Identity, Need], unsure: set[Unit]
) -> Iterable[Duty]:
    """One duty for each repository, in the order of their names."""
    environments: defaultdict[Repository, set[str]] = defaultdict(set)
    for environment, repository in units:
        environments[repository].add(environment)
    needed: defaultdict[Repository, list[Need]] = defaultdict(list)
    for each in stands:
        needed[each.repository].append(needs[each.identity])
    for repository in sorted(environments):
        names = frozenset(environments[repository])
        doubtful = frozenset(name for name in names if (name, repository) in unsure)
        yield Duty(repository, names, tuple(needed[repository]), doubtful)


def _unit(declared: Declared) -> Unit:
    return declared.identity.environment, declared.declaration.spec.repository


def _unit_of(stand: Deployed) -> Unit:
    return stand.identity.environment, stand.repository


def _problem(outcome: Outcome) -> Failure:
    name = f"{outcome.identity} " if outcome.identity.name else ""
    message = f"{name}({outcome.origin}) cannot be followed, so what it deploys is not known: {outcome.message}"
    return Failure(outcome.reason, message, outcome.remedy, outcome.transient)


__all__ = ["Duties", "Duty", "Need", "Source", "source_of", "to_protect", "to_unprotect"]
