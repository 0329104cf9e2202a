"""One fault in one step of a strategy, from a moved tag to the end of it: real git, the real control plane.

While a cell is played, a reconcile runs every second, and every state of the cluster is seen by watches. Where somebody
else applies, that is a process of its own. What came of it is asked of git and of the API server.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
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
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout.copies import Copy
from gitcd.rollout.facts import Facts, Release
from gitcd.rollout.leftovers import copies_of, left_over
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.rollout_git import Branch
from gitcd.usecases.rollout_means import Question
from gitcd.usecases.rollout_team import End, Rolled
from gitcd.usecases.verifying import Measuring
from tests.support.canaries import RoutedScene, install_routes, meanwhile, observed, wait_for_endpoints
from tests.support.cells import (
    BACK,
    CANARY,
    LATER,
    LIVE,
    STAYS,
    Cell,
    Change,
    numberless,
    replicas,
    smoke,
)
from tests.support.gitrollouts import GitRollouts, app, git_rollouts
from tests.support.mortal import Killed
from tests.support.rollouts import Rollouts, as_manifest
from tests.support.scenes import AUTHOR, context, digest, mirror_of
from tests.support.symptoms import SHOWN, is_ready, of_job
from tests.support.witness import DECLARED, DEPLOYMENTS, JOBS, PODS, ROUTES, SLICES, Witness, witness

WORKLOAD = "envs/dev/app/workload.yaml"
FLUX = "flux"
LAYOUT_OF_OTHERS = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev, applier: external}
"""
_APPLIER = """\
repository=$1 kubectl=$2 config=$3
shift 3
while sleep 0.2; do
  tip=$(git -C "$repository" rev-parse main)
  if [ "$tip" != "$done" ] || [ $((turn += 1)) -ge 10 ]; then
    for path; do echo ---; git -C "$repository" show "$tip:$path"; echo; done |
      "$kubectl" --kubeconfig="$config" apply --server-side --force-conflicts --field-manager=flux -f - &&
      done=$tip turn=0
  fi
done
"""
_EARLY = ("WeightN", "PauseN", "VerifyN", "ApprovalN", "Promote")  # until these end the Deployment is as it was
_PATIENCE = 20.0
_ROUTED = {"httpRoute": {"name": "app", "stableService": "app-stable", "canaryService": "app-canary"}}


# One cell


@dataclass
class Scene:
    """1.0.0 is live behind Service `app`. `play` lets the tag move on."""

    cell: Cell
    git: GitRollouts
    seen: Witness = field(default_factory=lambda: Witness({}))
    told: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)  # of reconciles
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

    def _apply(self, **how: Any) -> Rolled:
        check = Measuring(self.cluster.objects).answer
        if self.cell.is_external:
            how["carry"] = nobody
        return self.git.apply(**{"check": check, "tell": self._hear, **how})["app"]

    def _hear(self, _: object, text: str) -> None:
        self.told.append(text)

    def _again(self, rolled: Rolled) -> None:
        """Whoever comes later finds nothing to do."""
        tip, generation = self.git.remote.tip, self.deployment["metadata"]["generation"]
        assert self.git.reconcile().is_idle
        assert self._apply().end is (rolled.end if rolled.end is End.FAILED else End.IDLE)
        assert (self.git.remote.tip, self.deployment["metadata"]["generation"]) == (tip, generation)

    @contextmanager
    def _reconciled(self) -> Iterator[None]:
        """Every second, until the block ends; it begins once the first one has committed."""
        over, failures = threading.Event(), []

        def work() -> None:
            try:
                with mirror_of(self.git.remote.url) as mirror:
                    while not over.is_set():
                        asked = context(mirror, self.git.tags, datetime.now(UTC))
                        self.commits.extend(reconcile(mirror, asked, AUTHOR).commits)
                        over.wait(1)
            except BaseException as error:
                failures.append(error)
                raise

        thread = threading.Thread(target=work)
        thread.start()
        try:
            until(lambda: self.commits or failures, "nothing is committed")
            yield
        finally:
            over.set()
            thread.join()
        assert failures == []
        assert len(self.commits) == 1, "a reconcile takes the new version up once, and nothing else ever"

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
    def recorded(self) -> set[str]:
        """The steps of the new version that were on record at any time."""
        records = [(each.get("status") or {}).get("rollout") or {} for each in self.seen.states(DECLARED)]
        new = digest(f"team/app:{self.cell.version}")
        return {numberless(each["step"]) for each in records if each.get("newDigest") == new}

    @property
    def pods(self) -> list[dict[str, Any]]:
        """The pods of Deployments that are to stay."""
        found = self.cluster.plane.get(f"/api/v1/namespaces/{self.cluster.namespace}/pods")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"] and not of_job(each)]

    @property
    def suspects(self) -> list[dict[str, Any]]:
        """All states of the pods that shall have the fault: those of a check, or of the new version."""
        image = self.git.image(self.cell.left or self.cell.version)
        is_check = self.cell.step.startswith("Verify") and self.cell.fault != LATER
        states = self.seen.states(PODS)
        return [each for each in states if (of_job(each) if is_check else _image_of(each) == image)]

    def shows(self) -> bool:
        """Whether the API server has shown the fault."""
        return SHOWN[self.cell.fault](self)

    def check(self, rolled: Rolled) -> None:
        """Everything that has to be so at the end."""
        assert rolled.end is {LIVE: End.DONE, BACK: End.ROLLED_BACK, STAYS: End.FAILED}[self.cell.ending], rolled
        assert self.shows(), "the fault was not there"
        self._check_where(rolled)
        self._check_git()
        self._check_cluster()
        self._check_service()

    def _check_where(self, rolled: Rolled) -> None:
        failed = {numberless(each.split()[2].rstrip(":")) for each in self.told if each.startswith("failed at ")}
        assert self.cell.step in failed | self.recorded, "the step was never taken"
        if self.cell.ending == LIVE:
            assert failed == set()
            return
        assert rolled.trouble is not None
        assert rolled.trouble.reason == self.cell.reason, rolled.trouble
        assert failed == {self.cell.fails_at or self.cell.step}, self.told

    def _check_git(self) -> None:
        held = {LIVE: [], BACK: [digest(f"team/app:{self.cell.version}")], STAYS: []}[self.cell.ending]
        assert self.in_git == [self.old, self.new, self.old][: 3 if self.cell.ending == BACK else 2]
        path = f".gitcd/holds/dev/{self.cluster.namespace}.app.yaml"
        assert bool(self.git.remote.git("ls-tree", "main", path)) == bool(held)
        if held:
            assert [each.digest for each in self.git.hold().reject] == held
            assert "Gitcd-Verb: rollback" in self.git.remote.git("log", "-1", "--format=%B", "main")

    def _check_cluster(self) -> None:
        is_early = self.cell.strategy == CANARY and self.cell.step in _EARLY and self.cell.ending != LIVE
        images = [self.old] if is_early else [self.old, self.new, self.old][: 3 if self.cell.ending == BACK else 2]
        assert self.seen.images("app") == images, "it has each of them once"
        assert {_image_of(each) for each in self.pods} == {images[-1]}
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
        limit = {"type": "Container", "defaultRequest": {"cpu": "1000"}}
        path = f"/api/v1/namespaces/{rollouts.namespace}/limitranges"
        rollouts.plane.request("POST", path, {"metadata": {"name": "wide"}, "spec": {"limits": [limit]}})
    return made


def changed(data: bytes, *changes: Change) -> bytes:
    """A manifest of git with more in it."""
    value = json.loads(data)
    for change in changes:
        change(value)
    return json.dumps(value, indent=2).encode()


class Looking(Branch):
    """As `gitcd apply` reads a branch: with a look at what canaries have left."""

    def __init__(self, cluster: Rollouts, mirror: Mirror) -> None:
        super().__init__(mirror)
        self._objects = cluster.objects

    def releases(self, commit: str, identities: Collection[Identity]) -> list[Release]:
        found = super().releases(commit, identities)
        live = {ref: value for each in found for ref in copies_of(each) if (value := self._objects.get(ref))}
        return [replace(each, left=left_over(each, live)) for each in found]


def hand_over(git: GitRollouts) -> None:
    """From now on somebody else applies, and has done so once."""
    git.remote.commit({"gitcd.yaml": LAYOUT_OF_OTHERS}, "Somebody else applies")
    flags = ("apply", "--server-side", f"--field-manager={FLUX}", "-f", "-")
    git.cluster.plane.kubectl(*flags, stdin=git.remote.show(WORKLOAD).decode())


@contextmanager
def second_process(git: GitRollouts, *paths: str) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else applies the branch: whenever it has moved, and now and then besides."""
    plane, remote = git.cluster.plane, git.remote.path
    words = ["bash", "-c", _APPLIER, "applier", str(remote), str(plane.binaries / "kubectl")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(remote.parent)}
    with (remote.parent / "applier.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, str(plane.admin.kubeconfig), *(paths or (WORKLOAD,))], env=environment, stdout=log, stderr=log
        )
        try:
            yield process
            assert process.poll() is None, (remote.parent / "applier.log").read_text()
        finally:
            process.terminate()
            process.wait()


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


def until(is_so: Callable[[], object], message: str) -> None:
    """Wait for it."""
    ends = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > ends:
            pytest.fail(message)
        time.sleep(0.05)


def _behind(cell: Cell) -> str:
    return "app-stable" if cell.routed else "app"


def _service(namespace: str) -> Manifest:
    spec = {"selector": {"app": "app"}, "ports": [{"port": 80}]}
    metadata = {"name": "app", "namespace": namespace}
    return as_manifest({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def passes(question: Question) -> Measurement:
    return Measurement(question.now, Verdict.PASS)


def nobody(manifest: Manifest) -> None:
    """Where somebody else applies, gitcd does not."""
    pytest.fail(f"{manifest.ref} is not gitcd's to write")


def _image(workload: dict[str, Any]) -> str:
    return _image_of(workload["spec"]["template"])


def _image_of(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["image"])
