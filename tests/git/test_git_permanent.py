"""Faults that running again does not heal: each is told as one to mend, with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.mirror import open_mirror
from gitcd.git.origin import Origin
from gitcd.git.remote import Remote
from gitcd.git.runner import Git, Result, no_room
from gitcd.model.settings import Settings
from gitcd.usecases.workspace import cache_dir, locate
from tests.support.repos import Bare, git

FOREIGN = """\
fatal: detected dubious ownership in repository at '/srv/config.git'
To add an exception for this directory, call:

\tgit config --global --add safe.directory /srv/config.git
fatal: Could not read from remote repository.
"""


def test_a_repository_of_another_user() -> None:
    origin = Origin(Git(), Remote.parse("/srv/config.git"), {})
    error = origin.failure("read", Result(128, b"", FOREIGN))
    assert isinstance(error, ConfigError)
    assert error.message == "/srv/config.git belongs to another user, and git reads no such repository"
    assert "chown" in error.remedy


UNTRUSTED, OVER, ANOTHERS = "GITCD_GIT_CA_BUNDLE", "renew", "the name that it was made out to"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("server certificate verification failed. CAfile: none CRLfile: none", UNTRUSTED),
        ("server verification failed: certificate signer not trusted. (CAfile: a.pem CRLfile: none)", UNTRUSTED),
        ("server verification failed: certificate error, no details available. (CAfile: a.pem CRLfile: none)", UNTRUSTED),
        ("SSL certificate verification failed: certificate error, no details available. (CAfile: a.pem)", UNTRUSTED),
        ("SSL certificate problem: unable to get local issuer certificate", UNTRUSTED),
        ("error adding trust anchors from file: a.pem", UNTRUSTED),
        ("Problem with the SSL CA cert (path? access rights?)", UNTRUSTED),
        ("server verification failed: certificate has expired. (CAfile: a.pem CRLfile: none)", OVER),
        ("SSL certificate verification failed: certificate has expired. (CAfile: a.pem CRLfile: none)", OVER),
        ("SSL certificate problem: certificate has expired", OVER),
        ("SSL: certificate subject name (a) does not match target hostname 'b'", ANOTHERS),
        ("SSL: no alternative certificate subject name matches target host name 'b'", ANOTHERS),
    ],
)  # fmt: skip
def test_a_certificate_is_to_be_mended_in_the_words_of_every_tls_library(words: str, remedy: str) -> None:
    origin = Origin(Git(), Remote.parse("https://git.example.com/config.git"), {})
    said = f"fatal: unable to access 'https://git.example.com/config.git/': {words}"
    error = origin.failure("read", Result(128, b"", said))
    assert isinstance(error, ConfigError)
    assert remedy in error.remedy


def test_a_tls_connection_that_breaks_off_is_no_such_fault() -> None:
    origin = Origin(Git(), Remote.parse("https://git.example.com/config.git"), {})
    said = "fatal: unable to access: gnutls_handshake() failed: The TLS connection was non-properly terminated."
    assert isinstance(origin.failure("read", Result(128, b"", said)), TransientError)


@pytest.mark.parametrize("words", ["ssh -F none: 1: ssh: not found", "ssh -F none: line 1: ssh: command not found"])
def test_a_machine_without_ssh(words: str) -> None:
    origin = Origin(Git(), Remote.parse("git@git.example.com:a/b.git"), {})
    error = origin.failure("read", Result(128, b"", f"{words}\nfatal: Could not read from remote repository.\n"))
    assert isinstance(error, ConfigError)
    assert error.message == "cannot read git@git.example.com:a/b.git: ssh is not installed, or not on PATH"
    assert "openssh-client" in error.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_repository_of_another_user_for_real(remote: Bare) -> None:
    os.chown(remote.path, 4242, 4242)
    with (
        pytest.raises(ConfigError, match="belongs to another user"),
        open_mirror(Remote.parse(remote.url), "main") as it,
    ):
        it.fetch()


def test_a_shallow_remote_has_a_tip_and_no_history(remote: Bare, tmp_path: Path) -> None:
    remote.commit({"prod/app.yaml": b"image: a:3\n"})
    git(tmp_path, "clone", "--quiet", "--bare", "--depth=1", remote.url, "shallow.git")
    with open_mirror(Remote.parse(f"file://{tmp_path}/shallow.git"), "main") as mirror:
        missing = ensure_history(mirror, mirror.fetch())
    assert isinstance(missing, MissingHistory)
    assert missing.lasting
    assert "is a shallow copy" in missing.reason
    assert "--unshallow" in missing.remedy


@pytest.mark.parametrize("below", ["a file", "a folder in place of the lock"])
def test_a_cache_folder_that_cannot_be_one(remote: Bare, tmp_path: Path, below: str) -> None:
    cache = tmp_path / "cache"
    if below == "a file":
        cache.write_text("")
    else:
        with open_mirror(Remote.parse(remote.url), "main", cache_dir=cache):
            (lock,) = cache.glob("*/lock")
        lock.unlink()
        lock.mkdir()
    opened = open_mirror(Remote.parse(remote.url), "main", cache_dir=cache)
    with pytest.raises(ConfigError, match="cannot write to") as caught, opened:
        pass
    assert "GITCD_CACHE_DIR" in caught.value.remedy


def test_a_full_disk_may_have_room_again() -> None:
    with pytest.raises(TransientError, match="No space left"), no_room(Path("/x")):
        raise OSError(28, "No space left on device")


def test_the_folder_beside_a_work_tree_is_no_repository_to_name(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "tree")
    with pytest.raises(ConfigError) as caught:
        locate(f"{tmp_path}/tree/.git")
    assert caught.value.remedy == f"Name {tmp_path}/tree."


def test_a_cache_folder_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_dir(Settings(cache_dir="cache")) == tmp_path / "cache"
