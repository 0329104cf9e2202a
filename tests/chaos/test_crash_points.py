"""A run that is killed at any step: the next one ends where a run that was never killed ends."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.chaos import Branch, Place, await_no_processes, processes_of
from tests.support.repos import Bare, make_bare
from tests.support.scenes import LAYOUT, Tags, app_files
from tests.support.zygote import Finished, Zygote

FILES = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other") | app_files("app", environment="prod")
EXITS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
WRITES = {"init", "fetch", "fast-import", "push", "update-ref"}


@dataclass
class World:
    """One remote that is set back before every round, and the end that every round must reach."""

    zygote: Zygote
    remote: Bare
    place: Place
    tags: Tags
    start: str = ""
    primed: Path | None = None
    end: Branch | None = None
    steps: tuple[str, ...] = ()

    def run(self, *, bin_folder: Path | None = None) -> Finished:
        return self.zygote.run(
            ["reconcile", self.remote.url], self.place.env(bin_folder), self.place.next_folder(), self.tags
        )

    def rewind(self) -> None:
        self.remote.git("update-ref", f"refs/heads/{self.remote.branch}", self.start)
        shutil.rmtree(self.place.cache)
        if self.primed:
            shutil.copytree(self.primed, self.place.cache)
        else:
            self.place.cache.mkdir()


@pytest.fixture
def world(request, zygote, tmp_path):
    """Warm: a cache that holds the state before the tags moved."""
    tags = Tags()
    for move in (
        ("team/app", "env-dev", "1.0.0"),
        ("team/app", "env-prod", "1.0.0"),
        ("team/other", "env-dev", "1.0.0"),
    ):
        tags.move(*move)
    remote = make_bare(tmp_path / "remote.git", FILES)
    world = World(zygote, remote, Place(tmp_path / "place", os.environ, request.param == "warm"), tags)
    if world.place.warm:
        assert world.run().status == 0
        world.primed = shutil.copytree(world.place.cache, tmp_path / "primed")
    tags.move("team/app", "env-dev", "1.1.0")
    tags.move("team/app", "env-prod", "1.1.0")
    world.start = remote.tip
    finished = world.run(bin_folder=world.place.wrapper(0))
    assert finished.status == 0, finished.err
    world.end, world.steps = Branch.of(remote), tuple(world.place.steps)
    assert world.end.empty_commits == 0
    world.rewind()
    return world


def rounds(world, when, number):
    """(step, name) of every step that is worth a round."""
    steps = list(enumerate(world.steps, 1))
    if number == signal.SIGKILL:
        return [(step, name) for step, name in steps if when == "before" or name in WRITES]
    return steps[::2] if number == signal.SIGTERM else steps[1::2]


def broken_promises(world, when, step, number):
    """Kill a run at a step, run again unharmed, and list what is not as it would be without."""
    world.rewind()
    killed = world.run(bin_folder=world.place.wrapper(step, when, number))
    if killed.status != (EXITS[number] if world.place.struck else 0):
        yield f"exit {killed.status}: {killed.err}"
    if number != signal.SIGKILL:
        yield from (f"left {each}" for each in (*world.place.leftovers(), *processes_of(world.place.root)))
    again = world.run()
    if again.status:
        yield f"the next run: {again.status} {again.err}"
    yield from (f"still runs: {each}" for each in await_no_processes(world.place.root))
    if (end := Branch.of(world.remote)) != world.end:
        yield f"{end} instead of {world.end}"
    yield from (f"left in the end: {each}" for each in world.place.leftovers())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "when", "number"),
    [
        ("cold", "before", signal.SIGKILL),
        ("cold", "late", signal.SIGKILL),
        ("cold", "after", signal.SIGTERM),
        ("cold", "after", signal.SIGINT),
        ("warm", "before", signal.SIGKILL),
        ("warm", "late", signal.SIGKILL),
    ],
    indirect=["world"],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value,
)
def test_F24_killed_at_every_step_the_next_run_ends_alike(world, when, number):
    """`late`: what git was told to do happens after its caller is dead, and maybe after the next run has begun."""
    wrong = [
        f"{when} step {step} ({name}): {each}"
        for step, name in rounds(world, when, number)
        for each in broken_promises(world, when, step, number)
    ]
    assert wrong == []
