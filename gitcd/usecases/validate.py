"""Check what people wrote down in a config repository: gitcd.yaml, declarations, holds, and how they fit together.

Nothing is asked of a registry, a remote or a cluster, and every fault is reported, not only the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitcd.manifests import reading
from gitcd.manifests.files import placed, read_plain
from gitcd.model import hold, legacy, schema
from gitcd.model.declaration import ContainerVersion, Identity
from gitcd.model.faults import did_you_mean
from gitcd.model.layout import FILE_NAME, ConfigRepository, Environment
from gitcd.model.problem import Problem
from gitcd.model.tree import YAML_ENDINGS, Entry, Tree
from gitcd.planning.moments import moment
from gitcd.planning.scopes import ScopeError, Scopes
from gitcd.planning.survey import is_readable
from gitcd.usecases.validate_foresight import Foreseen, foresee


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, and all that is wrong with it, in the order of files and lines."""

    declarations: int
    holds: int
    environments: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def validate(tree: Tree, registries: Collection[str] = ()) -> Report:
    """Check a tree. A gitcd.yaml that cannot be read is reported, and the rest is checked as far as it goes.

    `registries` are hosts besides private ECR that the operator has named a way to.
    """
    entries = [entry for entry in tree.entries() if is_readable(entry)]
    documents = [entry for entry in entries if entry.path.endswith(YAML_ENDINGS)]
    layout, problems = _check_layout(tree, entries)
    scopes = Scopes(layout) if layout or not problems else None
    others = [entry for entry in documents if entry.path != FILE_NAME and not hold.is_hold(entry.path)]
    declared, faults, outdated = _read_declarations(tree, others)
    problems += faults
    known: set[Identity] | None = None
    if scopes:
        identities, misplaced = _check_places(declared, scopes)
        known = identities if declared and not faults and not misplaced else None
        problems += misplaced
    holds = [entry for entry in documents if hold.is_hold(entry.path)]
    for entry, data in tree.read(holds):
        problems += _check_hold(entry.path, data, known)
    foreseen = foresee(tree, layout, declared, registries) if not problems else Foreseen()
    environments = len(layout.environments) if layout else 0
    warnings = _ordered([*outdated, *foreseen.warnings])
    return Report(len(declared), len(holds), environments, _ordered([*problems, *foreseen.problems]), warnings)


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda each: (each.path, each.line, each.column, each.pointer, each.message)))


def _check_layout(tree: Tree, entries: Sequence[Entry]) -> tuple[ConfigRepository | None, list[Problem]]:
    """The layout, where there is one that can be read, and what is wrong with it."""
    for _, data in tree.read([entry for entry in entries if entry.path == FILE_NAME]):
        value, faults = read_plain(FILE_NAME, data)
        if value is None:
            return None, list(faults)
        layout, found = schema.read(ConfigRepository, value)
        if layout:
            paths = [entry.path for entry in entries]
            found += [*_check_promotion(layout), *_check_freezes(layout), *_check_ties(layout, paths)]
        problems = [*faults, *(placed(FILE_NAME, value, problem) for problem in found)]
        return None if faults else layout, problems
    return None, []


def _check_promotion(layout: ConfigRepository) -> Iterator[Problem]:
    """Every promoteFrom names an environment, and following them comes to an end."""
    sources = {each.name: each.promote_from for each in layout.environments}
    for index, environment in enumerate(layout.environments):
        steps = ("environments", index, "promoteFrom")
        source = environment.promote_from
        if source and source not in sources:
            yield Problem(f"{source!r} is not an environment of this file", did_you_mean(source, sources), steps)
        elif circle := _circle(environment.name, sources):
            yield Problem(f"environments promote from each other in a circle: {' from '.join(circle)}", steps=steps)


def _check_freezes(layout: ConfigRepository) -> Iterator[Problem]:
    for index, environment in enumerate(layout.environments):
        for number, freeze in enumerate(environment.freeze):
            begin, end = moment(freeze.from_), moment(freeze.until)
            if begin and end and end <= begin:
                message = f"ends at {freeze.until}, which is not after {freeze.from_}, so it never freezes anything"
                yield Problem(message, "exchange from and until", ("environments", index, "freeze", number, "until"))


def _circle(name: str, sources: Mapping[str, str]) -> list[str]:
    """The way from an environment through its sources back to itself; empty where there is none."""
    way = [name]
    while (following := sources.get(way[-1], "")) and following not in way:
        way.append(following)
    return [*way, name] if following == name else []


def _check_ties(layout: ConfigRepository, paths: Iterable[str]) -> Iterator[Problem]:
    """No file belongs to two environments alike; one problem for each set of environments that meet."""
    indexes = {environment.name: index for index, environment in enumerate(layout.environments)}
    meetings: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for tie in Scopes(layout).ties(paths):
        meetings[tie.environments].append(tie.path)
    for names, met in meetings.items():
        more = f" and {len(met) - 1} more files" if len(met) > 1 else ""
        yield Problem(
            f"{met[0]}{more} would belong to {' and '.join(names)} alike",
            "make the paths of one of them longer, or different",
            ("environments", max(indexes[name] for name in names)),
        )


def _read_declarations(
    tree: Tree, entries: Sequence[Entry]
) -> tuple[list[ContainerVersion], list[Problem], list[Problem]]:
    """The declarations, what is wrong with them, and what to know of those that are of old kinds."""
    declared: list[ContainerVersion] = []
    problems: list[Problem] = []
    outdated: list[Problem] = []
    for entry, data in tree.read(entries):
        result = reading.read_declarations(entry.path, data)
        declared += result.declarations
        problems += result.problems
        outdated += [*result.lost, *(_outdated(each) for each in result.declarations if each.origin.line in result.old)]
    return declared, problems, outdated


def _outdated(declared: ContainerVersion) -> Problem:
    message = f"is a document of {legacy.API_VERSION}, which is read with the defaults that it had"
    return _about(declared, message, f"gitcd migrate {declared.origin.path} prints it in the form of today")


def _check_places(declared: Iterable[ContainerVersion], scopes: Scopes) -> tuple[set[Identity], list[Problem]]:
    """Each declaration belongs to one environment, asks no less than that one, and has a name of its own there."""
    by_identity: defaultdict[Identity, list[ContainerVersion]] = defaultdict(list)
    problems: list[Problem] = []
    for each in declared:
        environment = scopes.environment_for(each)
        if isinstance(environment, ScopeError):
            problems.append(_about(each, environment.message, environment.remedy))
            continue
        by_identity[Identity(environment, each.namespace, each.metadata.name)].append(each)
        problems += _check_fit(each, environment, scopes)
    for identity, group in by_identity.items():
        problems += _repeats(identity, group)
    return set(by_identity), problems


def _check_fit(declared: ContainerVersion, environment: str, scopes: Scopes) -> Iterator[Problem]:
    reach = scopes.reach(declared, environment)
    if isinstance(reach, ScopeError):
        yield _about(declared, reach.message, reach.remedy)
    owner: Environment = scopes.layout_of(environment)
    delivery = declared.spec.delivery
    if delivery and delivery.mode == "Commit" and owner.delivery.mode == "PullRequest":
        yield _about(
            declared,
            f"spec.delivery asks for less than environment {environment}, which delivers by pull request",
            "remove spec.delivery.mode",
        )


def _repeats(identity: Identity, group: Sequence[ContainerVersion]) -> Iterator[Problem]:
    for each in group if len(group) > 1 else ():
        others = ", ".join(str(other.origin) for other in group if other is not each)
        yield _about(each, f"{identity} is declared again in {others}", "give one of them another name or namespace")


def _check_hold(path: str, data: bytes, known: set[Identity] | None) -> Iterator[Problem]:
    """A hold file can be read, and its path names a declaration (`known`; None: they cannot be told)."""
    yield from reading.read_hold(path, data)[1]
    identity = hold.identity_of(path)
    if identity is None:
        yield Problem(
            "the path names no declaration, so this holds nothing",
            f"name it {hold.FOLDER}/<environment>/<namespace>.<name>.yaml",
            path=path,
        )
    elif known is not None and identity not in known:
        hint = did_you_mean(str(identity), {str(each): each for each in known})
        renamed = f"If the declaration was renamed, rename this file; else `gitcd release {identity}` removes it."
        yield Problem(
            f"there is no declaration {identity}, so this holds nothing",
            f"{hint} {renamed}".strip(),
            path=path,
        )


def _about(declared: ContainerVersion, message: str, remedy: str = "") -> Problem:
    origin = declared.origin
    subject = f"{declared.namespace}/{declared.metadata.name}"
    return Problem(message, remedy, path=origin.path, line=origin.line, subject=subject)
