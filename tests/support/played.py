"""What is alike in all cells: how a run and the reconciles beside it go, and what has to be so where each is over.

Two modules play them: cellplay.py those of RollingUpdate and Canary, slotplay.py those of two slots.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest

from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_means import Question
from gitcd.usecases.rollout_measure import Measuring
from tests.support.applier import nobody
from tests.support.cells import BACK, LATER, LIVE, STAYS, Cell, Change, numberless
from tests.support.controlplane import ControlPlane
from tests.support.gitrollouts import GitRollouts
from tests.support.scenes import digest
from tests.support.symptoms import SHOWN, of_job
from tests.support.witness import DECLARED, PODS, Witness

_PATIENCE = 20.0


@dataclass
class Played:
    """A cell with what was seen of it; whoever plays it says which steps that takes, and what is special at its end."""

    cell: Cell
    git: GitRollouts
    seen: Witness = field(default_factory=lambda: Witness({}))
    told: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)  # of reconciles

    def _apply(self, **how: Any) -> Rolled:
        if self.cell.is_external:
            how["carry"] = nobody
        check = Measuring(self.git.cluster.objects).answer
        return self.git.apply(**{"check": check, "tell": self._hear, **how})["app"]

    def _hear(self, _: object, text: str) -> None:
        self.told.append(text)

    @contextmanager
    def _reconciled(self, commits: int = 1) -> Iterator[None]:
        """Every second, until the block ends; it begins once the first one has committed."""
        over, failures = Event(), []

        def work() -> None:
            try:
                while not over.is_set():
                    self.commits.extend(self.git.reconcile().commits)
                    over.wait(1)
            except BaseException as error:
                failures.append(error)
                raise

        thread = Thread(target=work)
        thread.start()
        try:
            until(lambda: self.commits or failures, "nothing is committed")
            yield
        finally:
            over.set()
            thread.join()
        assert failures == []
        assert len(self.commits) == commits, "a reconcile takes each version up once, and nothing else ever"

    @property
    def recorded(self) -> set[str]:
        """The steps that were on record at any time, of what was newest then."""
        records = [(each.get("status") or {}).get("rollout") or {} for each in self.seen.states(DECLARED)]
        new = digest(f"team/app:{self.newest}")
        return {numberless(each["step"]) for each in records if each.get("newDigest") == new}

    @property
    def newest(self) -> str:
        """The version that the tag names in the end."""
        return self.cell.version

    @property
    def suspected(self) -> str:
        """The image that shall have the fault."""
        return self.git.image(self.cell.version)

    @property
    def suspects(self) -> list[dict[str, Any]]:
        """All states of the pods that shall have the fault: those of a check, or of the new version."""
        is_check = self.cell.step.startswith("Verify") and self.cell.fault != LATER
        states = self.seen.states(PODS)
        return [each for each in states if (of_job(each) if is_check else image_of(each) == self.suspected)]

    def shows(self) -> bool:
        """Whether the API server has shown the fault."""
        return SHOWN[self.cell.fault](self)

    def check(self, rolled: Rolled) -> None:
        """Everything that has to be so at the end."""
        assert rolled.end is {LIVE: End.DONE, BACK: End.ROLLED_BACK, STAYS: End.FAILED}[self.cell.ending], rolled
        assert self.shows(), "the fault was not there"
        self._check_where(rolled)
        self._check_hold()
        self._check_git()
        self._check_cluster()
        self._check_service()

    def _check_where(self, rolled: Rolled) -> None:
        failed = [numberless(each.split()[2].rstrip(":")) for each in self.told if each.startswith("failed at ")]
        assert self.cell.step in {*failed, *self.recorded}, "the step was never taken"
        if self.cell.ending == LIVE:
            assert failed == []
            return
        assert rolled.trouble is not None
        assert rolled.trouble.reason == self.cell.reason, rolled.trouble
        self._check_failed(failed, self.cell.fails_at or self.cell.step)

    def _check_hold(self) -> None:
        path = f".gitcd/holds/dev/{self.git.cluster.namespace}.app.yaml"
        is_back = self.cell.ending == BACK
        assert bool(self.git.remote.git("ls-tree", "main", path)) == is_back
        if is_back:
            assert [each.digest for each in self.git.hold().reject] == [digest(f"team/app:{self.cell.version}")]
            assert "Gitcd-Verb: rollback" in self.git.remote.git("log", "-1", "--format=%B", "main")

    def _check_failed(self, failed: list[str], at: str) -> None:
        raise NotImplementedError

    def _check_git(self) -> None:
        raise NotImplementedError

    def _check_cluster(self) -> None:
        raise NotImplementedError

    def _check_service(self) -> None:
        raise NotImplementedError


def changed(data: bytes, *changes: Change) -> bytes:
    """A manifest of git with more in it."""
    value = json.loads(data)
    for change in changes:
        change(value)
    return json.dumps(value, indent=2).encode()


def narrow(plane: ControlPlane, namespace: str) -> None:
    """Let what asks for nothing ask for more than any node has."""
    limit = {"type": "Container", "defaultRequest": {"cpu": "1000"}}
    path = f"/api/v1/namespaces/{namespace}/limitranges"
    plane.request("POST", path, {"metadata": {"name": "wide"}, "spec": {"limits": [limit]}})


def until(is_so: Callable[[], object], message: str) -> None:
    """Wait for it."""
    ends = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > ends:
            pytest.fail(message)
        time.sleep(0.05)


def passes(question: Question) -> Measurement:
    return Measurement(question.now, Verdict.PASS)


def image_of(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["image"])
