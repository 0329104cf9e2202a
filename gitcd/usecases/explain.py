"""Explain one declaration: why its image moved, or why it did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.errors import ConfigError, as_sentence
from gitcd.model.declaration import ContainerVersion, Spec
from gitcd.model.evidence import Evidence, Findings, ScanStatus
from gitcd.model.layout import Environment
from gitcd.model.plan import Outcome
from gitcd.model.reference import short
from gitcd.model.registry import Answers, Failure, Query
from gitcd.model.site import Form, Site
from gitcd.planning.decide import Decision
from gitcd.planning.followed import followed_image, followed_tag, shown_rule
from gitcd.planning.gates import asked, shown
from gitcd.planning.resolving import pin_of
from gitcd.planning.restrictions import freezes, restrictions
from gitcd.planning.scopes import Scopes
from gitcd.usecases.context import Context, Planned


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of an explanation: a topic, and what is known about it."""

    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that led to one outcome, in the order in which it was found out."""

    outcome: Outcome
    facts: tuple[Fact, ...]


def undeterred(context: Context) -> Context:
    """The context in which a registry that cannot be asked, for want of credentials say, fails what asks it alone.

    Declaration, scope and places are known without it, and may be what somebody wants to see.
    """

    def resolve(queries: Sequence[Query]) -> Answers:
        try:
            return context.resolve(queries)
        except ConfigError as error:
            failure = Failure("NotAsked", error.message, error.remedy)
            keys = [(query.repository, each) for query in queries for each in query.tags | query.digests]
            rules = [(query.repository, each) for query in queries for each in query.follows]
            return Answers(dict.fromkeys(keys, failure), dict.fromkeys(rules, failure))

    return replace(context, resolve=resolve)


def explain(planned: Planned, now: datetime) -> list[Explanation]:
    """One explanation for every declaration of the plan, broken ones included."""
    decisions = {each.outcome.identity: each for each in planned.decisions}
    return [
        Explanation(outcome, tuple(_facts(outcome, decisions.get(outcome.identity), planned, now)))
        for outcome in planned.plan.outcomes
    ]


def _facts(outcome: Outcome, decision: Decision | None, planned: Planned, now: datetime) -> Iterator[Fact]:
    yield Fact("declared", str(outcome.origin))
    if decision is not None:
        declaration = decision.surveyed.declared.declaration
        environment = planned.inputs.scopes.layout_of(outcome.identity.environment)
        spec = declaration.spec
        followed = f"{spec.image_repo}:{spec.tag}" if spec.tag else f"{spec.image_repo}, {shown_rule(spec)}"
        version = outcome.resolved.version if outcome.resolved else ""
        yield Fact("follows", f"{followed}, pin {pin_of(spec, version)}")
        yield Fact("scope", _scope(decision, planned.inputs.scopes))
        yield from _places(decision)
        yield from _registry(spec, planned.answers, now)
        yield from _rules(declaration, environment, planned, outcome, now)
    if outcome.evidence:
        yield from _evidence(outcome.evidence)
    yield Fact("decision", _decision(outcome))
    if outcome.remedy:
        yield Fact("remedy", as_sentence(outcome.remedy))


def _scope(decision: Decision, scopes: Scopes) -> str:
    reach = decision.surveyed.declared.reach
    if reach.folder is not None:
        base = f"folder {reach.folder or '.'} and below (there is no gitcd.yaml)"
    else:
        folders = ", ".join(scopes.layout_of(reach.environment).scopes)
        base = f"environment {reach.environment}: {folders}"
    narrowed = ", ".join(pattern.text for pattern in reach.paths)
    bounds = ", ".join(pattern.text for pattern in reach.bounds)
    base += f"; the operator bounds it to {bounds}" if bounds else ""
    return f"{base}; narrowed to {narrowed}" if narrowed else base


def _places(decision: Decision) -> Iterator[Fact]:
    goals = {goal.spot: goal for goal in decision.wanted}
    texts: Mapping[int, str] = {id(goal.site): goal.text for goal in goals.values()}
    for site in decision.surveyed.sites:
        wish = texts.get(id(site))
        state = "" if wish is None else (" (as wanted)" if wish == site.shown else f" (wanted: {wish})")
        yield Fact("owns", f"{site.where} {_described(site)}{state}")
    for warning in decision.surveyed.warnings:
        yield Fact("warning", warning)
    for near in decision.surveyed.near:
        yield Fact("near miss", str(near))
    for refusal in decision.surveyed.refusals:
        yield Fact("refused", f"{refusal.where}: {refusal.reason}")


def _described(site: Site) -> str:
    if site.workload:
        return f"{site.owner} {'init container' if site.init else 'container'} {site.container}: {site.shown}"
    if site.form is Form.CONFIG:
        return f"ConfigMap {site.owner.name} {site.pointer}: {site.shown or '(absent)'}"
    return f"{site.form} {site.pointer}: {site.shown}"


def _registry(spec: Spec, answers: Answers, now: datetime) -> Iterator[Fact]:
    tag, answer = followed_tag(spec, answers), followed_image(spec, answers)
    if isinstance(answer, Failure):
        yield Fact("registry", str(answer))
        return
    yield Fact("registry", f"{f'{shown_rule(spec)}: ' if spec.follow else ''}{tag} is {answer.digest}")
    yield Fact("registry", f"tags {'known ' if answer.partial else ''}on that digest: {', '.join(sorted(answer.tags))}")
    if answer.label:
        yield Fact("registry", f"the image says that it is version {answer.label}")
    if answer.pushed_at:
        age = shown(now - answer.pushed_at)
        yield Fact("registry", f"pushed at {answer.pushed_at.isoformat(timespec='seconds')}, {age} ago")


def _rules(
    declaration: ContainerVersion, environment: Environment, planned: Planned, outcome: Outcome, now: datetime
) -> Iterator[Fact]:
    min_age = max(declaration.spec.gates.min_age, environment.gates.min_age)
    if min_age:
        yield Fact("gate", f"minAge {shown(min_age)}")
    if environment.gates.min_soak and environment.promote_from:
        yield Fact(
            "gate", f"minSoak {shown(environment.gates.min_soak)} in {environment.promote_from}, asked by promote"
        )
    if not (declaration.spec.gates.allow_downgrade and environment.gates.allow_downgrade):
        yield Fact("gate", "allowDowngrade is false")
    wanted = asked(declaration.spec.gates, environment.gates)
    if wanted.max_severity:
        yield Fact("gate", f"maxSeverity {wanted.max_severity}")
    if wanted.signed:
        yield Fact("gate", "requireSigned is true")
    for window in freezes(environment, now):
        yield Fact("freeze", f"environment {environment.name}: {window}")
    if hold := planned.inputs.holds.get(outcome.identity):
        yield from (Fact("hold", str(each)) for each in restrictions(hold, now))
        yield from (Fact("hold", f"let in again: {short(each.digest)}") for each in hold.allow)


def _evidence(evidence: Evidence) -> Iterator[Fact]:
    """What the gates saw; nothing about what they could not see, which the decision tells."""
    if scan := evidence.scan:
        found = str(scan.findings) if scan.status is ScanStatus.DONE else scan.status.lower()
        yield Fact("scan", found + (f" ({scan.note})" if scan.note else ""))
    if evidence.delta is not None and evidence.old_scan:
        yield Fact(
            "scan", f"{_change(evidence.delta)} against the present image, which has {evidence.old_scan.findings}"
        )
    if signing := evidence.signing:
        by = f" by {', '.join(signing.profiles)}" if signing.profiles else ""
        yield Fact("signing", signing.status.lower() + by + (f" ({signing.note})" if signing.note else ""))
        for each in signing.referrers:
            yield Fact("signing", f"not verified: {each.artifact_type} {each.digest}")


def _change(delta: Findings) -> str:
    shown = [f"{number:+} {severity}" for severity, number in reversed(delta.counts.items()) if number]
    return ", ".join(shown) or "no change"


def _decision(outcome: Outcome) -> str:
    reason = f" ({outcome.reason})" if outcome.reason and outcome.reason != outcome.kind else ""
    said = outcome.message or (outcome.proposal and f"it waits in the pull request of the branch {outcome.proposal}")
    return f"{outcome.kind}{reason}" + (f": {said}" if said else "")
