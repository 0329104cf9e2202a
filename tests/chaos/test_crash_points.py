"""A run that is killed at any step, or at any moment: the next one ends where a run that was never killed ends."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from tests.support.chaos import Branch, await_no_processes, kill_all_of, processes_of
from tests.support.repos import make_bare
from tests.support.scenes import app_files, mirror_of

EXITS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
WRITES = {"init", "fetch", "fast-import", "push", "update-ref"}


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
    if world.place.leftovers():  # a git that came late wrote into what was being swept
        world.run()
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


class Died(BaseException):
    """Stands for the end of the process: nothing that follows is done, but locks are given back."""


def test_F24_a_clean_up_that_is_cut_short_is_finished_by_the_next_run(tmp_path, monkeypatch):
    remote = make_bare(tmp_path / "remote.git", app_files("app"))
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    leftovers = set()
    for survived in range(12):
        removals = iter(range(survived))

        def remove(*arguments, removals=removals, real=os.unlink, **options):
            if next(removals, None) is None:
                raise Died
            real(*arguments, **options)

        with monkeypatch.context() as patch, suppress(Died), mirror_of(remote.url) as mirror:
            mirror.fetch()
            patch.setattr("os.unlink", remove)
        with mirror_of(remote.url) as mirror:
            mirror.fetch()
        leftovers |= {path.name for path in temp.iterdir()}
    assert leftovers == set()


@pytest.mark.slow
@pytest.mark.parametrize("world", ["cold", "warm"], indirect=True)
@pytest.mark.parametrize("how", ["container", "SIGTERM"])
def test_F24_killed_at_random_moments_again_and_again(world, how):
    """No cache is restored between the rounds, so what the kills leave in it adds up; `container`: all die at once."""
    dice, wrong = random.Random(20), []
    started = time.monotonic()
    world.run()
    usual = time.monotonic() - started
    for number in range(4):
        world.rewind(keep_cache=True)
        for _ in range(2):
            running = world.start()
            time.sleep(dice.uniform(0, usual))
            if how == "container":
                kill_all_of(running.pid, world.place.root)
            else:
                running.kill(signal.SIGTERM)
            finished = running.finish()
            wrong += [f"round {number}: still runs: {each}" for each in await_no_processes(world.place.root.parent)]
            world.unlock()
            # SIGTERM itself ends a process that has not begun or is already done; a shell calls that 143 too.
            if finished.status not in {0, 143, -signal.SIGTERM, -signal.SIGKILL}:
                wrong.append(f"round {number}: {finished}")
        again = world.run()
        locked = [path.parent.name for path in world.place.temp.glob("*/lock")]
        if (again.status, Branch.of(world.remote), locked) != (0, world.end, []):
            wrong.append(f"round {number}: {again} {Branch.of(world.remote)} {locked}")
    assert wrong == []
