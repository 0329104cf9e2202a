"""Which table takes a release live."""

from __future__ import annotations

from gitcd.rollout import bluegreen, canary, leftovers, rolling, slots
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Table


def table_of(release: Release) -> Table:
    """The steps of the release's strategy; what goes back goes the shortest way."""
    if release.spec.strategy.kind == slots.STRATEGY:
        return leftovers.cleared(bluegreen.table(release), release)
    if release.spec.strategy.kind == canary.STRATEGY:
        return canary.table(release)
    return leftovers.cleared(rolling.table(release), release)
