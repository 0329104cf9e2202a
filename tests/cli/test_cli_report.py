from __future__ import annotations

import json
import logging

import pytest

from gitcd.cli import logs, report
from gitcd.cli.terminal import Console
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Delivered, Outcome, OutcomeKind, Plan, PullAct, Resolved
from gitcd.model.registry import Failure

HASH, OTHER = "0f3d6b9a2c5e8f1b4d7a0c3e6f9b2d5a8c1e4f7b", "5c1e0b2f9d8a7c6b5a4f3e2d1c0b9a8f7e6d5c4b"


def outcome(kind: OutcomeKind, name: str = "app", **more) -> Outcome:
    return Outcome(Identity("prod", "team", name), Origin("envs/prod/cv.yaml", 7), kind, **more)


def resolved(version: str) -> Resolved:
    return Resolved("env-prod", version, f"sha256:{'ab' * 32}")


def told(capfd, *outcomes: Outcome, quiet: bool = False, **more) -> list[str]:
    report.tell(Console(quiet=quiet), Plan("", outcomes, **more))
    out, err = capfd.readouterr()
    assert out == ""
    return err.splitlines()


def test_every_kind_of_outcome_is_counted_in_the_closing_line() -> None:
    plan = Plan("", tuple(outcome(kind) for kind in OutcomeKind for _ in range(2)))
    assert report.closing_line(plan) == (
        "2 bumped, 2 pin-only, 2 proposed, 2 current, 2 held, 2 frozen, 2 suspended, 2 awaiting promotion, 2 blocked, "
        "2 in conflict, 2 failed"
    )


def test_no_declarations_are_said_to_be_none() -> None:
    assert report.closing_line(Plan("")).startswith("no ")


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("1.2.0", "1.3.0", "1.2.0 -> 1.3.0"),
        ("", "1.3.0", "? -> 1.3.0"),
        ("1.3.0", "1.3.0", "1.3.0"),
        (HASH, OTHER, "0f3d6b9a2c5e -> 5c1e0b2f9d8a"),
        ("1.2.0", "", "1.2.0 -> env-prod"),
    ],
)
def test_a_change_is_told_from_old_to_new(capfd, old, new, shown) -> None:
    line = told(capfd, outcome(OutcomeKind.BUMPED, old=old, resolved=resolved(new)))[1]
    assert line.split(maxsplit=2)[2].split("  ")[0] == shown


def test_what_awaits_a_promotion_is_counted_and_shown_where_its_tag_differs(capfd) -> None:
    drifted = outcome(OutcomeKind.PROMOTED, reason="TagDrift", message="the tag env-prod names 1.4.2")
    as_ever = outcome(OutcomeKind.PROMOTED, reason="PromotionOnly", message="moves by promotion from dev only")
    _, row, *rest = told(capfd, drifted, as_ever)
    assert row.endswith("AwaitsPromotion  the tag env-prod names 1.4.2")
    assert rest == ["2 awaiting promotion"]
    report.tell(Console(verbose=True), Plan("", (as_ever,)))
    assert "moves by promotion from dev only" in capfd.readouterr().err


def test_what_is_current_shows_no_arrow(capfd) -> None:
    report.tell(Console(verbose=True), Plan("", (outcome(OutcomeKind.CURRENT, resolved=resolved("1.3.0")),)))
    assert capfd.readouterr().err.splitlines()[1].split()[2:4] == ["1.3.0", "abababababab"]


def test_what_is_current_is_counted_and_listed_only_where_asked(capfd) -> None:
    current = outcome(OutcomeKind.CURRENT, old="1.0.0")
    assert told(capfd, current) == ["1 current"]
    report.tell(Console(verbose=True), Plan("", (current,)))
    assert "team/app" in capfd.readouterr().err


def test_a_failure_stands_in_the_table_by_its_reason_and_below_in_full(capfd) -> None:
    failed = outcome(OutcomeKind.FAILED, reason="TagNotFound", message="there is no env-prod", remedy="push it")
    assert told(capfd, failed) == [
        "APP       ENVIRONMENT  CHANGE  DIGEST  OUTCOME  REASON",
        "team/app  prod         -       -       Failed   TagNotFound",
        "error: prod/team/app (envs/prod/cv.yaml:7): there is no env-prod",
        "  Push it",
        "1 failed",
    ]


def test_a_failure_that_many_share_is_told_once(capfd) -> None:
    failed = outcome(OutcomeKind.FAILED, reason="ForgeForbidden", message="401", remedy="check forge.token")
    assert told(capfd, *[failed] * 200)[-3:] == [
        "error: prod/team/app (envs/prod/cv.yaml:7) and 199 more: 401",
        "  Check forge.token",
        "200 failed",
    ]


def test_what_waits_tells_why_in_the_table(capfd) -> None:
    held = outcome(OutcomeKind.HELD, reason="Frozen", message="held by ada until 2026-12-01: incident")
    assert told(capfd, held)[1].endswith("Held     held by ada until 2026-12-01: incident")


def test_warnings_and_failures_of_the_whole_run_are_told(capfd) -> None:
    lines = told(
        capfd,
        outcome(OutcomeKind.CURRENT, warnings=("a container is left out",)),
        warnings=("slow",),
        failures=(Failure("PushFailed", "cannot push", "Run again."),),
    )
    assert lines == [
        "warning: slow",
        "warning: prod/team/app: a container is left out",
        "error: cannot push",
        "  Run again.",
        "1 current",
    ]


def test_quiet_leaves_errors(capfd) -> None:
    failed = outcome(OutcomeKind.FAILED, message="gone", warnings=("w",))
    assert told(capfd, failed, outcome(OutcomeKind.BUMPED), quiet=True, warnings=("x",)) == [
        "error: prod/team/app (envs/prod/cv.yaml:7): gone"
    ]


def test_a_declaration_that_could_not_be_read_has_a_row_too(capfd) -> None:
    broken = Outcome(
        Identity("", "", ""),
        Origin("x.yaml", 1),
        OutcomeKind.FAILED,
        reason="InvalidDeclaration",
        message="spec.tag: is missing",
    )
    lines = told(capfd, broken)
    assert lines[1].split() == ["-", "-", "-", "-", "Failed", "InvalidDeclaration"]
    assert lines[2] == "error: x.yaml:1: spec.tag: is missing"


def test_in_json_every_word_is_a_log_line(capfd) -> None:
    console = Console(structured=True)
    logging.getLogger().handlers = []  # pytest's own show what is logged before it is cleaned
    logs.set_up(console.err, verbosity=0, quiet=False, log_format="json")
    failed = outcome(OutcomeKind.FAILED, "gone", reason="TagNotFound", message="no tag", remedy="push it")
    report.tell(
        console,
        Plan("", (outcome(OutcomeKind.BUMPED, old="1.2.0", resolved=resolved("1.3.0")), failed), warnings=("slow",)),
    )
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("warning", "slow"),
        ("info", "prod/team/app: Bumped"),
        ("info", "prod/team/gone: Failed"),
        ("error", "prod/team/gone (envs/prod/cv.yaml:7): no tag"),
        ("info", "1 bumped, 1 failed"),
    ]
    assert lines[1].items() >= {"environment": "prod", "app": "app", "old": "1.2.0", "new": "1.3.0"}.items()
    assert lines[3]["remedy"] == "push it"


def test_pull_requests_that_nobody_asked_about_are_told_of_to_the_verbose_alone(capfd) -> None:
    reasons = ["prod/a/b and prod/c/d are not part of this run", "prod/a/b is frozen; prod/c/d is not part of this run"]
    pulls = [Delivered("gitcd/prod/env", PullAct.LEFT, reason=each) for each in reasons]
    report.tell_pulls(Console(), pulls)
    assert capfd.readouterr().err == f"pull request left: gitcd/prod/env: {reasons[1]}\n"
    report.tell_pulls(Console(verbose=True), pulls)
    assert len(capfd.readouterr().err.splitlines()) == 2
