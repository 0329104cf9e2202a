"""What the operator lets the declarations of a namespace reach; a declaration can never widen it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.settings import NamespaceScope, allows
from gitcd.planning.matching import Declared
from gitcd.planning.scopes import Pattern

Limits = Mapping[str, NamespaceScope]


def limit(declared: Iterable[Declared], limits: Limits) -> tuple[list[Declared], list[Outcome]]:
    """The declarations within their namespace's limits, narrowed to its folders, and the outcomes of the others.

    Without limits everything is permitted; with them, a namespace that is not named may reach nothing.
    """
    if not limits:
        return list(declared), []
    permitted, refused = [], []
    for each in declared:
        scope = limits.get(each.identity.namespace)
        if why := _objection(each, scope):
            refused.append(_refused(each, *why))
        elif scope:
            permitted.append(_narrowed(each, scope))
    return permitted, refused


def _objection(declared: Declared, scope: NamespaceScope | None) -> tuple[str, str] | None:
    """Reason and message where the operator does not let the declaration do what it asks for."""
    identity, spec = declared.identity, declared.declaration.spec
    where = f"the operator does not let namespace {identity.namespace}"
    if scope is None or identity.environment not in scope.environments:
        return "NamespaceNotAllowed", f"{where} reach environment {identity.environment}"
    if not allows(scope.registries, spec.repository):
        return "RegistryNotAllowed", f"{where} follow {spec.image_repo}"
    return None


def _narrowed(declared: Declared, scope: NamespaceScope) -> Declared:
    if not scope.paths:
        return declared
    bounds = tuple(Pattern.compile(path) for path in scope.paths)
    return replace(declared, reach=replace(declared.reach, bounds=bounds))


def _refused(declared: Declared, reason: str, message: str) -> Outcome:
    return Outcome(
        declared.identity,
        declared.declaration.origin,
        OutcomeKind.FAILED,
        image_repo=declared.declaration.spec.image_repo,
        reason=reason,
        message=message,
        remedy="Ask the operator for it in the setting namespaces, or declare it in a namespace that may.",
    )
