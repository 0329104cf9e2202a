"""Read what people wrote down: gitcd.yaml, declarations and hold files, from one tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gitcd.errors import ConfigError
from gitcd.manifests import reading
from gitcd.manifests.reading import ReadResult
from gitcd.model import hold, layout
from gitcd.model.declaration import ContainerVersion, Identity, Origin
from gitcd.model.hold import Hold
from gitcd.model.layout import ConfigRepository
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.problem import Problem
from gitcd.model.tree import YAML_ENDINGS, Entry, Tree
from gitcd.planning import remembered
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Declared
from gitcd.planning.scopes import LAYOUTS, ScopeError, Scopes
from gitcd.planning.screening import is_readable

_WRITTEN = (*YAML_ENDINGS, ".json")  # what people may take for a hold; other files beside holds are no concern


def read_inputs(tree: Tree, memory: Memory = FORGETFUL) -> Inputs:
    """Read a tree's layout, declarations and holds; declarations as far as they are not remembered.

    Raises:
        ConfigError: gitcd.yaml is there but not valid: nothing can be decided without it.
    """
    files = tree.entries()
    entries = [entry for entry in files if entry.path.endswith(YAML_ENDINGS) and is_readable(entry)]
    config = _read_layout(tree, files)
    scopes = Scopes(config)
    holds, unreadable, unnamed = _read_holds(tree, [entry for entry in files if hold.is_hold(entry.path)])
    results = list(remembered.declarations(tree, [entry for entry in entries if not hold.is_hold(entry.path)], memory))
    declared, broken = _place(results, scopes)
    broken += _broken(problem for result in results for problem in result.problems)
    declared, refused = respect_holds(declared, unreadable)
    return Inputs(config, scopes, tuple(declared), tuple(broken + refused), holds, unreadable, unnamed)


def _read_layout(tree: Tree, entries: Iterable[Entry]) -> ConfigRepository | None:
    found = [entry for entry in entries if entry.path in LAYOUTS]
    for entry in found:
        if why := _unfit(entry):
            raise ConfigError(f"{entry.path} {why}, so the layout is not known", remedy=f"Make {layout.FILE_NAME} one.")
    for _, data in list(tree.read(found)):  # read to the end: a reader that is left early has to be killed
        config, problems = reading.read_layout(layout.FILE_NAME, data)
        if config is None or problems:
            raise ConfigError(
                "\n".join(map(str, problems)), remedy="See `gitcd schema ConfigRepository` for every field."
            )
        return config
    return None


def _unfit(entry: Entry) -> str:
    """Why a file that counts by its name alone is not read; empty when it is."""
    if not is_readable(entry):
        return "is no regular file of fit size"
    return "" if entry.path.endswith(YAML_ENDINGS[0]) else f"ends in {YAML_ENDINGS[1]}, not in {YAML_ENDINGS[0]}"


def _read_holds(
    tree: Tree, entries: Sequence[Entry]
) -> tuple[dict[Identity, Hold], dict[Identity, Problem], tuple[str, ...]]:
    """The holds, what is wrong with those that cannot be read, and files that name no declaration."""
    holds: dict[Identity, Hold] = {}
    meant = {entry: identity for entry in entries if (identity := hold.meant_by(entry.path))}
    problems = {
        identity: Problem(f"this hold {why}", "write it anew, or remove it", path=entry.path)
        for entry, identity in meant.items()
        if (why := _unfit(entry))
    }
    for entry, data in tree.read([entry for entry in meant if not _unfit(entry)]):
        value, faults = reading.read_hold(entry.path, data)
        if value is None or faults:
            problems.setdefault(meant[entry], faults[0])
        else:
            holds[meant[entry]] = value
    return holds, problems, tuple(each.path for each in entries if each not in meant and each.path.endswith(_WRITTEN))


def _place(results: Iterable[ReadResult], scopes: Scopes) -> tuple[list[Declared], list[Outcome]]:
    """Give every declaration its environment and its reach; one identity twice is wrong for both."""
    by_identity: defaultdict[Identity, list[Declared]] = defaultdict(list)
    broken: list[Outcome] = []
    for document, alone in ((each, result.alone) for result in results for each in result.declarations):
        placed = _placed(document, scopes, alone=alone)
        if isinstance(placed, ScopeError):
            broken.append(_misplaced(document, placed))
        else:
            by_identity[placed.identity].append(placed)
    declared = [group[0] for group in by_identity.values() if len(group) == 1]
    for group in by_identity.values():
        if len(group) > 1:
            broken += [_duplicate(each, group) for each in group]
    return declared, broken


def _placed(document: ContainerVersion, scopes: Scopes, *, alone: bool) -> Declared | ScopeError:
    environment = scopes.environment_for(document)
    if isinstance(environment, ScopeError):
        return environment
    reach = scopes.reach(document, environment)
    if isinstance(reach, ScopeError):
        return reach
    return Declared(document, Identity(environment, document.namespace, document.metadata.name), reach, alone)


def respect_holds(
    declared: Iterable[Declared], problems: dict[Identity, Problem]
) -> tuple[list[Declared], list[Outcome]]:
    """A hold file that cannot be read holds everything: its declaration fails."""
    kept, refused = [], []
    for each in declared:
        problem = problems.get(each.identity)
        if problem is None:
            kept.append(each)
        else:
            outcome = _failed(each.identity, each.declaration.origin, "HoldUnreadable", str(problem), problem.remedy)
            refused.append(replace(outcome, image_repo=each.declaration.spec.image_repo))
    return kept, refused


def _misplaced(document: ContainerVersion, error: ScopeError) -> Outcome:
    identity = Identity(document.spec.environment, document.namespace, document.metadata.name)
    return _failed(identity, document.origin, "EnvironmentUnclear", error.message, error.remedy)


def _duplicate(each: Declared, group: Iterable[Declared]) -> Outcome:
    others = ", ".join(str(other.declaration.origin) for other in group if other is not each)
    return _failed(
        each.identity,
        each.declaration.origin,
        "DuplicateDeclaration",
        f"declared again in {others}",
        "Give one of them another name or namespace.",
    )


def _broken(problems: Iterable[Problem]) -> list[Outcome]:
    """One outcome for each declaration with mistakes, and one for each mistake that cannot be laid to a declaration."""
    groups: defaultdict[tuple[str, str, int], list[Problem]] = defaultdict(list)
    for problem in problems:
        groups[problem.path, problem.subject, 0 if problem.subject else problem.line].append(problem)
    return [_mistaken(group) for group in groups.values()]


def _mistaken(problems: Sequence[Problem]) -> Outcome:
    first = problems[0]
    namespace, _, name = first.subject.rpartition("/")
    identity, origin = Identity("", namespace, name), Origin(first.path, first.line)
    if len(problems) == 1:
        return _failed(identity, origin, "InvalidDeclaration", _mistake(first), first.remedy)
    lines = [f"    {each.where}: {_mistake(each)}" + (f" ({each.remedy})" if each.remedy else "") for each in problems]
    return _failed(identity, origin, "InvalidDeclaration", "\n".join([f"{len(problems)} mistakes", *lines]))


def _mistake(problem: Problem) -> str:
    return f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message


def _failed(identity: Identity, origin: Origin, reason: str, message: str, remedy: str = "") -> Outcome:
    return Outcome(identity, origin, OutcomeKind.FAILED, reason=reason, message=message, remedy=remedy)
