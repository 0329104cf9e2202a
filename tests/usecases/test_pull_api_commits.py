"""Commits of pull requests that the forge makes and signs: the same tree, pushed by git like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitcd.git.commit import Author
from gitcd.model.plan import FileChange, PullAct
from gitcd.model.pull import ForgeFailure, PullContent
from gitcd.usecases.desk import Desk
from gitcd.usecases.reconcile import reconcile
from tests.support.memoryforge import MemoryForge
from tests.support.repos import Bare, git, make_bare
from tests.support.scenes import NOW, Tags, app_files, context, mirror_of

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments: [{name: prod, path: envs/prod, delivery: {mode: PullRequest, group: env}}]
"""
BRANCH = "gitcd/prod/env"
BOT = Author("atlas[bot]", "1+atlas[bot]@users.noreply.github.com")


@dataclass
class SigningForge(MemoryForge):
    """Makes commits in the remote that no branch names, as GitHub does for an App; `spoils`: with another content."""

    spoils: bool = False

    def make_commit(self, parent: str, message: str, files: Sequence[FileChange]) -> str | ForgeFailure:
        if failure := self._asked("make_commit", writes=True):
            return failure
        content = {file.path: b"spoilt" if self.spoils else file.after for file in files}
        scratch = Bare(self.remote.path, "scratch").commit(content, "scratch", parent=parent)
        tree = self.remote.git("rev-parse", f"{scratch}^{{tree}}")
        self.remote.git("update-ref", "-d", "refs/heads/scratch")
        people = {
            "GIT_AUTHOR_NAME": BOT.name,
            "GIT_AUTHOR_EMAIL": BOT.email,
            "GIT_COMMITTER_NAME": "GitHub",
            "GIT_COMMITTER_EMAIL": "noreply@github.com",
        }
        words = ("commit-tree", tree, "-p", parent, "-F", "-")
        return git(self.remote.path, *words, stdin=message.encode(), env=people)


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    bare = make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app", environment="prod"))
    bare.git("config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub's servers do
    return bare


@pytest.fixture
def tags() -> Tags:
    made = Tags()
    made.move("team/app", "env-prod", "2.0.0")
    return made


def run(remote: Bare, tags: Tags, forge: MemoryForge):
    with mirror_of(remote.url, None) as mirror:
        desk = Desk(
            forge, lambda pull, *_: PullContent(pull.branch, f"gitcd-plan: {pull.id}"), str, BOT, api_commits=True
        )
        return reconcile(mirror, context(mirror, tags, NOW), BOT, desk=desk)


def acts(done) -> list[PullAct]:
    return [each.act for each in done.pulls]


def test_the_branch_carries_the_commit_that_the_forge_made(remote: Bare, tags: Tags) -> None:
    forge = SigningForge(remote)
    assert acts(run(remote, tags, forge)) == [PullAct.OPENED]
    assert remote.git("log", "-1", "--format=%an <%ae> %cn", BRANCH) == f"{BOT.name} <{BOT.email}> GitHub"
    assert remote.git("rev-list", f"main..{BRANCH}").count("\n") == 0
    assert b"2.0.0" in remote.show("envs/prod/app/deployment.yaml", BRANCH)


def test_the_next_run_knows_it_as_ours_and_writes_nothing(remote: Bare, tags: Tags) -> None:
    forge = SigningForge(remote)
    run(remote, tags, forge)
    tip, writes = forge.head(BRANCH), forge.writes
    assert acts(run(remote, tags, forge)) == [PullAct.UNCHANGED]
    assert (forge.head(BRANCH), forge.writes) == (tip, writes)
    tags.move("team/app", "env-prod", "3.0.0")
    assert acts(run(remote, tags, forge)) == [PullAct.UPDATED]
    assert b"3.0.0" in remote.show("envs/prod/app/deployment.yaml", BRANCH)


def test_another_tree_than_was_asked_for_is_not_pushed(remote: Bare, tags: Tags) -> None:
    done = run(remote, tags, SigningForge(remote, spoils=True))
    assert acts(done) != [PullAct.OPENED]
    assert "made another commit" in " ".join(each.message for each in done.work.plan.outcomes)
    assert remote.git("branch", "--list", "gitcd/*") == ""


def test_a_forge_that_makes_none_is_a_failure(remote: Bare, tags: Tags) -> None:
    forge = SigningForge(remote, refuses={"make_commit"})
    done = run(remote, tags, forge)
    assert "does not let the token" in " ".join(each.message for each in done.work.plan.outcomes)
    assert forge.pulls == []
