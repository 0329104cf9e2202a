"""The cluster as the source of declarations: what it holds, bounded by what the operator maps its namespaces to."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.containerversions import Invalid, Listing, list_all, names
from gitcd.cluster.which import cluster_uid
from gitcd.errors import ConfigError
from gitcd.model.declaration import Identity
from gitcd.model.fields import DNS_LABEL
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.problem import Problem
from gitcd.model.registry import Failure
from gitcd.model.settings import Settings
from gitcd.planning.mapping import Mapped, Unreadable
from gitcd.usecases.context import Context, Planned

_MAP = """\
Say in the settings file what each may reach:
    namespaces:
      - {name: tiles, environments: [prod], paths: [envs/prod/tiles], registries: ["123456789012"]}"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cluster, and what of it, as kubectl's flags say. No namespace: that of the context."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    all_namespaces: bool = False
    selector: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSource:
    """What one run read of a cluster, and the way back to it."""

    api: Api
    listing: Listing
    mapped: Mapped
    among: frozenset[str] | None
    failures: tuple[Failure, ...]
    place: str  # what was selected, for people

    def context(self, context: Context) -> Context:
        """The same context, but with the cluster's declarations in place of the repository's."""
        return replace(
            context,
            source=self.mapped.replace_declared,
            failures=self.failures,
            selection=replace(context.selection, among=self.among),
        )

    def noted(self, planned: Planned) -> Planned:
        """The same; where nothing is declared, with a warning that says what was looked at."""
        if planned.plan.outcomes or self.failures or planned.part:
            return planned
        warning = (
            f"there is no such ContainerVersion in {self.place} of {self.api.server}; --namespace chooses, -A reads all"
        )
        return replace(planned, plan=replace(planned.plan, warnings=(*planned.plan.warnings, warning)))


def read_cluster(settings: Settings, asked: Asked, deadline: float = math.inf) -> ClusterSource:
    """Read all declarations of a cluster that may be read; where few are selected, others may share a place or a group.

    `deadline` is a moment of `time.monotonic()`.

    Raises:
        ConfigError: no namespace is mapped, no cluster is named, or it has no ContainerVersions.
        TransientError: it cannot be reached.
    """
    if not settings.namespaces:
        raise ConfigError("no namespace of the cluster is mapped to environments, so none may reach any", remedy=_MAP)
    api = Api(find_access(asked.kubeconfig, asked.context), deadline=deadline)
    limits = {each.name: each for each in settings.namespaces}
    namespace = "" if asked.all_namespaces else _namespace(asked.namespace or api.namespace)
    elsewhere = _elsewhere(api, settings)
    listing = list_all(api, [*limits, *([namespace] if namespace else [])])
    unread = {name: failure for name, failure in listing.unread.items() if namespace in {"", name}}
    mapped = Mapped(
        listing.declarations, limits, tuple(map(_unreadable, listing.invalid)), elsewhere, dict(listing.unread)
    )
    among = _among(api, listing, namespace, asked.selector, unread)
    place = f"namespace {namespace}" if namespace else "all namespaces"
    return ClusterSource(api, listing, mapped, among, tuple(unread.values()), place)


def _namespace(name: str) -> str:
    """The name, which becomes part of a path.

    Raises:
        ConfigError: no namespace can be called so.
    """
    if not re.fullmatch(DNS_LABEL, name):
        raise ConfigError(f"{name!r} is no name of a namespace", remedy="Correct --namespace, or the context.")
    return name


def _among(
    api: Api, listing: Listing, namespace: str, selector: str, unread: dict[str, Failure]
) -> frozenset[str] | None:
    """The selected as `namespace/name`; None: all."""
    if selector:
        at_once = listing.whole or namespace
        places = [namespace] if at_once else sorted({place for place, _ in listing.keys})
        met = [key for place in places if place not in unread for key in names(api, place, selector, listing.old)]
    elif namespace:
        met = [key for key in listing.keys if key[0] == namespace]
    else:
        return None
    return frozenset("/".join(key) for key in met)


def _elsewhere(api: Api, settings: Settings) -> frozenset[str]:
    """The environments that the operator says are other clusters.

    Raises:
        ConfigError: it cannot be told which cluster this one is.
    """
    if not settings.environments:
        return frozenset()
    uid = cluster_uid(api)
    return frozenset(each.name for each in settings.environments if each.cluster != uid)


def _unreadable(invalid: Invalid) -> Unreadable:
    outcome = Outcome(
        Identity(invalid.environment, invalid.namespace, invalid.name),
        invalid.origin,
        OutcomeKind.FAILED,
        reason="InvalidDeclaration",
        message=_listed(invalid.problems),
        remedy=invalid.problems[0].remedy if len(invalid.problems) == 1 else "",
    )
    return Unreadable(outcome, invalid.group)


def _listed(problems: Sequence[Problem]) -> str:
    return "; ".join(f"{each.pointer}: {each.message}" for each in problems)
