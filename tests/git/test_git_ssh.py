"""Remotes over ssh, against a real sshd: only the pinned host, only the operator's key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.access import Ssh
from gitcd.git.mirror import open_mirror
from gitcd.git.remote import Remote
from tests.git.test_git_runner import whole_job
from tests.support.keys import ssh_agent, ssh_key
from tests.support.repos import Bare
from tests.support.sshd import Sshd, sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


@pytest.fixture
def pinned(server: Sshd, tmp_path: Path) -> Path:
    return server.known_hosts(tmp_path / "known_hosts")


def test_a_whole_run_over_ssh(
    server: Sshd, pinned: Path, remote: Bare, tmp_path: Path, processes: list[list[str]]
) -> None:
    url = server.url(remote.path)
    assert whole_job(url, tmp_path / "cache", ssh=Ssh(pinned, server.client.file)) == remote.tip
    assert "Accepted publickey" in server.log.read_text()
    body = server.client.private.splitlines()[1]
    assert not [word for words in processes for word in words if body in word]


def test_the_agents_key_is_used_where_none_is_named(
    server: Sshd, pinned: Path, remote: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_agent(server.client, tmp_path) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", agent)
        assert whole_job(server.url(remote.path), ssh=Ssh(pinned)) == remote.tip


def test_a_changed_host_key_is_refused_before_anything_is_said(server: Sshd, remote: Bare, tmp_path: Path) -> None:
    accepted = server.log.read_text().count("Accepted")
    tip = remote.tip
    pinned = server.known_hosts(tmp_path / "known_hosts", ssh_key(tmp_path / "another"))
    before = pinned.read_bytes()
    with pytest.raises(ConfigError, match="its host key is another than in the file of known hosts") as caught:
        whole_job(server.url(remote.path), ssh=Ssh(pinned, server.client.file))
    assert "compare" in caught.value.remedy
    assert (remote.tip, pinned.read_bytes()) == (tip, before)
    assert server.log.read_text().count("Accepted") == accepted


def test_an_unknown_host_is_refused_and_not_learned(server: Sshd, remote: Bare, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    with pytest.raises(ConfigError, match="Host key verification failed") as caught:
        whole_job(server.url(remote.path), ssh=Ssh(empty, server.client.file))
    assert "known hosts" in caught.value.remedy
    assert empty.read_bytes() == b""
    assert not (Path(os.environ["HOME"]) / ".ssh").exists()


def test_another_key_is_not_let_in(server: Sshd, pinned: Path, remote: Bare, tmp_path: Path) -> None:
    stranger = ssh_key(tmp_path / "stranger")
    with pytest.raises(ConfigError, match="Permission denied") as caught:
        whole_job(server.url(remote.path), ssh=Ssh(pinned, stranger.file))
    assert "ssh key" in caught.value.remedy


def test_what_is_no_repository_is_named(server: Sshd, pinned: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not appear to be a git repository"):
        whole_job(server.url(tmp_path / "none.git"), ssh=Ssh(pinned, server.client.file))


def test_a_server_that_is_away_is_worth_another_try(server: Sshd, pinned: Path, tmp_path: Path) -> None:
    away = Remote.parse("ssh://git@127.0.0.1:1/a/b.git")
    with (
        open_mirror(away, "main", ssh=Ssh(pinned, server.client.file)) as mirror,
        pytest.raises(TransientError, match="Connection refused"),
    ):
        mirror.fetch()


@pytest.mark.parametrize("odd", ["a b", "100%h", 'it\'s "it"', "back\\slash", "$HOME"])
def test_files_are_found_by_any_name(server: Sshd, remote: Bare, tmp_path: Path, odd: str) -> None:
    """ssh takes words of its own from names: blanks part files, a percent sign is filled in."""
    folder = tmp_path / odd
    folder.mkdir()
    key = folder / "key"
    key.write_text(server.client.private)
    key.chmod(0o600)
    assert whole_job(server.url(remote.path), ssh=Ssh(server.known_hosts(folder / "known"), key)) == remote.tip


def test_a_key_that_is_of_no_use_is_named(server: Sshd, pinned: Path, remote: Bare, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the ssh key /none/key is not a file") as caught:
        whole_job(server.url(remote.path), ssh=Ssh(pinned, Path("/none/key")))
    assert "GITCD_GIT_SSH_KEY" in caught.value.remedy
    with pytest.raises(ConfigError, match=r"takes no path with a `\$\{`"):
        whole_job(server.url(remote.path), ssh=Ssh(server.known_hosts(tmp_path / "${HOME}")))
    open_to_all = tmp_path / "key"
    open_to_all.write_text(server.client.private)
    open_to_all.chmod(0o644)
    with pytest.raises(ConfigError, match=r"Load key .*: bad permissions.*Permission denied"):
        whole_job(server.url(remote.path), ssh=Ssh(pinned, open_to_all))
