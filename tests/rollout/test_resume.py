"""Killed after any write, the next run ends where one would that was never killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.gitrollouts import GitRollouts
from tests.support.mortal import Killed, mortal
from tests.support.scenes import mirror_of

pytestmark = pytest.mark.slow

_MOST = 30  # writes of one rollout


def _killed_everywhere(scene: GitRollouts, begin: Callable[[], object]) -> list[End]:
    """Begin again and again, to be killed one write later each time, until a run comes to its end by itself."""
    ends = []
    for writes in range(1, _MOST):
        begin()
        try:
            rolled = scene.apply(**mortal(scene.cluster, writes))
        except Killed:
            rolled = scene.apply()
            ends.append(rolled["app"].end)
        else:
            return [*ends, rolled["app"].end]
    pytest.fail("it writes without end")


def test_killed_after_every_write_it_goes_live(one_app: GitRollouts) -> None:
    versions = iter(f"1.{number}.0" for number in range(1, 99))
    last = ""

    def begin() -> None:
        nonlocal last
        last = next(versions)
        one_app.move(last)

    ends = _killed_everywhere(one_app, begin)
    assert len(ends) > 3
    assert set(ends) <= {End.DONE, End.IDLE}
    assert one_app.cluster.live_image("app") == one_app.image(last)
    status = one_app.cluster.status("app")
    assert "rollout" not in status
    assert [each["result"] for each in status["history"]] == ["Succeeded"] * len(status["history"])


def test_killed_after_every_write_it_goes_back(one_app: GitRollouts) -> None:
    number = 0

    def begin() -> None:
        nonlocal number
        number += 1
        one_app.move(f"bad-crash-{number}")

    ends = _killed_everywhere(one_app, begin)
    assert len(ends) > 3
    assert set(ends) <= {End.ROLLED_BACK, End.DONE, End.IDLE}
    assert one_app.in_git() == one_app.cluster.live_image("app") == one_app.image("1.0.0")
    status = one_app.cluster.status("app")
    assert "rollout" not in status
    assert {each["type"]: each["status"] for each in status["conditions"]} == {"Verified": "True"}
    assert len(one_app.hold().reject) == number
    assert one_app.reconcile().is_idle


def test_killed_between_revert_and_cluster_it_goes_back(one_app: GitRollouts) -> None:
    one_app.move("bad-crash")

    with mirror_of(one_app.remote.url) as mirror:
        mirror.fetch()
        really = one_app.means(mirror).take_back

        def take_back(*words: Any) -> Any:
            really(*words)
            raise Killed

        with pytest.raises(Killed):
            one_app.apply(take_back=take_back)
    assert one_app.in_git() == one_app.image("1.0.0")
    assert one_app.cluster.live_image("app") == one_app.image("bad-crash")
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.cluster.live_image("app") == one_app.image("1.0.0")
    results = [each["result"] for each in one_app.cluster.status("app")["history"]]
    assert results == ["Succeeded", "RolledBack", "Succeeded"]


def test_a_budget_that_is_over_leaves_it_to_the_next_run(one_app: GitRollouts) -> None:
    one_app.move("bad-never")
    rolled = one_app.apply(seconds=2)["app"]
    assert rolled.end is End.PROGRESSING
    record = one_app.cluster.status("app")["rollout"]
    assert (record["step"], record["strategy"]) == ("Settle", "RollingUpdate")
    one_app.move("1.1.0")
    assert one_app.apply()["app"].end is End.DONE
    results = [each["result"] for each in one_app.cluster.status("app")["history"]]
    assert results == ["Succeeded", "Superseded", "Succeeded"]


def test_a_newer_commit_ends_the_wait_for_a_broken_one(one_app: GitRollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcd.usecases.rollout.TIP_EVERY", timedelta(seconds=0.5))
    one_app.move("bad-never")
    looks = 0

    def tell(*_: Any) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            one_app.move("1.1.0")

    assert one_app.apply(tell=tell)["app"].end is End.SUPERSEDED
    assert one_app.apply()["app"].end is End.DONE
    assert one_app.cluster.live_image("app") == one_app.image("1.1.0")
