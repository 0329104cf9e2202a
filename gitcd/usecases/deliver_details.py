"""What a pull request's body tells besides its plan: whose pods restart, and where the images come from."""

from __future__ import annotations

from collections import defaultdict

from gitcd.model.plan import PlannedPull
from gitcd.rendering.pull import Details
from gitcd.usecases.planner import Planned


def details(planned: Planned, pull: PlannedPull) -> Details:
    """All that can be had; what cannot is left out."""
    return Details(restarts=restarts(planned, pull))


def restarts(planned: Planned, pull: PlannedPull) -> dict[str, list[str]]:
    """The workloads whose pod templates change, by the file that they stand in."""
    movers = {outcome.identity for outcome in pull.commit.outcomes}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for decision in planned.decisions:
        for edit in decision.edits if decision.outcome.identity in movers else ():
            if edit.site.workload and (name := str(edit.site.owner)):
                found[edit.site.path].add(name)
    return {path: sorted(names) for path, names in sorted(found.items())}
