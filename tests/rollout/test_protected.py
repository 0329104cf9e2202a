"""Where the branch is protected a rollback is proposed, and the cluster is driven by the proposal until it is merged."""

from __future__ import annotations

import pytest

from gitcd.model.declaration import Identity
from gitcd.model.pull import PullState
from gitcd.rollout.table import Trouble
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_git import Branch
from tests.support.gitrollouts import GitRollouts
from tests.support.memoryforge import MemoryForge
from tests.support.scenes import mirror_of

pytestmark = pytest.mark.slow


@pytest.fixture
def proposed(one_app: GitRollouts) -> MemoryForge:
    """A rollout that failed, and was taken back by a pull request."""
    one_app.move("bad-crash")
    forge = one_app.protect()
    rolled = one_app.apply()["app"]
    assert rolled.end is End.ROLLED_BACK
    assert rolled.back is not None
    assert rolled.back.pull == forge.pulls[0].url
    return forge


def test_the_cluster_follows_the_proposal_until_it_is_merged(one_app: GitRollouts, proposed: MemoryForge) -> None:
    good, bad = one_app.image("1.0.0"), one_app.image("bad-crash")
    assert (one_app.in_git(), one_app.cluster.live_image("app")) == (bad, good)
    (pull,) = proposed.pulls
    assert pull.branch == f"gitcd/rollback/dev/{one_app.cluster.namespace}.app"
    head = proposed.head(pull.branch)
    for _ in range(2):
        assert one_app.apply()["app"].end is End.IDLE
    assert (proposed.head(pull.branch), len(proposed.pulls)) == (head, 1)
    assert one_app.cluster.live_image("app") == good
    proposed.merged(pull)
    assert one_app.apply()["app"].end is End.IDLE
    assert one_app.in_git() == one_app.cluster.live_image("app") == good
    assert len(one_app.hold().reject) == 1


def test_other_commits_do_not_part_the_cluster_from_the_proposal(one_app: GitRollouts, proposed: MemoryForge) -> None:
    one_app.remote.commit({"README.md": b"# Shop\n"})
    assert one_app.apply()["app"].end is End.IDLE
    assert one_app.cluster.live_image("app") == one_app.image("1.0.0")
    assert len(proposed.pulls) == 1


def test_a_newer_image_overtakes_the_proposal(one_app: GitRollouts, proposed: MemoryForge) -> None:
    path = "envs/dev/app/workload.yaml"
    data = one_app.remote.show(path).replace(one_app.image("bad-crash").encode(), one_app.image("1.1.0").encode())
    one_app.remote.commit({path: data})
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.cluster.live_image("app") == one_app.image("1.1.0")


def test_a_proposal_that_is_closed_leaves_it_stalled(one_app: GitRollouts, proposed: MemoryForge) -> None:
    proposed.close(proposed.pulls[0])
    rolled = one_app.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "RollbackDeclined"
    assert "was closed without a merge" in rolled.trouble.message
    assert one_app.cluster.live_image("app") == one_app.image("1.0.0")
    assert one_app.cluster.conditions("app")["Stalled"] == ("True", "RollbackDeclined")
    before = one_app.cluster.status("app")
    assert one_app.apply()["app"].end is End.FAILED
    assert one_app.cluster.status("app") == before
    assert [each.state for each in proposed.pulls] == [PullState.CLOSED]


def test_who_deletes_the_branch_has_it_tried_again_and_asked_no_more(
    one_app: GitRollouts, proposed: MemoryForge
) -> None:
    proposed.close(proposed.pulls[0])
    one_app.remote.git("update-ref", "-d", f"refs/heads/{proposed.pulls[0].branch}")
    rolled = one_app.apply()["app"]
    assert rolled.end is End.FAILED
    assert rolled.back is not None
    assert rolled.back.refusal is not None
    assert "closed without a merge" in rolled.back.refusal.message
    assert len(proposed.pulls) == 1
    assert one_app.cluster.live_image("app") == one_app.image("bad-crash")
    assert one_app.cluster.conditions("app")["Stalled"] == ("True", "CrashLoopBackOff")


def test_what_a_proposal_brings_and_fails_too_is_not_taken_for_overtaken(
    one_app: GitRollouts, proposed: MemoryForge
) -> None:
    """The branch names another image, as it always has: nobody has moved on, and a person has to act."""
    with mirror_of(one_app.remote.url) as mirror:
        commit = one_app.driven(mirror).tree.commit
        (brought,) = Branch(mirror).releases(commit, [Identity("dev", one_app.cluster.namespace, "app")])
        back = one_app.means(mirror).take_back(brought, Trouble("CrashLoopBackOff", "it crashes, too"), "")
    assert not back.superseded
    assert back.refusal is not None
    assert "is what the rollback that waits to be merged brings" in back.refusal.message
