"""Where the Services of two slots lead, in git and in the cluster, and what becomes of it where that differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitcd.model.health import State
from gitcd.model.live import Json, Manifest
from gitcd.model.reference import short
from gitcd.rollout import replicas, slots, templates
from gitcd.rollout.actions import Action, Apply, Select
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.health.reading import text
from gitcd.rollout.releases import named_images
from gitcd.rollout.slots import STRATEGY, Pair
from gitcd.rollout.table import Trouble

FOLLOW, COMMIT, SWITCH = "Follow", "Commit", "Switch"
UNFIT, NOT_LED = "LiveSlotNotReady", "NotApplied"  # why a Service does not follow git
_BEGUN = frozenset({COMMIT, SWITCH})


@dataclass(frozen=True, slots=True)
class Leading:
    """Questions about the Services of one release."""

    release: Release
    pair: Pair

    @property
    def services(self) -> list[Manifest]:
        return [each for each in (self.pair.service, self.pair.preview) if each]

    def unlike(self, facts: Facts, slot: Manifest) -> str:
        """Why a slot is not what the commit says; empty: it is.

        Of one that carries traffic the image alone counts: whatever else git says of that is not verified before.
        """
        if facts.is_pending(slot):
            return f"{slot.ref} does not run what the commit says"
        where = "" if slots.live_slot(facts, self.pair) is slot else templates.unlike(facts, slot)
        return f"{slot.ref} is not what the commit says, at {where}" if where else ""

    def missing(self, facts: Facts) -> list[Manifest]:
        return [each for each in self.services if each.ref not in facts.live]

    def strays(self, facts: Facts, main: Manifest) -> str:
        live = facts.live.get(main.ref, {})
        is_led = slots.selector_of(live) == slots.selector_of(main.value)
        return "" if is_led else f"{main.ref} does not select what git says"

    def led(self, facts: Facts, main: Manifest | None) -> Sequence[Action]:
        """What lets a Service select what git says."""
        if main is None or self.release.external or not self.strays(facts, main):
            return ()
        live = facts.live.get(main.ref)
        return (Select(main, text(live, "metadata", "resourceVersion")),) if live else (Apply(main),)

    def unturned(self, facts: Facts) -> str:
        """Why the Services do not lead where git says, with ready pods of the new slot alone behind the live one."""
        strayed = (self.strays(facts, each) for each in self.services)
        return next(filter(None, strayed), "") or slots.mixed(facts, self.pair.service, self.pair.new)

    def is_deserted(self, facts: Facts) -> bool:
        """Whether the live Service leads where git says, to no ready pod.

        Pods and EndpointSlices are read one after the other: where they differ, the next look tells.
        """
        if self.strays(facts, self.pair.service) or slots.ready_pods(facts, self.pair, self.pair.new):
            return False
        return slots.is_deserted(facts, self.pair.service)

    def contested(self, facts: Facts) -> Trouble | None:
        """Whether somebody would not let a Service be switched: then a commit would change git alone."""
        for each in () if self.release.external else self.services:
            if owner := slots.stranger(facts.live.get(each.ref, {})):
                message = f"the selector of {each.ref} is {owner}'s, who has to let go of it before it can be switched"
                return Trouble("Conflict", message, blames=False)
        return None

    def drift(self, facts: Facts) -> Trouble | None:
        """The Service leads to another slot than git says, and no switch of ours is about to change that."""
        live = facts.live.get(self.pair.service.ref)
        led = slots.live_slot(facts, self.pair)
        if live is None or led is self.pair.live or self._is_under_way(facts, live) or self._stays(facts, live):
            return None
        selector = ", ".join(f"{key}={value}" for key, value in sorted(slots.selector_of(live).items())) or "nothing"
        message = (
            f"{self.pair.service.ref} selects {selector if led else f'neither slot ({selector})'} in the cluster and "
            f"{self.pair.live.ref} in git: nothing is done until somebody has made them agree"
        )
        return Trouble("Drift", message, blames=False)

    def _is_under_way(self, facts: Facts, live: Json) -> bool:
        """Whether git has been switched, and the cluster has what gitcd, or whoever applies, brought before."""
        if not self.pair.is_switched or slots.live_slot(facts, self.pair) is not self.pair.old:
            return False
        return self.release.external or slots.is_set_by_us(live) or self._has_begun(facts, live)

    def _has_begun(self, facts: Facts, live: Json) -> bool:
        """Whether the switch is on record, and nobody has set since then what the Service selects."""
        record, set_at = facts.record, slots.selected_since(live)
        if not (record.is_of(STRATEGY, self.release.digest) and record.step in _BEGUN):
            return False
        return set_at is None or record.since is None or set_at <= record.since

    def followed(self, facts: Facts) -> bool:
        """Whether the Service and what stands behind it are where git has them, or gitcd did not lead them away.

        Git follows the Service, and not the other way, where that stays.
        """
        if self._stays(facts, facts.live.get(self.pair.service.ref, {})):
            return True
        has_begun = facts.record.is_of(STRATEGY, self.release.digest) and facts.record.step == FOLLOW
        is_open = has_begun and bool(slots.mixed(facts, self.pair.service, self.pair.old))
        return not (self._is_behind(facts) or is_open)

    def _stays(self, facts: Facts, live: Json) -> bool:
        """Whether git has gone back to what the cluster's Service has not left yet, and what is still there."""
        if not self.release.returns or self.release.external or self.pair.is_switched:
            return False
        is_there = slots.live_slot(facts, self.pair) is self.pair.new and slots.is_set_by_us(live)
        return is_there and not facts.is_pending(self.pair.new)

    def follow(self, facts: Facts) -> Sequence[Action]:
        """What makes the slot that git says is live fit for that, and lets the Service lead there once it is."""
        if self.release.external:
            return ()
        return self._fitted(facts) or (() if self.unfollowed(facts) else self.led(facts, self.pair.service))

    def unfollowed(self, facts: Facts) -> str:
        """Why the Service cannot be led to the slot that git says is live; empty: it can."""
        old = self.pair.old
        if why := self.unlike(facts, old):
            return why
        health = facts.health.get(old.ref)
        if health is None or health.state is not State.CURRENT:
            return (health.message if health else "") or f"{old.ref} is not healthy"
        is_fit = slots.ready_pods(facts, self.pair, old)
        return "" if is_fit else f"{old.ref} has no ready pod that {self.pair.service.ref} could select"

    def unfollowable(self, facts: Facts) -> Trouble | None:
        """Why it is no use to wait for that: somebody wants it otherwise, or it was waited for before, or cannot be."""
        if not self._is_behind(facts):
            return self.drift(facts)
        trouble, health = self.left_behind(facts), facts.health.get(self.pair.old.ref)
        has_failed = health is not None and health.state is State.FAILED
        return trouble if not self.follow(facts) and (has_failed or facts.stalled == trouble.reason) else None

    def left_behind(self, facts: Facts) -> Trouble:
        """What is said, in the same words in every run, for as long as the Service cannot follow."""
        old, main = self.pair.old.ref, self.pair.service.ref
        is_fit = not self.unfollowed(facts)
        why = "nobody has let it lead there yet" if is_fit else f"{old} is not ready, as `gitcd status --live` shows"
        message = (
            f"{main} still leads to {self.pair.new.ref} where git says {old}, and {why}: mend that, or "
            f"{self._otherwise(facts)}; nothing else is done before"
        )
        return Trouble(NOT_LED if is_fit else UNFIT, message, blames=False)

    def _otherwise(self, facts: Facts) -> str:
        """What else somebody can do: go back to what still runs where the Service leads, if git has left it."""
        release, new = self.release, self.pair.new
        runs = {each.tag or short(each.digest) for each in named_images(facts.live.get(new.ref, {}), release.spec)}
        if release.external or len(runs) != 1 or not facts.is_pending(new):
            return "let git say otherwise"
        return f"go back to what that runs with `gitcd rollback {release.identity} --to {runs.pop()}`"

    def _fitted(self, facts: Facts) -> Sequence[Action]:
        """What the slot lacks that git says is live; the cluster's Service leads to the other one."""
        if self.unlike(facts, self.pair.old):
            return replicas.brought(facts, self.pair.old)
        return replicas.scaled(facts, replace(self.pair, new=self.pair.old, old=self.pair.new))

    def _is_behind(self, facts: Facts) -> bool:
        """Whether the Service selects what is idle in git because gitcd, or whoever applies, has let it do so.

        Git has moved on then: the run that was about to switch has ended, or its proposal is no more.
        """
        live, record = facts.live.get(self.pair.service.ref, {}), facts.record
        if self.pair.is_switched or slots.live_slot(facts, self.pair) is not self.pair.new:
            return False
        if not self.release.external:
            return slots.is_set_by_us(live)
        if record.step == FOLLOW or facts.stalled in {UNFIT, NOT_LED}:
            return record.is_of(STRATEGY, self.release.digest) or not record.step
        return record.step in _BEGUN and slots.holds(self.pair.old, self.release, record.new_digest)
