"""Pull requests of runs that act on a part of the declarations: each leaves alone what is another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitcd.model.plan import PullAct
from gitcd.model.pull import PullState
from gitcd.planning.shards import Part, Shard
from gitcd.rendering.pull import Details, pull_content
from gitcd.rendering.pull_markup import code
from gitcd.usecases.context import Selection
from gitcd.usecases.desk import Desk
from gitcd.usecases.reconcile import reconcile
from tests.support.memoryforge import MemoryForge
from tests.support.repos import Bare, make_bare
from tests.support.scenes import AUTHOR, Tags, app_files, context, mirror_of

NAMES = ("app", "other", "third")
LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: prod, path: envs/prod, delivery: {mode: PullRequest, group: app}}
"""


@pytest.fixture
def remote(tmp_path) -> Bare:
    files = {"gitcd.yaml": LAYOUT}
    for name in NAMES:
        files |= app_files(name, environment="prod")
    return make_bare(tmp_path / "remote.git", files)


@pytest.fixture
def tags() -> Tags:
    tags = Tags()
    for name in NAMES:
        tags.move(f"team/{name}", "env-prod", "1.1.0")
    return tags


@pytest.fixture
def forge(remote) -> MemoryForge:
    return MemoryForge(remote)


def run(remote, tags, forge, *, share=None, among=None):
    desk = Desk(forge, lambda pull, limits, _: pull_content(pull, limits, Details()), code, AUTHOR)
    with mirror_of(remote.url) as mirror:
        made = replace(context(mirror, tags), share=share, selection=Selection(among=among))
        return reconcile(mirror, made, AUTHOR, desk=desk)


def branches(remote) -> list[str]:
    return remote.git("for-each-ref", "--format=%(refname:short)", "refs/heads/gitcd").split()


def gone(remote, name: str) -> None:
    remote.commit({f"envs/prod/{name}/cv.yaml": None})


ALL = [f"gitcd/prod/team.{name}" for name in NAMES]


def test_shards_open_each_their_own_and_close_nothing_of_the_others(remote, tags, forge) -> None:
    for number in range(4):
        published = run(remote, tags, forge, share=Shard(number, 4))
        assert {pull.act for pull in published.pulls if pull.act is not PullAct.OPENED} <= {PullAct.LEFT}
    assert branches(remote) == ALL
    for number in range(4):
        run(remote, tags, forge, share=Shard(number, 4))
    assert (branches(remote), [pull.state for pull in forge.pulls]) == (ALL, [PullState.OPEN] * 3)


def test_the_first_shard_clears_up_after_what_is_gone(remote, tags, forge) -> None:
    run(remote, tags, forge)
    gone(remote, "other")
    for number in (3, 2, 1):
        run(remote, tags, forge, share=Shard(number, 4))
        assert branches(remote) == ALL
    run(remote, tags, forge, share=Shard(0, 4))
    assert branches(remote) == [ALL[0], ALL[2]]
    assert "prod/team/other is no longer declared" in forge.comments[0][1]


def test_a_look_at_what_is_due_closes_nothing_else(remote, tags, forge) -> None:
    run(remote, tags, forge)
    run(remote, tags, forge, share=lambda _: Part(frozenset()))
    assert branches(remote) == ALL


def test_a_run_for_one_namespace_of_a_cluster_closes_nothing_of_the_others(remote, tags, forge) -> None:
    run(remote, tags, forge)
    run(remote, tags, forge, among=frozenset({"elsewhere/app"}))
    assert branches(remote) == ALL
