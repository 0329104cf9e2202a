"""ServiceBlueGreen: the idle slot is brought up and verified, then the Service is switched to it, by a commit.

Git says which slot is live, so the switch is a commit first and reaches the cluster from there. Before every write it
is made sure that the live Service selects a ready pod, and will select one afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gitcd.model.duration import format_duration
from gitcd.model.health import State
from gitcd.model.live import Json, Manifest
from gitcd.model.registry import Failure
from gitcd.model.strategy import BlueGreen
from gitcd.rollout import slots
from gitcd.rollout.actions import Action, Apply, CommitSwitch, Scale, Select
from gitcd.rollout.checks import Checks
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.slots import Pair
from gitcd.rollout.table import Say, Step, Table, Trouble

STRATEGY = "ServiceBlueGreen"
PREPARE, SETTLE, PREVIEW, VERIFY = "Prepare", "Settle", "Preview", "Verify"
COMMIT, SWITCH, WATCH, REST = "Commit", "Switch", "Watch", "Rest"
_SPARE = timedelta(minutes=1)  # for what ends by itself, and for what is not well when the watch ends


def table(release: Release) -> Table:
    """The steps by which a release is rolled out this way."""
    pair, blue_green = slots.pair_of(release), release.spec.strategy.blue_green
    if isinstance(pair, Failure):
        return Table(STRATEGY, (_refused(Trouble(pair.reason, pair.message, blames=False)),))
    if blue_green is None:
        return Table(STRATEGY, ())
    return _Slots(release, pair, blue_green).table


def _refused(trouble: Trouble) -> Step:
    return Step(PREPARE, done=lambda _: False, failed=lambda _: trouble)


@dataclass(frozen=True, slots=True)
class _Slots:
    """What the steps ask of the facts, in the order of the steps."""

    release: Release
    pair: Pair
    blue_green: BlueGreen

    @property
    def table(self) -> Table:
        verify, watch = self.release.spec.timeouts.verify + _SPARE, self.blue_green.watch + _SPARE
        failed, at_fault = self.failure, not self.release.external
        settle = Step(SETTLE, self.settled, self.scale, self.lacking, failed, holds=self.suspended)
        steps = (
            self._limited(
                Step(PREPARE, lambda facts: not self.lacking(facts), self.bring, failed=self.drift),
                self.lacking,
                blames=False,
            ),
            self._limited(settle, self.unready),
            self._limited(Step(PREVIEW, self.previewed, self.show, self.unready, failed), self.hidden),
            self._limited(
                Step(VERIFY, self.verified, self.check, self.hidden, self.unverified, owes=self.owes),
                self.hidden,
                verify,
                blames=False,
            ),
            self._limited(
                Step(COMMIT, self.is_committed, self.commit, self.unproven, failed, joint=lambda _: True), self.unproven
            ),
            self._limited(
                Step(SWITCH, lambda facts: not self.unturned(facts), self.select, self.unpermitted, failed),
                self.unturned,
                blames=at_fault,
            ),
            self._limited(
                Step(WATCH, self.watched, precondition=self.unled, failed=self.unwell, says=self.watching),
                self.unready,
                watch,
            ),
            self._limited(
                Step(REST, lambda facts: not self.rest(facts), self.rest, self.unturned), self.unturned, blames=False
            ),
        )
        return Table(STRATEGY, steps, due=self.due, expects=self.expects, joined=self.is_committed)

    def _limited(self, step: Step, why: Say, timeout: timedelta | None = None, *, blames: bool = True) -> Step:
        """The step with its time, and what to say when that is over."""
        limit = timeout or self.release.spec.timeouts.rollout
        return replace(step, timeout=limit, late=_late(step.name, why, limit, self.pair.new, blames=blames))

    # Prepare: the new slot runs the image, and the Services are there

    def lacking(self, facts: Facts) -> str:
        if facts.is_pending(self.pair.new):
            return f"{self.pair.new.ref} does not run what the commit says"
        return next((f"{each.ref} is not there" for each in self._missing(facts)), "")

    def bring(self, facts: Facts) -> Sequence[Action]:
        if self.release.external:
            return ()
        services = [Apply(each) for each in self._missing(facts)]
        return [*(slots.brought(facts, self.pair.new) if facts.is_pending(self.pair.new) else ()), *services]

    def drift(self, facts: Facts) -> Trouble | None:
        """The Service leads to another slot than git says, and no switch of ours is about to change that."""
        live = facts.live.get(self.pair.service.ref)
        if live is None or slots.live_slot(facts, self.pair) is self.pair.live or self._is_under_way(facts, live):
            return None
        selector = ", ".join(f"{key}={value}" for key, value in sorted(slots.selector_of(live).items()))
        message = (
            f"{self.pair.service.ref} selects {selector or 'nothing'} in the cluster and {self.pair.live.ref} in git: "
            "nothing is done until somebody has made them agree"
        )
        return Trouble("Drift", message, blames=False)

    # Settle: all its pods are ready

    def settled(self, facts: Facts) -> bool:
        return not (self.lacking(facts) or self.unready(facts) or self.scale(facts))

    def scale(self, facts: Facts) -> Sequence[Action]:
        live, wanted = facts.live.get(self.pair.new.ref), slots.wanted_replicas(facts, self.pair)
        if live is None or self.release.external:
            return ()
        if slots.live_slot(facts, self.pair) is self.pair.new:  # it carries traffic already
            differs = wanted > 0 and slots.replicas(live) != wanted and not slots.is_scaled_by_others(live)
        else:
            differs = slots.replicas(live) < max(wanted, 1)
        return (Scale(self.pair.new.ref, max(wanted, 1)),) if differs else ()

    def failure(self, facts: Facts) -> Trouble | None:
        health = facts.health.get(self.pair.new.ref)
        if health and health.state is State.FAILED and not facts.is_pending(self.pair.new):
            return Trouble(health.reason or "Unhealthy", health.message, health)
        if self.release.external and not slots.wanted_replicas(facts, self.pair):
            message = f"git gives {self.pair.new.ref} no replicas, and gitcd writes nothing to this environment"
            return Trouble("NoReplicas", message, blames=False)
        return self.drift(facts)

    def suspended(self, facts: Facts) -> str:
        health = facts.health.get(self.pair.new.ref)
        return health.message if health and health.state is State.SUSPENDED else ""

    def unready(self, facts: Facts) -> str:
        """Why the Service may not lead to the new slot; empty: it may."""
        new = self.pair.new.ref
        health = facts.health.get(new)
        if health is None or health.state is not State.CURRENT:
            return (health.message if health else "") or f"{new} is not healthy"
        if not slots.ready_pods(facts, self.pair):
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
        return self._strays(facts, preview) or slots.mixed(facts, preview, self.pair.new)

    def show(self, facts: Facts) -> Sequence[Action]:
        return self._led(facts, self.pair.preview)

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

    def unproven(self, facts: Facts) -> str:
        """No record is believed here: this very run has seen the new slot pass."""
        if why := self.lacking(facts) or self.unready(facts):
            return why
        return "" if self.verified(facts) else f"{self.pair.new.ref} is not verified yet"

    # Switch: the Services lead where git says, and behind the live one stand ready pods of the new slot only

    def unturned(self, facts: Facts) -> str:
        led = (self._strays(facts, each) for each in self._services)
        return next(filter(None, led), "") or slots.mixed(facts, self.pair.service, self.pair.new)

    def unpermitted(self, facts: Facts) -> str:
        return self.unled(facts, anyhow=True) or self.lacking(facts) or self.unready(facts)

    def select(self, facts: Facts) -> Sequence[Action]:
        return self._led(facts, self.pair.service) or self._led(facts, self.pair.preview)

    # Watch: the new slot stays well

    def unled(self, facts: Facts, *, anyhow: bool = False) -> str:
        """Why nothing leads to the new slot; `anyhow`: wherever the cluster's Service leads."""
        if not self.pair.is_switched:
            return f"git does not say that {self.pair.new.ref} is live"
        return "" if anyhow else self._strays(facts, self.pair.service)

    def watched(self, facts: Facts) -> bool:
        is_over = self.release.back or facts.now >= self._watched_since(facts) + self.blue_green.watch
        return is_over and not (self.unturned(facts) or self.unready(facts))

    def watching(self, facts: Facts) -> str:
        ends = self._watched_since(facts) + self.blue_green.watch
        return f"{self.pair.new.ref} is live, and watched until {ends:%H:%M:%S} UTC"

    def unwell(self, facts: Facts) -> Trouble | None:
        if found := self.failure(facts):
            return found
        # Pods and EndpointSlices are read one after the other: where they differ, the next look tells.
        if slots.is_deserted(facts, self.pair.service) and not slots.ready_pods(facts, self.pair):
            message = f"since the switch no ready pod stands behind {self.pair.service.ref}"
            return Trouble("NoReadyPod", message, facts.health.get(self.pair.new.ref))
        return None

    # Rest: the old slot is scaled down, and as git says

    def rest(self, facts: Facts) -> Sequence[Action]:
        if self.release.external:
            return ()
        old = facts.live.get(self.pair.old.ref)
        if old and self._is_to_end(facts, old):
            return (Scale(self.pair.old.ref, 0),)
        return slots.brought(facts, self.pair.old) if facts.is_pending(self.pair.old) else ()

    def due(self, facts: Facts) -> bool:
        """Whether git and cluster say different things, or the old slot has had its time; by objects alone."""
        if not self.pair.is_switched or self._strays(facts, self.pair.service):
            return True
        return bool(self.scale(facts) or self.rest(facts))

    def expects(self, facts: Facts) -> bool:
        """Whether the old slot still has to be scaled down."""
        old = facts.live.get(self.pair.old.ref)
        ends = self.blue_green.scale_down and not self.release.external
        return ends and old is not None and slots.replicas(old) > 0

    def _is_to_end(self, facts: Facts, old: Json) -> bool:
        if not self.blue_green.scale_down or slots.replicas(old) == 0:
            return False
        since = slots.selected_since(facts.live.get(self.pair.service.ref, {})) or facts.now
        return self.release.back or facts.now >= since + self.blue_green.scale_down_delay

    def _watched_since(self, facts: Facts) -> datetime:
        """When the Service was switched, as the API server says, or when the watch began: the later of both."""
        began = slots.selected_since(facts.live.get(self.pair.service.ref, {})) or facts.now
        return max(began, facts.since(WATCH)) if facts.record.step == WATCH else began

    @property
    def _services(self) -> list[Manifest]:
        return [each for each in (self.pair.service, self.pair.preview) if each]

    @property
    def _checks(self) -> Checks:
        return Checks(VERIFY, self.release.spec.strategy.verify, self.release.spec.timeouts.verify)

    def _missing(self, facts: Facts) -> list[Manifest]:
        return [each for each in self._services if each.ref not in facts.live]

    def _strays(self, facts: Facts, main: Manifest) -> str:
        live = facts.live.get(main.ref, {})
        is_led = slots.selector_of(live) == slots.selector_of(main.value)
        return "" if is_led else f"{main.ref} does not select what git says"

    def _led(self, facts: Facts, main: Manifest | None) -> Sequence[Action]:
        if main is None or self.release.external or not self._strays(facts, main):
            return ()
        metadata = facts.live.get(main.ref, {}).get("metadata") or {}
        return (Select(main, str(metadata.get("resourceVersion", ""))),)

    def _is_under_way(self, facts: Facts, live: Json) -> bool:
        """Whether git has been switched, and the cluster has what gitcd, or whoever applies, brought before."""
        if not self.pair.is_switched or slots.live_slot(facts, self.pair) is not self.pair.old:
            return False
        record = facts.record
        is_begun = record.is_of(STRATEGY, self.release.digest) and record.step in {COMMIT, SWITCH}
        return self.release.external or is_begun or slots.is_set_by_us(live)


def _late(name: str, why: Say, timeout: timedelta, new: Manifest, *, blames: bool) -> Callable[[Facts], Trouble]:
    def late(facts: Facts) -> Trouble:
        reason = f": {why(facts)}" if why(facts) else ""
        message = f"step {name} was not done within {format_duration(timeout)}{reason}"
        return Trouble("Timeout", message, facts.health.get(new.ref), blames=blames)

    return late
