"""What a commit of the config repository says that declarations shall run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from gitcd.git.history import Recollect
from gitcd.model.declaration import Identity
from gitcd.model.registry import Failure
from gitcd.model.tree import Tree
from gitcd.planning.applying_scope import Part, parts
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.switching import Wanted
from gitcd.rollout.facts import Release
from gitcd.rollout.releases import release_of
from gitcd.usecases.apply_sources import read_environment
from gitcd.usecases.switch_aims import Aims, aims

Said = Mapping[Identity, Release | Failure]


def releases_at(tree: Tree, commit: str, identities: Collection[Identity], recollect: Recollect) -> Said:
    """The releases of these declarations, as far as they are declared there. `recollect` brings the commit's history.

    Raises:
        ConfigError: gitcd.yaml is not valid, or a kustomization cannot be built.
    """
    inputs = read_inputs(tree)
    found: dict[Identity, Release | Failure] = {}
    aimed = aims(tree, inputs, identities, recollect, now=datetime.now(UTC))
    for environment in sorted({each.environment for each in identities}):
        sources = read_environment(tree, inputs.scopes, environment).sources
        declared = [each for each in inputs.declared if each.identity in identities]
        here = [each for each in declared if each.identity.environment == environment]
        found |= releases_of(parts(here, sources), inputs, commit, aimed)
    return found


def releases_of(found: Iterable[Part], inputs: Inputs, commit: str, aimed: Aims) -> Said:
    """The releases of declarations whose manifests are known."""
    return {part.identity: _release(part, inputs, commit, aimed.get(part.identity)) for part in found}


def _release(part: Part, inputs: Inputs, commit: str, aim: Wanted | Failure | None) -> Release | Failure:
    environment = inputs.scopes.layout_of(part.identity.environment)
    return release_of(
        part.identity,
        part.declared.declaration.spec,
        commit,
        part.workloads,
        part.others,
        hold=inputs.holds.get(part.identity),
        external=environment.applier == "external",
        aim=aim,
    )
