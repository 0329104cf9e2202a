"""Canary on the real control plane; what is seen is read from the API server. Its faults are in test_cells.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitcd.model.live import Ref
from gitcd.usecases.rollout_end import End
from tests.support.canaries import SMOKE, CanaryScene, RoutedScene, canary, install_routes, step
from tests.support.gitrollouts import app, git_rollouts
from tests.support.rollouts import Rollouts, back_to, digest, image
from tests.support.scenes import mirror_of

pytestmark = pytest.mark.slow

Begin = Callable[..., CanaryScene]


@pytest.fixture
def begin(rollouts: Rollouts) -> Begin:
    return lambda *steps: CanaryScene(rollouts, canary(*steps))


def heard() -> tuple[list[str], Callable[..., None]]:
    told: list[str] = []
    return told, lambda _, text: told.append(text)


def test_a_canary_grows_step_by_step_and_goes_at_the_end(begin: Begin) -> None:
    scene = begin(step(30, "1s", SMOKE), step(50, "1s"))
    scene.begin()
    assert scene.copies == [], "the first version has nothing to be compared with"
    told, tell = heard()
    with scene.watched():
        rolled = scene.roll(scene.release("1.1.0"), tell=tell)
    assert rolled.end is End.DONE, rolled
    assert scene.copies == [(image("app", "1.1.0"), 1), (image("app", "1.1.0"), 2)]
    assert "Pause1: for 1s with 33 % of the pods (1 of 3; 30 % was asked for)" in told
    assert "Pause2: for 1s with 50 % of the pods (2 of 4)" in told
    assert scene.rollouts.live_image("app") == image("app", "1.1.0")
    assert scene.copy_is_gone
    assert scene.rollouts.history("app")[0] == (digest("1.1.0"), "Succeeded")
    jobs = scene.rollouts.objects.list_kind("batch", "Job", namespace=scene.rollouts.namespace)
    assert len(jobs) == 1


@pytest.mark.parametrize(("version", "reason"), [("bad-crash", "CrashLoopBackOff"), ("bad-pull", "ImagePullBackOff")])
def test_F45_a_bad_canary_goes_and_the_deployment_was_never_touched(begin: Begin, version: str, reason: str) -> None:
    scene = begin(step(50, "1s"))
    first = scene.begin()
    before = scene.deployment()
    with scene.watched():
        rolled = scene.roll(scene.release(version), take_back=back_to(first))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == reason
    assert scene.copy_is_gone
    assert scene.deployment()["metadata"]["generation"] == before["metadata"]["generation"]
    first_and_again = digest("1.0.0"), "Succeeded"
    assert scene.rollouts.history("app") == [first_and_again, (digest(version), "RolledBack"), first_and_again]


def test_the_copy_serves_while_a_deployment_is_recreated(begin: Begin) -> None:
    scene = begin(step(50))
    scene.more = {"strategy": {"type": "Recreate"}}
    scene.begin()
    with scene.watched():
        assert scene.roll(scene.release("1.1.0")).end is End.DONE
    assert scene.copy_is_gone
    assert scene.rollouts.live_image("app") == image("app", "1.1.0")


def test_an_approval_is_for_one_digest_and_one_step(begin: Begin) -> None:
    scene = begin(step(30, "Approval"), step(50, "Approval"))
    scene.begin()
    new = scene.release("1.1.0")

    def waits() -> tuple[End, str]:
        rolled = scene.roll(new, seconds=2)
        return rolled.end, rolled.text.partition(":")[0]

    with scene.watched():
        assert waits() == (End.PROGRESSING, "Approval1")
        scene.order("approve", new, "Approval1", digest=digest("1.2.0"))
        assert waits() == (End.PROGRESSING, "Approval1"), "that is another image"
        scene.order("approve", new, "")
        assert waits() == (End.PROGRESSING, "Approval1"), "that names no step"
        scene.order("approve", new, "Approval1")
        assert waits() == (End.PROGRESSING, "Approval2"), "and no other step"
        assert scene.rollouts.live_image("app") == image("app", "1.0.0")
        scene.order("approve", new, "Approval2")
        assert scene.roll(new).end is End.DONE
    assert scene.rollouts.live_image("app") == image("app", "1.1.0")
    assert scene.copy_is_gone


def test_a_person_ends_it_while_it_waits(begin: Begin) -> None:
    scene = begin(step(50, "Approval"))
    first = scene.begin()
    new = scene.release("1.1.0")
    with scene.watched():
        assert scene.roll(new, seconds=2).end is End.PROGRESSING
        scene.order("abort", new)
        rolled = scene.roll(new, take_back=back_to(first))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.message == "aborted by ann"
    assert scene.copy_is_gone
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")


def test_a_newer_image_takes_the_place_of_a_canary_that_waits(begin: Begin) -> None:
    scene = begin(step(50, "Approval"))
    scene.begin()
    with scene.watched():
        scene.roll(scene.release("1.1.0"), seconds=2)
        newer = scene.release("1.2.0")
        scene.roll(newer, seconds=3)
        scene.order("approve", newer, "Approval1")
        assert scene.roll(newer).end is End.DONE
    assert scene.rollouts.live_image("app") == image("app", "1.2.0")
    assert [result for _, result in scene.rollouts.history("app")] == ["Succeeded", "Superseded", "Succeeded"]


def test_a_commit_that_goes_back_ends_a_canary_that_waits(begin: Begin) -> None:
    scene = begin(step(50, "Approval"))
    first = scene.begin()
    with scene.watched():
        scene.roll(scene.release("1.1.0"), seconds=2)
        assert scene.deployment("app-canary")
        assert scene.roll(first).end is End.DONE
    assert scene.copy_is_gone
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")


def test_what_was_good_last_needs_no_canary(begin: Begin) -> None:
    scene = begin(step(50, "Approval"))
    first = scene.begin()
    somebody = scene.release("1.1.0")
    scene.rollouts.carry(somebody.workloads[0])
    with scene.watched():
        assert scene.roll(first).end is End.DONE
    assert scene.copies == []
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")


def test_T31_a_status_that_says_it_was_good_skips_nothing(begin: Begin) -> None:
    scene = begin(step(50, "Approval"))
    scene.begin()
    new = scene.release("1.1.0")
    poisoned = {
        "lastGood": {"digest": new.digest, "version": "1.1.0"},
        "rollout": {"strategy": "Canary", "step": "Promote", "newDigest": new.digest, "attempt": 1},
    }
    path = f"/apis/gitcd.io/v1/namespaces/{scene.rollouts.namespace}/containerversions/app/status"
    scene.rollouts.plane.request("PATCH", path, {"status": poisoned}, kind="merge-patch+json")
    with scene.watched():
        rolled = scene.roll(new, seconds=2)
    assert (rolled.end, rolled.text.partition(":")[0]) == (End.PROGRESSING, "Approval1")
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")


def test_an_object_of_that_name_that_is_somebody_elses_is_left_alone(begin: Begin) -> None:
    scene = begin(step(50))
    scene.begin()
    value = scene.release("0.9.0").workloads[0].value
    labels = {"matchLabels": {"app": "other"}}
    template = {**value["spec"]["template"], "metadata": {"labels": {"app": "other"}}}
    metadata = {"name": "app-canary", "namespace": scene.rollouts.namespace}
    body = {**value, "metadata": metadata, "spec": {"selector": labels, "template": template}}
    scene.rollouts.plane.request("POST", f"/apis/apps/v1/namespaces/{scene.rollouts.namespace}/deployments", body)
    with scene.watched():
        rolled = scene.roll(scene.release("1.1.0"))
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert (rolled.trouble.reason, rolled.trouble.blames) == ("CanaryNameTaken", False)
    assert scene.deployment("app-canary")["spec"]["selector"] == labels
    assert scene.rollouts.live_image("app") == image("app", "1.0.0")


@pytest.fixture
def routed(rollouts: Rollouts) -> Callable[..., RoutedScene]:
    install_routes(rollouts.plane)
    route = {"name": "app", "stableService": "app-stable", "canaryService": "app-canary"}
    return lambda *steps: RoutedScene(rollouts, canary(*steps, httpRoute=route))


def owners(route: dict[str, Any]) -> set[str]:
    entries = [each for each in route["metadata"]["managedFields"] if not each.get("subresource")]
    return {each["manager"] for each in entries if "f:rules" in each["fieldsV1"].get("f:spec", {})}


def test_an_http_route_divides_the_traffic(routed: Callable[..., RoutedScene]) -> None:
    scene = routed(step(10, "0s", SMOKE), step(60, "0s"), step(100, "0s"))
    scene.begin()
    with scene.watched(), scene.gateway():
        rolled = scene.roll(scene.release("1.1.0"))
    assert rolled.end is End.DONE, rolled
    assert scene.weights == [(100, 0), (90, 10), (40, 60), (0, 100), (100, 0)]
    assert [pods for _, pods in scene.copies] == [1, 2]
    assert scene.copy_is_gone
    assert scene.rollouts.live_image("app") == image("app", "1.1.0")
    assert "gitcd-rollout" not in owners(scene.route)
    changed = scene.a_route(100, 0, hostnames=["tiles.example.com"])
    scene.rollouts.objects.apply(changed)
    assert owners(scene.route) == {"gitcd"}, "git's owner has it again, without force"


def test_the_traffic_goes_back_before_a_bad_copy_goes(routed: Callable[..., RoutedScene]) -> None:
    scene = routed(step(50, "0s", {**SMOKE, "tag": "bad-job"}))
    first = scene.begin()
    with scene.watched(), scene.gateway():
        rolled = scene.roll(scene.release("1.1.0"), take_back=back_to(first))
    assert rolled.end is End.ROLLED_BACK
    assert scene.weights == [(100, 0), (50, 50), (100, 0)]
    assert scene.copy_is_gone
    assert "gitcd-rollout" not in owners(scene.route)


def test_a_route_that_no_gateway_accepts_blames_no_version(routed: Callable[..., RoutedScene]) -> None:
    scene = routed(step(50))
    scene.begin()
    scene.accepts = False
    new = scene.release("1.1.0", timeouts={"rollout": "2s"})
    with scene.watched(), scene.gateway():
        rolled = scene.roll(new)
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert not rolled.trouble.blames
    assert "Accepted is False: as the test wants it" in rolled.trouble.message
    assert scene.weights[-1] == (100, 0)
    assert scene.copy_is_gone


def test_what_does_not_fit_a_canary_is_refused_before_anything_is_done(routed: Callable[..., RoutedScene]) -> None:
    scene = routed(step(50))
    new = scene.release("1.0.0")
    others = {each.ref.name: each for each in scene.others if each.ref.kind == "Service"}
    route = scene.others[2]
    both = scene.a_service("app-stable", {"app": "app"})
    for unfit, words in (
        (replace(new, external=True), "somebody else applies"),
        (replace(new, workloads=(*new.workloads, *new.workloads)), "exactly one Deployment"),
        (replace(new, others=(route,)), "Service app-stable does not stand in git"),
        (replace(new, others=(*others.values(), scene.a_route(50, 50))), "and 0 for Service app-canary"),
        (replace(new, others=(both, others["app-canary"], route)), "of the Deployment alone, by the label"),
    ):
        rolled = scene.roll(unfit)
        assert (rolled.end, rolled.trouble and rolled.trouble.reason) == (End.FAILED, "CanaryRefused")
        assert rolled.trouble is not None
        assert words in rolled.trouble.message
    assert scene.deployment() == {}


def test_what_is_watched_sees_the_shortest_outage(begin: Begin) -> None:
    """Else nothing is proven by tests in which there is none."""
    scene = begin(step(50))
    scene.begin()
    with pytest.raises(AssertionError, match=r"\[[12], .*\b0\b.*\]"), scene.watched():
        be_out_for_a_moment(scene)
    with pytest.raises(AssertionError, match="unwatched"):
        scene.roll(scene.release("1.1.0"))


def be_out_for_a_moment(scene: CanaryScene) -> None:
    for pods in (0, 2):
        scene.rollouts.objects.scale(Ref("Deployment", scene.rollouts.namespace, "app", "apps"), pods)
        while scene.deployment()["status"].get("readyReplicas", 0) != pods:
            time.sleep(0.02)


def test_a_bad_canary_ends_in_a_revert_and_a_hold(rollouts: Rollouts, tmp_path: Path) -> None:
    spec = {"strategy": canary(step(50))}
    scene = git_rollouts(rollouts, tmp_path, {"app": app("app", rollouts.namespace, **spec)})
    assert scene.apply()["app"].end is End.DONE
    scene.move("bad-crash")
    copy = Ref("Deployment", rollouts.namespace, "app-canary", "apps")
    pods_at_revert: list[int] = []
    with mirror_of(scene.remote.url) as mirror:
        mirror.fetch()
        really = scene.means(mirror).take_back

        def take_back(*words: Any) -> Any:
            pods_at_revert.append((rollouts.objects.get(copy) or {})["spec"]["replicas"])
            return really(*words)

        rolled = scene.apply(take_back=take_back)["app"]
    assert rolled.end is End.ROLLED_BACK
    assert pods_at_revert == [0], "first the pods of the copy, then the commit, then the copy"
    assert rollouts.objects.get(copy) is None
    assert scene.in_git() == rollouts.live_image("app") == scene.image("1.0.0")
    assert len(scene.hold().reject) == 1
    assert scene.reconcile().is_idle
