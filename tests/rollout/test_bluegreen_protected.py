"""Where the branch is protected a switch, and the way back from one, are proposed; the cluster follows the proposal."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import Slots, slots_of

pytestmark = pytest.mark.slow


def test_a_switch_is_proposed_carried_out_and_left_alone_until_it_is_merged(slots: Slots) -> None:
    slots.git.move("1.1.0")
    forge = slots.git.protect()
    with slots.watched() as watch:
        rolled = slots.git.apply()["app"]
    assert rolled.end is End.DONE, rolled
    (pull,) = forge.pulls
    assert pull.branch == f"gitcd/switch/dev/{slots.namespace}.app"
    assert (slots.live("git"), slots.live(), slots.replicas("blue"), watch.outages) == ("blue", "green", 0, [])
    head = forge.head(pull.branch)
    for _ in range(2):
        slots.git.reconcile()
        assert slots.git.apply()["app"].end is End.IDLE
    assert (forge.head(pull.branch), len(forge.pulls), slots.live()) == (head, 1, "green")
    forge.merged(pull)
    assert slots.git.apply()["app"].end is End.IDLE
    assert (slots.live("git"), slots.live()) == ("green", "green")


def test_what_fails_before_the_switch_is_proposed_to_go_back(slots: Slots) -> None:
    slots.git.move("bad-crash")
    forge = slots.git.protect()
    rolled = slots.git.apply()["app"]
    assert rolled.end is End.ROLLED_BACK, rolled
    (pull,) = forge.pulls
    assert pull.branch == f"gitcd/rollback/dev/{slots.namespace}.app"
    assert (slots.live(), slots.version("green"), slots.replicas("green")) == ("blue", "1.0.0", 0)
    assert slots.git.apply()["app"].end is End.IDLE
    forge.merged(pull)
    assert slots.git.apply()["app"].end is End.IDLE
    assert len(slots.git.hold().reject) == 1


def test_a_switch_that_is_declined_is_said_and_stays(slots: Slots) -> None:
    slots.git.move("1.1.0")
    forge = slots.git.protect()
    slots.git.apply()
    forge.close(forge.pulls[0])
    rolled = slots.git.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert "was closed without a merge" in rolled.trouble.message
    assert slots.live() == "green"


def test_other_commits_do_not_part_the_cluster_from_what_is_proposed(slots: Slots) -> None:
    """What it is driven by is then a commit that stands nowhere else: history is that of the branch."""
    slots.git.move("1.1.0")
    slots.git.protect()
    slots.git.apply()
    slots.git.remote.commit({"README.md": b"# Shop\n"})
    assert slots.git.apply()["app"].end is End.IDLE
    assert (slots.live("git"), slots.live()) == ("blue", "green")


@pytest.mark.usefixtures("outage")
def test_what_fails_after_a_proposed_switch_leads_back_to_the_old_slot(rollouts: Rollouts, tmp_path: Path) -> None:
    """Two proposals wait then, and the switch counts no more, neither before the way back is merged nor after."""
    slots = slots_of(rollouts, tmp_path, watch="20s")
    slots.git.apply()
    slots.git.move("bad-later")
    forge = slots.git.protect()
    rolled = slots.git.apply()["app"]
    assert rolled.end is End.ROLLED_BACK, rolled
    _, back = forge.pulls
    assert back.branch == f"gitcd/rollback/dev/{slots.namespace}.app"
    slots.git.remote.commit({"README.md": b"# Shop\n"})
    assert slots.git.apply()["app"].end is End.IDLE
    forge.merged(back)
    assert slots.git.apply()["app"].end is End.IDLE
    assert (slots.live("git"), slots.live(), slots.version("green")) == ("blue", "blue", "1.0.0")
