"""What the chaos tests share: a zygote for quick processes, and a small world to run them in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos import Branch, Place, World
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, Tags, app_files
from tests.support.zygote import Zygote

FILES = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other") | app_files("app", environment="prod")
FIRST = (("team/app", "env-dev", "1.0.0"), ("team/app", "env-prod", "1.0.0"), ("team/other", "env-dev", "1.0.0"))


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture
def world(request: pytest.FixtureRequest, zygote: Zygote, tmp_path: Path) -> World:
    """Warm: a cache that holds the state before the tags moved."""
    tags = Tags()
    for move in FIRST:
        tags.move(*move)
    remote = make_bare(tmp_path / "remote.git", FILES)
    world = World(zygote, remote, Place(tmp_path / "place", os.environ, request.param == "warm"), tags)
    if world.place.warm:
        assert world.run().status == 0
        world.primed = shutil.copytree(world.place.cache, tmp_path / "primed")
    tags.move("team/app", "env-dev", "1.1.0")
    tags.move("team/app", "env-prod", "1.1.0")
    world.begin = remote.tip
    finished = world.run(bin_folder=world.place.wrapper(0))
    assert finished.status == 0, finished.err
    world.end, world.steps = Branch.of(remote), tuple(world.place.steps)
    assert world.end.empty_commits == 0
    world.rewind()
    return world
