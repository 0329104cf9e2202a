"""A switch that git had before it moved on, and that cannot be carried out: said once, in the same words ever after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitcd.usecases.rollout_end import End
from tests.support.containerversions import BASE
from tests.support.mortal import Killed
from tests.support.played import until
from tests.support.slotrollouts import FOLDER, Slots, image

pytestmark = pytest.mark.slow


def told(slots: Slots) -> tuple[str, list[dict[str, Any]], Any]:
    """What the status says of the rollout, and the version of the object that holds it."""
    found = slots.plane.get(f"{BASE}/namespaces/{slots.namespace}/containerversions/app")
    return found["metadata"]["resourceVersion"], found["status"]["conditions"], found["status"]["history"]


def test_a_live_slot_that_never_gets_ready_is_said_alike_in_every_run_until_it_is(slots: Slots) -> None:
    def die(_: object, text: str) -> None:
        if text.startswith("switch Service"):
            raise Killed

    slots.git.move("bad-later")
    with pytest.raises(Killed):
        slots.git.apply(tell=die)
    slots.git.move("1.2.0")
    until(lambda: not slots.deployment("green")["status"].get("readyReplicas"), "it never crashes")
    assert (slots.live("git"), slots.live(), slots.version("blue", "git")) == ("green", "blue", "1.2.0")
    first = slots.git.apply()["app"]
    assert first.end is End.FAILED
    assert first.trouble is not None
    assert (first.trouble.reason, first.trouble.blames) == ("LiveSlotNotReady", False)
    assert f"{slots.namespace}/app-green is not ready" in first.trouble.message
    before = told(slots)
    assert {each["type"]: (each["status"], each["reason"]) for each in before[1]} == {
        "Stalled": ("True", "LiveSlotNotReady"),
        "Verified": ("Unknown", "LiveSlotNotReady"),
    }
    for _ in range(2):
        again = slots.git.apply()["app"]
        assert (again.end, again.trouble) == (End.FAILED, first.trouble)
        assert told(slots) == before, "nothing has changed, so nothing is written"
    assert (slots.live(), slots.version("blue")) == ("blue", "1.0.0")

    green = json.loads(slots.git.remote.show(f"{FOLDER}/green.yaml"))
    green["spec"]["template"]["spec"]["containers"][0]["image"] = image("1.1.0")
    slots.git.remote.commit({f"{FOLDER}/green.yaml": json.dumps(green, indent=2).encode()}, "Mend what is live")
    assert slots.git.apply()["app"].end is End.DONE
    assert (slots.live("git"), slots.live(), slots.version("blue")) == ("blue", "blue", "1.2.0")
    assert slots.git.cluster.conditions("app") == {"Verified": ("True", "Healthy")}
