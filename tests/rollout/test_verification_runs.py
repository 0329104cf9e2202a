"""A verification that takes longer than one run: every run goes on where the one before it ended."""

from __future__ import annotations

import time

import pytest

from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import Question
from tests.support.rollouts import Rollouts

pytestmark = pytest.mark.slow

CHECK = {"kind": "HTTP", "service": "app", "interval": "1s", "count": 4}


def test_a_verification_longer_than_every_run_comes_to_its_end(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    roll_out([rollouts.release("app", "1.0.0")], rollouts.means())
    new = rollouts.release("app", "1.1.0", strategy={"verify": [CHECK]})
    asked: list[int] = []

    def passes(question: Question) -> Measurement:
        asked.append(question.number)
        return Measurement(question.now, Verdict.PASS, "answers 200")

    ends = []
    while len(ends) < 12 and End.DONE not in ends:
        (rolled,) = roll_out([new], rollouts.means(check=passes, seconds=1.4))
        ends.append(rolled.end)
        time.sleep(0.2)
    assert ends[-1] is End.DONE
    assert End.PROGRESSING in ends
    assert asked == [0, 1, 2, 3]
    assert "rollout" not in rollouts.status("app")
