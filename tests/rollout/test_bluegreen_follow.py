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
from tests.usecases.test_rollback import back

pytestmark = pytest.mark.slow


def told(slots: Slots) -> tuple[str, list[dict[str, Any]], Any]:
    """What the status says of the rollout, and the version of the object that holds it."""
    found = slots.plane.get(f"{BASE}/namespaces/{slots.namespace}/containerversions/app")
    return found["metadata"]["resourceVersion"], found["status"]["conditions"], found["status"]["history"]


def cut_short(slots: Slots) -> None:
    """A switch to a version that soon crashes is committed, and the run dies before it is carried out."""

    def die(_: object, text: str) -> None:
        if text.startswith("switch Service"):
            raise Killed

    slots.git.move("bad-later")
    with pytest.raises(Killed):
        slots.git.apply(tell=die)


def crashed(slots: Slots) -> None:
    until(lambda: not slots.deployment("green")["status"].get("readyReplicas"), "it never crashes")


def test_a_live_slot_that_never_gets_ready_is_said_alike_in_every_run_until_it_is(slots: Slots) -> None:
    cut_short(slots)
    slots.git.move("1.2.0")
    crashed(slots)
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


def test_a_rollback_to_what_the_service_still_leads_to_is_switched_to_in_git(slots: Slots) -> None:
    cut_short(slots)
    slots.git.move("1.2.0")
    crashed(slots)
    trouble = slots.git.apply()["app"].trouble
    assert trouble is not None
    app = f"dev/{slots.namespace}/app"
    assert f"`gitcd rollback {app} --to 1.0.0`" in trouble.message
    back(slots.git.remote, slots.git.tags, app, to="1.0.0", now=slots.git.now)
    assert (slots.live("git"), slots.version("blue", "git")) == ("green", "1.0.0")
    with slots.watched() as watch:
        assert slots.git.apply()["app"].end is End.DONE
    assert {name for _, name, _ in watch.seen} == {"blue"}
    assert (slots.live("git"), slots.live(), slots.version("blue"), slots.replicas("green")) == (
        "blue",
        "blue",
        "1.0.0",
        0,
    )
    assert slots.git.cluster.conditions("app") == {"Verified": ("True", "Healthy")}
    assert slots.git.reconcile().commits == ()
    assert slots.git.apply()["app"].end is End.IDLE


def test_a_rollback_before_the_switch_was_carried_out_leads_nobody_away_first(slots: Slots) -> None:
    cut_short(slots)
    back(slots.git.remote, slots.git.tags, f"dev/{slots.namespace}/app", now=slots.git.now)
    assert (slots.live("git"), slots.version("blue", "git")) == ("green", "1.0.0")
    with slots.watched() as watch:
        assert slots.git.apply()["app"].end is End.DONE
    assert {name for _, name, _ in watch.seen} == {"blue"}
    assert (slots.live("git"), slots.live()) == ("blue", "blue")
    assert slots.git.reconcile().commits == ()
    assert slots.git.apply()["app"].end is End.IDLE
