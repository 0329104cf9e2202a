"""A group with members of several strategies: they go live together, and back together, in one commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitcd.model.live import Ref
from gitcd.rollout.facts import Release
from gitcd.usecases.rollout_end import End, Rolled
from tests.support.applier import applied_by_another
from tests.support.gitrollouts import GitRollouts, app, git_rollouts
from tests.support.memoryforge import KilledError
from tests.support.rollouts import Rollouts
from tests.support.scenes import LAYOUT, digest
from tests.support.slotrollouts import slot_files

pytestmark = pytest.mark.slow

SLOTS = ("shop-blue", "shop-green", "till-blue", "till-green")
AS_BEFORE = {
    "front": ("1.0.0", "1.0.0"),
    "shop": ("blue", "blue"),
    "till": ("blue", "blue"),
    **dict.fromkeys(SLOTS, ("1.0.0", "1.0.0")),
}
GROUP = {"strategy": {"group": "shop"}, "timeouts": {"rollout": "20s"}}


@dataclass
class Group:
    """`front` rolls; `shop` and `till` have two slots each, blue live."""

    git: GitRollouts

    @property
    def cluster(self) -> Rollouts:
        return self.git.cluster

    def move(self, **versions: str) -> None:
        """Let the tags name other versions, and commit that all at once."""
        for name, version in versions.items():
            self.git.tags.move(f"team/{name}", "env-dev", version)
        assert len(self.git.reconcile().commits) == 1

    def selected(self, name: str) -> tuple[str, str]:
        """The slot that a Service selects, in git and in the cluster."""
        in_git = json.loads(self.git.remote.show(f"envs/dev/{name}/{name}.yaml"))
        live = self.cluster.plane.get(f"/api/v1/namespaces/{self.cluster.namespace}/services/{name}")
        return in_git["spec"]["selector"]["slot"], live["spec"]["selector"]["slot"]

    def slot(self, name: str) -> tuple[str, str]:
        """The version that a slot has, in git and in the cluster."""
        app, _, colour = name.partition("-")
        in_git = json.loads(self.git.remote.show(f"envs/dev/{app}/{colour}.yaml"))
        live = self.cluster.objects.get(Ref("Deployment", self.cluster.namespace, name, "apps"))
        return _version(in_git), _version(live)

    def front(self) -> tuple[str, str]:
        in_git = json.loads(self.git.remote.show("envs/dev/front/workload.yaml"))
        live = self.cluster.objects.get(Ref("Deployment", self.cluster.namespace, "front", "apps"))
        return _version(in_git), _version(live)

    def held_off(self, name: str) -> list[str]:
        return [each.digest for each in self.git.hold(name).reject]

    def stands(self) -> dict[str, tuple[str, str]]:
        """What stands where, in git and in the cluster."""
        slots = {name: self.slot(name) for name in SLOTS}
        return {"front": self.front(), "shop": self.selected("shop"), "till": self.selected("till"), **slots}

    def newest(self) -> str:
        return self.git.remote.git("log", "-1", "--format=%s", "main")


def _version(value: Any) -> str:
    image = str(value["spec"]["template"]["spec"]["containers"][0]["image"])
    return image.partition("@")[0].rpartition(":")[2]


def ends(rolled: dict[str, Rolled]) -> dict[str, End]:
    return {name: each.end for name, each in rolled.items()}


def when(text: str, act: Callable[[Release], None]) -> Callable[[Release, str], None]:
    """Do something once, as soon as a rollout says this."""
    said: list[str] = []

    def tell(release: Release, told: str) -> None:
        if text in told and not said:
            said.append(told)
            act(release)

    return tell


def group_of(rollouts: Rollouts, folder: Path, **blue_green: Any) -> Group:
    ns = rollouts.namespace
    slotted = {name: slot_files(ns, name, group="shop", **blue_green) for name in ("shop", "till")}
    made = Group(git_rollouts(rollouts, folder, {"front": app("front", ns, **GROUP), **slotted}))
    assert set(ends(made.git.apply()).values()) == {End.DONE}
    return made


@pytest.fixture
def group(rollouts: Rollouts, tmp_path: Path) -> Group:
    """1.0.0 everywhere."""
    return group_of(rollouts, tmp_path)


def test_no_switch_is_committed_before_all_have_come_so_far_and_all_are_one_commit(group: Group) -> None:
    group.move(front="slow", shop="1.1.0", till="1.1.0")
    count = group.git.remote.count()
    seen: list[Any] = []

    def look(_: Release) -> None:
        live = group.cluster.objects.get(Ref("Deployment", group.cluster.namespace, "front", "apps"))
        seen.append((live or {})["status"].get("availableReplicas", 0))
        seen.append((live or {})["status"].get("updatedReplicas", 0))

    rolled = group.git.apply(tell=when("commit the switch", look))
    assert set(ends(rolled).values()) == {End.DONE}, rolled
    assert seen == [1, 1]
    assert group.git.remote.count() == count + 1
    assert group.newest() == "dev: switch shop, till 1.0.0 -> 1.1.0"
    assert {group.selected("shop"), group.selected("till")} == {("green", "green")}
    assert group.git.reconcile().is_idle
    assert set(ends(group.git.apply()).values()) == {End.IDLE}


@pytest.mark.parametrize("name", ["front", "till"])
def test_one_that_fails_before_the_switch_takes_all_back(group: Group, name: str) -> None:
    group.move(**{"front": "1.1.0", "shop": "1.1.0", "till": "1.1.0", name: "bad-crash"})
    count = group.git.remote.count()
    rolled = group.git.apply()
    assert set(ends(rolled).values()) == {End.ROLLED_BACK}, rolled
    assert group.git.remote.count() == count + 1
    assert group.stands() == AS_BEFORE
    assert group.held_off(name) == [digest(f"team/{name}:bad-crash")]
    assert {len(group.held_off(each)) for each in ("front", "shop", "till")} == {1}
    assert group.git.reconcile().is_idle
    assert set(ends(group.git.apply()).values()) == {End.IDLE}


def test_no_time_counts_for_those_that_wait(group: Group) -> None:
    """Else a pod that is replaced meanwhile would be taken for one that never came up."""
    group.move(front="1.1.0", shop="1.1.0", till="bad-never")
    rolled = group.git.apply(seconds=6)
    assert set(ends(rolled).values()) == {End.PROGRESSING}, rolled
    records = {name: group.cluster.status(name)["rollout"] for name in ("front", "shop", "till")}
    assert records["shop"]["step"] == "Commit"
    assert [name for name, each in records.items() if "stepStartedAt" in each] == ["till"]


@pytest.mark.usefixtures("outage")
def test_one_that_fails_after_the_switch_takes_all_back(rollouts: Rollouts, tmp_path: Path) -> None:
    group = group_of(rollouts, tmp_path, watch="20s")
    group.move(front="1.1.0", shop="1.1.0", till="bad-later")
    count = group.git.remote.count()
    rolled = group.git.apply()
    assert set(ends(rolled).values()) == {End.ROLLED_BACK}, rolled
    switched, back = group.git.remote.git("log", "-2", "--reverse", "--format=%s", "main").splitlines()
    assert (group.git.remote.count(), switched[:20]) == (count + 2, "dev: switch 2 images"), back
    assert (group.front(), group.selected("shop"), group.selected("till")) == (
        ("1.0.0", "1.0.0"), ("blue", "blue"), ("blue", "blue"),
    )  # fmt: skip
    assert group.held_off("shop") == [digest("team/shop:1.1.0")]
    assert group.held_off("till") == [digest("team/till:bad-later")]
    assert group.git.reconcile().is_idle
    assert set(ends(group.git.apply()).values()) == {End.IDLE}


@pytest.mark.parametrize("where", ["waits for the others", "commit the switch", "switch Service"])
def test_a_run_that_is_killed_is_carried_on_to_the_same_end(group: Group, where: str) -> None:
    group.move(front="slow", shop="1.1.0", till="1.1.0")
    count = group.git.remote.count()

    def die(_: Release) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        group.git.apply(tell=when(where, die))
    assert set(ends(group.git.apply()).values()) == {End.DONE}
    assert group.git.remote.count() == count + 1
    assert {group.selected("shop"), group.selected("till")} == {("green", "green")}
    assert set(ends(group.git.apply()).values()) == {End.IDLE}


def test_a_way_back_that_is_killed_is_carried_on_to_the_same_end(group: Group) -> None:
    group.move(front="bad-crash", shop="1.1.0", till="1.1.0")
    count = group.git.remote.count()

    def die(_: Release) -> None:
        if group.git.remote.count() > count:
            raise KilledError

    with pytest.raises(KilledError):
        group.git.apply(tell=lambda release, _: die(release))
    assert group.git.remote.count() == count + 1
    assert set(ends(group.git.apply()).values()) <= {End.DONE, End.IDLE}
    assert group.git.remote.count() == count + 1
    assert group.stands() == AS_BEFORE


@pytest.mark.usefixtures("outage")
def test_a_switch_that_is_proposed_is_one_and_so_is_the_way_back(rollouts: Rollouts, tmp_path: Path) -> None:
    group = group_of(rollouts, tmp_path, watch="20s")
    group.move(front="1.1.0", shop="1.1.0", till="bad-later")
    forge = group.git.protect()
    rolled = group.git.apply()
    assert set(ends(rolled).values()) == {End.ROLLED_BACK}, rolled
    over, back = forge.pulls
    assert over.branch == f"gitcd/switch/dev/{rollouts.namespace}.shop"
    assert back.branch.startswith("gitcd/rollback/dev/")
    assert {group.selected("shop")[1], group.selected("till")[1], group.front()[1]} == {"blue", "1.0.0"}
    assert set(ends(group.git.apply()).values()) == {End.IDLE}
    forge.merged(back)
    assert set(ends(group.git.apply()).values()) == {End.IDLE}
    assert group.stands() == AS_BEFORE


def test_where_somebody_else_applies_all_switch_and_go_back_by_commits(rollouts: Rollouts, tmp_path: Path) -> None:
    group = group_of(rollouts, tmp_path)
    remote = group.git.remote
    remote.commit(
        {"gitcd.yaml": LAYOUT.replace(b"envs/dev}", b"envs/dev, applier: external}")}, "Somebody else applies"
    )
    with applied_by_another(rollouts.plane, remote, "envs/dev"):
        group.move(front="1.1.0", shop="1.1.0", till="1.1.0")
        count = remote.count()
        assert set(ends(group.git.apply()).values()) == {End.DONE}
        assert (remote.count(), group.selected("shop"), group.selected("till")) == (
            count + 1,
            *[("green", "green")] * 2,
        )
        group.move(front="1.2.0", shop="bad-crash", till="1.2.0")
        count = remote.count()
        assert set(ends(group.git.apply()).values()) == {End.ROLLED_BACK}
    assert remote.count() == count + 1
    assert (group.front(), group.selected("shop"), group.selected("till")) == (
        ("1.1.0", "1.1.0"), ("green", "green"), ("green", "green"),
    )  # fmt: skip
    assert {group.slot(f"{name}-blue") for name in ("shop", "till")} == {("1.1.0", "1.1.0")}
    assert group.held_off("shop") == [digest("team/shop:bad-crash")]


@pytest.fixture
def with_canary(rollouts: Rollouts, tmp_path: Path) -> Group:
    """`front` goes by canary, `shop` has two slots."""
    steps = [{"weight": 50, "pause": "0s", "verify": []}]
    strategy = {"kind": "Canary", "canary": {"steps": steps}, "group": "shop"}
    front = app("front", rollouts.namespace, strategy=strategy, timeouts={"rollout": "20s"})
    made = Group(
        git_rollouts(rollouts, tmp_path, {"front": front, "shop": slot_files(rollouts.namespace, "shop", group="shop")})
    )
    assert set(ends(made.git.apply()).values()) == {End.DONE}
    return made


def test_a_canary_is_promoted_after_the_switches_are_committed(with_canary: Group) -> None:
    with_canary.move(front="1.1.0", shop="slow")
    seen: list[Any] = []
    rolled = with_canary.git.apply(tell=when("commit the switch", lambda _: seen.append(with_canary.front())))
    assert set(ends(rolled).values()) == {End.DONE}, rolled
    assert seen == [("1.1.0", "1.0.0")]
    assert (with_canary.front(), with_canary.selected("shop")) == (("1.1.0", "1.1.0"), ("green", "green"))


def test_a_canary_goes_back_with_the_slot_that_fails(with_canary: Group) -> None:
    with_canary.move(front="1.1.0", shop="bad-crash")
    count = with_canary.git.remote.count()
    rolled = with_canary.git.apply()
    assert set(ends(rolled).values()) == {End.ROLLED_BACK}, rolled
    assert with_canary.git.remote.count() == count + 1
    assert (with_canary.front(), with_canary.selected("shop")) == (("1.0.0", "1.0.0"), ("blue", "blue"))
    copy = Ref("Deployment", with_canary.cluster.namespace, "front-canary", "apps")
    assert with_canary.cluster.objects.get(copy) is None
