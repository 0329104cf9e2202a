"""Every fault in every step of the table of two slots, and that none is left out."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitcd.rollout import bluegreen
from tests.support.cells import EXTERNAL, FAULTS, GITCD
from tests.support.rollouts import Rollouts
from tests.support.slotcells import CANNOT, CELLS, SLOTS, SlotCell
from tests.support.slotplay import slot_scene
from tests.support.slotrollouts import Slots
from tests.support.slotworld import World
from tests.support.witness import PODS, SERVICES, witness


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_F45_cell_of_two_slots(cell: SlotCell, rollouts: Rollouts, tmp_path: Path) -> None:
    played = slot_scene(cell, rollouts, tmp_path)
    played.check(played.play())


def test_no_fault_in_no_step_of_two_slots_is_left_out() -> None:
    release = World().release()
    wanted = {
        (SLOTS, applier, step.name, fault)
        for applier in (GITCD, EXTERNAL)
        for step in bluegreen.table(replace(release, external=applier == EXTERNAL)).steps
        for fault in FAULTS
    }
    played = Counter(each.key for each in CELLS)
    excused = Counter((*row, fault) for row, why in CANNOT.items() for faults in why.values() for fault in faults)
    assert played + excused == Counter(wanted), "each is played, or it is said why it cannot be, and once"


@pytest.mark.slow
def test_a_moment_without_a_ready_pod_is_seen_however_short_it_is_and_late_it_is_told(slots: Slots) -> None:
    path = f"/api/v1/namespaces/{slots.namespace}/services/app"

    class Late(list[Any]):
        def append(self, event: Any) -> None:
            time.sleep(0.4)
            super().append(event)

    with witness(slots.plane, slots.namespace, PODS, SERVICES) as seen:
        seen.watches[SERVICES].events = Late(seen.watches[SERVICES].events)
        for name in ("green", "blue"):  # green has no pods
            slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": name}}}, kind="merge-patch+json")
    found = [(selector["slot"], ready) for selector, ready in seen.selected("app")]
    assert found == [("green", 0), ("blue", 1)]
    with witness(slots.plane, slots.namespace, PODS, SERVICES) as seen:
        slots.plane.kubectl("delete", "pods", "-n", slots.namespace, "-l", "slot=blue", "--wait=false")
    assert 0 in [ready for _, ready in seen.selected("app")]
