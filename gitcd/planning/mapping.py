"""Where declarations of a cluster belong: what the operator maps their namespace to, and nowhere else.

A declaration in a file is bounded by the place of that file. One of a cluster has no such place, so without a map it
reaches nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitcd.model.declaration import ContainerVersion, Identity, Origin
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.registry import Failure
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import respect_holds
from gitcd.planning.limits import Limits, limit
from gitcd.planning.matching import Declared
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT, ScopeError
from gitcd.planning.settling import Absent


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A declaration that cannot be followed, as far as it is known; `group` is that of its rollout."""

    outcome: Outcome
    group: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a cluster declares, and what the operator says about it.

    `elsewhere` are environments that are other clusters. `unread` are namespaces that could not be read, each with the
    reason.
    """

    declarations: Sequence[ContainerVersion]
    limits: Limits
    unreadable: Sequence[Unreadable] = ()
    elsewhere: frozenset[str] = frozenset()
    unread: Mapping[str, Failure] = field(default_factory=dict)

    def replace_declared(self, inputs: Inputs) -> tuple[Inputs, list[Absent]]:
        """The inputs with the cluster's declarations in place of the tree's, and the members that groups lack."""
        placed, lost = self._place_all(inputs)
        respected, held = respect_holds(placed, inputs.unreadable)
        alone, doubled = _apart_from(respected, inputs)
        permitted, refused = limit(alone, self.limits)
        broken = [*(each.outcome for each in self.unreadable), *lost, *held, *doubled, *refused]
        absent = [*self._absent(broken), *self._unread_members(permitted)]
        return replace(inputs, declared=tuple(permitted), broken=tuple(broken)), absent

    def _place_all(self, inputs: Inputs) -> tuple[list[Declared], list[Outcome]]:
        placed, lost = [], []
        origins = self._origins()
        for declaration in self.declarations:
            others = origins[f"{declaration.namespace}/{declaration.metadata.name}"] - {declaration.origin}
            found = _named_twice(declaration, others) if others else self._place(declaration, inputs)
            if isinstance(found, Declared):
                placed.append(found)
            else:
                lost.append(found)
        return placed, lost

    def _origins(self) -> Mapping[str, set[Origin]]:
        """Where each name is declared: in one place, but for names that kinds old and new have in common."""
        origins: defaultdict[str, set[Origin]] = defaultdict(set)
        for declaration in self.declarations:
            origins[f"{declaration.namespace}/{declaration.metadata.name}"].add(declaration.origin)
        for each in self.unreadable:
            origins[each.outcome.identity.app].add(each.outcome.origin)
        return origins

    def _place(self, declaration: ContainerVersion, inputs: Inputs) -> Declared | Outcome:
        environment = self._environment(declaration, inputs)
        if isinstance(environment, ScopeError):
            return _failed(declaration, "", "NamespaceNotAllowed", environment)
        reach = inputs.scopes.reach(declaration, environment)
        if isinstance(reach, ScopeError):
            return _failed(declaration, environment, "EnvironmentUnclear", reach)
        folder = "" if inputs.layout is None else None
        identity = Identity(environment, declaration.namespace, declaration.metadata.name)
        return Declared(declaration, identity, replace(reach, folder=folder))

    def _environment(self, declaration: ContainerVersion, inputs: Inputs) -> str | ScopeError:
        """The one environment that the operator lets this declaration reach."""
        namespace, named = declaration.namespace, declaration.spec.environment
        scope = self.limits.get(namespace)
        allowed = [each for each in scope.environments if each not in self.elsewhere] if scope else []
        if not allowed:
            return ScopeError(
                f"the operator maps namespace {namespace} of this cluster to no environment",
                "Ask the operator to name it in the setting namespaces.",
            )
        if named and named not in allowed:
            return ScopeError(
                f"spec.environment names {named}, and the operator lets namespace {namespace} reach "
                f"{' and '.join(allowed)} only",
                "Correct spec.environment, or ask the operator.",
            )
        if not named and len(allowed) > 1:
            return ScopeError(
                f"the operator lets namespace {namespace} reach {' and '.join(allowed)}",
                "Name one of them in spec.environment.",
            )
        environment = named or allowed[0]
        known = inputs.scopes.environments or {DEFAULT_ENVIRONMENT}
        if environment not in known:
            return ScopeError(
                f"the operator maps namespace {namespace} to {environment}, which gitcd.yaml does not have",
                f"It has: {', '.join(sorted(known))}.",
            )
        return environment

    def _absent(self, broken: Iterable[Outcome]) -> Iterator[Absent]:
        """The members of groups among what cannot be followed, where their namespaces may reach at all.

        Nobody stops a group of an environment by a declaration that could never belong to it.
        """
        groups = {each.outcome.origin: each.group for each in self.unreadable}
        groups |= {each.origin: each.spec.strategy.group for each in self.declarations}
        for outcome in broken:
            group, scope = groups.get(outcome.origin, ""), self.limits.get(outcome.identity.namespace)
            for environment in scope.environments if group and scope else ():
                if outcome.identity.environment in {"", environment}:
                    yield Absent(environment, group, outcome)

    def _unread_members(self, declared: Iterable[Declared]) -> Iterator[Absent]:
        """Whoever is in a group may have members in a namespace that was not read, if it reaches that environment."""
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for each in declared:
            groups[each.identity.environment].add(each.declaration.spec.strategy.group)
        for namespace, failure in self.unread.items():
            scope = self.limits.get(namespace)
            for environment in scope.environments if scope else ():
                for group in sorted(groups[environment] - {""}):
                    yield Absent(environment, group, _unread(environment, namespace, failure))


def _apart_from(declared: Iterable[Declared], inputs: Inputs) -> tuple[list[Declared], list[Outcome]]:
    """Without those of which the tree says something else under the same name; the same twice is none the worse."""
    written = {each.identity: each.declaration for each in inputs.declared}
    faulty = {(each.identity.environment, each.identity.app): each for each in inputs.broken}
    alone, doubled = [], []
    for each in declared:
        identity = each.identity
        other = written.get(identity)
        fault = faulty.get((identity.environment, identity.app)) or faulty.get(("", identity.app))
        if other and not _says_the_same(each.declaration, other):
            doubled.append(_doubled(each, str(other.origin)))
        elif fault:
            doubled.append(_doubled(each, str(fault.origin)))
        else:
            alone.append(each)
    return alone, doubled


def _says_the_same(one: ContainerVersion, other: ContainerVersion) -> bool:
    """Whether two specs are equal, but for naming the environment, which one of them may know by its place."""
    return replace(one.spec, environment="") == replace(other.spec, environment="")


def _named_twice(declaration: ContainerVersion, others: Iterable[Origin]) -> Outcome:
    named = " and ".join(sorted(map(str, [declaration.origin, *others])))
    error = ScopeError(f"{named} have the same name", "Remove all but one of them, the old ones first.")
    return _failed(declaration, "", "DuplicateDeclaration", error)


def _doubled(each: Declared, where: str) -> Outcome:
    origin = each.declaration.origin
    error = ScopeError(
        f"{origin} and {where} both declare it, and differ", "Make them equal, or remove one of the two."
    )
    return _failed(each.declaration, each.identity.environment, "DuplicateDeclaration", error)


def _failed(declaration: ContainerVersion, environment: str, reason: str, error: ScopeError) -> Outcome:
    return Outcome(
        Identity(environment, declaration.namespace, declaration.metadata.name),
        declaration.origin,
        OutcomeKind.FAILED,
        image_repo=declaration.spec.image_repo,
        reason=reason,
        message=error.message,
        remedy=error.remedy,
    )


def _unread(environment: str, namespace: str, failure: Failure) -> Outcome:
    """Stands for whatever a namespace declares that was not read."""
    return Outcome(
        Identity(environment, namespace, "*"),
        Origin(f"namespace {namespace}"),
        OutcomeKind.FAILED,
        reason=failure.reason,
        message=failure.message,
        remedy=failure.remedy,
        transient=failure.transient,
    )
