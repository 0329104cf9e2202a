"""CronJob: it is as it should be once it is there; what its Jobs do is known when they have run."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import flag


def judge(look: Look) -> Health:
    return look.current("Suspended", "it starts no Jobs") if flag(look.value, "spec", "suspend") else look.current()
