"""A pod that waits for a node: a failure at once, or what nodes added on demand take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gitcd.rollout.facts import Release
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End
from tests.support.rollouts import Rollouts, back_to, image

pytestmark = pytest.mark.slow


def _wants_a_node_of_its_own(rollouts: Rollouts, version: str, patience: str) -> Release:
    release = rollouts.release("app", version, timeouts={"unschedulable": patience})
    pod = release.workloads[0].value["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"pool": rollouts.namespace}
    pod["tolerations"] = [{"key": "pool", "value": rollouts.namespace, "effect": "NoSchedule"}]
    return release


@contextmanager
def _added_on_demand(rollouts: Rollouts) -> Iterator[Any]:
    """What an autoscaler of nodes does, once it is called: a node that takes pods of this test alone."""
    name = f"node-{rollouts.namespace}"

    def add() -> None:
        capacity = {"cpu": "1", "memory": "1Gi", "pods": "10"}
        node = {
            "metadata": {
                "name": name,
                "labels": {"pool": rollouts.namespace, "kubernetes.io/hostname": name},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "spec": {"taints": [{"key": "pool", "value": rollouts.namespace, "effect": "NoSchedule"}]},
            "status": {"capacity": capacity, "allocatable": capacity},
        }
        rollouts.plane.request("POST", "/api/v1/nodes", node)

    try:
        yield add
    finally:
        rollouts.plane.kubectl("delete", "node", name, "--ignore-not-found")


def test_without_patience_a_pod_without_a_node_takes_the_version_back(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    new = _wants_a_node_of_its_own(rollouts, "1.1.0", "1s")
    (rolled,) = roll_out([new], rollouts.means(take_back=back_to(good), seconds=13))
    assert rolled.end is End.ROLLED_BACK
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Unschedulable"


def test_with_patience_it_waits_for_the_node_that_is_added(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    new = _wants_a_node_of_its_own(rollouts, "1.1.0", "3m")
    said: list[str] = []

    with _added_on_demand(rollouts) as add:

        def tell(_release: Release, text: str) -> None:
            said.append(text)
            if "Unschedulable" in text and len([each for each in said if "Unschedulable" in each]) == 1:
                add()

        (rolled,) = roll_out([new], rollouts.means(tell=tell, take_back=back_to(good)))
        assert rolled.end is End.DONE, said
    assert any("Unschedulable" in each for each in said)
    assert rollouts.live_image("app") == image("app", "1.1.0")
