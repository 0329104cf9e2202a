"""What the operator lets the declarations of a namespace reach; a declaration can never widen it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.settings import NamespaceScope
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
        if scope is None or each.identity.environment not in scope.environments:
            refused.append(_refused(each))
        else:
            permitted.append(_narrowed(each, scope))
    return permitted, refused


def _narrowed(declared: Declared, scope: NamespaceScope) -> Declared:
    if not scope.paths:
        return declared
    bounds = tuple(Pattern.compile(path) for path in scope.paths)
    return replace(declared, reach=replace(declared.reach, bounds=bounds))


def _refused(declared: Declared) -> Outcome:
    identity = declared.identity
    return Outcome(
        identity,
        declared.declaration.origin,
        OutcomeKind.FAILED,
        image_repo=declared.declaration.spec.image_repo,
        reason="NamespaceNotAllowed",
        message=f"the operator does not let namespace {identity.namespace} reach environment {identity.environment}",
        remedy="Ask the operator, or declare it in a namespace that may.",
    )
