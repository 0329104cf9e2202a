"""Every fault in every step of the tables of rolling updates and canaries, and that none is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gitcd.model.declaration import Identity, Spec
from gitcd.model.strategy import Canary, CanaryStep, HttpRoute, Strategy, Verify
from gitcd.rollout.facts import Release
from gitcd.rollout.leftovers import copies_of
from gitcd.rollout.strategies import table_of
from tests.support.canaries import RoutedScene
from tests.support.cellplay import scene
from tests.support.cells import CANARY, CANNOT, CELLS, EXTERNAL, FAULTS, GITCD, ROLLING, Cell, numberless
from tests.support.rollouts import Rollouts, as_manifest, workload


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_F45_cell(cell: Cell, rollouts: Rollouts, tmp_path: Path) -> None:
    played = scene(cell, rollouts, tmp_path)
    played.check(played.play())


CHECK = Verify("Image", image="registry.example.com/smoke")
STEPS = (CanaryStep(10, "1m", (CHECK,)), CanaryStep(50, "Approval"))
ROUTE = HttpRoute("app", "app-stable", "app-canary")


def rows(strategy: str, applier: str) -> list[str]:
    """The steps of a release of which everything is asked."""
    routed = RoutedScene(SimpleNamespace(namespace="team"), {})
    value = workload("app", "team", "1.1.0")
    for each in (value["spec"]["selector"]["matchLabels"], value["spec"]["template"]["metadata"]["labels"]):
        each.update(routed.labels)
    asked = Canary(STEPS, ROUTE) if strategy == CANARY else None
    spec = Spec("registry.example.com/app", tag="dev", strategy=Strategy(strategy, canary=asked, verify=(CHECK,)))
    identity, made = Identity("dev", "team", "app"), as_manifest(value)
    release = Release(identity, spec, "1.1.0", "sha256:1", "c" * 40, (made,), routed.others)
    release = replace(release, external=applier == EXTERNAL)
    return [numberless(each.name) for each in table_of(replace(release, left=tuple(copies_of(release)))).steps]


def test_no_fault_in_no_step_is_left_out() -> None:
    wanted = {
        (strategy, applier, step, fault)
        for strategy in (ROLLING, CANARY)
        for applier in (GITCD, EXTERNAL)
        for step in rows(strategy, applier)
        for fault in FAULTS
    }
    played = Counter(each.key for each in CELLS)
    excused = Counter((*row, fault) for row, why in CANNOT.items() for faults in why.values() for fault in faults)
    assert played + excused == Counter(wanted), "each is played, or it is said why it cannot be, and once"
