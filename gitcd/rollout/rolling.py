"""RollingUpdate: the workload gets the commit's manifest, and its own controller rolls.

The same table, with nothing applied, follows what somebody else applies; and without checks it is the way back.
"""

from __future__ import annotations

from dataclasses import replace

from gitcd.model.health import Health, State
from gitcd.model.live import Manifest
from gitcd.rollout.actions import Action, Apply
from gitcd.rollout.checks import checking
from gitcd.rollout.facts import Facts, Release, images
from gitcd.rollout.stuck import freeing
from gitcd.rollout.table import Step, Table, Trouble

STRATEGY = "RollingUpdate"
APPLY, ARRIVE, SETTLE, VERIFY = "Apply", "Arrive", "Settle", "Verify"


def table(release: Release) -> Table:
    """The steps by which a release is rolled out this way."""
    timeout, spec = release.spec.timeouts.rollout, release.spec
    steps = [
        Step(ARRIVE, done=_runs, late=_did_not_arrive, timeout=timeout)
        if release.external
        else Step(APPLY, done=_runs, action=_apply, timeout=timeout),
        Step(
            SETTLE,
            done=settled,
            precondition=lacking,
            action=_free,
            failed=failure,
            holds=suspended,
            timeout=timeout,
        ),
    ]
    if spec.strategy.verify and not release.back:
        steps.append(verifying(release))
    return Table(STRATEGY, tuple(steps))


def settled(facts: Facts) -> bool:
    """Whether every workload runs what it shall, and is healthy."""
    return not unsettled(facts)


def suspended(facts: Facts) -> str:
    """What a person has stopped: that is waited for, and nobody's failure."""
    return next((each.told for each in _healths(facts) if each.state is State.SUSPENDED), "")


def failure(facts: Facts) -> Trouble | None:
    """The first workload that will not become healthy by itself."""
    found = next((each for each in _healths(facts) if each.state is State.FAILED), None)
    if found is None or facts.pending:
        return None
    return Trouble(found.reason or "Unhealthy", found.told, found)


def lacking(facts: Facts) -> str:
    """Which workload does not run yet what it shall; empty: none."""
    return next((f"{each.ref} does not run what the commit says" for each in facts.pending), "")


def unsettled(facts: Facts) -> str:
    """What has to be waited for until every workload is as it shall be; empty: nothing."""
    unwell = (each.told for each in _healths(facts) if each.state is not State.CURRENT)
    return lacking(facts) or next(unwell, "")


def verifying(release: Release) -> Step:
    """The step that makes the checks of the declaration, once every workload is as it shall be."""
    step = checking(VERIFY, release.spec.strategy.verify, release.spec.timeouts.verify, waits_for=unsettled)
    return replace(step, failed=lambda facts: failure(facts) or step.failed(facts))


def _runs(facts: Facts) -> bool:
    return not facts.pending


def _apply(facts: Facts) -> tuple[Action, ...]:
    return tuple(Apply(each) for each in facts.pending)


def _free(facts: Facts) -> tuple[Action, ...]:
    return tuple(each for manifest in facts.release.workloads for each in freeing(manifest.ref, facts))


def _did_not_arrive(facts: Facts) -> Trouble:
    late = ", ".join(f"{each.ref}{_instead(each, facts)}" for each in facts.pending)
    message = f"{late} does not run what the commit says; whoever applies this environment has not brought it"
    return Trouble("NotApplied", message, blames=False)


def _instead(manifest: Manifest, facts: Facts) -> str:
    there = images(facts.live.get(manifest.ref, {}))
    others = sorted(each for name, image in images(manifest.value).items() if (each := there.get(name, image)) != image)
    return f" runs {', '.join(others)} and" if others else ""


def _healths(facts: Facts) -> list[Health]:
    return [
        facts.health.get(each.ref, Health(each.ref, State.MISSING, "Missing", f"{each.ref} is not there"))
        for each in facts.release.workloads
    ]
