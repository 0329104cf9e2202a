# ruff: noqa: F811 - fixtures of another module are arguments here
"""The cluster is driven by branches that nobody has merged yet: only by such as gitcd itself would have written."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from gitcd.errors import TransientError
from gitcd.git.tree import CommitTree
from gitcd.usecases.desk import NO_FORGE
from gitcd.usecases.pending import drive
from tests.support.memoryforge import MemoryForge
from tests.support.repos import git, make_bare
from tests.support.scenes import AUTHOR, LAYOUT, Tags, app_files, mirror_of, reference, run
from tests.usecases.test_pending_fate import (  # noqa: F401 - fixtures
    GREEN,
    OVER,
    SERVICE,
    forge,
    remote,
    tags,
    taken_back,
    unprotected,
)
from tests.usecases.test_rollback_slots import FRONT, service, slot

OUR_NAME = {"NAME": AUTHOR.name, "EMAIL": AUTHOR.email}


def followed(remote):
    """The branches that the cluster is driven by."""
    with mirror_of(remote.url) as mirror:
        found = drive(mirror, CommitTree(mirror.git, mirror.fetch()), AUTHOR, lambda: NO_FORGE, datetime.now(UTC))
        return [each.branch for each in found.pending]


def forged(remote, branch, files):
    """The branch with other files, by somebody who writes our name."""
    base, message = remote.git("rev-parse", f"{branch}^"), remote.git("log", "-1", "--format=%B", branch)
    tip = remote.tip
    remote.git("update-ref", "refs/heads/main", base)
    made = remote.commit(files, message)
    remote.git("update-ref", "refs/heads/main", tip)
    tree = remote.git("rev-parse", f"{made}^{{tree}}")
    name = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in OUR_NAME.items()}
    commit = git(remote.path, "commit-tree", tree, "-p", base, "-m", message, env=name)
    remote.git("update-ref", f"refs/heads/{branch}", commit)


def changed(remote, branch):
    paths = remote.git("diff", "--name-only", f"{branch}^", branch).split()
    return {path: remote.show(path, branch) for path in paths}


@pytest.fixture
def back(remote, tags, forge):
    """Beside the switch, front and app are proposed to go back."""
    taken_back(remote, tags, forge, "front", protected=True)
    return forge.pulls[-1].branch


def test_what_gitcd_has_written_is_followed(remote, forge):
    assert followed(remote) == [OVER]


def test_so_is_a_group_that_goes_back(remote, back):
    assert followed(remote) == [back]


def test_the_same_commit_written_by_hand_is_followed(remote, forge):
    """What it holds decides: it does no more than gitcd would."""
    forged(remote, OVER, changed(remote, OVER))
    assert followed(remote) == [OVER]


@pytest.mark.parametrize(
    "files",
    [
        {SERVICE: service("green").replace(b"v1\n", b"v1\n# free\n")},
        {SERVICE: service("green").replace(b"spec:\n", b"spec:\n  type: LoadBalancer\n")},
        {SERVICE: service("green"), "envs/dev/evil.yaml": b"kind: Pod\n"},
        {SERVICE: service("green"), GREEN: slot("green", "6.6.6")},
        {SERVICE: service("green"), "gitcd.yaml": b""},
        {SERVICE: service("green"), "envs/dev/app/cv.yaml": None},
    ],
)
def test_a_switch_that_brings_anything_else_is_not(remote, forge, files, caplog):
    forged(remote, OVER, files)
    with caplog.at_level(logging.WARNING):
        assert followed(remote) == []
    assert f"{OVER} is not followed" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (reference("front", "1.0.0"), reference("front", "6.6.6")),
        (b"- name: main", b"- command: [sh]\n          name: main"),
    ],
)
def test_a_way_back_to_what_git_never_held_is_not(remote, back, old, new):
    files = changed(remote, back)
    files[FRONT] = files[FRONT].replace(old, new)
    forged(remote, back, files)
    assert back not in followed(remote)


def test_a_way_back_to_what_git_held_long_before_is_followed(remote, tags, forge):
    unprotected(remote)
    taken_back(remote, tags, forge, protected=False)
    tags.move("team/app", "env-dev", "1.2.0")
    tags.move("team/front", "env-dev", "1.2.0")
    run(remote.url, tags)
    tags.move("team/front", "env-dev", "1.3.0")
    run(remote.url, tags)
    taken_back(remote, tags, forge, "front", protected=True, version="1.3.0", to="1.0.0")
    assert followed(remote) == ["gitcd/rollback/dev/team.front"]


def test_without_history_nobody_can_tell(remote, back, monkeypatch):
    from gitcd.git.history import MissingHistory
    from gitcd.usecases import pending_follow

    monkeypatch.setattr(pending_follow, "recollected", lambda *_: lambda: MissingHistory("no route"))
    with pytest.raises(TransientError, match="no route"):
        followed(remote)


def test_a_way_back_to_what_stood_there_without_a_digest_is_followed(tmp_path):
    """It comes back with its digest."""
    files = app_files("front")
    remote = make_bare(tmp_path / "bare.git", {"gitcd.yaml": LAYOUT} | files)
    tags = Tags({"team/front": ["1.0.0"]})
    tags.move("team/front", "env-dev", "1.1.0")
    assert run(remote.url, tags).commits
    forge = MemoryForge(remote)
    taken_back(remote, tags, forge, "front", protected=True)
    assert reference("front", "1.0.0") in remote.show(FRONT, forge.pulls[0].branch)
    assert followed(remote) == [forge.pulls[0].branch]
