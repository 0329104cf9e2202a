"""A switch that waits to be merged while git goes on: it is withdrawn, and the newer version goes its own whole way."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from gitcd.model.pull import PullState
from gitcd.usecases.rollout_end import End
from tests.rollout.test_bluegreen_bound import Checking, mode, with_mode
from tests.support.memoryforge import MemoryForge
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import Slots, slots_of

pytestmark = pytest.mark.slow


@pytest.fixture
def proposed(rollouts: Rollouts, tmp_path: Path) -> tuple[Slots, MemoryForge]:
    """The switch to 1.1.0 is proposed and carried out, and nobody has merged it yet."""
    slots = slots_of(rollouts, tmp_path, verify=[{"kind": "HTTP", "service": "preview", "interval": "0s"}])
    slots.git.apply()
    slots.git.move("1.1.0")
    forge = slots.git.protect()
    assert slots.git.apply(check=Checking(slots))["app"].end is End.DONE
    assert (slots.live("git"), slots.live(), len(forge.pulls)) == ("blue", "green", 1)
    return slots, forge


def merge_version(slots: Slots, version: str) -> None:
    """A newer version comes into git, as by a pull request that somebody has merged."""
    slots.git.remote.hook("update", "true")
    slots.git.tags.move("team/app", "env-dev", version)
    forge, slots.git.forge = slots.git.forge, None
    slots.git.reconcile()
    slots.git.forge = forge
    slots.git.remote.hook("update", 'test "$1" != refs/heads/main || { echo protected >&2; exit 1; }')


@pytest.mark.parametrize("first", ["reconcile", "apply"])
def test_a_newer_version_withdraws_the_proposal_and_is_verified_and_proposed_itself(
    proposed: tuple[Slots, MemoryForge], first: str
) -> None:
    slots, forge = proposed
    branch = forge.pulls[0].branch
    merge_version(slots, "1.2.0")
    assert (slots.live("git"), slots.version("green", "git")) == ("blue", "1.2.0")
    if first == "reconcile":
        slots.git.reconcile()
        assert (forge.pulls[0].state, forge.head(branch)) == (PullState.CLOSED, "")
    check = Checking(slots)
    with slots.watched() as watch:
        assert slots.git.apply(check=check)["app"].end is End.DONE
    assert [each.state for each in forge.pulls] == [PullState.CLOSED, PullState.OPEN]
    ((number, why),) = forge.comments
    assert number == "1"
    assert why.startswith("Closed by gitcd, as nothing is left to merge. ")
    assert "is verified anew" in why
    assert forge.pulls[1].title == "dev: switch app 1.0.0 -> 1.2.0"
    assert check.seen == [("", "blue")], "it was verified while the other slot was live"
    assert [each for each, _ in itertools.groupby(name for _, name, _ in watch.seen)] == ["green", "blue", "green"]
    assert watch.outages == []
    assert (slots.live("git"), slots.live(), slots.version("green")) == ("blue", "green", "1.2.0")
    for _ in range(2):
        slots.git.reconcile()
        assert slots.git.apply(check=check)["app"].end is End.IDLE
    assert (len(forge.pulls), len(forge.comments)) == (2, 1)
    forge.merged(forge.pulls[1])
    assert slots.git.apply()["app"].end is End.IDLE
    assert (slots.live("git"), slots.live()) == ("green", "green")


def test_a_slot_that_git_changes_otherwise_withdraws_the_proposal_too(proposed: tuple[Slots, MemoryForge]) -> None:
    """The image is the same, but not what was verified with it."""
    slots, forge = proposed
    with_mode(slots, "fast")
    check = Checking(slots)
    assert slots.git.apply(check=check)["app"].end is End.DONE
    assert [each.state for each in forge.pulls] == [PullState.CLOSED, PullState.OPEN]
    assert check.seen == [("fast", "blue")]
    assert (slots.live(), mode(slots.deployment("green"))) == ("green", "fast")
    assert slots.git.apply(check=check)["app"].end is End.IDLE


def test_once_its_branch_is_deleted_the_cluster_goes_back_and_what_was_declined_stays_out(
    proposed: tuple[Slots, MemoryForge],
) -> None:
    slots, forge = proposed
    forge.close(forge.pulls[0])
    assert slots.git.apply()["app"].end is End.FAILED
    slots.git.remote.git("update-ref", "-d", f"refs/heads/{forge.pulls[0].branch}")
    check = Checking(slots)
    with slots.watched() as watch:
        rolled = slots.git.apply(check=check)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert "closed without a merge; this content stays out until it changes" in rolled.trouble.message
    assert (slots.live("git"), slots.live(), len(forge.pulls)) == ("blue", "blue", 1)
    assert check.seen == [("", "blue")]
    assert watch.outages == []


def test_a_change_of_the_other_slot_withdraws_nothing(proposed: tuple[Slots, MemoryForge]) -> None:
    slots, forge = proposed
    path = "envs/dev/app/blue.yaml"
    value = json.loads(slots.git.remote.show(path))
    value["metadata"]["labels"]["team"] = "shop"
    slots.git.remote.commit({path: json.dumps(value, indent=2).encode()}, "Say whose it is")
    assert slots.git.apply()["app"].end is End.IDLE
    assert (forge.pulls[0].state, slots.live(), forge.comments) == (PullState.OPEN, "green", [])
