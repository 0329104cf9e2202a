"""PersistentVolumeClaim: bound, or waiting for a pod that will use it."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.model.live import Json
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import is_leaving, objects, text


def judge(look: Look) -> Health:
    phase = text(look.value, "status", "phase")
    if phase == "Bound":
        return look.current("Bound")
    if phase == "Lost":
        return look.failed("Lost", "its volume is gone")
    user = next((text(pod, "metadata", "name") for pod in look.around.pods if _uses(pod, look.ref.name)), None)
    if user is None and phase:
        # A claim of a class that binds on first use has to wait for a pod, so nobody can wait for the claim.
        return look.current("Unused", "it is not bound, and no pod uses it")
    return look.progressing("NotBound", f"it is not bound, and pod {user} uses it" if user else "it is not bound")


def _uses(pod: Json, name: str) -> bool:
    claims = (text(each, "persistentVolumeClaim", "claimName") for each in objects(pod, "spec", "volumes"))
    return bool(name) and not is_leaving(pod) and name in claims
