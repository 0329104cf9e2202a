"""ServiceBlueGreen: the idle slot is brought up and verified, then the Service is switched to it, by a commit.

Git says which slot is live, so the switch is a commit first and reaches the cluster from there. Before every write it
is made sure that the live Service selects a ready pod, and will select one afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gitcd.model.duration import format_duration
from gitcd.model.health import State
from gitcd.model.live import Json, Manifest
from gitcd.model.registry import Failure
from gitcd.model.strategy import BlueGreen
from gitcd.rollout import replicas, slots, templates
from gitcd.rollout.actions import Action, Apply, CommitSwitch, Scale
from gitcd.rollout.checks import Checks
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.leading import COMMIT, FOLLOW, SWITCH, Leading
from gitcd.rollout.slots import STRATEGY, Pair
from gitcd.rollout.table import Say, Step, Table, Trouble

PREPARE, SETTLE, PREVIEW, VERIFY, WATCH, REST = "Prepare", "Settle", "Preview", "Verify", "Watch", "Rest"
_SPARE = timedelta(minutes=1)  # for what ends by itself, and for what is not well when the watch ends


def table(release: Release) -> Table:
    """The steps by which a release is rolled out this way."""
    pair, blue_green = slots.pair_of(release), release.spec.strategy.blue_green
    if isinstance(pair, Failure):
        return Table(STRATEGY, (_refused(Trouble(pair.reason, pair.message, blames=False)),))
    if blue_green is None:
        return Table(STRATEGY, ())
    return _Slots(release, pair, blue_green, Leading(release, pair)).table


def _refused(trouble: Trouble) -> Step:
    return Step(PREPARE, done=lambda _: False, failed=lambda _: trouble)


def _suspended(facts: Facts, slot: Manifest) -> str:
    """What keeps a slot from becoming ready that is nobody's failure."""
    health = facts.health.get(slot.ref)
    return health.message if health and health.state is State.SUSPENDED else ""


@dataclass(frozen=True, slots=True)
class _Slots:
    """What the steps ask of the facts, in the order of the steps."""

    release: Release
    pair: Pair
    blue_green: BlueGreen
    leading: Leading

    @property
    def table(self) -> Table:
        verify, watch = self.release.spec.timeouts.verify + _SPARE, self.blue_green.watch + _SPARE
        lead, failed, held = self.leading, self.failure, self.suspended
        steps = (
            Step(
                FOLLOW,
                lead.followed,
                lead.follow,
                failed=lead.unfollowable,
                holds=lambda facts: _suspended(facts, self.pair.old),
                late=lead.left_behind,
                says=lead.unfollowed,
                timeout=self.release.spec.timeouts.rollout,
            ),
            self._limited(
                Step(PREPARE, lambda facts: not self.lacking(facts), self.bring, failed=lead.drift, says=self.lacking),
                self.lacking,
            ),
            self._limited(Step(SETTLE, self.settled, self.scale, self.lacking, failed, holds=held), self.unready),
            self._limited(Step(PREVIEW, self.previewed, self.show, self.unready, failed), self.hidden),
            self._limited(
                Step(VERIFY, self.verified, self.check, self.hidden, self.unverified, owes=self.owes),
                self.hidden,
                verify,
            ),
            self._limited(
                Step(COMMIT, self.is_committed, self.commit, self.unproven, self.hindered, joint=lambda _: True),
                self.unproven,
            ),
            self._limited(
                Step(SWITCH, lambda facts: not lead.unturned(facts), self.select, self.unpermitted, failed),
                lead.unturned,
            ),
            self._limited(
                Step(WATCH, self.watched, precondition=self.unled, failed=failed, holds=held, says=self.watching),
                self.unready,
                watch,
            ),
            self._limited(
                Step(REST, lambda facts: not self.rest(facts), self.rest, self.untried), self.untried, blames=False
            ),
        )
        return Table(STRATEGY, steps, due=self.due, expects=self.expects, joined=self.is_committed)

    def _limited(self, step: Step, why: Say, timeout: timedelta | None = None, *, blames: bool = True) -> Step:
        """The step with its time, and what to say when that is over."""
        limit = timeout or self.release.spec.timeouts.rollout

        def late(facts: Facts) -> Trouble:
            reason = f": {why(facts)}" if why(facts) else ""
            message = f"step {step.name} was not done within {format_duration(limit)}{reason}"
            at_fault = blames and self._is_at_fault(facts)
            return Trouble("Timeout", message, facts.health.get(self.pair.new.ref), blames=at_fault)

        return replace(step, timeout=limit, late=late)

    def _is_at_fault(self, facts: Facts) -> bool:
        """Whether it is the version that keeps a step from its end: it runs there, and its pods are not ready."""
        return bool(not self.lacking(facts) and self.unready(facts))

    # Prepare: the new slot runs the image, and the Services are there

    def lacking(self, facts: Facts) -> str:
        missing = (f"{each.ref} is not there" for each in self.leading.missing(facts))
        return self.leading.unlike(facts, self.pair.new) or next(missing, "")

    def bring(self, facts: Facts) -> Sequence[Action]:
        if self.release.external:
            return ()
        slot = replicas.brought(facts, self.pair.new) if self.leading.unlike(facts, self.pair.new) else ()
        return [*slot, *(Apply(each) for each in self.leading.missing(facts))]

    # Settle: all its pods are ready

    def settled(self, facts: Facts) -> bool:
        return not (self.lacking(facts) or self.unready(facts) or self.scale(facts))

    def scale(self, facts: Facts) -> Sequence[Action]:
        return () if self.release.external else replicas.scaled(facts, self.pair)

    def failure(self, facts: Facts) -> Trouble | None:
        health = facts.health.get(self.pair.new.ref)
        if health and health.state is State.FAILED and not self.leading.unlike(facts, self.pair.new):
            return Trouble(health.reason or "Unhealthy", health.message, health)
        if self.release.external and replicas.has_none(facts, self.pair.new):
            message = f"git gives {self.pair.new.ref} no replicas, and gitcd writes nothing to this environment"
            return Trouble("NoReplicas", message, blames=False)
        if self._has_switched(facts) and self.leading.is_deserted(facts):
            message = f"since the switch no ready pod stands behind {self.pair.service.ref}"
            return Trouble("NoReadyPod", message, health)
        return self.leading.drift(facts)

    def _has_switched(self, facts: Facts) -> bool:
        is_mine = self.pair.is_switched and facts.record.is_of(STRATEGY, self.release.digest)
        return is_mine and facts.record.step in {SWITCH, WATCH}

    def suspended(self, facts: Facts) -> str:
        return _suspended(facts, self.pair.new)

    def unready(self, facts: Facts) -> str:
        """Why the Service may not lead to the new slot; empty: it may."""
        new = self.pair.new.ref
        health = facts.health.get(new)
        if health is None or health.state is not State.CURRENT:
            return (health.message if health else "") or f"{new} is not healthy"
        if not slots.ready_pods(facts, self.pair, self.pair.new):
            return f"{new} has no ready pod that {self.pair.service.ref} could select"
        return ""

    # Preview: the Service for verification leads to the new slot

    def previewed(self, facts: Facts) -> bool:
        """Also where git says that the new slot is live: then it was verified, or somebody wants it so all the same."""
        return self.pair.is_switched or not self.hidden(facts)

    def hidden(self, facts: Facts) -> str:
        """Why the new slot cannot be verified; empty: it can."""
        preview = self.pair.preview
        if why := self.lacking(facts) or self.unready(facts):
            return why
        if preview is None:
            return ""
        return self.leading.strays(facts, preview) or slots.mixed(facts, preview, self.pair.new)

    def show(self, facts: Facts) -> Sequence[Action]:
        return self.leading.led(facts, self.pair.preview)

    # Verify, and commit the switch

    def verified(self, facts: Facts) -> bool:
        return self.pair.is_switched or self._checks.passed(facts)

    def check(self, facts: Facts) -> Sequence[Action]:
        return self._checks.due(facts)

    def owes(self, facts: Facts) -> bool:
        return not self.hidden(facts) and self._checks.owe(facts)

    def unverified(self, facts: Facts) -> Trouble | None:
        return self.failure(facts) or self._checks.failed(facts)

    def is_committed(self, _: Facts) -> bool:
        return self.pair.is_switched

    def commit(self, _: Facts) -> Sequence[Action]:
        return (CommitSwitch(),)

    def hindered(self, facts: Facts) -> Trouble | None:
        return self.failure(facts) or self.leading.contested(facts)

    def unproven(self, facts: Facts) -> str:
        """No record is believed here: this very run has seen the new slot pass."""
        if why := self.lacking(facts) or self.unready(facts):
            return why
        return "" if self.verified(facts) else f"{self.pair.new.ref} is not verified yet"

    # Switch: the Services lead where git says, and behind the live one stand ready pods of the new slot only

    def unpermitted(self, facts: Facts) -> str:
        return self.unled(facts, anyhow=True) or self.lacking(facts) or self.unready(facts)

    def select(self, facts: Facts) -> Sequence[Action]:
        return self.leading.led(facts, self.pair.service) or self.leading.led(facts, self.pair.preview)

    # Watch: the new slot stays well

    def unled(self, facts: Facts, *, anyhow: bool = False) -> str:
        """Why nothing leads to the new slot; `anyhow`: wherever the cluster's Service leads."""
        if not self.pair.is_switched:
            return f"git does not say that {self.pair.new.ref} is live"
        return "" if anyhow else self.leading.strays(facts, self.pair.service)

    def watched(self, facts: Facts) -> bool:
        return self._is_tried(facts) and not (self.leading.unturned(facts) or self.unready(facts))

    def watching(self, facts: Facts) -> str:
        ends = self._watched_since(facts) + self.blue_green.watch
        return f"{self.pair.new.ref} is live, and watched until {ends:%H:%M:%S} UTC"

    # Rest: the old slot is scaled down, and as git says

    def untried(self, facts: Facts) -> str:
        """Why the old slot is needed still. No record is believed here either."""
        return self.leading.unturned(facts) or ("" if self._is_tried(facts) else self.watching(facts))

    def rest(self, facts: Facts) -> Sequence[Action]:
        if self.release.external:
            return ()
        old = facts.live.get(self.pair.old.ref)
        if old and self._is_to_end(facts, old):
            return (Scale(self.pair.old.ref, 0),)
        return replicas.brought(facts, self.pair.old) if facts.is_pending(self.pair.old) else ()

    def due(self, facts: Facts) -> bool:
        """Whether git and cluster say different things, or the old slot has had its time; by objects alone."""
        if not self.pair.is_switched or self.leading.strays(facts, self.pair.service):
            return True
        return bool(self.scale(facts) or self.rest(facts))

    def expects(self, facts: Facts) -> bool:
        """Whether the old slot still has to be scaled down."""
        old = facts.live.get(self.pair.old.ref)
        ends = self.blue_green.scale_down and not self.release.external
        return ends and old is not None and replicas.replicas(old) > 0

    def _is_to_end(self, facts: Facts, old: Json) -> bool:
        if not self.blue_green.scale_down or replicas.replicas(old) == 0:
            return False
        since = slots.selected_since(facts.live.get(self.pair.service.ref, {}))
        return self.release.back or since is None or facts.now >= since + self.blue_green.scale_down_delay

    def _is_tried(self, facts: Facts) -> bool:
        """Whether it was watched as long as it is to be."""
        return self.release.back or facts.now >= self._watched_since(facts) + self.blue_green.watch

    def _watched_since(self, facts: Facts) -> datetime:
        """When the Service was switched, as the API server says, or when the watch began: the later of both."""
        began = slots.selected_since(facts.live.get(self.pair.service.ref, {})) or facts.since(WATCH)
        return max(began, facts.since(WATCH)) if facts.record.step == WATCH else began

    @property
    def _checks(self) -> Checks:
        spec = self.release.spec
        return Checks(VERIFY, spec.strategy.verify, spec.timeouts.verify, self.seal)

    def seal(self, facts: Facts) -> str:
        return templates.seal(facts.live.get(self.pair.new.ref))
