"""Gates from the registry, in whole plans: what may move in, what is asked, and what becomes of a missing answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jsonschema
import pytest

from gitcd.errors import ExitCode, RefusedError
from gitcd.git.worktree import WorkTree
from gitcd.model.document import from_document, report, report_schema, to_document
from gitcd.model.evidence import (
    Aspect,
    Findings,
    Inspected,
    Inspection,
    Referrer,
    Scan,
    ScanStatus,
    Signing,
    SigningStatus,
)
from gitcd.model.plan import OutcomeKind, plan_exit_code
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.model.settings import Settings
from gitcd.model.tree import MemoryTree
from gitcd.planning.holds import NoHistory
from gitcd.usecases.context import Context
from gitcd.usecases.explain import explain
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import preview, reconcile
from gitcd.usecases.reviewed import replay
from gitcd.usecases.workspace import Workspace
from tests.support.ecr import CREDENTIALS, StandIn
from tests.support.repos import make_bare
from tests.support.scenes import (
    AUTHOR,
    HOST,
    LAYOUT,
    NOW,
    Tags,
    app_files,
    context,
    digest,
    mirror_of,
    reference,
)

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
    made = Context(moving(), recall, NOW, **({"inspect": inspect} if inspect else {}))
    return make_plan(MemoryTree(files(**kwargs)), made).plan


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
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "GateUnchecked")
        assert "cannot be checked: not allowed to call ecr:DescribeImageScanFindings on arn:x" in outcome.message
        assert outcome.remedy == "allow it on arn:x"
        assert not outcome.transient

    def test_a_registry_that_is_busy_is_worth_another_run(self):
        outcome = only(planned(scanned(Failure("Throttled", "busy", transient=True))))
        assert (outcome.reason, outcome.transient) == ("GateUnchecked", True)

    def test_T15_nobody_to_ask_is_no_pass(self):
        assert verdict() == (OutcomeKind.FAILED, "GateUnchecked")
        assert verdict(gates="{requireSigned: true}") == (OutcomeKind.FAILED, "GateUnchecked")


class TestRequireSigned:
    GATES = "{requireSigned: true}"

    def signing(self, answer):
        return Inspector({(NEW, Aspect.SIGNING): answer})

    def test_T15_only_what_the_registry_signed_passes(self):
        assert verdict(self.signing(Signing(SigningStatus.SIGNED, ("arn:a",))), gates=self.GATES) == PASSED

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (SigningStatus.UNSIGNED, "Unsigned"),
            (SigningStatus.RUNNING, "SigningPending"),
            (SigningStatus.FAILED, "SigningFailed"),
        ],
    )
    def test_T15_what_is_not_signed_is_blocked(self, status, reason):
        outcome = only(planned(self.signing(Signing(status, note="in its words")), gates=self.GATES))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, reason)
        assert "in its words" in outcome.message

    def test_T15_signatures_of_others_are_named_and_do_not_open_the_gate(self):
        beside = (Referrer("application/vnd.cncf.notary.signature", digest("signature")),)
        outcome = only(planned(self.signing(Signing(SigningStatus.UNSIGNED, (), beside)), gates=self.GATES))
        assert outcome.reason == "Unsigned"
        assert f"not verified: application/vnd.cncf.notary.signature {digest('signature')}" in outcome.message

    def test_F5_a_status_that_cannot_be_had(self):
        denied = Failure("AccessDenied", "not allowed to call ecr:DescribeImageSigningStatus on arn:x", "allow it")
        outcome = only(planned(self.signing(denied), gates=self.GATES))
        assert (outcome.reason, outcome.remedy) == ("GateUnchecked", "allow it")
        assert "ecr:DescribeImageSigningStatus on arn:x" in outcome.message

    def test_both_gates_must_open(self):
        both = "{maxSeverity: LOW, requireSigned: true}"
        signed = {(NEW, Aspect.SIGNING): Signing(SigningStatus.SIGNED)}
        unsigned = {(NEW, Aspect.SIGNING): Signing(SigningStatus.UNSIGNED)}
        clean, bad = ({(NEW, Aspect.SCAN): each} for each in (done(low=1), done(medium=1)))
        assert verdict(Inspector(clean | signed), gates=both) == PASSED
        assert verdict(Inspector(clean | unsigned), gates=both) == (OutcomeKind.BLOCKED, "Unsigned")
        assert verdict(Inspector(bad | signed), gates=both) == (OutcomeKind.BLOCKED, "TooSevere")


class TestQuestions:
    def asked(self, **kwargs):
        inspector = Inspector()
        planned(inspector, **kwargs)
        return [(each.repository, each.digest, each.aspect) for each in inspector.asked]

    def test_both_images_are_scanned_and_the_new_one_is_signed(self):
        assert sorted(self.asked(gates="{maxSeverity: LOW, requireSigned: true}")) == sorted(
            [(APP, NEW, Aspect.SCAN), (APP, OLD, Aspect.SCAN), (APP, NEW, Aspect.SIGNING)]
        )
        assert self.asked(gates="{requireSigned: true}") == [(APP, NEW, Aspect.SIGNING)]

    @pytest.mark.parametrize("gates", ["", "{minAge: 1h}", "{maxSeverity: ''}"])
    def test_without_such_a_gate_nothing_is_asked(self, gates):
        assert self.asked(gates=gates) == []

    def test_what_does_not_move_is_not_asked_about(self):
        held = {".gitcd/holds/dev/team.app.yaml": b"freeze: true\n"}
        assert self.asked(**held) == []
        assert self.asked(gates="{maxSeverity: LOW, minAge: 48h}") == []
        assert self.asked(recall=lambda asked: {each.identity: NoHistory("gone") for each in asked}) == []

    def test_another_spelling_of_the_same_content_is_not_gated(self):
        found = app_files("app", "1.1.0")
        path = "envs/dev/app/cv.yaml"
        gated = {"gitcd.yaml": LAYOUT} | found | {path: found[path] + b"  gates: {maxSeverity: LOW}\n"}
        inspector = Inspector()
        plan = make_plan(MemoryTree(gated), Context(moving(), lambda _: {}, NOW, inspect=inspector)).plan
        assert only(plan).kind is OutcomeKind.PIN_ONLY
        assert inspector.asked == []

    def test_an_image_that_is_not_known_is_not_compared(self):
        found = app_files("app", "0.1.0")
        path = "envs/dev/app/cv.yaml"
        gated = {"gitcd.yaml": LAYOUT} | found | {path: found[path] + b"  gates: {maxSeverity: LOW}\n"}
        inspector = scanned(done(low=1))
        plan = make_plan(MemoryTree(gated), Context(moving(), lambda _: {}, NOW, inspect=inspector)).plan
        assert [each.digest for each in inspector.asked] == [NEW]
        assert only(plan).kind is OutcomeKind.BUMPED
        assert only(plan).evidence.delta is None


class TestEnvironment:
    def layout(self, gates: str) -> bytes:
        return LAYOUT.replace(b"path: envs/dev}", f"path: envs/dev, gates: {gates}}}".encode())

    @pytest.mark.parametrize(("own", "environment"), [("HIGH", "LOW"), ("LOW", "HIGH"), ("''", "LOW"), ("LOW", "''")])
    def test_the_stricter_of_declaration_and_environment_holds(self, own, environment):
        layout = self.layout(f"{{maxSeverity: {environment}}}")
        outcome = only(planned(scanned(done(medium=1)), gates=f"{{maxSeverity: {own}}}", layout=layout))
        assert outcome.reason == "TooSevere"
        assert "maxSeverity is LOW" in outcome.message

    def test_an_environment_asks_for_signatures(self):
        assert verdict(gates="", layout=self.layout("{requireSigned: true}")) == (OutcomeKind.FAILED, "GateUnchecked")

    def test_soak_time_is_still_refused_by_name(self):
        outcome = only(planned(gates="", layout=self.layout("{minSoak: 1h}")))
        assert outcome.reason == "NotSupportedYet"
        assert "gates.minSoak" in outcome.message

    def test_a_group_waits_for_its_gated_member(self):
        found = files("{maxSeverity: LOW}") | app_files("other")
        for name in ("app", "other"):
            found[f"envs/dev/{name}/cv.yaml"] += b"  strategy: {group: release}\n"
        tags = moving()
        tags.move("team/other", "env-dev", "1.0.0")
        tags.move("team/other", "env-dev", "1.1.0")
        made = Context(tags, lambda _: {}, NOW, inspect=scanned(done(critical=1)))
        plan = make_plan(MemoryTree(found), made).plan
        assert {each.identity.name: each.reason for each in plan.outcomes} == {
            "app": "TooSevere",
            "other": "GroupIncomplete",
        }
        assert plan.commits == ()


class TestEvidence:
    def test_the_difference_to_the_present_image_is_on_the_outcome(self):
        evidence = only(planned(scanned(done(high=1, low=2), done(high=3)))).evidence
        assert evidence.delta == Findings(high=-2, low=2)
        assert (evidence.scan, evidence.old_scan) == (done(high=1, low=2), done(high=3))

    def test_it_stays_there_when_the_gate_is_closed(self):
        outcome = only(planned(scanned(done(critical=1), done())))
        assert outcome.kind is OutcomeKind.BLOCKED
        assert outcome.evidence.delta == Findings(critical=1)

    @pytest.mark.parametrize("old", [Failure("AccessDenied", "no"), Scan(ScanStatus.ABSENT), None])
    def test_an_old_image_without_a_scan_keeps_nothing_out(self, old):
        outcome = only(planned(scanned(done(low=1), old)))
        assert outcome.kind is OutcomeKind.BUMPED
        assert outcome.evidence.delta is None

    def test_without_a_gate_there_is_none(self):
        assert only(planned(gates="")).evidence is None

    def explained(self, inspect, **kwargs):
        made = Context(moving(), lambda _: {}, NOW, inspect=inspect)
        (explanation,) = explain(make_plan(MemoryTree(files(**kwargs)), made), NOW)
        return [f"{fact.topic}: {fact.text}" for fact in explanation.facts]

    def test_it_is_explained(self):
        facts = self.explained(scanned(done(high=1, low=2), done(high=3)))
        assert "gate: maxSeverity HIGH" in facts
        assert "scan: 1 HIGH, 2 LOW" in facts
        assert "scan: -2 HIGH, +2 LOW against the present image, which has 3 HIGH" in facts

    def test_what_is_missing_is_explained(self):
        beside = (Referrer("application/vnd.cncf.notary.signature", digest("signature")),)
        inspector = scanned(Scan(ScanStatus.RUNNING, note="PENDING"))
        inspector.known[NEW, Aspect.SIGNING] = Signing(SigningStatus.UNSIGNED, (), beside)
        facts = self.explained(inspector, gates="{maxSeverity: HIGH, requireSigned: true}")
        assert "gate: requireSigned is true" in facts
        assert "scan: running (PENDING)" in facts
        assert "signing: unsigned" in facts
        assert f"signing: not verified: application/vnd.cncf.notary.signature {digest('signature')}" in facts

    def test_the_report_holds_it(self):
        told = report(planned(scanned(done(high=1), done(low=1))))
        jsonschema.Draft202012Validator(report_schema()).validate(told)
        evidence = told["outcomes"][0]["evidence"]
        assert (evidence["scan"]["findings"]["high"], evidence["oldScan"]["findings"]["low"]) == (1, 1)


class TestRun:
    """A whole run's settings, the real client, and an ECR that is asked by it."""

    @pytest.fixture
    def ecr(self, monkeypatch):
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        with StandIn() as server:
            yield server

    def plan(self, ecr, workspace=None):
        workspace = workspace or Workspace(settings(ecr), now=NOW)
        return make_plan(MemoryTree(files()), workspace.context(WorkTree(Path("/nowhere")))).plan

    def test_a_scan_opens_the_gate_and_closes_it(self, ecr):
        ecr.put("team/app", tags=["1.0.0"])
        new = ecr.put("team/app", tags=["1.1.0", "env-dev"])
        assert only(self.plan(ecr)).reason == "NotScanned"
        ecr.scan("team/app", new, HIGH=1)
        assert only(self.plan(ecr)).kind is OutcomeKind.BUMPED
        ecr.scan("team/app", new, CRITICAL=2)
        assert "2 CRITICAL" in only(self.plan(ecr)).message

    def test_one_answer_for_the_whole_run(self, ecr):
        ecr.put("team/app", tags=["1.0.0"])
        new = ecr.put("team/app", tags=["1.1.0", "env-dev"])
        ecr.scan("team/app", new, LOW=1)
        workspace = Workspace(settings(ecr), now=NOW)
        first = self.plan(ecr, workspace)
        ecr.scan("team/app", new, CRITICAL=1)
        assert self.plan(ecr, workspace) == first
        assert ecr.counted()["DescribeImageScanFindings"] == 2
        assert workspace.registry_calls == len(ecr.calls)

    def test_F6_a_tag_that_moves_keeps_its_first_digest_for_the_whole_run(self, ecr):
        ecr.put("team/app", tags=["1.0.0"])
        new = ecr.put("team/app", tags=["1.1.0", "env-dev"])
        ecr.scan("team/app", new, LOW=1)
        workspace = Workspace(settings(ecr), now=NOW)
        first = self.plan(ecr, workspace)
        newer = ecr.put("team/app", tags=["1.2.0", "env-dev"])
        ecr.scan("team/app", newer, LOW=1)
        assert self.plan(ecr, workspace) == first
        assert only(self.plan(ecr)).resolved.version == "1.2.0"

    def test_F5_without_the_permission_nothing_moves(self, ecr):
        ecr.put("team/app", tags=["1.0.0"])
        ecr.put("team/app", tags=["1.1.0", "env-dev"])
        ecr.fail("DescribeImageScanFindings", "AccessDeniedException", times=-1)
        outcome = only(self.plan(ecr))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "GateUnchecked")
        assert (
            "ecr:DescribeImageScanFindings on arn:aws:ecr:us-east-1:123456789012:repository/team/app" in outcome.message
        )


def settings(ecr):
    return replace(Settings(), ecr=replace(Settings().ecr, endpoint_url=ecr.url))


class TestOverGit:
    """Gates between a plan and its commit, on a real branch."""

    @pytest.fixture
    def gated(self, tmp_path):
        return make_bare(tmp_path / "remote.git", files())

    def context(self, mirror, inspect):
        return replace(context(mirror, moving()), inspect=inspect)

    def test_a_gate_that_opens_lets_the_next_run_commit(self, gated):
        with mirror_of(gated.url) as mirror:
            blocked = reconcile(mirror, self.context(mirror, scanned(Scan(ScanStatus.RUNNING))), AUTHOR)
            assert (blocked.commits, only(blocked.work.plan).reason) == ((), "ScanPending")
            assert plan_exit_code(blocked.work.plan) is ExitCode.OK
            landed = reconcile(mirror, self.context(mirror, scanned(done(low=1))), AUTHOR)
        assert landed.commits == (gated.tip,)
        assert reference("app", "1.1.0") in gated.show("envs/dev/app/deployment.yaml")

    def test_T15_a_reviewed_plan_does_not_pass_a_gate_that_has_closed(self, gated):
        tip = gated.tip
        with mirror_of(gated.url) as mirror:
            reviewed = preview(mirror, self.context(mirror, scanned(done(low=1)))).plan
            assert from_document(to_document(reviewed)) == reviewed
            with pytest.raises(RefusedError, match=r"was Bumped and is Blocked now: gates\.maxSeverity is HIGH"):
                replay(mirror, self.context(mirror, scanned(done(critical=1))), AUTHOR, reviewed)
        assert gated.tip == tip

    def test_a_registry_that_is_busy_ends_in_the_code_for_another_run(self, gated):
        busy = scanned(Failure("Throttled", "busy", transient=True))
        with mirror_of(gated.url) as mirror:
            published = reconcile(mirror, self.context(mirror, busy), AUTHOR)
        assert plan_exit_code(published.work.plan) is ExitCode.TRANSIENT
