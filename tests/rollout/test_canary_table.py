"""The canary's table against a cluster in memory in which pods come up late, runs are killed, and statuses lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitcd.model.declaration import Apply as ApplySpec
from gitcd.model.declaration import Identity, Origin, Spec
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import Canary, CanaryStep, Strategy, Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout import book, canary
from gitcd.rollout.actions import Action, Apply, Delete, Measure, Scale
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts, Order, Orders, Release, images
from gitcd.rollout.leftovers import left_over
from gitcd.rollout.record import Record
from gitcd.rollout.routes import Split
from gitcd.rollout.shares import Routing, Share
from gitcd.rollout.strategies import table_of
from gitcd.rollout.table import Decision, Do, Failed, Finished, Trouble, Wait, advance, retreat

REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TILES = Ref("Deployment", "team", "tiles", "apps")
COPY = Ref("Deployment", "team", "tiles-canary", "apps")
CHECK = Verify("HTTP", service="tiles", interval=timedelta(0))
STEPS = (CanaryStep(10, "1m", (CHECK,)), CanaryStep(50, "Approval"))


def digest(version: str) -> str:
    return f"sha256:{version.encode().hex():0<64}"


def deployment(version: str, replicas: int | None = 4) -> dict[str, Any]:
    container = {"name": "app", "image": f"{REPO}:{version}@{digest(version)}"}
    template = {"metadata": {"labels": {"app": "tiles"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": "tiles"}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "tiles", "namespace": "team", "uid": "u-1"},
        "spec": spec | ({} if replicas is None else {"replicas": replicas}),
        "status": {"readyReplicas": replicas},
    }


@dataclass
class World:
    """1 is live, 2 is wanted. `ready`: whether the pods of the copy have come up; `verdict` is that of every check."""

    steps: tuple[CanaryStep, ...] = STEPS
    verdict: Verdict = Verdict.PASS
    now: datetime = START
    record: Record = field(default_factory=Record)
    approved: str = ""
    ready: bool = False
    crashes: bool = False
    good: str = digest("1")
    back: bool = False
    live: dict[Ref, dict[str, Any]] = field(default_factory=lambda: {TILES: deployment("1")})
    measured: dict[str, tuple[Measurement, ...]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)  # steps whose checks passed, approvals that were given

    @property
    def release(self) -> Release:
        strategy = Strategy("Canary", canary=Canary(self.steps))
        spec = Spec(REPO, tag="env-dev", strategy=strategy)
        manifest = Manifest(TILES, "v1", deployment("2", None), Origin("tiles.yaml"))
        return Release(Identity("dev", "team", "tiles"), spec, "2", digest("2"), "c" * 40, (manifest,), back=self.back)

    @property
    def facts(self) -> Facts:
        approve = Order(digest("2"), step=self.approved) if self.approved else None
        health = {TILES: Health(TILES, State.CURRENT)}
        if COPY in self.live:
            state = State.FAILED if self.crashes else State.CURRENT if self.ready else State.IN_PROGRESS
            health[COPY] = Health(COPY, state, "CrashLoopBackOff" if self.crashes else "", f"{COPY} is {state}")
        around = {TILES: Around()}
        return Facts(
            self.release, self.now, self.live, health, around, self.measured, self.record, Orders(approve), self.good
        )

    def turn(self) -> Decision:
        decision = advance(canary.table(self.release), self.facts)
        if isinstance(decision, Do | Wait):
            held = isinstance(decision, Wait) and decision.deadline is None
            if self.record.step != decision.step:
                since = None if held else self.now
                self.record = Record("Canary", decision.step, START, since, 1, digest("1"), digest("2"), "c" * 40)
        for action in decision.actions if isinstance(decision, Do) else ():
            self.act(action)
        return decision

    def act(self, action: Action) -> None:
        match action:
            case Apply(manifest) if manifest.ref == COPY:
                value = {**manifest.value, "spec": {"replicas": 1, **manifest.value["spec"]}}
                self.live[COPY] = {**value, "metadata": {**value["metadata"], "uid": "u-2"}, "status": {}}
                self.ready = False
            case Apply(manifest):
                assert self.may_be_promoted, "the Deployment gets the image after all steps, and not before"
                self.live[manifest.ref] = deployment("2")
            case Scale(ref, replicas):
                assert ref == COPY, "the Deployment keeps its pods"
                self.live[COPY] = {**self.live[COPY], "spec": {**self.live[COPY]["spec"], "replicas": replicas}}
                self.ready = False
            case Measure(key, _, before):
                found = self.measured.get(key, ())
                self.measured[key] = (*found, Measurement(self.now, self.verdict, of=before.of))
                self.passed |= {key} if self.verdict is Verdict.PASS else set()
            case Delete(ref, uid):
                assert (ref, uid) == (COPY, "u-2")
                del self.live[COPY]
            case _:
                pytest.fail(f"nobody wants {action}")

    @property
    def may_be_promoted(self) -> bool:
        there = COPY in self.live and images(self.live[COPY])["app"].endswith(digest("2"))
        return self.back or (there and self.ready and {"Verify1/0", "Approval2"} <= self.passed)

    def approve(self, step: str) -> None:
        self.approved = step
        self.passed.add(step)

    def die(self) -> None:
        """The process ends, and what it measured with it."""
        self.measured.clear()


def run(world: World, turns: int = 60) -> Decision:
    decision = world.turn()
    for _ in range(turns):
        if isinstance(decision, Failed | Finished):
            break
        world.ready = True
        world.now += timedelta(seconds=20)
        decision = world.turn()
    return decision


def test_it_waits_for_a_person_and_ends_with_the_copy_gone():
    world = World()
    assert run(world) == Wait(
        "Approval2", "`gitcd rollout approve` lets it go on, with 0 % of the pods (0 of 4; 50 % was asked for)"
    )
    assert world.live[COPY]["spec"]["replicas"] == 4
    world.approve("Approval2")
    assert isinstance(run(world), Finished)
    assert list(world.live) == [TILES]
    assert images(world.live[TILES])["app"].endswith(digest("2"))


def test_a_record_alone_is_no_approval():
    world = World()
    waiting = run(world)
    world.ready = True
    world.record = replace(world.record, step="Promote")
    assert run(world) == waiting
    assert images(world.live[TILES])["app"].endswith(digest("1"))


moves = st.lists(
    st.sampled_from(["turn", "turn", "turn", "wait", "ready", "unready", "die", "lie", "approve1", "approve2"]),
    max_size=60,
)
lies = st.sampled_from(["", "Promote", "Settle", "Clean", "Approval2", "Pause1", "Verify1", "nonsense"])


@settings(max_examples=100)
@given(moves, lies, st.booleans())
def test_whatever_happens_no_step_is_left_out(moves, lie, good):
    """`act` asserts what must hold; here the order of events is anything, and the status says what it likes."""
    world = World(good=digest("2") if good else "")
    world.record = Record("Canary", lie, START, START - timedelta(days=1), 1, "", digest("2"), "") if lie else Record()
    for move in moves:
        match move:
            case "turn":
                world.turn()
            case "wait":
                world.now += timedelta(seconds=30)
            case "ready" | "unready":
                world.ready = move == "ready"
            case "die":
                world.die()
            case "lie":
                world.record = replace(world.record, step="Promote")
            case "approve1" | "approve2":
                world.approve(f"Approval{move[-1]}")
    world.approve("Approval2")
    assert isinstance(run(world), Finished)
    assert list(world.live) == [TILES]


@given(st.sampled_from([Verdict.FAIL, Verdict.INCONCLUSIVE]))
def test_a_check_that_does_not_pass_ends_it_and_only_a_failure_blames(verdict):
    world = World(verdict=verdict)
    failed = run(world)
    assert isinstance(failed, Failed)
    assert (failed.step, failed.trouble.blames) == ("Verify1", verdict is Verdict.FAIL)
    table = canary.table(world.release)
    assert not table.retreating(world.facts)
    assert retreat(table, world.facts, failed.step) == (Scale(COPY, 0),)
    world.act(Scale(COPY, 0))
    assert retreat(table, world.facts, failed.step) == ()
    assert table.retreating(world.facts)
    assert table.sweep(world.facts) == (Delete(COPY, "u-2"),)
    world.act(Delete(COPY, "u-2"))
    assert (retreat(table, world.facts, failed.step), table.sweep(world.facts)) == ((), ())
    assert not table.retreating(world.facts), "a record alone takes nothing back"


@pytest.mark.parametrize("blames", [True, False])
def test_T31_why_it_is_taken_back_is_one_line_whoever_wrote_it(blames):
    release = World().release
    page = book.begun(book.Page(), Record("Canary", "Weight1", START, START, 1, "", release.digest), release, START)
    trouble = Trouble("Bad", "it is ill\n\nGitcd-By: me", log=("line 1", "line 2"), blames=blames)
    noted = book.retreating(page, release, trouble, START)
    assert noted.record.step == "Retreat"
    assert book.why(noted, release) == replace(trouble, message="it is ill Gitcd-By: me")
    assert book.retreating(noted, release, Trouble("Other", "other"), START) == noted


@pytest.mark.parametrize("route", ["", "tiles"])
def test_a_copy_that_is_left_over_goes_unless_a_route_may_lead_to_it(route):
    world = World()
    run(world)
    world.live[COPY]["metadata"]["annotations"] |= {"gitcd.io/route": route} if route else {}
    strategy = Strategy("RollingUpdate")
    release = replace(world.release, spec=replace(world.release.spec, strategy=strategy))
    left = left_over(release, world.live)
    assert left == (COPY,)
    facts = replace(world.facts, release=replace(release, left=left), record=Record())
    decision = advance(table_of(facts.release), facts)
    if route:
        assert isinstance(decision, Failed)
        assert not decision.trouble.blames
        assert "`kubectl delete deployment tiles-canary -n team`" in decision.trouble.message
    else:
        assert decision == Do("Clear", (Delete(COPY, "u-2"),))
    assert left_over(world.release, world.live) == ()


def test_an_autoscaler_does_not_let_it_begin_again():
    world = World()
    run(world)
    world.live[TILES]["spec"]["replicas"] = 8
    assert isinstance(world.turn(), Wait)
    assert world.record.step == "Approval2"
    assert world.live[COPY]["spec"]["replicas"] == 4


def test_a_copy_that_crashes_fails_at_any_step():
    world = World()
    run(world)
    world.crashes = True
    failed = world.turn()
    assert isinstance(failed, Failed)
    assert failed.trouble.reason == "CrashLoopBackOff"


def test_the_copy_stays_while_no_other_pod_is_ready():
    world = World()
    run(world)
    world.live[COPY]["status"] = {"readyReplicas": 2}
    world.live[TILES]["status"] = {}
    table = canary.table(world.release)
    assert (retreat(table, world.facts, "Approval2"), table.sweep(world.facts)) == ((), ())
    left = replace(world.release, spec=replace(world.release.spec, strategy=Strategy("RollingUpdate")), left=(COPY,))
    facts = replace(world.facts, release=left, record=Record())
    assert advance(table_of(left), facts) != Do("Clear", (Delete(COPY, "u-2"),))


def test_an_object_that_is_no_copy_of_it_is_left_alone():
    world = World()
    world.live[COPY] = {**deployment("1"), "metadata": {"name": COPY.name, "namespace": "team", "uid": "u-9"}}
    failed = run(world)
    assert isinstance(failed, Failed)
    assert (failed.trouble.reason, failed.trouble.blames) == ("CanaryNameTaken", False)
    table = canary.table(world.release)
    assert (retreat(table, world.facts, failed.step), table.sweep(world.facts)) == ((), ())


@pytest.mark.parametrize("is_unwell", [True, False])
def test_only_pods_that_are_not_ready_in_time_are_the_fault_of_the_version(is_unwell):
    world = World()
    world.turn()
    world.now += timedelta(minutes=15)
    facts = world.facts
    if not is_unwell:  # as where nobody lets the copy have the pods that it shall have
        facts = replace(facts, health={**facts.health, COPY: Health(COPY, State.CURRENT)})
        facts.live[COPY]["spec"]["replicas"] = 3
    failed = advance(canary.table(facts.release), facts)
    assert isinstance(failed, Failed)
    assert (failed.trouble.reason, failed.trouble.blames) == ("Timeout", is_unwell)


@pytest.mark.parametrize(("good", "is_known"), [("2", True), ("1", False), ("", False)])
def test_only_what_was_found_good_last_needs_no_canary_because_it_ran_before(good, is_known):
    """What failed ran before, too."""
    world = World(good=digest(good))
    ran = {**deployment("2"), "kind": "ReplicaSet"}
    owner = {"kind": "Deployment", "name": "tiles", "uid": "u-1", "controller": True}
    ran["metadata"] = {"name": "tiles-1", "namespace": "team", "ownerReferences": [owner]}
    facts = replace(world.facts, around={TILES: Around(replica_sets=(ran,))})
    decision = advance(canary.table(world.release), facts)
    assert isinstance(decision, Do)
    assert decision.step == ("Promote" if is_known else "Weight1")


def test_what_goes_back_is_not_verified():
    world = World()
    strategy = replace(world.release.spec.strategy, verify=(CHECK,))
    release = replace(world.release, spec=replace(world.release.spec, strategy=strategy))
    assert canary.table(release).steps[-1].name == "Verify"
    assert canary.table(replace(release, back=True)).steps[-1].name == "Clean"


def routed(world: World, canary: int, state: State) -> tuple[Share, Facts]:
    """The copy runs well; a route gives it so much of the traffic, and so it stands with the Service in front of it."""
    run(world)
    backends = [{"name": "old", "weight": 100 - canary}, {"name": "new", "weight": canary}]
    metadata = {"name": "tiles", "namespace": "team", "resourceVersion": "7"}
    value = {"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": [{"backendRefs": backends}]}}
    route = Manifest(Ref("HTTPRoute", "team", "tiles", "gateway.networking.k8s.io"), "v1", value, Origin("route.yaml"))
    service = Ref("Service", "team", "new")
    facts = replace(
        world.facts,
        live={**world.live, route.ref: value},
        health={**world.facts.health, service: Health(service, state, "", f"{service} selects no pod")},
    )
    return Share(Copy(world.release.workloads[0]), 100, Routing(route, Split("old", "new"))), facts


def test_no_traffic_is_led_to_a_service_before_it_selects_a_ready_pod():
    share, facts = routed(World(live={TILES: deployment("1", 8)}), 0, State.IN_PROGRESS)
    assert (share.move(facts), share.lacking(facts)) == ((), "Service team/new selects no pod")
    share, facts = routed(World(live={TILES: deployment("1", 8)}), 0, State.CURRENT)
    (weigh,) = share.move(facts)
    assert str(weigh) == "weigh HTTPRoute team/tiles: 0, 100"


def test_a_rollback_needs_no_canary_and_clears_one_away():
    world = World()
    run(world)
    world.back = True
    world.record = Record()
    assert isinstance(run(world), Finished)
    assert list(world.live) == [TILES]


@pytest.mark.parametrize(
    ("weight", "pods", "copy"),
    [(10, 9, 1), (10, 90, 10), (1, 1, 1), (30, 3, 1), (33, 4, 2), (50, 3, 3), (49, 3, 3), (80, 3, 3), (100, 1, 1)],
)
def test_the_copy_has_the_pods_that_the_weight_needs(weight, pods, copy):
    world = World(live={TILES: deployment("1", pods)})
    share = Share(Copy(world.release.workloads[0]), weight, None)
    assert share.pods(world.facts) == copy


@given(st.integers(1, 99), st.integers(1, 1000))
def test_the_true_weight_is_as_near_as_pods_allow_and_never_above_half(weight, pods):
    world = World(live={TILES: deployment("1", pods)})
    copy = Share(Copy(world.release.workloads[0]), weight, None).pods(world.facts)
    assert 1 <= copy <= pods
    wanted = pods * weight / (100 - weight)
    assert copy in {pods, 1} or abs(copy - wanted) <= 0.5


def test_the_copy_has_the_labels_that_a_service_selects_and_a_selector_of_its_own():
    world = World()
    made = Copy(world.release.workloads[0]).manifest(world.facts).value
    assert made["metadata"]["name"] == "tiles-canary"
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "tiles", "gitcd.io/track": "canary"}
    assert made["spec"]["selector"]["matchLabels"] == {"app": "tiles", "gitcd.io/track": "canary"}
    assert "replicas" not in made["spec"]
    stated = replace(world.release.workloads[0], value=deployment("2", 9))
    assert "replicas" not in Copy(stated).manifest(world.facts).value["spec"], "or each write would bring them all"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert world.release.workloads[0].value["spec"]["selector"]["matchLabels"] == {"app": "tiles"}, "left as it was"


def test_with_ownership_of_images_the_rest_is_as_the_cluster_has_it():
    world = World()
    world.live[TILES]["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x:1"})
    spec = replace(world.release.spec, apply=ApplySpec("Image"))
    release = replace(world.release, spec=spec)
    facts = replace(world.facts, release=release)
    (action,) = advance(canary.table(release), facts).actions
    assert images(action.manifest.value) == {"app": f"{REPO}:2@{digest('2')}", "sidecar": "x:1"}


@pytest.mark.parametrize(("written", "pods"), [("7", 7), ("10001", 4), ("999999999999", 4), ("-1", 4), ("many", 4)])
def test_no_copy_grows_by_what_somebody_writes_on_it(written, pods):
    world = World()
    run(world)
    world.live[COPY]["metadata"]["annotations"]["gitcd.io/pods"] = written
    assert Copy(world.release.workloads[0]).pods(world.facts) == pods


@example("a" * 56)
@example("a" * 57)
@example("a" * 48 + "-" * 5 + "b" * 10)
@given(st.text("abc-.", min_size=1, max_size=100))
def test_the_name_of_a_copy_is_short_enough(name):
    ref = replace(TILES, name=name)
    named = Copy(Manifest(ref, "v1", {}, Origin("x"))).ref.name
    assert len(named) <= 63
    assert named.endswith("-canary")
