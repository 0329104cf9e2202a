"""What a run would say of valid documents, as far as that can be known without a registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gitcd.manifests import reading
from gitcd.manifests.files import placed, read_plain
from gitcd.model.declaration import ContainerVersion, Origin, Spec
from gitcd.model.duration import format_duration
from gitcd.model.following import newest_unknown
from gitcd.model.layout import FILE_NAME, ConfigRepository
from gitcd.model.problem import Problem
from gitcd.model.reference import EcrRegistry
from gitcd.model.registry import Failure
from gitcd.model.strategy import Verify
from gitcd.model.tree import Tree
from gitcd.planning import bluegreen, unsupported
from gitcd.planning.decide import objections
from gitcd.planning.intake import read_inputs
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.scopes import Pattern, Reach, Scopes
from gitcd.planning.survey import survey
from gitcd.planning.symlinks import linked_declarations

_FORESEEN_ELSEWHERE = "NotSupportedYet"  # told field by field, with their lines
_NOTHING_YET = "MatchedNothing"  # the manifests may come with a later commit


@dataclass(frozen=True, slots=True)
class Foreseen:
    """`problems` will make a run fail; `warnings` are what is not supported yet, or most likely not meant."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def foresee(
    tree: Tree, layout: ConfigRepository | None, declared: Sequence[ContainerVersion], registries: Collection[str]
) -> Foreseen:
    """Look ahead for a tree whose documents are valid."""
    files = _Files([entry.path for entry in tree.entries()], Scopes(layout))
    foreseen = Foreseen()
    if layout:
        foreseen.warnings.extend(_placed_in_layout(tree, _about_layout(layout, files)))
    inputs = read_inputs(tree)
    named = {each.declaration.origin: each for each in inputs.declared}
    fields = {
        each.origin: [
            *_about_registry(each, registries),
            *_about_paths(named[each.origin], files),
            *_about_checks(each.spec),
        ]
        for each in declared
    }
    foreseen.warnings.extend(_placed_in_declarations(tree, declared, fields))
    paths_declaring = {each.origin.path for each in declared}
    foreseen.warnings.extend(Problem(text) for text in linked_declarations(tree, paths_declaring))
    for surveyed in survey(inputs.declared, tree, inputs.scopes):
        _add_survey(foreseen, surveyed, inputs.scopes)
    return foreseen


def _about_layout(layout: ConfigRepository, files: _Files) -> Iterator[Problem]:
    for index, environment in enumerate(layout.environments):
        for each in unsupported.in_environment(environment):
            yield replace(each, steps=("environments", index, *each.steps))
        for number, scope in enumerate(environment.scopes):
            if not files.match(scope):
                steps = ("paths", number) if environment.paths else ("path",)
                yield Problem("matches no file", "Correct it, or add the folder.", ("environments", index, *steps))


def _about_registry(declaration: ContainerVersion, registries: Collection[str]) -> Iterator[Problem]:
    spec, host = declaration.spec, declaration.spec.repository.registry
    if spec.follow and spec.follow.newest and EcrRegistry.parse(host) is None and host not in registries:
        failure = newest_unknown(spec.repository)
        yield Problem(failure.message, failure.remedy, ("spec", "follow", "newest"))


def _about_checks(spec: Spec) -> Iterator[Problem]:
    """Checks that would need more time than there is, so that they could never pass."""
    limit, strategy = spec.timeouts.verify, spec.strategy
    checks: list[tuple[tuple[str | int, ...], tuple[Verify, ...]]] = [(("spec", "strategy", "verify"), strategy.verify)]
    for number, step in enumerate(strategy.canary.steps if strategy.canary else ()):
        checks.append((("spec", "strategy", "canary", "steps", number, "verify"), step.verify))
    for steps, verifies in checks:
        for number, each in enumerate(verifies):
            takes = (each.count - 1) * each.interval
            if takes > limit:
                needs = f"{each.count} passes in a row, one every {format_duration(each.interval)},"
                message = f"{needs} take {format_duration(takes)}, and spec.timeouts.verify is {format_duration(limit)}"
                yield Problem(f"{message}, so it never passes", "Ask for fewer, or allow more time.", (*steps, number))


def _about_paths(declared: Declared, files: _Files) -> Iterator[Problem]:
    for number, text in enumerate(declared.declaration.spec.paths):
        if not files.match(text, replace(declared.reach, paths=())):
            hint = "" if files.match(text) else " Paths count from the root of the repository."
            message = f"matches no file of environment {declared.identity.environment}"
            yield Problem(message, f"Correct it.{hint}", ("spec", "paths", number))


@dataclass(slots=True)
class _Files:
    """The paths of a tree, and of all its folders, with the environments that own something there."""

    paths: Sequence[str]
    scopes: Scopes
    _owners: defaultdict[str, set[str | None]] = field(init=False)

    def __post_init__(self) -> None:
        self._owners = defaultdict(set)
        for path in self.paths:
            owner, way = self._owner(path), path
            while way:
                self._owners[way].add(owner)
                way = way.rpartition("/")[0]
            self._owners[""].add(owner)

    def match(self, text: str, reach: Reach | None = None) -> bool:
        """Whether a folder or glob covers any file, of those within reach."""
        pattern = Pattern.compile(text)
        if not pattern.runs and (reach is None or reach.folder is None):
            owners = self._owners.get(pattern.text, set())
            return bool(owners) if reach is None else reach.environment in owners
        return any(
            pattern.covers(path) >= 0 and (reach is None or reach.holds(path, self._owner(path))) for path in self.paths
        )

    def _owner(self, path: str) -> str | None:
        owner = self.scopes.environment_of(path)
        return owner if isinstance(owner, str) else None


def _add_survey(foreseen: Foreseen, surveyed: Surveyed, scopes: Scopes) -> None:
    origin = surveyed.declared.declaration.origin
    subject = surveyed.declared.identity.app
    for failure in _failures(surveyed, scopes):
        wish = foreseen.warnings if failure.reason == _NOTHING_YET else foreseen.problems
        wish.append(_problem(failure.message, failure.remedy, origin, subject))
    foreseen.warnings.extend(_problem(text, "", origin, subject) for text in surveyed.warnings)


def _failures(surveyed: Surveyed, scopes: Scopes) -> list[Failure]:
    surveyed = surveyed.in_order()
    environment = scopes.layout_of(surveyed.declared.identity.environment)
    found = [each for each in objections(surveyed, environment) if each.reason != _FORESEEN_ELSEWHERE]
    blue_green = surveyed.declared.declaration.spec.strategy.blue_green
    slots = bluegreen.slots(surveyed, blue_green) if blue_green and not found else None
    return [*found, slots] if isinstance(slots, Failure) else found


def _problem(message: str, remedy: str, origin: Origin, subject: str) -> Problem:
    return Problem(message, remedy, path=origin.path, line=origin.line, subject=subject)


def _placed_in_layout(tree: Tree, problems: Iterable[Problem]) -> Iterator[Problem]:
    found = list(problems)
    for _, data in list(tree.read([entry for entry in tree.entries() if entry.path == FILE_NAME and found])):
        value, _ = read_plain(FILE_NAME, data)
        yield from (placed(FILE_NAME, value, problem) for problem in found)


def _placed_in_declarations(
    tree: Tree, declared: Iterable[ContainerVersion], problems: dict[Origin, list[Problem]]
) -> Iterator[Problem]:
    by_path: defaultdict[str, list[ContainerVersion]] = defaultdict(list)
    for each in declared:
        if problems[each.origin]:
            by_path[each.origin.path].append(each)
    for entry, data in tree.read([entry for entry in tree.entries() if entry.path in by_path]):
        for each in by_path[entry.path]:
            yield from reading.placed_in(each, data, problems[each.origin])
