"""What fails is taken back in git and in the cluster: real git, the real control plane."""

from __future__ import annotations

import pytest

from gitcd.usecases.rollout_team import End
from tests.support.gitrollouts import GitRollouts, digest

pytestmark = pytest.mark.slow


def test_a_crash_loop_ends_with_git_and_cluster_agreeing(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")
    assert one_app.in_git() == one_app.image("bad-crash")
    count = one_app.remote.count()
    rolled = one_app.apply()["app"]
    assert rolled.end is End.ROLLED_BACK
    assert one_app.remote.count() == count + 1
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.0.0")
    (entry,) = one_app.hold().reject
    assert entry.digest == digest("team/app:bad-crash")
    assert "container app: CrashLoopBackOff" in entry.reason
    message = one_app.remote.git("log", "-1", "--format=%B", "main")
    assert "CrashLoopBackOff" in message
    assert "Gitcd-Verb: rollback" in message
    last, failed, _ = one_app.cluster.status("app")["history"]
    assert (last["result"], failed["result"]) == ("Succeeded", "RolledBack")
    assert "CrashLoopBackOff" in failed["message"]


def test_no_later_run_tries_it_again(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")
    one_app.apply()
    count = one_app.remote.count()
    for _ in range(3):
        assert one_app.reconcile().is_idle
        assert one_app.apply()["app"].end is End.IDLE
    assert one_app.remote.count() == count
    one_app.move("1.1.0")
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.1.0")
