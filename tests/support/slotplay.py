"""One fault in one step of ServiceBlueGreen, from a moved tag to the end of it: real git, the real control plane.

While a cell is played, a reconcile runs every second, and every state of the cluster is seen by watches. Where somebody
else applies, that is a process of its own. What came of it is asked of git and of the API server.
"""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP, Signals
from typing import Any

import pytest

from gitcd.usecases.rollout_end import End, Rolled
from tests.support.applier import FLUX, hand_over, nobody, second_process
from tests.support.cells import BACK, LIVE, replicas, smoke
from tests.support.containerversions import manifest
from tests.support.gitrollouts import git_rollouts
from tests.support.mortal import Killed
from tests.support.played import Played, changed, narrow, passes, until
from tests.support.rollouts import Rollouts
from tests.support.slotcells import SlotCell
from tests.support.slotrollouts import FAST, FOLDER, Slots, image, service, slot
from tests.support.witness import DECLARED, DEPLOYMENTS, JOBS, PODS, SERVICES, witness

_OBJECTS = ("blue", "green", "app", "preview")
_FILES = tuple(f"{FOLDER}/{each}.yaml" for each in _OBJECTS)


@dataclass
class SlotScene(Played):
    """1.0.0 is in both slots, blue is live. `play` lets the tag move on."""

    cell: SlotCell
    slots: Slots = field(kw_only=True)
    applier: subprocess.Popen[bytes] | None = None  # of whom everything comes that gitcd does not write

    def play(self) -> Rolled:
        git, cell = self.git, self.cell
        with ExitStack() as stack:
            kinds = (SERVICES, PODS, DEPLOYMENTS, JOBS, DECLARED)
            self.seen = stack.enter_context(witness(self.slots.plane, self.slots.namespace, *kinds))
            if cell.is_external:
                self.applier = stack.enter_context(second_process(git, *_FILES))
            if cell.new:
                git.remote.commit({_FILES[1]: changed(git.remote.show(_FILES[1]), *cell.new)})
            before = git.remote.count()
            git.tags.move("team/app", "env-dev", cell.version)
            stack.enter_context(self._reconciled(2 if cell.then else 1))
            rolled = self._roll()
            self._again(rolled)
        bumps, switches = (2 if cell.then else 1), int(cell.switched or cell.ending == LIVE)
        assert git.remote.count() - before == bumps + switches + (cell.ending == BACK)
        return rolled

    def _roll(self) -> Rolled:
        if self.cell.dies:
            try:
                with pytest.raises(Killed):
                    self._apply(tell=self._die)
            finally:
                self._signal(SIGCONT)
            until(self.shows, "the fault is never seen")
        if self.cell.then:
            self.git.tags.move("team/app", "env-dev", self.cell.then)
            until(lambda: len(self.commits) > 1, "the next version is never committed")
        return self._apply()

    def _die(self, _: object, text: str) -> None:
        if text == "commit the switch":
            self._signal(SIGSTOP)  # who applies must not be there before this run is gone
        if re.search(self.cell.dies, text):
            raise Killed

    def _signal(self, number: Signals) -> None:
        if self.applier:
            self.applier.send_signal(number)

    def _again(self, rolled: Rolled) -> None:
        """Whoever comes later finds nothing to do."""
        if self.cell.is_external:
            until(self._is_as_git_says, "somebody else never applies")
        before = self.git.remote.tip, self.slots.states()
        assert self.git.reconcile().is_idle
        assert self._apply().end is (End.FAILED if rolled.end is End.FAILED else End.IDLE)
        assert (self.git.remote.tip, self.slots.states()) == before

    def _is_as_git_says(self) -> bool:
        return all(self.slots.version(each) == self.slots.version(each, "git") for each in ("blue", "green"))

    # What git and the API server say

    def told_by_git(self, name: str, *path: str) -> list[str]:
        """What one value of a file was in git, one after the other."""
        file = f"{FOLDER}/{name}.yaml"
        commits = self.git.remote.git("log", "--reverse", "--format=%H", "main", "--", file).split()
        found = [_at(json.loads(self.git.remote.show(file, each)), *path) for each in commits]
        return [each for before, each in zip([None, *found], found, strict=False) if each != before]

    @property
    def newest(self) -> str:
        return self.cell.then or self.cell.version

    def _check_failed(self, failed: list[str], at: str) -> None:
        assert failed[0] == at, self.told

    def _check_git(self) -> None:
        is_back, switched = self.cell.ending == BACK, self.cell.switched
        live = ["blue", "green", "blue"][: 1 + (switched or self.cell.ending == LIVE) + (switched and is_back)]
        assert self.told_by_git("app", "spec", "selector", "slot") == live
        assert self.told_by_git("preview", "spec", "selector", "slot") == [_other(each) for each in live]
        assert self.in_git("green") == [image("1.0.0"), image(self.cell.version), image("1.0.0")][: 2 + self._refilled]
        assert self.in_git("blue") == [image("1.0.0"), *([image(self.cell.then)] if self.cell.then else [])]

    @property
    def _refilled(self) -> bool:
        """Whether the idle slot gets back what it held."""
        return self.cell.ending == BACK and not self.cell.switched

    def in_git(self, name: str) -> list[str]:
        found = self.told_by_git(name, "spec", "template", "spec", "containers", "0", "image")
        return [each for each in found if "@" in each]

    def _check_cluster(self) -> None:
        versions = [image("1.0.0"), image(self.cell.version), image("1.0.0")]
        assert self.seen.images("app-green") == versions[: 2 + self._refilled], "it has each of them once"
        assert self.seen.images("app-blue") == [image("1.0.0")]
        live = "green" if self.cell.ending == LIVE else "blue"
        assert (self.slots.live(), self.slots.ready()) == (live, (live, self.cell.pods))
        writers = {each["manager"] for each in self.slots.deployment("green")["metadata"]["managedFields"]}
        ours = {each for each in writers if each.startswith("gitcd")}
        assert (FLUX in writers, bool(ours)) == (self.cell.is_external, not self.cell.is_external), writers
        rests = {LIVE: "blue", BACK: "green"}.get(self.cell.ending)
        if rests and not self.cell.is_external:
            assert self.slots.replicas(rests) == 0

    def _check_service(self) -> None:
        """At no moment, of all that the API server has been through."""
        selected = self.seen.selected("app")
        assert selected
        outages = [each["slot"] for each, ready in selected if ready == 0]
        assert outages == [] or not self.cell.spares, outages
        assert set(outages) <= {"green"}, "of what broke where nobody could keep it from that"
        led = [each["slot"] for each, _ in selected]
        ways = [each for before, each in zip([None, *led], led, strict=False) if each != before]
        went = self.cell.ending == LIVE or "green" in ways
        assert ways == (
            ["blue", "green"] if self.cell.ending == LIVE else ["blue", "green", "blue"] if went else ["blue"]
        )
        assert ("green" in ways) == (self.cell.ending == LIVE or not self.cell.spares)


def slot_scene(cell: SlotCell, rollouts: Rollouts, folder: Path) -> SlotScene:
    """1.0.0 is live, by whoever applies; its own checks passed."""
    namespace = rollouts.namespace
    blue_green = {"serviceName": "app", "verificationServiceName": "preview", "labelNames": ["slot"], **FAST}
    blue_green["watch"] = cell.watch
    strategy: dict[str, Any] = {"kind": cell.strategy, "blueGreen": blue_green}
    if cell.check:
        strategy["verify"] = [smoke(cell.check)]
    timeouts = {"rollout": cell.rollout, "verify": cell.verify, "unschedulable": "1s"}
    made = {
        "cv": manifest("app", namespace, versionSyntax="[0-9a-z.-]+", strategy=strategy, timeouts=timeouts),
        "blue": slot("blue", namespace, cell.pods),
        "green": slot("green", namespace, cell.pods),
        "app": service("app", namespace, "blue"),
        "preview": service("preview", namespace, "green"),
    }
    files = {f"{FOLDER}/{name}.yaml": json.dumps(value, indent=2).encode() for name, value in made.items()}
    for path in _FILES[:2]:
        files[path] = changed(files[path], replicas(cell.pods), *cell.always)
    found = Slots(git_rollouts(rollouts, folder, {"app": files}), rollouts.plane, namespace)
    carry: dict[str, Any] = {}
    if cell.is_external:
        hand_over(found.git, *_FILES)
        carry["carry"] = nobody
    assert found.git.apply(check=passes, **carry)["app"].end is End.DONE
    _arrange(cell, found)
    return SlotScene(cell, found.git, slots=found)


def _arrange(cell: SlotCell, slots: Slots) -> None:
    """What is the matter with the cluster from the start."""
    if cell.astray:
        path = f"/api/v1/namespaces/{slots.namespace}/services/preview?fieldManager=gitcd"
        slots.plane.request("PATCH", path, {"spec": {"selector": {"slot": "blue"}}}, kind="merge-patch+json")
    if cell.narrow:
        narrow(slots.plane, slots.namespace)


def _at(value: Any, *path: str) -> str:
    for key in path:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return str(value)


def _other(name: str) -> str:
    return "green" if name == "blue" else "blue"
