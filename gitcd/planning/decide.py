"""Decide, for one declaration at a time, what shall happen: the rules, in the order in which they apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gitcd.model.declaration import Spec
from gitcd.model.following import NONE_FOLLOWED
from gitcd.model.layout import Environment
from gitcd.model.plan import Change, Outcome, OutcomeKind, Resolved
from gitcd.model.reference import short
from gitcd.model.registry import Answers, Failure, Image
from gitcd.model.site import Form, Site, SiteEdit
from gitcd.planning import bluegreen, gates, holds, unsupported
from gitcd.planning.content import before, carriers, held
from gitcd.planning.followed import followed_image, shown_rule
from gitcd.planning.holds import Holds
from gitcd.planning.matching import Surveyed
from gitcd.planning.moments import running_freeze
from gitcd.planning.promotion import Aim, Aims
from gitcd.planning.resolving import MISSING, pin_of, resolve
from gitcd.planning.restrictions import PROMOTION_ONLY
from gitcd.planning.scopes import Scopes
from gitcd.planning.wanted import Wanted, bare_tag, wanted

# Why a tag that nobody follows cannot be compared; that it names no image, or none with a version, is no mistake.
_INCOMPARABLE = MISSING | {"VersionUnknown", "ImageArchived", NONE_FOLLOWED}


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall happen to one declaration, with the edits that carry it out."""

    surveyed: Surveyed
    outcome: Outcome
    wanted: tuple[Wanted, ...] = ()  # every place it owns and what belongs there, met or not
    edits: tuple[SiteEdit, ...] = ()
    aim: Aim | None = None  # where it shall move in place of what its tag names

    def stop(
        self, kind: OutcomeKind, reason: str, message: str, remedy: str = "", *, transient: bool = False
    ) -> Decision:
        """The same declaration, but nothing moves."""
        outcome = replace(
            self.outcome, kind=kind, reason=reason, message=message, remedy=remedy, transient=transient, changes=()
        )
        return replace(self, outcome=outcome, edits=())

    def fail(self, failure: Failure) -> Decision:
        return self.stop(
            OutcomeKind.FAILED, failure.reason, failure.message, failure.remedy, transient=failure.transient
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decisions rest on besides the manifests."""

    scopes: Scopes
    answers: Answers
    now: datetime
    holds: Holds = field(default_factory=dict)
    aims: Aims = field(default_factory=dict)


def decide(surveyed: Surveyed, facts: Facts) -> Decision:
    """Apply the rules to one declaration. Pure: the same facts give the same decision, in whatever order they come."""
    surveyed = surveyed.in_order()
    decision = _blank(surveyed)
    spec = surveyed.declared.declaration.spec
    environment = facts.scopes.layout_of(surveyed.declared.identity.environment)
    if spec.suspend:
        return decision.stop(OutcomeKind.SUSPENDED, "Suspended", "spec.suspend is set")
    if found := objections(surveyed, environment):
        return decision.fail(found[0])
    aim = facts.aims.get(surveyed.declared.identity)
    if isinstance(aim, Failure):
        return decision.fail(aim)
    resolved = resolve(spec, facts.answers, aim)
    if isinstance(resolved, Failure):
        if environment.promote_from and aim is None and not resolved.transient and resolved.reason in _INCOMPARABLE:
            return _await_promotion(decision, environment, f"the tag cannot be compared: {resolved.message}")
        return decision.fail(resolved)
    blank = replace(_blank(surveyed, resolved), aim=aim)
    return _decide_resolved(blank, resolved, environment, facts)


def _blank(surveyed: Surveyed, resolved: Resolved | None = None) -> Decision:
    declared = surveyed.declared
    return Decision(
        surveyed,
        Outcome(
            identity=declared.identity,
            origin=declared.declaration.origin,
            kind=OutcomeKind.CURRENT,
            image_repo=declared.declaration.spec.image_repo,
            resolved=resolved,
            places=tuple(site.where for site in surveyed.sites),
            warnings=tuple(surveyed.warnings),
        ),
    )


def objections(surveyed: Surveyed, environment: Environment) -> list[Failure]:
    """What stands against a declaration whatever the registry says; the first counts most."""
    spec = surveyed.declared.declaration.spec
    found = [unsupported.failure(environment), _canary_refused(surveyed, environment), bluegreen.unsupported(spec)]
    certain = spec.pin or pin_of(spec) == "VersionAndDigest"
    found += [bare_tag(spec, pin_of(spec)) if certain else None, _refused(surveyed), *surveyed.failures]
    return [each for each in found if each]


def _canary_refused(surveyed: Surveyed, environment: Environment) -> Failure | None:
    if surveyed.declared.declaration.spec.strategy.kind != "Canary":
        return None
    if environment.applier == "external":
        message = f"strategy Canary needs gitcd to apply, but environment {environment.name} says applier: external"
        return Failure("CanaryRefused", message, "Choose another strategy.")
    found = sorted({(site.owner.kind, site.owner.name) for site in surveyed.image_sites if site.workload})
    if not found or [kind for kind, _ in found] == ["Deployment"]:
        return None
    names = ", ".join(f"{kind}/{name}" for kind, name in found)
    message = f"strategy Canary needs exactly one Deployment, found {names}"
    return Failure("CanaryNeedsOne", message, "Narrow spec.selector, name spec.workload, or choose another strategy.")


def _refused(surveyed: Surveyed) -> Failure | None:
    if not surveyed.refusals:
        return None
    shown = "; ".join(f"{each.where}: {each.reason}" for each in surveyed.refusals)
    return Failure("ManifestRefused", shown, "Mend the file, or leave it out with spec.paths.")


def _decide_resolved(decision: Decision, resolved: Resolved, environment: Environment, facts: Facts) -> Decision:
    surveyed, spec = decision.surveyed, decision.surveyed.declared.declaration.spec
    sites = _sites(surveyed, spec)
    if isinstance(sites, Failure):
        return decision.fail(sites)
    pin = pin_of(spec, resolved.version)
    if bare := bare_tag(spec, pin):
        return decision.fail(bare)
    asked = [wanted(site, spec, pin, resolved, environment) for site in sites.all]
    for each in asked:
        if isinstance(each, Failure):
            return decision.fail(each)
    goals = tuple(each for each in asked if isinstance(each, Wanted))
    decision = replace(decision, wanted=goals)
    if environment.promote_from and decision.aim is None:
        decision = replace(
            decision, outcome=replace(decision.outcome, old_digest=_deployed(sites, spec, facts.answers))
        )
        return _await_promotion(decision, environment, _drift(sites, spec, resolved, facts.answers))
    if sites.live and all(_is_live(site, spec, facts.answers, resolved) for site in sites.live):
        return decision.stop(OutcomeKind.CURRENT, "Live", f"{sites.live_name} is live and holds it")
    open_goals = tuple(each for each in goals if not each.met)
    if not open_goals:
        return _await_switch(decision, sites, resolved, facts) if sites.live else decision
    return _move(decision, open_goals, environment, facts)


def _await_switch(decision: Decision, sites: _Sites, resolved: Resolved, facts: Facts) -> Decision:
    """The idle slot is as it shall be; what is left to do is not a matter of images, and may be on hold."""
    if held := holds.applies(facts.holds.get(decision.outcome.identity), resolved.digest, facts.now):
        return decision.stop(OutcomeKind.HELD, held.reason, held.message, _release(decision))
    return decision.stop(OutcomeKind.CURRENT, "AwaitsSwitch", f"{sites.idle_name} holds it and awaits the switch")


@dataclass(frozen=True, slots=True)
class _Sites:
    """The sites that may be written, and for blue-green those of the live slot, which may not."""

    all: Sequence[Site]
    live: Sequence[Site] = ()
    live_name: str = ""
    idle_name: str = ""


def _sites(surveyed: Surveyed, spec: Spec) -> _Sites | Failure:
    if spec.strategy.blue_green is None:
        return _Sites(surveyed.sites)
    slots = bluegreen.slots(surveyed, spec.strategy.blue_green)
    if isinstance(slots, Failure):
        return slots
    others = [site for site in surveyed.sites if site.repository is None]
    return _Sites([*slots.idle, *others], slots.live, slots.live_name, slots.idle_name)


def _await_promotion(decision: Decision, environment: Environment, drift: str) -> Decision:
    message = f"moves by promotion from {environment.promote_from} only"
    if not drift:
        return decision.stop(OutcomeKind.PROMOTED, PROMOTION_ONLY, message)
    remedy = f"`gitcd promote --settle {environment.promote_from} {environment.name}` moves the tag to what git says."
    spec = decision.surveyed.declared.declaration.spec
    return decision.stop(OutcomeKind.PROMOTED, "TagDrift", f"{message}; {drift}", "" if spec.follow else remedy)


def _deployed(sites: _Sites, spec: Spec, answers: Answers) -> str:
    """The digest that git deploys; empty where its places differ, or it is not known."""
    digests = set()
    for site in carriers(sites.live or sites.all):
        present = held(site, spec.repository)
        tagged = answers.get(spec.repository, present.tag) if present.tag and not present.digest else None
        digests.add(tagged.digest if isinstance(tagged, Image) else present.digest)
    return digests.pop() if len(digests) == 1 else ""


def _drift(sites: _Sites, spec: Spec, resolved: Resolved, answers: Answers) -> str:
    """How the tag differs from what git deploys; empty where it does not."""
    places = carriers(sites.live or sites.all)
    stray = next((site for site in places if not _holds(site, spec, answers, resolved.digest)), None)
    if stray is None:
        return ""
    present = held(stray, spec.repository)
    tagged = " ".join(filter(None, (resolved.version, f"({short(resolved.digest)})")))
    said = f"{shown_rule(spec)} is {tagged}" if spec.follow else f"the tag {resolved.tag} names {tagged}"
    return f"{said}, git says {present.tag or short(present.digest)}"


def _move(decision: Decision, goals: tuple[Wanted, ...], environment: Environment, facts: Facts) -> Decision:
    """Something is to be written: say what, unless a hold, a freeze or a gate forbids it."""
    spec, outcome = decision.surveyed.declared.declaration.spec, decision.outcome
    resolved = outcome.resolved
    aim, answers = decision.aim, facts.answers
    new = answers.get(spec.repository, aim.digest) if aim else followed_image(spec, answers)
    if resolved is None or isinstance(new, Failure):
        return decision
    telling = [site for site in carriers(decision.surveyed.sites) if any(each.site is site for each in goals)]
    same_content = all(_holds(site, spec, facts.answers, resolved.digest) for site in telling)
    if same_content and spec.adopt == "OnChange":
        goals = tuple(each for each in goals if each.site.form is Form.CONFIG)
    if not goals:
        message = "adopt is OnChange: the content is the wanted one, in another spelling"
        return decision.stop(OutcomeKind.CURRENT, "AdoptOnChange", message)
    old = before(telling, new, spec.repository, facts.answers)
    outcome = replace(
        outcome,
        kind=OutcomeKind.PIN_ONLY if same_content else OutcomeKind.BUMPED,
        direction=old.direction,
        old=old.name,
        old_digest=old.digest,
        changes=tuple(_change(each) for each in goals),
        reason="PinOnly" if same_content else "Bumped",
        message=_message(goals) if same_content else "",
    )
    if decision.aim and not same_content:
        outcome = replace(outcome, reason=decision.aim.reason, message=decision.aim.message)
    moved = replace(decision, outcome=outcome, edits=tuple(each.edit for each in goals))
    return _stopped(moved, new, environment, facts) or moved


def _message(goals: Sequence[Wanted]) -> str:
    """What is written where the content stays as it is."""
    if all(each.site.form is Form.CONFIG for each in goals):
        return "the image is the wanted one; only the ConfigMap key changes"
    return "the content is the same, its spelling changes; pods restart"


def _holds(site: Site, spec: Spec, answers: Answers, digest: str) -> bool:
    return held(site, spec.repository).is_image(digest, spec.repository, answers)


def _is_live(site: Site, spec: Spec, answers: Answers, resolved: Resolved) -> bool:
    """Whether a live slot holds the image for good: the bare tag that moves would be anything tomorrow."""
    present = held(site, spec.repository)
    moves = not present.digest and present.tag == spec.tag != resolved.version
    return not moves and _holds(site, spec, answers, resolved.digest)


def _stopped(decision: Decision, new: Image, environment: Environment, facts: Facts) -> Decision | None:
    outcome, spec = decision.outcome, decision.surveyed.declared.declaration.spec
    if held := holds.applies(facts.holds.get(outcome.identity), new.digest, facts.now):
        return decision.stop(OutcomeKind.HELD, held.reason, held.message, _release(decision))
    if decision.aim and decision.aim.back:
        return None
    if freeze := running_freeze(environment, facts.now):
        until = f" until {freeze.until}" if freeze.until else ""
        why = f": {freeze.reason}" if freeze.reason else ""
        return decision.stop(OutcomeKind.FROZEN, "Frozen", f"environment {environment.name} is frozen{until}{why}")
    if outcome.kind is OutcomeKind.BUMPED and (
        block := gates.check(spec.gates, environment.gates, new, outcome.direction, facts.now)
    ):
        return decision.stop(OutcomeKind.BLOCKED, block.reason, block.message)
    return None


def _release(decision: Decision) -> str:
    return f"Release it with `gitcd release {decision.outcome.identity}`."


def _change(goal: Wanted) -> Change:
    site = goal.site
    return Change(site.path, site.line, goal.spot[2], site.shown, goal.text)
