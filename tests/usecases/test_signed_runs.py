"""With a key that signs, every commit of every kind carries a good signature; without one that works none is made."""

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.cli import main
from gitcd.git.history import ensure_history
from gitcd.git.signing import SigningKey
from gitcd.model.plan import PullAct
from gitcd.rendering.pull import Details, pull_content
from gitcd.rendering.pull_markup import code
from gitcd.usecases import holding
from gitcd.usecases.desk import Desk
from gitcd.usecases.holding import HoldRequest, hold
from gitcd.usecases.promote import Pen
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.rollback import RollbackRequest, Sources, rollback
from tests.support.ecr import StandIn
from tests.support.keys import EMAIL, ssh_key
from tests.support.memoryforge import MemoryForge
from tests.support.programs import find
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, LAYOUT, NOW, app_files, context, mirror_of, reference

PATH = "envs/dev/app/deployment.yaml"
PROPOSING = LAYOUT.replace(b"path: envs/dev}", b"path: envs/dev, delivery: {mode: PullRequest, group: env}}")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return ssh_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def author(key):
    return replace(AUTHOR, email=EMAIL, key=SigningKey("ssh", key.private))


def check_signed(remote, key, *commits):
    assert commits
    for oid in commits:
        assert "Good" in key.verify(remote.path, oid)


def made(remote, since, until="main"):
    return remote.git("rev-list", f"{since}..{until}").split()


def run(remote, tags, author):
    with mirror_of(remote.url) as mirror:
        return reconcile(mirror, context(mirror, tags), author)


def test_commits_holds_and_rollbacks_are_signed(remote, tags, author, key):
    first = remote.tip
    run(remote, tags, author)
    tags.move("team/app", "env-dev", "1.1.0")
    run(remote, tags, author)
    with mirror_of(remote.url) as mirror:
        sources = Sources(lambda: ensure_history(mirror, mirror.tip), lambda *_: {})
        rollback(mirror, context(mirror, tags), RollbackRequest("app"), sources, Pen(author))
    with mirror_of(remote.url) as mirror:
        holding.commit(mirror, lambda tree, _: hold(tree, HoldRequest("other"), NOW), author, NOW)
    assert len(made(remote, first)) == 4
    check_signed(remote, key, *made(remote, first))
    assert reference("app", "1.0.0") in remote.show(PATH)


def test_a_second_run_signs_nothing(remote, tags, author):
    run(remote, tags, author)
    tip = remote.tip
    assert run(remote, tags, author).commits == ()
    assert remote.tip == tip


def propose(remote, tags, forge, author, now=NOW):
    def write(pull, limits, planned):
        return pull_content(pull, limits, Details())

    with mirror_of(remote.url) as mirror:
        return reconcile(mirror, context(mirror, tags, now), author, desk=Desk(forge, write, code, author))


def test_the_branch_of_a_pull_request_is_signed_and_stays_as_it_is(tmp_path, tags, author, key):
    remote = make_bare(tmp_path / "proposing.git", {"gitcd.yaml": PROPOSING} | app_files("app"))
    forge, base = MemoryForge(remote), remote.tip
    (pull,) = propose(remote, tags, forge, author).pulls
    assert pull.act is PullAct.OPENED
    tip = remote.git("rev-parse", pull.branch)
    check_signed(remote, key, *made(remote, base, pull.branch))
    (again,) = propose(remote, tags, forge, author, NOW + timedelta(minutes=5)).pulls
    assert again.act is PullAct.UNCHANGED
    assert remote.git("rev-parse", pull.branch) == tip
    tags.move("team/app", "env-dev", "1.1.0")
    (updated,) = propose(remote, tags, forge, author, NOW + timedelta(minutes=10)).pulls
    assert updated.act is PullAct.UPDATED
    assert len(made(remote, base, pull.branch)) == 1
    check_signed(remote, key, *made(remote, base, pull.branch))


class TestCommandLine:
    """The settings that lead to a key, by a whole run."""

    @pytest.fixture
    def server(self, monkeypatch):
        with StandIn() as server:
            server.put("team/app", tags=["1.1.0", "env-dev"])
            server.put("team/other", tags=["1.0.0", "env-dev"])
            monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
            monkeypatch.setenv("GITCD_AUTHOR_EMAIL", EMAIL)
            yield server

    def gitcd(self, capfd, *arguments):
        status = main.run(list(arguments))
        return status, capfd.readouterr().err

    @pytest.mark.parametrize("by", ["file", "variable"])
    def test_a_key_by_file_or_by_variable(self, by, remote, server, key, monkeypatch, capfd, tmp_path):
        monkeypatch.setenv("GITCD_SIGNING_FORMAT", "ssh")
        if by == "file":
            shutil.copy(key.file, tmp_path / "signing")
            (tmp_path / "signing").chmod(0o440)
            monkeypatch.setenv("GITCD_SIGNING_KEY_FILE", str(tmp_path / "signing"))
        else:
            monkeypatch.setenv("GITCD_SIGNING_KEY_ENV", "MY_KEY")
            monkeypatch.setenv("MY_KEY", key.private)
        first = remote.tip
        assert self.gitcd(capfd, "reconcile", remote.url)[0] == 0
        check_signed(remote, key, *made(remote, first))

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"KEY_ENV": "MY_KEY"}, "signing.keyEnv names the variable MY_KEY, which is not set"),
            ({"KEY_FILE": "/none/key"}, "the signing key /none/key cannot be read"),
            ({}, "give format and one of agentKey, keyFile and keyEnv, or none of them"),
            ({"KEY_ENV": "A", "KEY_FILE": "/b"}, "give format and one of agentKey, keyFile and keyEnv, or none of them"),
            ({"AGENT_KEY": "me"}, "signing.agentKey: 'me' is not a public key"),
            ({"KEY_ENV": "HOME"}, "the signing key is no private key"),
        ],
    )  # fmt: skip
    def test_a_key_that_is_not_to_be_had_ends_the_run(self, settings, words, remote, server, monkeypatch, capfd):
        find("ssh-keygen")
        monkeypatch.setenv("GITCD_SIGNING_FORMAT", "ssh")
        for name, value in settings.items():
            monkeypatch.setenv(f"GITCD_SIGNING_{name}", value)
        tip = remote.tip
        status, said = self.gitcd(capfd, "reconcile", remote.url)
        assert (status, remote.tip) == (2, tip)
        assert words in said

    def test_T10_a_key_given_in_the_wrong_place_is_not_shown(self, remote, key, monkeypatch, capfd):
        monkeypatch.setenv("GITCD_SIGNING_FORMAT", "ssh")
        monkeypatch.setenv("GITCD_SIGNING_AGENT_KEY", key.private)
        status, said = self.gitcd(capfd, "reconcile", remote.url)
        assert status == 2
        assert key.private.splitlines()[2][:20] not in said

    def test_doctor_tries_the_key(self, remote, server, key, monkeypatch, capfd):
        monkeypatch.setenv("GITCD_SIGNING_FORMAT", "ssh")
        monkeypatch.setenv("GITCD_SIGNING_KEY_ENV", "MY_KEY")
        monkeypatch.setenv("MY_KEY", key.private)
        tip = remote.tip
        main.run(["doctor", remote.url])
        assert "commits are signed with a key of ssh" in capfd.readouterr().out
        monkeypatch.setenv("MY_KEY", key.private.replace("b3BlbnNza", "garbage"))
        assert main.run(["doctor", remote.url]) == 5
        assert "failed   signing: the commit cannot be signed" in capfd.readouterr().out
        assert remote.tip == tip
