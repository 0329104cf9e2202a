"""Canary: the new image runs in a transient copy beside the Deployment, with more of the traffic step by step.

The Deployment keeps the old image and all its pods until the end, so whatever goes wrong is over once the copy is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from gitcd.model.duration import parse_duration
from gitcd.model.health import State
from gitcd.model.live import Manifest
from gitcd.model.strategy import Canary, CanaryStep
from gitcd.rollout import copies, rolling, routes
from gitcd.rollout.actions import Action, Apply, Delete, Scale
from gitcd.rollout.checks import checking
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.health.reading import number, owned, text
from gitcd.rollout.routes import Split
from gitcd.rollout.shares import Routing, Share
from gitcd.rollout.table import Say, Step, Table, Trouble

STRATEGY = "Canary"
PROMOTE, SETTLE, RESTORE, CLEAN, VERIFY = "Promote", "Settle", "Restore", "Clean", "Verify"
APPROVAL = "Approval"  # the steps that a person lets go on are called so, by their number
_SPARE = timedelta(minutes=1)


def table(release: Release) -> Table:
    """The steps by which a release is rolled out this way."""
    canary = release.spec.strategy.canary
    if canary is None:
        return Table(STRATEGY, ())
    routing = _routing(release, canary)
    why = _unfit(release) or (routing if isinstance(routing, str) else "")
    if why or isinstance(routing, str):
        trouble = Trouble("CanaryRefused", why, blames=False)
        return Table(STRATEGY, (Step("Begin", done=lambda _: False, failed=lambda _: trouble),))
    return _Canary(release, canary, release.workloads[0], routing).table


def _unfit(release: Release) -> str:
    """Why a release cannot be rolled out this way; empty: it can."""
    if release.external:
        return "strategy Canary needs gitcd to apply, and somebody else applies this environment"
    if [each.ref.kind for each in release.workloads] == ["Deployment"]:
        return ""
    names = ", ".join(str(each.ref) for each in release.workloads) or "none"
    return f"strategy Canary needs exactly one Deployment, found {names}"


def _routing(release: Release, canary: Canary) -> Routing | str | None:
    """The route that divides the traffic, None where there is none; or why it cannot."""
    named = canary.http_route
    if not named.name or _unfit(release):
        return None
    there = {(each.ref.kind, each.ref.name): each for each in release.others}
    for key in (("HTTPRoute", named.name), ("Service", named.stable_service), ("Service", named.canary_service)):
        if key not in there:
            return f"{key[0]} {key[1] or 'of strategy.canary.httpRoute'} does not stand in git"
    route, split = there["HTTPRoute", named.name], Split(named.stable_service, named.canary_service)
    weights = split.weights(route.value)
    if len(weights) != 1 or any(canary or not stable for stable, canary in weights):
        return (
            f"{route.ref} needs in git a weight for Service {split.stable}, and 0 for Service {split.canary} beside it"
        )
    copy = Copy(release.workloads[0])
    old, new = copies.pod_labels(copy.stable), copy.pod_labels()
    for name, whose, mine, other in ((split.stable, "Deployment", old, new), (split.canary, "copy", new, old)):
        service = there["Service", name].value
        if not routes.selects(service, mine) or routes.selects(service, other):
            return f"Service {name} has to select the pods of the {whose} alone, by the label {copies.TRACK}"
    return Routing(route, split)


@dataclass(frozen=True, slots=True)
class _Canary:
    """What the steps ask of the facts, in the order of the steps."""

    release: Release
    canary: Canary
    stable: Manifest
    routing: Routing | None

    @property
    def table(self) -> Table:
        limit = self.release.spec.timeouts.rollout
        declared = [each for number, step in enumerate(self.canary.steps, 1) for each in self._rows(number, step)]
        steps = [
            replace(declared[0], undo=self.retreat),
            *declared[1:],
            Step(PROMOTE, self.is_promoted, self.promote, self._unless_passed_over(self.unproven), self.failure,
                 joint=lambda facts: not self.is_passed_over(facts), timeout=limit),
            Step(SETTLE, rolling.settled, precondition=rolling.lacking, failed=rolling.failure, holds=rolling.suspended,
                 timeout=limit),
            *self._restoring(limit),
            Step(CLEAN, self.is_clean, self.clean, rolling.unsettled, timeout=limit),
        ]  # fmt: skip
        if self.release.spec.strategy.verify and not self.release.back:
            steps.append(rolling.verifying(self.release))
        return Table(
            STRATEGY,
            tuple(steps),
            (self.copy.ref,),
            due=lambda facts: not self.is_clean(facts),
            retreating=self.is_retreating,
            joined=self.is_promoted,
            sweep=self.sweep,
        )

    @property
    def copy(self) -> Copy:
        return Copy(self.stable, self.release.spec.apply.ownership == "Image", self.canary.http_route.name)

    def _share(self, step: CanaryStep) -> Share:
        return Share(self.copy, step.weight, self.routing)

    # What is declared of one step: its weight, how long it lasts or who lets it go on, and its checks

    def _rows(self, number: int, step: CanaryStep) -> list[Step]:
        share = self._share(step)
        if step.pause == APPROVAL:
            return [self._weight(number, share), *self._checked(number, step), self._approval(number, share)]
        return [self._weight(number, share), *self._pause(number, step), *self._checked(number, step)]

    def _weight(self, number: int, share: Share) -> Step:
        return Step(
            f"Weight{number}",
            lambda facts: self.is_passed_over(facts) or not share.lacking(facts),
            share.move,
            failed=self.failure,
            late=lambda facts: self._late(facts, share),
            says=share.lacking,
            timeout=self.release.spec.timeouts.rollout,
        )

    def _pause(self, number: int, step: CanaryStep) -> list[Step]:
        name, share, pause = f"Pause{number}", self._share(step), parse_duration(step.pause)

        def is_over(facts: Facts) -> bool:
            return facts.record.step == name and facts.now >= facts.since(name) + pause

        row = Step(
            name,
            lambda facts: self.is_passed_over(facts) or is_over(facts),
            precondition=self._unless_passed_over(share.lacking),
            failed=self.failure,
            says=lambda facts: f"for {step.pause} {share.told(facts)}",
            timeout=pause + _SPARE,
        )
        return [row] if pause else []

    def _approval(self, number: int, share: Share) -> Step:
        name = f"{APPROVAL}{number}"
        return Step(
            name,
            lambda facts: self.is_passed_over(facts) or facts.orders.approves(self.release.digest, name),
            precondition=self._unless_passed_over(share.lacking),
            failed=self.failure,
            holds=lambda facts: f"`gitcd rollout approve` lets it go on, {share.told(facts)}",
        )

    def _checked(self, number: int, step: CanaryStep) -> list[Step]:
        waits_for = self._unless_passed_over(self._share(step).lacking)
        row = checking(f"Verify{number}", step.verify, self.release.spec.timeouts.verify, waits_for=waits_for)
        checked = replace(
            row,
            done=lambda facts: self.is_passed_over(facts) or row.done(facts),
            failed=lambda facts: self.failure(facts) or row.failed(facts),
        )
        return [checked] if step.verify else []

    def _unless_passed_over(self, say: Say) -> Say:
        return lambda facts: "" if self.is_passed_over(facts) else say(facts)

    def is_passed_over(self, facts: Facts) -> bool:
        """Whether there is nothing to compare with, or nothing new: then the Deployment gets its image at once."""
        live = facts.live.get(self.stable.ref)
        if live is None or not facts.is_pending(self.stable) or self.release.back:
            return True
        return number(live, "spec", "replicas", default=1) == 0 or self._ran_before(facts)

    def _ran_before(self, facts: Facts) -> bool:
        """Whether it was found good last, as the status says, and the Deployment has run it, as its ReplicaSets say."""
        if facts.good != self.release.digest or self.stable.ref not in facts.around:
            return False
        mine = owned(facts.around[self.stable.ref].replica_sets, facts.live[self.stable.ref])
        return any(facts.runs(self.stable, each) for each in mine)

    def failure(self, facts: Facts) -> Trouble | None:
        """The copy will not become healthy by itself."""
        if self.copy.is_taken(facts):
            message = f"{self.copy.ref} is there, and it is not the copy of {self.stable.ref}"
            return Trouble("CanaryNameTaken", message, blames=False)
        health = facts.health.get(self.copy.ref)
        if health is None or health.state is not State.FAILED or facts.is_pending(self.copy.manifest(facts)):
            return None
        return Trouble(health.reason or "Unhealthy", health.message, health)

    def _late(self, facts: Facts, share: Share) -> Trouble:
        health = facts.health.get(self.copy.ref)
        is_unwell = health is not None and health.state is not State.CURRENT
        message = f"the canary did not get its weight of {share.weight} % in time: {share.lacking(facts)}"
        return Trouble("Timeout", message, health if is_unwell else None, blames=is_unwell)

    # The end: the Deployment gets the image, the route its weights, and the copy goes

    def is_promoted(self, facts: Facts) -> bool:
        return not facts.is_pending(self.stable)

    def unproven(self, facts: Facts) -> str:
        """What of the last step is not so, whatever the record says: its weight, or a person's word."""
        last = self.canary.steps[-1]
        name = f"{APPROVAL}{len(self.canary.steps)}"
        if last.pause == APPROVAL and not facts.orders.approves(self.release.digest, name):
            return f"nobody has approved of step {name}"
        return self._share(last).lacking(facts)

    def promote(self, _: Facts) -> Sequence[Action]:
        return (Apply(self.stable),)

    def _restoring(self, limit: timedelta) -> list[Step]:
        routing = self.routing
        if routing is None:
            return []

        def late(facts: Facts) -> Trouble:
            why = unable(facts) or routing.unobserved(facts)
            return Trouble("Timeout", f"the route was not restored in time: {why}", blames=False)

        def is_restored(facts: Facts) -> bool:
            return not routing.strays(facts) and (not self.copy.is_there(facts) or not routing.unobserved(facts))

        def unable(facts: Facts) -> str:
            return rolling.unsettled(facts) or routing.unready(facts, routing.split.stable)

        return [Step(RESTORE, is_restored, routing.restore, unable, late=late, timeout=limit)]

    def is_clean(self, facts: Facts) -> bool:
        return not self.copy.is_there(facts)

    def clean(self, facts: Facts) -> Sequence[Action]:
        live = facts.live.get(self.copy.ref, {})
        return (Delete(self.copy.ref, text(live, "metadata", "uid")),)

    def retreat(self, facts: Facts) -> Sequence[Action]:
        """After a failure: the traffic goes back first, then the copy's pods go; neither while no other pod is ready.

        The copy itself stays until the commit is taken back, for a run that has to go on with that to see.
        """
        if self._is_needed(facts):
            return ()
        if self.routing and self.routing.strays(facts):
            return self.routing.restore(facts)
        return () if self.is_clean(facts) or not self._has_pods(facts) else (Scale(self.copy.ref, 0),)

    def is_retreating(self, facts: Facts) -> bool:
        """Whether the copy of this very release has no pods, which no step wants, and the Deployment is the old one."""
        is_copy = self.copy.is_there(facts) and not facts.is_pending(self.copy.manifest(facts))
        return is_copy and not self._has_pods(facts) and facts.is_pending(self.stable)

    def sweep(self, facts: Facts) -> Sequence[Action]:
        """The copy, once nobody has to see it any more."""
        return () if self.is_clean(facts) or self._is_needed(facts) else self.clean(facts)

    def _has_pods(self, facts: Facts) -> bool:
        return number(facts.live.get(self.copy.ref, {}), "spec", "replicas", default=1) > 0

    def _is_needed(self, facts: Facts) -> bool:
        is_alone = not number(facts.live.get(self.stable.ref, {}), "status", "readyReplicas")
        return is_alone and number(facts.live.get(self.copy.ref, {}), "status", "readyReplicas") > 0
