"""Whether a slot's pods are what the commit says, and by what they are told apart."""

from dataclasses import replace

import pytest

from gitcd.model.strategy import Verify
from gitcd.rollout import bluegreen, templates
from gitcd.rollout.actions import Apply, CommitSwitch, Measure
from gitcd.rollout.table import Do, Wait, advance
from gitcd.rollout.verification import mark
from tests.support.slotworld import World


def with_container(value, **more):
    """The same workload, with more in its container."""
    pod = value["spec"]["template"]["spec"]
    containers = [{**each, **more} for each in pod["containers"]]
    template = {**value["spec"]["template"], "spec": {**pod, "containers": containers}}
    return {**value, "spec": {**value["spec"], "template": template}}


def asked(world, **more):
    """The facts where git says more of the pods of the new slot."""
    blue, green = (world._manifest(name) for name in ("blue", "green"))
    release = replace(world.release(), workloads=(blue, replace(green, value=with_container(green.value, **more))))
    return world.facts(release), release


def there(facts, **more):
    """The facts where the cluster says more of the pods of the new slot."""
    ref = facts.release.workloads[1].ref
    return replace(facts, live={**facts.live, ref: with_container(facts.live[ref], **more)})


@pytest.fixture
def verifying():
    world = World()
    world.run(until="Verify")
    world.settle()
    return world


@pytest.mark.parametrize(("wanted", "live"), [
    ({"resources": {"limits": {"cpu": "1000m"}}}, {"resources": {"limits": {"cpu": "1"}}}),
    ({"resources": {"limits": {"memory": "1024Ki"}}}, {"resources": {"limits": {"memory": "1Mi"}}}),
    ({"resources": {"limits": {"memory": "1e3"}}}, {"resources": {"limits": {"memory": "1k"}}}),
    ({"resources": {"limits": {"cpu": 1}}}, {"resources": {"limits": {"cpu": "1"}}}),
    ({"resources": {"limits": {"memory": "0.5Gi"}}}, {"resources": {"limits": {"memory": "512Mi"}}}),
    ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}),
    ({"env": [{"name": "A", "value": "${CLUSTER}"}]}, {"env": [{"name": "A", "value": "prod"}]}),
    ({"args": []}, {}),
    ({}, {"imagePullPolicy": "Always"}),
])  # fmt: skip
def test_what_is_the_same_in_another_spelling_is_no_difference(verifying, wanted, live):
    facts, release = asked(verifying, **wanted)
    assert templates.unlike(there(facts, **live), release.workloads[1]) == ""


@pytest.mark.parametrize(("wanted", "live", "where"), [
    ({"env": [{"name": "A", "value": "1"}]}, {}, "template.spec.containers[app].env"),
    ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]},
     "template.spec.containers[app].env[A].value"),
    ({"env": [{"name": "A", "value": "a"}]}, {"env": [{"name": "A"}]}, "template.spec.containers[app].env[A].value"),
    ({"args": ["--fast"]}, {"args": ["--slow"]}, "template.spec.containers[app].args[0]"),
    ({"resources": {"limits": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "2"}}},
     "template.spec.containers[app].resources.limits.cpu"),
    ({"tty": True}, {"tty": False}, "template.spec.containers[app].tty"),
])  # fmt: skip
def test_what_differs_is_named(verifying, wanted, live, where):
    facts, release = asked(verifying, **wanted)
    assert templates.unlike(there(facts, **live), release.workloads[1]) == where


def test_what_this_run_has_written_is_what_the_commit_says_until_somebody_changes_it(verifying):
    facts, release = asked(verifying, env=[{"name": "A", "value": "1"}])
    slot = release.workloads[1]
    written = replace(facts, written={slot.ref: templates.seal(facts.live[slot.ref])})
    assert templates.unlike(written, slot) == ""
    assert templates.unlike(there(written, tty=True), slot) != ""


def test_of_images_alone_nothing_else_is_compared(verifying):
    facts, release = asked(verifying, tty=True)
    spec = replace(release.spec, apply=replace(release.spec.apply, ownership="Image"))
    assert templates.unlike(replace(facts, release=replace(release, spec=spec)), release.workloads[1]) == ""


def test_another_template_is_brought_before_anything_is_verified_and_all_is_verified_anew(verifying):
    facts, release = asked(verifying, tty=True)
    decision = advance(bluegreen.table(release), facts)
    assert isinstance(decision, Do)
    assert (decision.step, [type(each) for each in decision.actions][-1]) == ("Prepare", Apply)
    brought = there(facts, tty=True)
    decision = advance(bluegreen.table(release), brought)
    assert isinstance(decision, Do)
    assert (decision.step, [type(each) for each in decision.actions]) == ("Verify", [Measure])


def test_where_somebody_else_applies_it_is_waited_for():
    world = World(external=True)
    world.slots["green"].version, world.slots["green"].replicas = world.version, world.replicas
    world.settle()
    assert world.turn().step == "Verify"
    facts, release = asked(world, tty=True)
    decision = advance(bluegreen.table(release), facts)
    assert isinstance(decision, Wait)
    assert decision.step == "Prepare"
    assert decision.why.endswith("app-green is not what the commit says, at template.spec.containers[app].tty")


def test_what_passed_is_switched_to_and_nothing_else(verifying):
    table = bluegreen.table(verifying.release())
    facts = verifying.facts()
    assert advance(table, facts) == Do("Commit", (CommitSwitch(),), joint=True)
    ref = verifying._manifest("green").ref
    made_anew = {**facts.live[ref], "metadata": {**facts.live[ref]["metadata"], "uid": "another"}}
    decision = advance(table, replace(facts, live={**facts.live, ref: made_anew}))
    assert isinstance(decision, Do)
    assert [type(each) for each in decision.actions] == [Measure]


def test_a_seal_tells_one_check_from_the_same_of_other_pods():
    verify = Verify("HTTP", service="app")
    assert mark("Verify/0", verify, "sha256:1", "a") != mark("Verify/0", verify, "sha256:1", "b")
    assert mark("Verify/0", verify, "sha256:1", "") == mark("Verify/0", verify, "sha256:1")
    assert templates.seal(None) == ""
