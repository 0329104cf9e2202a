"""Where in a tree a declaration belongs that does not stand in it, such as one made of flags.

A declaration in a file is bounded by the place of that file. This one is not, so it has to fit one place only: one
environment, or without gitcd.yaml one folder. What it may not be is a way to move production along with development.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gitcd.errors import ConfigError, RefusedError
from gitcd.manifests.reading import read_hold
from gitcd.model.declaration import ContainerVersion, Identity
from gitcd.model.hold import hold_path
from gitcd.model.layout import Environment
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.tree import Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT, Pattern, Reach, is_safe
from gitcd.planning.survey import survey

_SHOWN = 8
_NOTHING = "MatchedNothing"


def find_place(
    tree: Tree, declaration: ContainerVersion, chosen: Iterable[str] = (), memory: Memory = FORGETFUL
) -> tuple[Declared, ...]:
    """The declaration in each chosen environment, or, where none is chosen, in the only place that it fits.

    Raises:
        ConfigError: an environment is not known, several places fit, a path leads outside the repository, or the tree
            declares the same already.
        RefusedError: no place fits, or a hold file cannot be read.
    """
    inputs = read_inputs(tree, memory)
    if outside := [path for path in declaration.spec.paths if not is_safe(path.rstrip("/"))]:
        raise ConfigError(f"the path {outside[0]!r} leaves the repository")
    if inputs.layout is None:
        placed = _without_layout(tree, declaration, inputs, list(chosen))
    else:
        placed = _in_environments(tree, declaration, inputs, list(dict.fromkeys(chosen)))
    for each in placed:
        _check_alone(each, inputs)
        _check_hold(each.identity, tree, inputs)
    return placed


def _in_environments(
    tree: Tree, declaration: ContainerVersion, inputs: Inputs, chosen: Sequence[str]
) -> tuple[Declared, ...]:
    known = inputs.scopes.environments
    if unknown := [name for name in chosen if name not in known]:
        raise ConfigError(
            f"gitcd.yaml has no environment {' and no '.join(unknown)}", remedy=f"It has: {', '.join(sorted(known))}."
        )
    candidates = tuple(_declared(declaration, inputs.scopes.layout_of(name), None) for name in chosen or sorted(known))
    if chosen or len(candidates) == 1:
        return candidates
    fitting = _fitting(survey(candidates, tree, inputs.scopes))
    if len(fitting) > 1:
        names = [each.declared.identity.environment for each in fitting]
        raise ConfigError(
            f"{_called(declaration)} is in the environments {', '.join(names)}", remedy="Choose with --environment."
        )
    return (fitting[0].declared,)


def _without_layout(
    tree: Tree, declaration: ContainerVersion, inputs: Inputs, chosen: Sequence[str]
) -> tuple[Declared, ...]:
    if chosen:
        raise ConfigError(
            f"--environment {chosen[0]}: the repository has no gitcd.yaml, which says what its environments are",
            remedy="Leave the flag out, or add that file.",
        )
    declared = _declared(declaration, inputs.scopes.layout_of(DEFAULT_ENVIRONMENT), "")
    (surveyed,) = survey([declared], tree, inputs.scopes)
    folders = sorted({site.path.rpartition("/")[0] or "." for site in surveyed.image_sites})
    if len(folders) > 1:
        raise ConfigError(
            f"{_called(declaration)} is in the folders {', '.join(folders)}",
            remedy="Choose with --path, or say in gitcd.yaml which environment each is, and choose with --environment.",
        )
    return (declared,)


def _declared(declaration: ContainerVersion, environment: Environment, folder: str | None) -> Declared:
    name = environment.name
    spec = replace(declaration.spec, environment=name)
    identity = Identity(name, declaration.namespace, declaration.metadata.name)
    reach = Reach(name, folder, tuple(map(Pattern.compile, spec.paths)), markers=environment.markers)
    return Declared(replace(declaration, spec=spec), identity, reach)


def _fitting(surveyed: Sequence[Surveyed]) -> list[Surveyed]:
    """Those that own an image, or may own one in a document that cannot be edited; else those with an image to mend."""
    owning = [each for each in surveyed if each.image_sites or each.refusals]
    mismatched = [each for each in surveyed if all(failure.reason != _NOTHING for failure in each.failures)]
    if fitting := owning or mismatched:
        return fitting
    declaration = surveyed[0].declared.declaration
    near = [f"    {each}" for every in surveyed for each in every.near]
    more = [f"    and {len(near) - _SHOWN} more"] if len(near) > _SHOWN else []
    raise RefusedError(
        f"{declaration.spec.image_repo} was found in none of the {len(surveyed)} environments",
        remedy="\n".join(["Near misses:", *near[:_SHOWN], *more]) if near else "No manifest mentions that repository.",
    )


def _check_alone(declared: Declared, inputs: Inputs) -> None:
    rival = next((each for each in inputs.declared if each.identity == declared.identity), None)
    if rival:
        raise ConfigError(
            f"{declared.identity} is declared already, in {rival.declaration.origin}",
            remedy=f"`gitcd reconcile --app {declared.identity}` follows it; or remove that declaration.",
        )


def _check_hold(identity: Identity, tree: Tree, inputs: Inputs) -> None:
    """A hold file that cannot be read holds everything."""
    path = hold_path(identity)
    if identity in inputs.holds:
        return
    for _, data in list(tree.read([entry for entry in tree.entries() if entry.path == path])):
        _, problems = read_hold(path, data)
        raise RefusedError("; ".join(map(str, problems)) or f"{path} cannot be read", remedy="Mend or remove it.")


def _called(declaration: ContainerVersion) -> str:
    workload = declaration.spec.workload
    return f"{workload.kind} {workload.name}" if workload else declaration.spec.image_repo
