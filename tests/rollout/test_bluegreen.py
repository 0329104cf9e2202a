"""ServiceBlueGreen step by step, over facts of a cluster in memory: every cell of its table."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.health import Around, State
from gitcd.model.verdict import Verdict
from gitcd.rollout import bluegreen, slots
from gitcd.rollout.actions import CommitSwitch, Scale, Select
from gitcd.rollout.record import Record
from gitcd.rollout.table import Do, Failed, Finished, Wait, advance
from tests.support.slotworld import START, Slot, World, digest

STEPS = ("Prepare", "Settle", "Preview", "Verify", "Commit", "Switch", "Watch", "Rest")
WAY = [
    "scale Deployment team/app-green to 0",
    "apply Deployment team/app-green",
    "scale Deployment team/app-green to 2",
    "verify HTTP",
    "commit the switch",
    "switch Service team/app",
    "switch Service team/app-preview",
    "scale Deployment team/app-blue to 0",
]


def at(world, step, **more):
    """The world as a run that recorded this step finds it."""
    world.record = Record("ServiceBlueGreen", step, world.now, world.now, 1, "", digest(world.version), "c" * 40)
    return replace(world.record, **more)


def brought(**more):
    """A world whose new slot is up, verified and not switched."""
    world = World(**more)
    world.run(until="Verify")
    world.settle()
    assert (world.git_live, len(world.measured)) == ("blue", 1)
    return world


def switched(**more):
    """A world that is switched and watched."""
    world = World(**more)
    world.run(until="Watch")
    assert (world.selects["app"], world.git_live) == ("green", "green")
    return world


def at_step(step):
    """A world in which this step is not done, and has begun."""
    world = World()
    if step == "Preview":
        world.selects["app-preview"] = "blue"
        world.publish()
    if step != "Commit":
        world.run(until=step)
        return world
    world.run(until="Verify")
    world.settle()
    at(world, "Commit")
    return world


def unready(world):
    world.slots["green"].pods = [(uid, version, False) for uid, version, _ in world.slots["green"].pods]


def trouble(decision):
    assert isinstance(decision, Failed), decision
    return decision.trouble


class TestTheWay:
    def test_from_bump_to_rest(self):
        world = World()
        assert isinstance(world.run(), Finished)
        assert world.writes == WAY
        assert (world.selects, world.commits) == ({"app": "green", "app-preview": "blue"}, 1)
        assert [(each.version, each.replicas) for each in world.slots.values()] == [("1", 0), ("2", 2)]

    def test_without_checks_and_without_a_service_for_them(self):
        world = World(checks=False, preview=False)
        assert isinstance(world.run(), Finished)
        assert world.writes == [each for each in WAY if "verify" not in each and "preview" not in each]

    def test_the_old_slot_stays_where_that_is_asked_for(self):
        world = World(scale_down=False)
        assert isinstance(world.run(), Finished)
        assert world.slots["blue"].replicas == 2

    def test_a_later_run_scales_down_when_the_delay_is_over(self):
        world = World(delay=timedelta(hours=1))
        assert isinstance(world.run(), Finished)
        assert world.slots["blue"].replicas == 2
        table = bluegreen.table(world.release())
        assert not table.due(world.facts())
        world.now += timedelta(hours=1)
        assert table.due(world.facts())
        world.record = Record()
        assert isinstance(world.run(), Finished)
        assert world.slots["blue"].replicas == 0
        assert not table.due(world.facts())

    def test_what_rests_is_left_alone(self):
        world = World()
        world.run()
        done = list(world.writes)
        world.record = Record()
        assert not bluegreen.table(world.release()).due(world.facts())
        assert isinstance(world.run(), Finished)
        assert world.writes == done

    def test_the_first_time_everything_is_brought(self):
        world = World()
        world.git, world.git_live, world.slots, world.selects = {"blue": "1", "green": "2"}, "green", {}, {}
        world.selected = {}
        assert isinstance(world.run(), Finished)
        assert world.commits == 0
        assert (world.selects["app"], world.slots["green"].replicas, world.slots["blue"].replicas) == ("green", 2, 0)


class TestPrepareAndSettle:
    def test_of_a_live_slot_the_number_is_taken_over_before_it_is_left_out(self):
        world = World()
        world.git, world.git_live, world.version = {"blue": "2", "green": "1"}, "blue", "2"
        world.slots["blue"].replicas = 3
        world.bring_up("blue")
        decision = world.turn()
        assert isinstance(decision, Do)
        assert world.slots["blue"].replicas == 3
        assert world.writes == ["scale Deployment team/app-blue to 3", "apply Deployment team/app-blue"]

    @pytest.mark.parametrize(("stated", "live", "scaler", "expected"), [
        (2, 2, "gitcd", 2),
        (2, 5, "gitcd", 2),  # git says less on purpose
        (2, 5, "kube-controller-manager", 5),  # an autoscaler found that it takes five
        (5, 2, "kube-controller-manager", 5),
        (0, 3, "gitcd-rollout", 3),  # git says nothing of use
        (0, 0, "gitcd", 1),
    ])  # fmt: skip
    def test_how_many_the_new_slot_gets(self, stated, live, scaler, expected):
        world = World(replicas=stated)
        world.slots["blue"] = Slot("1", live, scaler=scaler)
        world.slots["green"] = Slot("2", 0)
        world.settle()
        decision = world.turn()
        kept = "gitcd-kept" if expected > stated > 0 else ""
        assert decision == Do("Settle", (Scale(world._manifest("green").ref, expected, kept),))

    def test_an_idle_slot_that_has_more_than_it_needs_keeps_them(self):
        world = World()
        world.slots["green"] = Slot("2", 5)
        world.settle()
        world.run(until="Switch")
        assert world.slots["green"].replicas == 5

    @pytest.mark.parametrize(("stated", "scaler", "expected"), [
        (3, "gitcd-rollout", 3),
        (3, "kubectl", 2),  # a person set it
        (0, "gitcd-rollout", 2),  # what carries traffic never goes to zero
    ])  # fmt: skip
    def test_how_many_the_live_slot_has(self, stated, scaler, expected):
        world = World(checks=False)
        world.run()
        world.stated["green"], world.slots["green"].scaler, world.record = stated, scaler, Record()
        world.run()
        assert world.slots["green"].replicas == expected

    @pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ImagePullBackOff", "Unschedulable"])
    def test_a_slot_that_cannot_start_fails_and_nothing_is_switched(self, reason):
        world = World()
        world.failing["green"] = reason
        found = trouble(world.run())
        assert (found.reason, found.blames, found.health.pod) == (reason, True, "green-0")
        assert (world.selects["app"], world.commits, world.invariant) == ("blue", 0, True)

    def test_what_never_is_ready_ends_with_the_time(self):
        world = World()
        world.run(until="Settle")
        world.slots["green"].pods = []
        world.now += timedelta(minutes=15)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("Timeout", True)
        assert found.message == (
            "step Settle was not done within 15m: Deployment team/app-green: its pods are not ready"
        )

    def test_what_is_paused_is_waited_for_without_a_limit(self):
        world = World()
        world.run(until="Settle")
        facts = world.facts()
        ref = world._manifest("green").ref
        paused = replace(facts.health[ref], state=State.SUSPENDED, message="it is paused")
        world.now += timedelta(days=1)
        facts = replace(facts, now=world.now, health={**facts.health, ref: paused})
        assert advance(bluegreen.table(world.release()), facts) == Wait("Settle", "it is paused")


class TestPreviewAndVerify:
    def test_the_service_for_verification_is_led_where_git_says_when_pods_are_ready(self):
        world = World()
        world.selects["app-preview"] = "blue"
        world.publish()
        world.run()
        assert world.writes.index("switch Service team/app-preview") < world.writes.index("verify HTTP")
        assert world.writes.index("scale Deployment team/app-green to 2") < world.writes.index(
            "switch Service team/app-preview"
        )

    def test_nothing_is_verified_before_the_endpoints_are_those_of_the_new_slot(self):
        world = World()
        world.run(until="Settle")
        world.bring_up("green")  # and EndpointSlices lag behind
        decision = world.turn()
        assert isinstance(decision, Wait)
        assert decision.step == "Preview"

    @pytest.mark.parametrize(("verdict", "blames"), [(Verdict.FAIL, True), (Verdict.INCONCLUSIVE, False)])
    def test_what_does_not_pass_is_not_switched(self, verdict, blames):
        world = World(verdict=verdict)
        found = trouble(world.run())
        assert found.blames is blames
        assert (world.git_live, world.selects["app"], world.commits) == ("blue", "blue", 0)

    def test_what_was_measured_of_other_pods_counts_for_nothing(self):
        world = brought()
        world.measured = {
            key: tuple(replace(each, of="others") for each in found) for key, found in world.measured.items()
        }
        decision = world.turn()
        assert isinstance(decision, Do)
        assert (decision.step, world.writes[-1], world.commits) == ("Verify", "verify HTTP", 0)

    def test_a_record_is_no_verification(self):
        for step in ("Commit", "Switch", "Watch", "Rest"):
            world = World()
            world.run(until="Settle")
            world.settle()
            at(world, step)
            world.run(until="Commit")
            assert world.measured, step
            assert world.writes[-1] == "commit the switch"


class TestCommitAndSwitch:
    def test_nothing_is_committed_while_the_new_slot_is_not_ready(self):
        world = World()
        world.run(until="Verify")
        world.slots["green"].pods = [(uid, version, False) for uid, version, _ in world.slots["green"].pods]
        for _ in range(3):
            world.turn()
        assert world.commits == 0

    def test_pods_that_are_about_to_go_are_no_pods_to_switch_to(self):
        world = brought()
        at(world, "Commit")
        facts, ref = world.facts(), world._manifest("green").ref
        pods = [
            {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-11-23T12:00:00Z"}}
            for pod in facts.around[ref].pods
        ]
        assert isinstance(advance(bluegreen.table(world.release()), facts), Do)
        facts = replace(facts, around={**facts.around, ref: Around(pods=tuple(pods))})
        assert isinstance(advance(bluegreen.table(world.release()), facts), Wait)

    def test_nothing_is_switched_while_the_new_slot_is_not_ready(self):
        world = brought()
        world.git_live = "green"
        world.slots["green"].pods = []
        for _ in range(3):
            assert isinstance(world.turn(), Wait)
        assert (world.selects["app"], world.invariant) == ("blue", True)

    def test_a_slot_that_breaks_between_commit_and_switch_is_not_switched_to(self):
        world = brought()
        world.git_live = "green"
        world.failing["green"] = "CrashLoopBackOff"
        world.settle()
        assert trouble(world.turn()).reason == "CrashLoopBackOff"
        assert world.selects["app"] == "blue"

    def test_a_switch_is_made_on_the_version_that_was_seen(self):
        world = brought()
        world.git_live = "green"
        at(world, "Switch")
        decision = world.turn()
        assert isinstance(decision, Do)
        assert [(type(each), each.resource_version) for each in decision.actions] == [(Select, "1")]

    def test_it_is_not_done_before_the_endpoints_are_those_of_the_new_slot_alone(self):
        world = World()
        world.run(until="Switch")
        assert world.turn() != Finished()
        assert world.selects == {"app": "green", "app-preview": "blue"}
        decision = world.turn()
        assert isinstance(decision, Wait)
        assert (decision.step, decision.why != "") == ("Switch", False)
        world.now += timedelta(minutes=15)
        found = trouble(world.turn())
        assert "still leads to pod blue-" in found.message

    @pytest.mark.parametrize("step", STEPS)
    def test_a_service_that_somebody_switched_by_hand_stops_everything(self, step):
        world = brought()
        world.turn_by_hand("green")
        world.publish()
        world.slots["green"].replicas = 2
        at(world, step)
        writes = list(world.writes)
        found = trouble(world.run(turns=3))
        assert (found.reason, found.blames) == ("Drift", False)
        assert "selects app=app, slot=green in the cluster and Deployment team/app-blue in git" in found.message
        assert world.writes == writes

    @pytest.mark.parametrize("step", ["Commit", "Switch", "Watch"])
    def test_one_that_somebody_takes_back_by_hand_while_it_is_switched_is_left_there(self, step):
        """An outage may be why, and whoever looks at it is not to be overruled."""
        world = World()
        world.run(until="Switch")
        world.turn()
        assert (world.git_live, world.selects["app"]) == ("green", "green")
        at(world, step)
        world.now += timedelta(seconds=30)
        world.turn_by_hand("blue")
        world.settle()
        writes = list(world.writes)
        assert trouble(world.run(turns=3)).reason == "Drift"
        assert (world.writes, world.selects["app"]) == (writes, "blue")

    def test_a_service_that_gitcd_never_wrote_is_switched(self):
        world = World()
        world.selected["app"] = (START - timedelta(days=9), "kubectl-create")
        assert isinstance(world.run(), Finished)
        assert world.selects["app"] == "green"

    def test_a_service_that_leads_nowhere_stops_everything(self):
        world = brought()
        world.selects["app"], world.selected["app"] = "red", (world.now, "gitcd")
        assert trouble(world.turn()).reason == "Drift"

    def test_after_all_was_found_good_a_switch_by_hand_is_due_and_said(self):
        world = World()
        world.run()
        world.record = Record()
        world.turn_by_hand("blue")
        assert bluegreen.table(world.release()).due(world.facts())
        assert trouble(world.run()).reason == "Drift"
        assert world.selects["app"] == "blue"

    def test_a_switch_that_a_person_commits_is_carried_out(self):
        world = World()
        world.run()
        world.record = Record()
        world.slots["blue"].replicas = 2
        world.settle()
        world.git_live, world.version = "blue", "1"  # git holds version 1 in blue, which is live again
        assert isinstance(world.run(), Finished)
        assert world.selects["app"] == "blue"
        assert world.commits == 1


class TestWatchAndRest:
    @pytest.mark.parametrize(("passed", "done"), [(0, False), (119, False), (121, True)])
    def test_the_watch_lasts_as_long_as_it_is_said(self, passed, done):
        world = switched()
        world.now = world.record.since + timedelta(seconds=passed)
        assert isinstance(world.turn(), Do) is done

    def test_it_is_said_until_when(self):
        world = switched()
        ends = world.record.since + timedelta(minutes=2)
        decision = world.turn()
        assert isinstance(decision, Wait)
        assert decision.why == f"Deployment team/app-green is live, and watched until {ends:%H:%M:%S} UTC"

    def test_a_record_from_the_past_does_not_shorten_it(self):
        world = switched()
        world.now = world.selected["app"][0]
        world.record = at(world, "Watch", since=START - timedelta(days=3))
        assert isinstance(world.turn(), Wait)

    def test_what_breaks_while_it_is_watched_fails(self):
        world = switched()
        world.failing["green"] = "CrashLoopBackOff"
        world.settle()
        assert trouble(world.turn()).reason == "CrashLoopBackOff"
        assert world.slots["blue"].replicas == 2  # which is what the way back needs

    def test_what_somebody_has_put_there_by_hand_is_not_blamed_on_the_version(self):
        world = switched()
        world.slots["green"].version = "9"
        world.failing["green"] = "CrashLoopBackOff"
        assert isinstance(world.turn(), Wait)

    def test_nor_is_what_became_of_another_one_that_was_watched(self):
        world = switched()
        world.record = replace(world.record, new_digest=digest("0"))
        unready(world)
        world.publish()
        assert isinstance(world.turn(), Wait)

    def test_of_several_who_say_what_a_service_selects_the_last_one_counts(self):
        owners = [
            {"manager": manager, "time": time, "fieldsV1": {"f:spec": {"f:selector": {}}}}
            for manager, time in (("gitcd", "2026-11-23T12:05:00Z"), ("kubectl-edit", "2026-11-23T12:00:00Z"))
        ]
        service = {"metadata": {"managedFields": owners}}
        assert slots.selected_since(service) == START + timedelta(minutes=5)

    def test_a_service_without_a_ready_pod_fails_at_once(self):
        world = switched()
        world.endpoints["app"] = [(uid, False) for uid, _ in world.endpoints["app"]]
        assert isinstance(world.turn(), Wait)  # pods were ready a moment ago
        world.slots["green"].pods = [(uid, version, False) for uid, version, _ in world.slots["green"].pods]
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("NoReadyPod", True)

    def test_so_it_does_while_the_endpoints_have_not_followed_the_switch_yet(self):
        world = World()
        world.run(until="Switch")
        world.settle()
        world.run(turns=1, until="Switch")
        assert world.selects["app"] == "green"
        at(world, "Switch")
        unready(world)
        world.publish()
        found = trouble(world.turn())
        assert (found.reason, found.blames, world.slots["blue"].replicas) == ("NoReadyPod", True, 2)

    def test_the_first_time_pods_are_waited_for_behind_a_service_that_leads_to_them(self):
        world = World()
        world.git, world.git_live, world.slots, world.selects = {"blue": "1", "green": "2"}, "green", {}, {}
        world.selected = {}
        for _ in range(5):
            assert isinstance(world.turn(), Do | Wait)
            world.publish()
        assert world.selects["app"] == "green"

    def test_the_old_slot_is_not_scaled_down_while_it_carries_traffic(self):
        world = World()
        world.run()
        for step in STEPS:
            world.slots["blue"].replicas = 2
            world.settle()
            world.endpoints["app"] = [(uid, ready) for uid, _, ready in world.slots["blue"].pods]
            at(world, step)
            world.turn()
            assert world.slots["blue"].replicas == 2, step

    def test_an_old_slot_that_git_wants_otherwise_is_brought(self):
        world = World()
        world.git["blue"] = "0"
        assert isinstance(world.run(), Finished)
        assert (world.slots["blue"].version, world.slots["blue"].replicas) == ("0", 0)


class TestBack:
    def test_before_the_switch_only_the_idle_slot_changes(self):
        world = World()
        world.failing["green"] = "CrashLoopBackOff"
        trouble(world.run())
        done = len(world.writes)
        world.git["green"], world.version, world.back, world.record = "0", "1", True, Record()
        world.failing.clear()
        assert isinstance(world.run(), Finished)
        assert world.writes[done:] == [
            "scale Deployment team/app-green to 0",
            "scale Deployment team/app-green to 0",
            "apply Deployment team/app-green",
        ]
        assert (world.selects["app"], world.commits, world.slots["green"].version) == ("blue", 0, "0")

    def test_after_the_switch_the_service_goes_back_at_once_and_unwatched(self):
        world = switched()
        world.failing["green"] = "CrashLoopBackOff"
        trouble(world.run())
        world.git_live, world.version, world.back = "blue", "1", True
        before = world.now
        assert isinstance(world.run(), Finished)
        assert (world.selects, world.slots["green"].replicas) == ({"app": "blue", "app-preview": "green"}, 0)
        assert world.now - before < timedelta(minutes=1)

    def test_a_slot_that_was_scaled_down_comes_up_before_it_is_live_again(self):
        world = World()
        world.run()
        world.git_live, world.version, world.back, world.record = "blue", "1", True, Record()
        while not isinstance(world.turn(), Finished):
            assert world.invariant
            world.settle()
        assert (world.selects["app"], world.slots["blue"].replicas) == ("blue", 2)


class TestExternal:
    def test_only_the_switch_is_committed_and_the_rest_is_waited_for(self):
        world = World(external=True)
        assert (world.turn().step, world.writes) == ("Prepare", [])
        world.slots["green"] = Slot("2", 2)  # somebody applies the branch
        assert isinstance(world.run(until="Switch"), Wait)
        assert world.writes == ["verify HTTP", "commit the switch"]
        assert world.run(turns=5).step == "Switch"
        world.selects = {"app": "green", "app-preview": "blue"}  # and again
        world.selected["app"] = (world.now, "kustomize-controller")
        assert isinstance(world.run(), Finished)
        assert world.writes == ["verify HTTP", "commit the switch"]

    def test_services_that_somebody_else_applies_are_his_to_switch(self):
        world = World(external=True)
        world.selected = dict.fromkeys(world.selects, (START, "kustomize-controller"))
        world.slots["green"] = Slot("2", 2)
        world.settle()
        assert isinstance(world.run(until="Switch"), Wait)
        assert world.commits == 1

    @pytest.mark.parametrize("step", ["Prepare", "Switch"])
    def test_what_nobody_applies_is_no_fault_of_the_version(self, step):
        world = World(external=True)
        if step == "Switch":
            world.slots["green"] = Slot("2", 2)
            world.run(until="Switch")
        else:
            world.turn()
        world.now += timedelta(minutes=15)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("Timeout", False)

    def test_a_slot_without_replicas_in_git_is_said_at_once(self):
        world = World(external=True, replicas=0)
        world.slots["green"] = Slot("2", 0)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("NoReplicas", False)


class TestWhatGitSays:
    def refused(self, **changes):
        world = World()
        release = world.release()
        release = replace(release, **{key: change(release) for key, change in changes.items()})
        found = trouble(advance(bluegreen.table(release), world.facts(release)))
        assert not found.blames
        return found.reason

    def test_it_needs_two_slots(self):
        assert self.refused(workloads=lambda release: release.workloads[:1]) == "BlueGreenNeedsTwo"

    def test_its_slots_have_to_be_what_can_be_scaled(self):
        def daemons(release):
            first, second = release.workloads
            return first, replace(second, ref=replace(second.ref, kind="DaemonSet"))

        assert self.refused(workloads=daemons) == "BlueGreenNeedsScale"

    def test_it_needs_its_services(self):
        assert self.refused(others=lambda _: ()) == "ServiceNotFound"
        assert self.refused(others=lambda release: release.others[:1]) == "ServiceNotFound"

    def test_one_slot_has_to_hold_the_image(self):
        assert self.refused(digest=lambda _: digest("9")) == "SlotUnclear"

    def test_the_service_has_to_select_one_slot(self):
        def shared(release):
            return tuple(
                replace(each, value={**each.value, "spec": {"selector": {"app": "app"}}}) for each in release.others
            )

        assert self.refused(others=shared) == "LiveSlotUnclear"

    def test_the_service_for_verification_has_to_select_the_idle_slot(self):
        world = World()
        release = world.release()
        main, preview = release.others
        wrong = replace(preview, value={**preview.value, "spec": main.value["spec"]})
        assert self.refused(others=lambda _: (main, wrong)) == "VerificationServiceUnclear"

    def test_a_slot_that_holds_the_image_already_and_is_live_wins(self):
        world = World()
        world.git = {"blue": "2", "green": "2"}
        pair = slots.pair_of(world.release())
        assert (pair.new.ref.name, pair.is_switched) == ("app-blue", True)


@pytest.mark.parametrize("kept", [True, False], ids=["with its record", "without"])
@pytest.mark.parametrize("turns", range(1, 22))
def test_F46_killed_after_any_turn_the_next_run_ends_where_an_unkilled_one_does(turns, kept):
    whole, killed = World(), World()
    assert isinstance(whole.run(), Finished)
    for _ in range(turns):
        killed.turn()
        killed.settle()
        killed.now += timedelta(seconds=10)
    killed.measured = {}
    if not kept:
        killed.record = Record()
    assert isinstance(killed.run(), Finished)
    assert (killed.selects, killed.commits, killed.git_live) == (whole.selects, 1, "green")
    assert [(each.version, each.replicas) for each in killed.slots.values()] == [("1", 0), ("2", 2)]
    assert [each for each in killed.writes if "verify" not in each] == [each for each in WAY if "verify" not in each]


@pytest.mark.parametrize("number", range(1, 8))
def test_F46_killed_between_two_writes_of_one_turn_it_ends_there_too(number):
    class KilledError(Exception):
        pass

    class Mortal(World):
        def act(self, action):
            if len(self.writes) == number:
                raise KilledError
            super().act(action)

    world = Mortal()
    with pytest.raises(KilledError):
        world.run()
    world.act, world.measured = lambda action: World.act(world, action), {}
    assert isinstance(world.run(), Finished)
    assert (world.selects["app"], world.commits, world.slots["blue"].replicas) == ("green", 1, 0)


RECORDS = st.builds(
    Record,
    st.just("ServiceBlueGreen"),
    st.sampled_from([*STEPS, "Nonsense"]),
    st.none(),
    st.none() | st.sampled_from([START - timedelta(days=9), START + timedelta(days=9)]),
    st.just(1),
    st.just(""),
    st.just(digest("2")),
)
EVENTS = {
    "blue comes up": lambda world: world.bring_up("blue"),
    "green comes up": lambda world: world.bring_up("green"),
    "endpoints follow": lambda world: world.publish(),
    "blue breaks": lambda world: world.failing.update(blue="CrashLoopBackOff"),
    "green breaks": lambda world: world.failing.update(green="CrashLoopBackOff"),
    "all is mended": lambda world: world.failing.clear(),
    "time passes": lambda world: setattr(world, "now", world.now + timedelta(minutes=3)),
    "killed": lambda world: world.measured.clear(),
    "switched by hand": lambda world: world.turn_by_hand("green"),
    "switched back by hand": lambda world: world.turn_by_hand("blue"),
    "green is deleted": lambda world: world.slots.pop("green", None),
    "blue is deleted": lambda world: world.slots.pop("blue", None),
    "the service is deleted": lambda world: world.selects.pop("app", None),
    "the other service is deleted": lambda world: world.selects.pop("app-preview", None),
    "blue is scaled by an autoscaler": lambda world: world.scale_by_other("blue", 4),
    "green is scaled by an autoscaler": lambda world: world.scale_by_other("green", 4),
    "green is scaled to nothing by hand": lambda world: world.scale_by_other("green", 0),
    "green is paused": lambda world: world.paused.add("green"),
    "green goes on": lambda world: world.paused.clear(),
    "the server forgets": lambda world: setattr(world, "remembers", False),
    "a stranger comes": lambda world: world.strangers.append("somebody-0"),
    "the stranger goes": lambda world: world.strangers.clear(),
    "git says more": lambda world: world.stated.update(blue=3, green=3),
    "git says nothing": lambda world: world.stated.update(blue=None, green=None),
    "nothing": lambda world: None,
}


@settings(max_examples=120)
@given(st.lists(st.sampled_from(sorted(EVENTS)) | RECORDS, max_size=40), st.booleans())
def test_no_write_ever_takes_the_last_ready_pod_from_the_live_service(events, preview):
    """Whatever happens, in whatever order, and whatever the record says: what is lost was lost before."""
    world = World(preview=preview, checks=False)
    for event in events:
        if isinstance(event, Record):
            world.record = event
        else:
            EVENTS[event](world)
        before, commits, carrying = world.invariant, world.commits, world.carrying
        world.turn()
        assert world.invariant or not before
        assert world.carrying in {carrying, ("green", "2")} or not before
        assert world.commits <= 1
        if world.commits > commits:
            assert any(ready and version == "2" for _, version, ready in world.slots["green"].pods)


class TestNotItsFault:
    """What ends a step's time is held against the version only where its pods are not ready."""

    def test_a_remote_that_cannot_be_reached_is_no_fault_of_the_version(self):
        class Cut(World):
            def act(self, action):
                if not isinstance(action, CommitSwitch):
                    super().act(action)

        world = Cut()
        world.run(until="Commit")
        world.now += timedelta(minutes=15)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("Timeout", False)

    @pytest.mark.parametrize("step", ["Preview", "Switch"])
    def test_a_pod_of_nobody_behind_the_service_is_no_fault_of_the_version(self, step):
        world = World()
        world.strangers = ["somebody-0"]
        if step == "Switch":
            world.strangers = []
            world.run(until="Switch")
            world.strangers = ["somebody-0"]
        world.run(until=step)
        world.settle()
        world.now += timedelta(minutes=15)
        found = trouble(world.run())
        assert "still leads to pod somebody-0" in found.message
        assert (found.reason, found.blames) == ("Timeout", False)

    @pytest.mark.parametrize("step", ["Settle", "Preview", "Commit", "Watch"])
    def test_pods_that_are_not_ready_all_the_while_are(self, step):
        world = at_step(step)
        unready(world)
        world.turn()
        world.now += timedelta(minutes=18)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("Timeout", True)

    @pytest.mark.parametrize("step", ["Settle", "Preview", "Verify", "Commit", "Switch", "Watch"])
    def test_what_is_paused_is_waited_for_without_a_limit(self, step):
        world = at_step(step)
        world.settle()
        world.paused.add("green")
        for _ in range(3):
            world.now += timedelta(days=1)
            decision = world.turn()
            assert isinstance(decision, Wait), decision
            assert (decision.step, decision.deadline) == ("Watch" if step == "Watch" else "Settle", None)
        world.paused.clear()
        assert isinstance(world.run(), Finished)

    def test_a_service_of_which_the_server_remembers_nothing_is_watched_and_rests(self):
        world = World()
        world.run(until="Watch")
        world.remembers = False
        assert isinstance(world.run(), Finished)
        assert world.slots["blue"].replicas == 0
        world.slots["blue"].replicas, world.record = 2, Record()
        assert bluegreen.table(world.release()).due(world.facts())
        assert isinstance(world.run(), Finished)
        assert world.slots["blue"].replicas == 0


class TestHowManyStay:
    @pytest.mark.parametrize("stated", [None, 2, 7])
    def test_what_an_autoscaler_found_is_kept_after_the_switch(self, stated):
        world = World(checks=False)
        world.stated = {"blue": stated, "green": stated}
        world.slots["blue"] = Slot("1", 5, scaler="kube-controller-manager")
        world.settle()
        assert isinstance(world.run(), Finished)
        expected = max(5, stated or 0)
        assert world.slots["green"].replicas == expected
        world.record = Record()
        world.run()
        assert world.slots["green"].replicas == expected

    def test_a_number_that_git_lowers_reaches_the_live_slot(self):
        world = World(checks=False)
        world.run()
        world.stated["green"], world.record = 1, Record()
        assert bluegreen.table(world.release()).due(world.facts())
        world.run()
        assert world.slots["green"].replicas == 1

    def test_of_a_live_slot_about_which_git_says_nothing_the_number_stays(self):
        world = World(checks=False)
        world.stated = {"blue": None, "green": None}
        world.slots["blue"] = Slot("1", 3, scaler="gitcd-rollout")
        world.settle()
        world.run()
        assert world.slots["green"].replicas == 3
        world.record = Record()
        assert not bluegreen.table(world.release()).due(world.facts())


class TestRecordsAndFacts:
    def test_a_record_does_not_spare_the_watch(self):
        world = switched()
        at(world, "Rest", since=world.now - timedelta(days=1))
        world.record = replace(world.record, since=world.now - timedelta(days=1))
        for _ in range(3):
            decision = world.turn()
            assert isinstance(decision, Wait)
            assert decision.step == "Watch"
        assert world.slots["blue"].replicas == 2

    def test_pods_of_the_other_slot_are_none_of_this_one_though_the_selectors_of_both_meet_them(self):
        """Deployments that were written with one selector for both."""

        class Shared(World):
            def facts(self, release=None):
                facts = super().facts(release)
                pods = sum((around.pods for around in facts.around.values()), ())
                return replace(facts, around={ref: replace(each, pods=pods) for ref, each in facts.around.items()})

        world = Shared()
        world.run(until="Switch")
        world.settle()
        world.turn()
        assert world.selects["app"] == "green"
        world.endpoints["app"] = [(uid, True) for uid, _, _ in world.slots["blue"].pods]
        for _ in range(3):
            assert isinstance(world.turn(), Wait | Do)
        assert world.slots["blue"].replicas == 2
        assert world.record.step == "Switch"

    def test_a_selector_that_another_manager_owns_stops_it_before_the_commit(self):
        world = World()
        world.selected["app"] = (START, "helm")
        found = trouble(world.run())
        assert (found.reason, found.blames, world.commits) == ("Conflict", False, 0)
        assert "Service team/app is helm's" in found.message

    @pytest.mark.parametrize("manager", ["kubectl-edit", "kubectl-client-side-apply", "kubectl-patch"])
    def test_one_that_a_person_set_back_does_not(self, manager):
        world = World()
        world.selected["app"] = (START, manager)
        assert isinstance(world.run(), Finished)


class TestANewerCommit:
    """A switch was committed and not carried out; then another image came into what has become the idle slot of git."""

    def overtaken(self, **more):
        world = World(**more)
        world.run(until="Verify")
        world.settle()
        at(world, "Commit")
        world.git_live, world.selects = "green", {"app": "blue", "app-preview": "green"}
        world.git["blue"], world.version = "3", "3"
        world.measured = {}
        return world

    def test_the_switch_is_carried_out_first(self):
        world = self.overtaken()
        world.selected["app"] = (world.now, "gitcd")
        done = len(world.writes)
        assert isinstance(world.run(), Finished)
        way = world.writes[done:]
        assert way[:2] == ["switch Service team/app", "scale Deployment team/app-blue to 2"]
        assert (world.git_live, world.selects["app"], world.slots["blue"].version) == ("blue", "blue", "3")

    def test_nothing_is_written_into_the_old_slot_before_the_endpoints_have_left_it(self):
        world = self.overtaken()
        world.turn()
        assert world.selects["app"] == "green"
        for _ in range(3):
            decision = world.turn()
            assert isinstance(decision, Wait)
            assert decision.step == "Follow"
        assert world.slots["blue"].version == "1"

    def test_killed_there_the_next_run_goes_on(self):
        world = self.overtaken()
        world.enter("Follow")
        assert isinstance(world.run(), Finished)
        assert world.selects["app"] == "blue"

    def test_not_while_the_slot_that_git_says_is_live_cannot_be(self):
        world = self.overtaken()
        unready(world)
        for _ in range(3):
            assert isinstance(world.turn(), Wait)
        assert world.selects["app"] == "blue"
        world.now += timedelta(minutes=15)
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("LiveSlotNotReady", False)
        assert "Service team/app still leads to Deployment team/app-blue where git says Deployment team/app-green" in (
            found.message
        )

    def test_nor_while_only_some_of_its_pods_are_ready(self):
        world = self.overtaken()
        first, (uid, version, _) = world.slots["green"].pods
        world.slots["green"].pods = [first, (uid, version, False)]
        for _ in range(3):
            assert isinstance(world.turn(), Wait)
        assert world.selects["app"] == "blue"

    def test_every_later_run_says_the_same_at_once_until_it_is_ready(self):
        world = self.overtaken()
        unready(world)
        world.turn()
        world.now += timedelta(minutes=15)
        first = trouble(world.turn())
        for _ in range(3):
            world.record, world.stalled = Record(), first.reason
            world.now += timedelta(minutes=5)
            assert trouble(world.turn()) == first
        world.settle()
        assert isinstance(world.run(), Finished)
        assert (world.selects["app"], world.git_live, world.slots["blue"].version) == ("blue", "blue", "3")

    def test_what_cannot_start_is_not_waited_for(self):
        world = self.overtaken()
        world.failing["green"] = "CrashLoopBackOff"
        world.settle()
        assert trouble(world.turn()).reason == "LiveSlotNotReady"

    def test_what_is_paused_is_waited_for(self):
        world = self.overtaken()
        world.paused.add("green")
        assert world.turn() == Wait("Follow", "Deployment team/app-green is paused")

    def test_one_that_was_scaled_down_is_brought_up_first_and_the_service_selects_a_ready_pod_all_the_while(self):
        """The proposal of a switch that was carried out is no more."""
        world = World()
        world.run()
        assert (world.selects["app"], world.slots["blue"].replicas) == ("green", 0)
        world.git_live, world.git["green"], world.version = "blue", "3", "3"
        world.record, world.measured, world.stalled = Record(), {}, "LiveSlotNotReady"
        done = len(world.writes)
        decision = world.turn()
        for _ in range(60):
            assert world.invariant
            if not isinstance(decision, Do | Wait):
                break
            world.settle()
            world.now += timedelta(seconds=10)
            decision = world.turn()
        assert isinstance(decision, Finished)
        assert world.writes[done:][:5] == [
            "scale Deployment team/app-blue to 2",
            "switch Service team/app",
            "scale Deployment team/app-green to 2",
            "apply Deployment team/app-green",
            "switch Service team/app-preview",
        ]
        assert (world.selects["app"], world.slots["green"].version) == ("green", "3")

    @pytest.mark.parametrize("record", [Record(), Record("ServiceBlueGreen", "Watch", None, None, 1, "", digest("2")),
                                        Record("ServiceBlueGreen", "Switch", None, None, 1, "", digest("9"))])  # fmt: skip
    def test_no_record_is_needed_where_gitcd_has_let_the_service_lead_there(self, record):
        world = self.overtaken()
        world.record = record
        assert isinstance(world.run(), Finished)
        assert (world.git_live, world.selects["app"], world.slots["blue"].version) == ("blue", "blue", "3")

    def test_where_nobody_knows_who_has_it_is_drift(self):
        world = self.overtaken()
        world.remembers = False
        writes = list(world.writes)
        assert trouble(world.turn()).reason == "Drift"
        assert world.writes == writes

    def test_what_a_person_has_set_meanwhile_is_drift(self):
        world = self.overtaken()
        world.turn_by_hand("blue")
        assert trouble(world.turn()).reason == "Drift"

    def test_where_somebody_else_applies_it_is_waited_for(self):
        world = self.overtaken()
        world.external = True
        decision = world.turn()
        assert isinstance(decision, Wait)
        assert decision.step == "Follow"
        world.now += timedelta(minutes=15)
        first = trouble(world.turn())
        assert first.reason == "NotApplied"
        for _ in range(2):
            world.record, world.stalled = Record(), first.reason
            assert trouble(world.turn()) == first


class TestExternalNumbers:
    def test_an_idle_slot_that_git_gives_no_replicas_is_said_at_once(self):
        world = World(external=True)
        world.slots["blue"] = Slot("1", 2, scaler="kustomize-controller")
        world.stated["green"], world.slots["green"] = 0, Slot("2", 0)
        world.settle()
        found = trouble(world.turn())
        assert (found.reason, found.blames) == ("NoReplicas", False)

    def test_one_that_an_autoscaler_keeps_up_is_not(self):
        world = World(external=True)
        world.stated["green"], world.slots["green"] = 0, Slot("2", 2, scaler="kube-controller-manager")
        world.settle()
        assert isinstance(world.run(until="Switch"), Wait)
        assert world.commits == 1


class TestGoingBackBeforeTheSwitch:
    """A switch was committed and not carried out; then somebody went back to what the cluster's Service still selects.

    Green is live in git with version 2, blue with version 1 in the cluster, and version 1 is wanted again.
    """

    def returning(self, **more):
        world = World(**{"returns": True, **more})
        world.run(until="Verify")
        world.settle()
        world.git_live, world.selects = "green", {"app": "blue", "app-preview": "green"}
        world.selected["app"] = (world.now, "gitcd")
        world.version, world.measured, world.record = "1", {}, Record()
        world.publish()
        return world

    @pytest.mark.parametrize("failing", [True, False])
    def test_git_is_led_back_to_where_the_service_is(self, failing):
        world = self.returning()
        if failing:
            world.failing["green"] = "CrashLoopBackOff"
            world.settle()
        done = len(world.writes)
        assert isinstance(world.run(), Finished)
        assert world.writes[done:] == [
            "switch Service team/app-preview",
            "verify HTTP",
            "commit the switch",
            "switch Service team/app-preview",
            "scale Deployment team/app-green to 0",
        ]
        assert (world.git_live, world.selects["app"], world.slots["blue"].version) == ("blue", "blue", "1")

    @pytest.mark.parametrize("step", ["Follow", *STEPS])
    def test_killed_anywhere_the_next_run_goes_on(self, step):
        world = self.returning()
        world.failing["green"] = "CrashLoopBackOff"
        world.settle()
        at(world, step)
        assert isinstance(world.run(), Finished)
        assert (world.git_live, world.selects["app"]) == ("blue", "blue")

    def test_what_stalled_before_goes_on(self):
        world = self.returning()
        unready(world)
        world.stalled = "LiveSlotNotReady"
        assert isinstance(world.run(), Finished)
        assert world.git_live == "blue"

    def test_not_where_the_slot_would_have_to_change_under_traffic(self):
        world = self.returning()
        world.failing["green"] = "CrashLoopBackOff"
        world.git["blue"], world.version = "0", "0"
        world.settle()
        writes = list(world.writes)
        found = trouble(world.turn())
        assert (found.reason, world.writes) == ("LiveSlotNotReady", writes)
        assert "`gitcd rollback dev/team/app --to 1`" in found.message

    def test_not_where_nobody_asked_for_it(self):
        """A proposed switch that was declined is not what the cluster keeps."""
        world = self.returning(returns=False)
        done = len(world.writes)
        world.turn()
        assert world.writes[done:] == ["switch Service team/app"]
        assert world.selects["app"] == "green"

    def test_not_where_a_person_has_switched_the_service(self):
        world = self.returning()
        world.turn_by_hand("blue")
        assert trouble(world.turn()).reason == "Drift"

    def test_where_somebody_else_applies_the_service_is_followed_as_ever(self):
        world = self.returning(external=True)
        world.enter("Follow")
        decision = world.turn()
        assert isinstance(decision, Wait)
        assert decision.step == "Follow"
