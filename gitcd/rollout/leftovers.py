"""Copies that a canary has left in the cluster, because the strategy was changed before it had ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from gitcd.model.live import Json, Ref
from gitcd.rollout.actions import Delete
from gitcd.rollout.copies import ROUTE, Copy
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.health.reading import annotation, number, text
from gitcd.rollout.table import Step, Table, Trouble

_CANARY = "Canary"
_STEP = "Clear"


def copies_of(release: Release) -> dict[Ref, Copy]:
    """The copies that a canary of the release has, or would have had."""
    if release.external:
        return {}
    deployments = [Copy(each) for each in release.workloads if each.ref.kind == "Deployment"]
    return {each.ref: each for each in deployments}


def left_over(release: Release, live: Mapping[Ref, Json]) -> tuple[Ref, ...]:
    """The copies that are there, where no canary takes them away."""
    if release.spec.strategy.kind == _CANARY:
        return ()
    facts = Facts(release, datetime.now(UTC), live)
    return tuple(ref for ref, copy in copies_of(release).items() if copy.is_there(facts))


def cleared(table: Table, release: Release) -> Table:
    """The same table with the step before all others that takes away what is left over, where anything is."""
    if not release.left:
        return table
    copies = [copy for ref, copy in copies_of(release).items() if ref in release.left]

    def remaining(facts: Facts) -> list[Copy]:
        return [each for each in copies if each.is_there(facts) and not _is_needed(each, facts)]

    def delete(facts: Facts) -> list[Delete]:
        uids = {each.ref: text(facts.live[each.ref], "metadata", "uid") for each in remaining(facts)}
        return [Delete(ref, uid) for ref, uid in uids.items()]

    def failed(facts: Facts) -> Trouble | None:
        routed = ((each.ref, annotation(facts.live[each.ref], ROUTE)) for each in remaining(facts))
        return next((_told(ref, route) for ref, route in routed if route), None)

    step = Step(_STEP, lambda facts: not remaining(facts), delete, failed=failed)
    watched = (*table.watched, *(each.ref for each in copies))
    due = table.due
    return replace(
        table,
        steps=(step, *table.steps),
        watched=watched,
        due=lambda facts: due(facts) or bool(remaining(facts)),
    )


def _is_needed(copy: Copy, facts: Facts) -> bool:
    """Whether no other pod is ready."""
    stable, canary = (facts.live.get(ref, {}) for ref in (copy.stable.ref, copy.ref))
    return not number(stable, "status", "readyReplicas") and number(canary, "status", "readyReplicas") > 0


def _told(ref: Ref, route: str) -> Trouble:
    message = (
        f"{ref} is left over from a canary, and HTTPRoute {route} may lead to it still: give its weights back, then "
        f"`kubectl delete deployment {ref.name} -n {ref.namespace}`"
    )
    return Trouble("CanaryLeftOver", message, blames=False)
