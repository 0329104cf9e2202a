"""One fault in one step of a strategy, from a moved tag to the end of it: real git, the real control plane.

While a cell is played, a reconcile runs every second, and every state of the cluster is seen by watches. Where somebody
else applies, that is a process of its own. What came of it is asked of git and of the API server.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.git.mirror import Mirror
from gitcd.model.declaration import Identity
from gitcd.model.live import Manifest, Ref
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.leftovers import copies_of, left_over
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_git import Branch
from tests.support.applier import FLUX, WORKLOAD, hand_over, nobody, second_process
from tests.support.canaries import RoutedScene, install_routes, meanwhile, observed, wait_for_endpoints
from tests.support.cells import (
    BACK,
    CANARY,
    LIVE,
    STAYS,
    Cell,
    replicas,
    smoke,
)
from tests.support.gitrollouts import app, git_rollouts
from tests.support.mortal import Killed
from tests.support.played import Played, changed, image_of, narrow, passes, until
from tests.support.rollouts import Rollouts, as_manifest
from tests.support.symptoms import is_ready, of_job
from tests.support.witness import DECLARED, DEPLOYMENTS, JOBS, PODS, ROUTES, SLICES, witness

_EARLY = ("WeightN", "PauseN", "VerifyN", "ApprovalN", "Promote")  # until these end the Deployment is as it was
_ROUTED = {"httpRoute": {"name": "app", "stableService": "app-stable", "canaryService": "app-canary"}}


# One cell


@dataclass
class Scene(Played):
    """1.0.0 is live behind Service `app`. `play` lets the tag move on."""

    weights: list[tuple[int, int]] = field(default_factory=list)  # as a gateway saw them

    @property
    def cluster(self) -> Rollouts:
        return self.git.cluster

    def play(self) -> Rolled:
        before = self.git.remote.count()
        with ExitStack() as stack:
            kinds = (SLICES, PODS, DEPLOYMENTS, JOBS, DECLARED, *((ROUTES,) if self.cell.routed else ()))
            self.seen = stack.enter_context(witness(self.cluster.plane, self.cluster.namespace, *kinds))
            if self.cell.routed:
                observe = partial(observed, self.cluster.plane, self.cluster.namespace, "app", self.weights)
                stack.enter_context(meanwhile(observe, 0.05))
            if self.cell.is_external:
                stack.enter_context(second_process(self.git))
            if self.cell.left:
                stack.enter_context(patch("tests.support.gitrollouts.Branch", partial(Looking, self.cluster)))
                self._leave()
            if self.cell.new:
                self.git.remote.commit({WORKLOAD: changed(self.git.remote.show(WORKLOAD), *self.cell.new)})
                before += 1
            self.git.tags.move("team/app", "env-dev", self.cell.version)
            stack.enter_context(self._reconciled())
            rolled = self._roll()
            self._again(rolled)
            until(self._is_led, "the Service never leads to the pods that are there")
        assert self.git.remote.count() - before == {LIVE: 1, BACK: 2, STAYS: 1}[self.cell.ending]
        return rolled

    def _leave(self) -> None:
        """What an earlier canary, of which git knows no more, has left in the cluster."""
        value = json.loads(self.git.remote.show(WORKLOAD))
        value["spec"]["template"]["spec"]["containers"][0]["image"] = self.git.image(self.cell.left)
        release = replace(self.cluster.release("app", self.cell.left), workloads=(as_manifest(value),))
        facts = Facts(release, datetime.now(UTC), {release.workloads[0].ref: self.deployment})
        self.cluster.carry(Copy(release.workloads[0]).manifest(facts))
        until(self.shows, "the fault is never seen")

    def _roll(self) -> Rolled:
        if self.cell.dies:
            with pytest.raises(Killed):
                self._apply(**dying(self.cluster, self.cell.dies))
            until(self.shows, "the fault is never seen")
        return self._apply()

    def _again(self, rolled: Rolled) -> None:
        """Whoever comes later finds nothing to do."""
        tip, generation = self.git.remote.tip, self.deployment["metadata"]["generation"]
        assert self.git.reconcile().is_idle
        assert self._apply().end is (rolled.end if rolled.end is End.FAILED else End.IDLE)
        assert (self.git.remote.tip, self.deployment["metadata"]["generation"]) == (tip, generation)

    def _is_led(self) -> bool:
        """Whether the Service selects the pods that are there: its EndpointSlices come a moment after these."""
        return self.seen.endpoints(_behind(self.cell))[-1:] == [{each["metadata"]["uid"] for each in self.pods}]

    # What git and the API server say

    @property
    def old(self) -> str:
        return self.git.image("1.0.0")

    @property
    def new(self) -> str:
        return self.git.image(self.cell.version)

    @property
    def deployment(self) -> dict[str, Any]:
        return self.cluster.objects.get(Ref("Deployment", self.cluster.namespace, "app", "apps")) or {}

    @property
    def in_git(self) -> list[str]:
        """The images that git named since the first commit, without those of before it was pinned."""
        commits = self.git.remote.git("log", "--reverse", "--format=%H", "main", "--", WORKLOAD).split()
        named = [_image(json.loads(self.git.remote.show(WORKLOAD, each))) for each in commits]
        pinned = [each for each in named if "@" in each]
        return [each for before, each in zip([None, *pinned], pinned, strict=False) if each != before]

    @property
    def pods(self) -> list[dict[str, Any]]:
        """The pods of Deployments that are to stay."""
        found = self.cluster.plane.get(f"/api/v1/namespaces/{self.cluster.namespace}/pods")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"] and not of_job(each)]

    @property
    def suspected(self) -> str:
        return self.git.image(self.cell.left or self.cell.version)

    def _check_failed(self, failed: list[str], at: str) -> None:
        assert set(failed) == {at}, self.told

    def _check_git(self) -> None:
        assert self.in_git == [self.old, self.new, self.old][: 3 if self.cell.ending == BACK else 2]

    def _check_cluster(self) -> None:
        is_early = self.cell.strategy == CANARY and self.cell.step in _EARLY and self.cell.ending != LIVE
        images = [self.old] if is_early else [self.old, self.new, self.old][: 3 if self.cell.ending == BACK else 2]
        assert self.seen.images("app") == images, "it has each of them once"
        assert {image_of(each) for each in self.pods} == {images[-1]}
        assert [is_ready(each) for each in self.pods] == [True] * self.cell.pods
        writers = {each["manager"] for each in self.deployment["metadata"]["managedFields"]}
        assert (FLUX in writers, "gitcd" in writers) == (self.cell.is_external, not self.cell.is_external)
        assert self.cluster.objects.get(Ref("Deployment", self.cluster.namespace, "app-canary", "apps")) is None

    def _check_service(self) -> None:
        counts = self.seen.ready(_behind(self.cell))
        assert counts
        assert counts[-1] == self.cell.pods
        assert min(counts) >= 1 or not self.cell.spares, counts
        if self.cell.routed:
            gains = self.seen.gains()
            assert [each for each in gains if each[1] == 0] == [], gains
            assert self.weights == [(100, 0), (50, 50), (100, 0)]


def scene(cell: Cell, rollouts: Rollouts, folder: Path) -> Scene:
    """1.0.0 is live, by whoever applies; its own checks passed."""
    strategy: dict[str, Any] = {"kind": cell.strategy}
    if cell.check:
        strategy["verify"] = [smoke(cell.check)]
    if cell.steps:
        strategy["canary"] = {"steps": list(cell.steps), **(_ROUTED if cell.routed else {})}
    timeouts = {"rollout": cell.rollout, "verify": cell.verify}
    if cell.reason == "Unschedulable":
        timeouts["unschedulable"] = "1s"
    files = app("app", rollouts.namespace, strategy=strategy, timeouts=timeouts)
    files[WORKLOAD] = changed(files[WORKLOAD], replicas(cell.pods), *cell.always)
    if cell.routed:
        install_routes(rollouts.plane)
    others = RoutedScene(rollouts, {}).others if cell.routed else ()
    for each in others:
        files[f"envs/dev/app/{each.ref.kind}-{each.ref.name}.yaml"] = json.dumps(each.value).encode()
    made = Scene(cell, git_rollouts(rollouts, folder, {"app": files}))
    for each in others or (_service(rollouts.namespace),):
        rollouts.carry(each)
    carry = {}
    if cell.is_external:
        hand_over(made.git)
        carry["carry"] = nobody
    assert made.git.apply(check=passes, **carry)["app"].end is End.DONE
    wait_for_endpoints(rollouts.plane, rollouts.namespace, _behind(cell))
    if cell.narrow:
        narrow(rollouts.plane, rollouts.namespace)
    return made


class Looking(Branch):
    """As `gitcd apply` reads a branch: with a look at what canaries have left."""

    def __init__(self, cluster: Rollouts, mirror: Mirror) -> None:
        super().__init__(mirror)
        self._objects = cluster.objects

    def releases(self, commit: str, identities: Collection[Identity]) -> list[Release]:
        found = super().releases(commit, identities)
        live = {ref: value for each in found for ref in copies_of(each) if (value := self._objects.get(ref))}
        return [replace(each, left=left_over(each, live)) for each in found]


def dying(cluster: Rollouts, write: str) -> dict[str, Any]:
    """The means of a run that dies before it promotes a canary, gives a route its weights back, or deletes the copy.

    That is `promote`, `restore` and `delete`.
    """

    class Dying(Objects):
        def delete(self, ref: Ref, **how: Any) -> None:
            raise Killed

        def patch(self, ref: Ref, patch: Any, **how: Any) -> Any:
            if write == "restore" and any(each["value"] == 100 for each in patch):
                raise Killed
            return super().patch(ref, patch, **how)

    def carry(manifest: Manifest) -> None:
        if write == "promote" and manifest.ref.name == "app":
            raise Killed
        cluster.carry(manifest)

    objects = Dying(Api(find_access(str(cluster.plane.admin.kubeconfig))))
    return {"carry": carry, "objects": cluster.objects if write == "promote" else objects}


def _behind(cell: Cell) -> str:
    return "app-stable" if cell.routed else "app"


def _service(namespace: str) -> Manifest:
    spec = {"selector": {"app": "app"}, "ports": [{"port": 80}]}
    metadata = {"name": "app", "namespace": namespace}
    return as_manifest({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def _image(workload: dict[str, Any]) -> str:
    return image_of(workload["spec"]["template"])
