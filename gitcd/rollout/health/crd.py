"""CustomResourceDefinition: served under its name."""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import condition, says, text


def judge(look: Look) -> Health:
    names, established = condition(look.value, "NamesAccepted"), condition(look.value, "Established")
    if says(names, "False"):
        return look.failed(text(names, "reason") or "NamesNotAccepted", text(names, "message"))
    if says(established, "True"):
        return look.current("Established")
    if says(established, "False") and text(established, "reason") != "Installing":
        return look.failed(text(established, "reason") or "NotEstablished", text(established, "message"))
    return look.progressing("Installing", "it is not established yet")
