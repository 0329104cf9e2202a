"""RollingUpdate on the real control plane; what is seen is read from the API server."""

from __future__ import annotations

import pytest

from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_team import End
from tests.support.rollouts import Rollouts, back_to, digest, image

pytestmark = pytest.mark.slow


def test_a_release_goes_live(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    (rolled,) = roll_out([rollouts.release("app", "1.0.0")], rollouts.means())
    assert rolled.end is End.DONE
    assert rollouts.live_image("app") == image("app", "1.0.0")
    status = rollouts.status("app")
    assert status["lastGood"]["digest"] == status["applied"]["digest"] == digest("1.0.0")
    assert "rollout" not in status
    assert rollouts.history("app") == [(digest("1.0.0"), "Succeeded")]
    assert rollouts.conditions("app") == {"Verified": ("True", "Healthy")}


def test_F45_a_crash_loop_is_taken_back_within_seconds(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    bad = rollouts.release("app", "bad-crash")
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good), seconds=20))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "CrashLoopBackOff"
    assert "container app: CrashLoopBackOff" in rolled.trouble.message
    assert rollouts.live_image("app") == image("app", "1.0.0")
    assert rollouts.history("app") == [
        (digest("1.0.0"), "Succeeded"),
        (digest("bad-crash"), "RolledBack"),
        (digest("1.0.0"), "Succeeded"),
    ]
    assert rollouts.conditions("app") == {"Verified": ("True", "Healthy")}
    assert "CrashLoopBackOff" in dict(rollouts.events("app"))
