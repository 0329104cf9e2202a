"""Gates from the registry, in whole plans: what may move in, what is asked, and what becomes of a missing answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from gitcd.model.evidence import Aspect, Findings, Inspected, Inspection, Scan, ScanStatus, Signing
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.model.tree import MemoryTree
from gitcd.usecases.planner import Context, make_plan
from tests.support.scenes import HOST, LAYOUT, NOW, Tags, app_files, digest

APP = Repository(HOST, "team/app")
OLD, NEW = digest("team/app:1.0.0"), digest("team/app:1.1.0")


@dataclass
class Inspector:
    """Answers by (digest, aspect), and keeps what it was asked."""

    known: dict[tuple[str, Aspect], Scan | Signing | Failure] = field(default_factory=dict)
    asked: list[Inspection] = field(default_factory=list)

    def __call__(self, inspections: Sequence[Inspection]) -> Inspected:
        self.asked += inspections
        return Inspected(
            {each: answer for each in inspections if (answer := self.known.get((each.digest, each.aspect)))}
        )


def scanned(new: Scan | Failure, old: Scan | Failure | None = None) -> Inspector:
    known = {(NEW, Aspect.SCAN): new}
    return Inspector(known | ({(OLD, Aspect.SCAN): old} if old else {}))


def done(**counts: int) -> Scan:
    return Scan(ScanStatus.DONE, Findings(**counts))


def files(gates: str = "{maxSeverity: HIGH}", layout: bytes = LAYOUT, **more: bytes) -> dict[str, bytes]:
    found = {"gitcd.yaml": layout} | app_files("app") | more
    path = "envs/dev/app/cv.yaml"
    return found | {path: found[path] + f"  gates: {gates}\n".encode()} if gates else found


def moving() -> Tags:
    tags = Tags()
    tags.move("team/app", "env-dev", "1.0.0")
    tags.move("team/app", "env-dev", "1.1.0")
    return tags


def planned(inspect=None, recall=lambda _: {}, **kwargs):
    context = Context(moving(), recall, NOW, **({"inspect": inspect} if inspect else {}))
    return make_plan(MemoryTree(files(**kwargs)), context).plan


def only(plan):
    (outcome,) = plan.outcomes
    return outcome


def verdict(*args, **kwargs):
    plan = planned(*args, **kwargs)
    assert bool(plan.commits) is (only(plan).kind is OutcomeKind.BUMPED)
    return only(plan).kind, only(plan).reason


PASSED = (OutcomeKind.BUMPED, "Bumped")


class TestMaxSeverity:
    def test_T15_what_a_scan_found_decides(self):
        assert verdict(scanned(done(high=3, low=9))) == PASSED
        assert verdict(scanned(done(critical=1, high=3))) == (OutcomeKind.BLOCKED, "TooSevere")

    def test_the_message_names_the_numbers(self):
        outcome = only(planned(scanned(done(critical=1, high=3)), gates="{maxSeverity: MEDIUM}"))
        assert "maxSeverity is MEDIUM" in outcome.message
        assert "1 CRITICAL, 3 HIGH" in outcome.message
        assert outcome.changes == ()

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (ScanStatus.RUNNING, "ScanPending"),
            (ScanStatus.ABSENT, "NotScanned"),
            (ScanStatus.FAILED, "ScanFailed"),
        ],
    )
    def test_T15_without_a_result_nothing_passes(self, status, reason):
        outcome = only(planned(scanned(Scan(status, note="in its words"))))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, reason)
        assert "in its words" in outcome.message

    def test_F5_a_gate_that_cannot_be_checked_stays_closed(self):
        denied = Failure(
            "AccessDenied", "not allowed to call ecr:DescribeImageScanFindings on arn:x", "allow it on arn:x"
        )
        outcome = only(planned(scanned(denied)))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "GateUnchecked")
        assert "cannot be checked: not allowed to call ecr:DescribeImageScanFindings on arn:x" in outcome.message
        assert outcome.remedy == "allow it on arn:x"
        assert not outcome.transient

    def test_a_registry_that_is_busy_is_worth_another_run(self):
        outcome = only(planned(scanned(Failure("Throttled", "busy", transient=True))))
        assert (outcome.reason, outcome.transient) == ("GateUnchecked", True)

    def test_T15_nobody_to_ask_is_no_pass(self):
        assert verdict() == (OutcomeKind.BLOCKED, "GateUnchecked")
        assert verdict(gates="{requireSigned: true}") == (OutcomeKind.BLOCKED, "GateUnchecked")
