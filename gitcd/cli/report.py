"""What a plan says to people: a summary table, one closing line, and every failure in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitcd.cli.output import table
from gitcd.cli.terminal import Console
from gitcd.model.plan import BROKEN, Delivered, Outcome, OutcomeKind, Plan, PullAct
from gitcd.model.reference import brief, short
from gitcd.planning.pulls import NOT_SELECTED
from gitcd.planning.restrictions import IN_FORCE, IN_FORCE_FOR_NOW, PROMOTION_ONLY

_HEADER = ("APP", "ENVIRONMENT", "CHANGE", "DIGEST", "OUTCOME", "REASON")
_WORDS = {
    OutcomeKind.BUMPED: "bumped",
    OutcomeKind.PIN_ONLY: "pin-only",
    OutcomeKind.PROPOSED: "proposed",
    OutcomeKind.CURRENT: "current",
    OutcomeKind.HELD: "held",
    OutcomeKind.FROZEN: "frozen",
    OutcomeKind.SUSPENDED: "suspended",
    OutcomeKind.PROMOTED: "awaiting promotion",
    OutcomeKind.BLOCKED: "blocked",
    OutcomeKind.CONFLICT: "in conflict",
    OutcomeKind.FAILED: "failed",
}
_ALIKE = 2  # failures that are told one by one though they are the same


def tell(console: Console, plan: Plan) -> None:
    """The whole talk about a plan.

    Declarations that are current are counted, and listed only with `--verbose` or where a hold keeps them. So are those
    that await a promotion, and whose tags say what git does.
    """
    _warnings(console, plan)
    shown = [each for each in plan.outcomes if console.verbose or _is_news(each)]
    if console.structured:
        for outcome in shown:
            console.say(f"{outcome.identity}: {outcome.kind}", **_details(outcome))
    elif not console.quiet:
        console.err.write(table(_HEADER, map(_row, shown)))
    for message, remedy in _broken(plan.outcomes):
        console.error(message, remedy)
    for failure in plan.failures:
        console.error(failure.message, failure.remedy)
    console.say(closing_line(plan))


def tell_pulls(console: Console, pulls: Iterable[Delivered]) -> None:
    """What became of pull requests, or would; of what stays as it is or is not selected with `--verbose` only."""
    for pull in pulls:
        is_apart = pull.act is PullAct.LEFT and pull.reason.endswith(NOT_SELECTED) and "; " not in pull.reason
        if (is_apart or pull.act is PullAct.UNCHANGED) and not console.verbose:
            continue
        where = pull.url or pull.branch
        console.say(f"pull request {pull.act}: {where}" + (f": {why}" if (why := pull.reason or pull.title) else ""))


def _broken(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, str]]:
    """Every failure with its remedy; one that many share, say a token that is not let in, is told once."""
    alike: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.kind in BROKEN:
            alike.setdefault((outcome.message, outcome.remedy), []).append(outcome)
    for (message, remedy), those in alike.items():
        if len(those) > _ALIKE:
            yield f"{_subject(those[0])} and {len(those) - 1} more: {message}", remedy
        else:
            yield from ((f"{_subject(each)}: {message}", remedy) for each in those)


def _is_news(outcome: Outcome) -> bool:
    if outcome.kind is OutcomeKind.CURRENT:
        return outcome.reason in {IN_FORCE, IN_FORCE_FOR_NOW}
    return outcome.reason != PROMOTION_ONLY


def closing_line(plan: Plan) -> str:
    """How many of each: `3 bumped, 1 pin-only, 12 current, 1 failed`."""
    counts = plan.counts
    parts = [f"{counts[kind]} {word}" for kind, word in _WORDS.items() if counts[kind]]
    return ", ".join(parts) or "no ContainerVersion found; `gitcd schema` shows what one may say"


def changed_names(plan: Plan) -> Iterator[str]:
    """The declarations that change, or wait in a pull request, for `-o name`."""
    for outcome in plan.outcomes:
        if outcome.changed or outcome.kind is OutcomeKind.PROPOSED:
            yield str(outcome.identity)


def _warnings(console: Console, plan: Plan) -> None:
    for warning in plan.warnings:
        console.warn(warning)
    for outcome in plan.outcomes:
        for warning in outcome.warnings:
            console.warn(f"{outcome.identity}: {warning}")


def _details(outcome: Outcome) -> dict[str, str]:
    """An outcome as the fields of a log line."""
    resolved = outcome.resolved
    return {
        "environment": outcome.identity.environment,
        "namespace": outcome.identity.namespace,
        "app": outcome.identity.name,
        "outcome": outcome.kind.value,
        "reason": outcome.reason,
        "repo": outcome.image_repo,
        "old": outcome.old,
        "new": resolved.version or resolved.tag if resolved else "",
        "digest": resolved.digest if resolved else "",
        "pull": outcome.pull,
    }


def _subject(outcome: Outcome) -> str:
    """Which declaration, as far as it could be read, and where it stands."""
    name = str(outcome.identity)
    return f"{name} ({outcome.origin})" if name else str(outcome.origin)


def _row(outcome: Outcome) -> tuple[str, ...]:
    identity, resolved = outcome.identity, outcome.resolved
    return (
        identity.app.strip("/") or "-",
        identity.environment or "-",
        _change(outcome),
        short(resolved.digest) if resolved and resolved.digest else "-",
        outcome.kind,
        _reason(outcome),
    )


def _change(outcome: Outcome) -> str:
    """From what to what, as far as both are known."""
    new = outcome.resolved.version or outcome.resolved.tag if outcome.resolved else ""
    if not new or new == outcome.old or outcome.kind is OutcomeKind.PROMOTED:
        return brief(outcome.old) or "-"
    if outcome.kind is OutcomeKind.CURRENT:
        return brief(new)
    return f"{brief(outcome.old) or '?'} -> {brief(new)}"


def _reason(outcome: Outcome) -> str:
    """Why, or where it waits; what is broken is told in full below the table."""
    if outcome.kind is OutcomeKind.PROPOSED:
        return outcome.pull or outcome.proposal
    text = outcome.reason if outcome.kind in BROKEN else outcome.message or outcome.reason
    return "-" if not text or text == outcome.kind else text
