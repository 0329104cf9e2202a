"""Status and events on a real API server: what is written, when, and what never is."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.cli import main
from gitcd.cluster import containerversions
from gitcd.cluster.status import MANAGER
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Outcome, OutcomeKind, plan_exit_code
from gitcd.model.settings import NamespaceScope
from gitcd.usecases import cluster_status
from tests.support import faultproxy
from tests.support.audit import writes
from tests.support.containerversions import BASE, definition, outcomes, scene, settings_file
from tests.support.scenes import NOW, digest

__all__ = ["definition", "scene"]

LATER = NOW + timedelta(hours=1)


def status(scene, name="app"):
    return scene.get(name).get("status", {})


def poisoned(generation):
    condition = {
        "status": "True",
        "reason": "Verified",
        "message": "trust me",
        "lastTransitionTime": "2020-01-01T00:00:00Z",
    }
    return {
        "observedGeneration": generation + 7,
        "conditions": [{**condition, "type": each} for each in ("Ready", "Reconciling", "Verified")],
        "resolved": {"tag": "env-dev", "version": "6.6.6", "digest": "sha256:" + "6" * 64},
        "lastGood": {"digest": "sha256:" + "6" * 64},
    }


def test_a_bump_is_current_from_then_on(scene):
    scene.declare("app")
    scene.run()
    found = status(scene)
    assert found["observedGeneration"] == 1
    assert found["resolved"] == {
        "tag": "env-dev",
        "version": "1.1.0",
        "digest": digest("team/app:1.1.0"),
        "pushedAt": "2026-11-21T12:00:00Z",
    }
    states = {
        each["type"]: (each["status"], each["reason"], each["observedGeneration"]) for each in found["conditions"]
    }
    assert states == {
        "Ready": ("True", "Current", 1),
        "Reconciling": ("False", "Current", 1),
        "Stalled": ("False", "Current", 1),
    }
    managers = [each["manager"] for each in scene.get("app")["metadata"]["managedFields"] if "subresource" in each]
    assert managers == [MANAGER]
    (event,) = scene.events()
    assert (event["type"], event["reason"], event["action"]) == ("Normal", "Bumped", "Reconcile")
    assert event["note"].startswith("1.0.0 -> 1.1.0 (")
    assert event["regarding"]["kind"] == "ContainerVersion"
    assert event["regarding"]["uid"] == scene.get("app")["metadata"]["uid"]


def test_kubectl_shows_it(scene):
    scene.declare("app")
    scene.run()
    (header, line) = scene.plane.kubectl("get", "cv", "-n", scene.namespace).stdout.splitlines()
    assert header.split() == ["NAME", "TAG", "VERSION", "DIGEST", "READY", "REASON", "AGE"]
    assert line.split()[:-1] == ["app", "env-dev", "1.1.0", digest("team/app:1.1.0"), "True", "Current"]
    described = scene.plane.kubectl("describe", "cv", "app", "-n", scene.namespace).stdout
    assert "git says 1.1.0" in described
    assert "1.0.0 -> 1.1.0" in described
    scene.plane.kubectl("wait", "--for=condition=Ready", "--timeout=5s", "cv/app", "-n", scene.namespace)


def test_F32_a_second_run_writes_nothing(scene):
    """Neither to the cluster, as its own audit log has it, nor to the remote."""
    for name in ("app", "other"):
        scene.declare(name)
    scene.run()
    tip, versions = scene.remote.tip, [scene.get(name)["metadata"]["resourceVersion"] for name in ("app", "other")]
    mark = scene.plane.audit.mark()
    published = scene.run(now=LATER)
    asked = [each for each in scene.plane.audit.since(mark, user="admin", agent="gitcd/") if each.resource]
    assert {kind for _, kind, _ in outcomes(published.work)} == {"Current"}
    assert writes(asked) == []
    assert {(each.verb, each.resource) for each in asked} == {("list", "containerversions")}
    assert scene.remote.tip == tip
    assert [scene.get(name)["metadata"]["resourceVersion"] for name in ("app", "other")] == versions


@pytest.mark.parametrize("words", [["diff"], ["reconcile", "--dry-run"], ["reconcile", "--check"], ["explain", "app"]])
def test_who_only_looks_writes_nothing(scene, tmp_path, words, capfd):
    scene.declare("app", versionSyntax="(")
    mark = scene.plane.audit.mark()
    flags = ["--from", "cluster", "-n", scene.namespace, "--kubeconfig", scene.asked.kubeconfig]
    assert main.run([*words, *flags, "--config", str(settings_file(scene, tmp_path)), scene.remote.url]) == 5
    assert "InvalidDeclaration" in "".join(capfd.readouterr())
    assert writes(scene.plane.audit.since(mark, user="admin", agent="gitcd/")) == []
    assert status(scene) == {}


def test_one_event_for_each_transition(scene):
    scene.declare("app")
    scene.run()
    scene.patch("app", {"spec": {"suspend": True}})
    scene.run(now=LATER)
    scene.run(now=LATER + timedelta(minutes=1))
    assert scene.conditions("app")["Ready"] == ("True", "Suspended")
    scene.patch("app", {"spec": {"suspend": False, "tag": "env-none"}})
    scene.run(now=LATER + timedelta(minutes=2))
    scene.run(now=LATER + timedelta(minutes=3))
    assert scene.conditions("app")["Stalled"] == ("True", "TagNotFound")
    assert "resolved" not in status(scene)
    told = sorted(scene.events(), key=lambda each: each["eventTime"])
    assert [(each["type"], each["reason"]) for each in told] == [
        ("Normal", "Bumped"),
        ("Normal", "Suspended"),
        ("Warning", "TagNotFound"),
    ]


def test_times_of_conditions_change_with_their_status_only(scene):
    scene.declare("app")
    scene.run()
    scene.patch("app", {"spec": {"suspend": True}})
    scene.run(now=LATER)
    since = {each["type"]: each["lastTransitionTime"] for each in status(scene)["conditions"]}
    assert since["Ready"] == since["Stalled"] == "2026-11-22T12:00:00Z"
    scene.patch("app", {"spec": {"suspend": False, "versionSyntax": "("}})
    scene.run(now=LATER)
    since = {each["type"]: each["lastTransitionTime"] for each in status(scene)["conditions"]}
    assert since["Ready"] == since["Stalled"] == "2026-11-22T13:00:00Z"
    assert since["Reconciling"] == "2026-11-22T12:00:00Z"


def test_T31_a_poisoned_status_gives_the_same_plan(scene):
    made = scene.declare("app")
    before = scene.plan()
    scene.patch("app", {"status": poisoned(made["metadata"]["generation"])}, sub="/status")
    scene.patch("app", {"metadata": {"annotations": {"gitcd.io/verified": "true", "gitcd.io/digest": "sha256:0"}}})
    after = scene.plan()
    assert after.plan == before.plan
    scene.run()
    found = status(scene)
    assert found["observedGeneration"] == 1
    assert found["resolved"]["version"] == "1.1.0"
    assert scene.conditions("app")["Ready"] == ("True", "Current")
    assert scene.conditions("app")["Verified"] == ("True", "Verified")  # what rollouts say is not this run's to judge


class TestConflicts:
    def test_F39_a_concurrent_writer_is_read_again(self, scene):
        scene.declare("app")
        source = scene.read()
        scene.patch("app", {"metadata": {"labels": {"touched": "meanwhile"}}})
        scene.patch("app", {"status": {"applied": {"version": "0.9"}}}, sub="/status")
        mark = scene.plane.audit.mark()
        scene.run(source=source)
        assert scene.conditions("app")["Ready"] == ("True", "Current")
        assert status(scene)["applied"] == {"version": "0.9"}
        assert scene.get("app")["metadata"]["labels"] == {"touched": "meanwhile"}
        asked = [
            (each.verb, each.resource, each.status)
            for each in scene.plane.audit.since(mark, user="admin", agent="gitcd/")
        ]
        assert ("patch", "containerversions/status", 409) in asked
        assert ("get", "containerversions", 200) in asked

    def test_F39_a_writer_that_never_rests_is_given_up_on(self, scene):
        scene.declare("app")
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(409, path="/status", times=100)
            plan = scene.through(proxy.plane).run().work.plan
            tries = [path for method, path in proxy.seen if method == "PATCH"]
        assert len(tries) == 4
        assert [each.reason for each in plan.failures] == ["StatusNotWritten"]
        assert plan_exit_code(plan) == 3

    def test_F44_an_edited_object_gets_no_status_of_the_old_plan(self, scene):
        scene.declare("app")
        source = scene.read()
        scene.patch("app", {"spec": {"suspend": True}})
        published = scene.run(source=source)
        assert status(scene) == {}
        assert scene.events() == []
        assert plan_exit_code(published.work.plan) == 0
        scene.run(now=LATER)
        assert status(scene)["observedGeneration"] == 2

    def test_F44_a_deleted_object_is_not_raised_from_the_dead(self, scene):
        scene.declare("app")
        scene.declare("other")
        source = scene.read()
        scene.delete("app")
        published = scene.run(source=source)
        names = [each["metadata"]["name"] for each in scene.plane.get(f"{BASE}/namespaces/{scene.namespace}/containerversions")["items"]]  # fmt: skip
        assert names == ["other"]
        assert plan_exit_code(published.work.plan) == 0

    def test_F44_nor_is_one_that_was_made_anew_taken_for_it(self, scene):
        scene.declare("app")
        source = scene.read()
        scene.delete("app")
        scene.declare("app", suspend=True)
        scene.run(source=source)
        assert status(scene) == {}


class TestSinks:
    def test_F50_events_that_nobody_takes_are_a_warning(self, scene):
        scene.declare("app")
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(403, path="/events", times=100)
            published = scene.through(proxy.plane).run()
        plan = published.work.plan
        assert len(published.commits) == 1
        assert scene.conditions("app")["Ready"] == ("True", "Current")
        assert plan_exit_code(plan) == 0
        assert [each.startswith("1 of 1 events were not written") for each in plan.warnings] == [True]

    def test_F50_nobody_waits_long_for_them(self, scene, monkeypatch):
        monkeypatch.setattr(cluster_status, "_EVENT_SECONDS", 1.0)
        for name in ("app", "other"):
            scene.declare(name)
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(503, path="/events", times=1000)
            begun = time.monotonic()
            plan = scene.through(proxy.plane).run().work.plan
            took = time.monotonic() - begun
        assert took < 15
        assert plan_exit_code(plan) == 0
        assert len(plan.warnings) == 1

    def test_a_status_that_may_not_be_written_is_a_failure_that_says_which(self, scene):
        scene.declare("app")
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(403, path="/status", times=100)
            published = scene.through(proxy.plane).run()
        plan = published.work.plan
        assert len(published.commits) == 1
        (failure,) = plan.failures
        assert f"containerversions/app in namespace {scene.namespace} may not be written" in failure.message
        assert failure.remedy == "Allow the verb patch on containerversions/status.gitcd.io there."
        assert plan_exit_code(plan) == 5
        assert scene.events() == []

    def test_a_cluster_that_goes_down_is_exit_3(self, scene):
        for name in ("app", "other"):
            scene.declare(name)
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(503, path="/status", times=1000)
            plan = scene.through(proxy.plane).run(seconds=3).work.plan
        assert plan_exit_code(plan) == 3


def test_many_are_read_page_by_page(scene, monkeypatch):
    monkeypatch.setattr("gitcd.cluster.api.PAGE", 2)
    for number in range(5):
        scene.declare(f"app-{number}")
    mark = scene.plane.audit.mark()
    source = scene.read()
    assert {name for place, name in source.listing.live if place == scene.namespace} == {
        f"app-{each}" for each in range(5)
    }
    asked = scene.plane.audit.since(mark, user="admin", agent="gitcd/")
    paths = [each.path for each in asked if each.resource]
    assert len(paths) >= 3
    assert all("limit=2" in each for each in paths)
    live = containerversions.get(source.api, source.listing.live[scene.namespace, "app-0"])
    assert live == replace(source.listing.live[scene.namespace, "app-0"])


def test_pages_become_shorter_where_objects_are_large(scene, monkeypatch):
    """A tenant may make thousands as large as any can be, of which the usual page would take gigabytes."""
    for number in range(5):
        scene.declare(f"app-{number}")
        scene.patch(f"app-{number}", {"metadata": {"annotations": {"large": "x" * 50_000}}})
    monkeypatch.setattr("gitcd.cluster.answers._LONGEST_ANSWER", 120_000)
    mark = scene.plane.audit.mark()
    source = scene.read()
    assert {name for place, name in source.listing.live if place == scene.namespace} == {
        f"app-{each}" for each in range(5)
    }
    asked = scene.plane.audit.since(mark, user="admin", agent="gitcd/")
    limits = [each.path.partition("limit=")[2] for each in asked if each.resource]
    assert limits[:2] == ["500", "125"]
    assert int(limits[-1]) < 5


def test_T13_an_object_that_takes_no_status_harms_no_other_namespace(scene, monkeypatch):
    """A tenant can make one so: by writing it without rest, or by making it as large as any can be."""
    monkeypatch.setattr(cluster_status, "_WORKERS", 1)
    other = f"{scene.namespace}-b"
    scene.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    scene.scopes.append(NamespaceScope(other, ("dev",)))
    for place, name in ((scene.namespace, "app"), (scene.namespace, "next"), (other, "app")):
        replace(scene, namespace=place).declare(name, suspend=True)
    source = replace(scene, asked=replace(scene.asked, all_namespaces=True)).read()
    held = [
        Outcome(Identity("dev", live.namespace, live.name), Origin(""), OutcomeKind.SUSPENDED)
        for live in sorted(source.listing.live.values(), key=lambda live: (live.namespace, live.name))
        if live.namespace in {scene.namespace, other}
    ]
    with faultproxy.before(scene.plane) as proxy:
        proxy.answer(409, path=f"{scene.namespace}/containerversions/app/status", times=100)
        source = replace(source, api=scene.through(proxy.plane).read().api)
        told = cluster_status.tell_cluster(source, held, NOW, "run", time.monotonic() + 60)
    assert [each.reason for each in told.failures] == ["StatusNotWritten"]
    assert scene.conditions("app") == scene.conditions("next") == {}
    assert replace(scene, namespace=other).conditions("app")["Ready"] == ("True", "Suspended")
