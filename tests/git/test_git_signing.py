"""Signed commits: every way to give a key, verified by git itself, with nothing of the key left behind or shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitcd.errors import ConfigError
from gitcd.git.branch import Branch, _branch
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.git.signing import SigningKey, read_key
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from gitcd.redact import MASK, redact
from tests.support.keys import EMAIL, PASSPHRASE, GpgKey, SshKey, gpg_key, short_folder, ssh_agent, ssh_key
from tests.support.programs import find
from tests.support.repos import Bare

AUTHOR = Author("gitcd", EMAIL)
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
COMMITS = [
    NewCommit("First\n\nBödy\n", [FileChange("prod/app.yaml", Mode.FILE, None, b"image: a:8\n")]),
    NewCommit("Second", [FileChange("dev/app.yaml", Mode.FILE, None, b"image: a:9\n")]),
]


@pytest.fixture(scope="module")
def of_ssh(tmp_path_factory: pytest.TempPathFactory) -> SshKey:
    return ssh_key(tmp_path_factory.mktemp("ssh"))


@pytest.fixture(scope="module")
def of_gpg() -> Iterator[GpgKey]:
    with gpg_key() as key:
        yield key


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SshKey, GpgKey]]:
    """One of each, with a passphrase."""
    with gpg_key(PASSPHRASE) as key:
        yield ssh_key(tmp_path_factory.mktemp("locked"), PASSPHRASE), key


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the command lines of the programs that git starts to sign."""
    written, folder = tmp_path / "words", tmp_path / "bin"
    folder.mkdir()
    for name in ("gpg", "gpgconf", "ssh-keygen"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {written}\nexec {find(name)} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return written


@pytest.fixture
def temporary_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As for all tests of git, but short."""
    with short_folder() as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        yield folder


@pytest.fixture
def mirror(remote: Bare, tmp_path: Path) -> Iterator[Mirror]:
    with open_mirror(Remote.parse(remote.url), "main", cache_dir=tmp_path / "cache") as mirror:
        yield mirror


def signed(mirror: Mirror, key: SigningKey | None, commits: list[NewCommit] = COMMITS) -> list[str]:
    return write_commits(mirror.git, mirror.fetch(), commits, author=replace(AUTHOR, key=key), when=WHEN)


def check_clean(folder: Path, processes: list[list[str]], *secrets: str) -> None:
    """No secret stands on a command line, and nothing is left in the folder for temporary files but what is empty."""
    pieces = {line for secret in secrets for line in secret.splitlines() if len(line) >= 8}
    assert processes
    assert not [word for words in processes for word in words for piece in pieces if piece in word]
    check_empty(folder)


def check_empty(folder: Path) -> None:
    """The mirror's own folder for temporary files is there still, with its lock and nothing else."""
    assert not [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_T10_a_key_of_ssh_signs_every_commit_and_is_gone(
    mirror: Mirror, of_ssh: SshKey, temporary_folder: Path, processes: list[list[str]], words: Path
) -> None:
    made = signed(mirror, SigningKey("ssh", of_ssh.private))
    assert len(made) == 2
    for oid in made:
        assert f'Good "git" signature for {EMAIL}' in of_ssh.verify(mirror.git_dir, oid)
    check_clean(temporary_folder, [*processes, words.read_text().splitlines()], of_ssh.private)


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_an_old_form_of_a_key_signs_too(mirror: Mirror, tmp_path: Path, passphrase: str) -> None:
    key = ssh_key(tmp_path / "ssh", passphrase, "-t", "ecdsa", "-m", "PEM")
    assert "OPENSSH" not in key.private
    for oid in signed(mirror, SigningKey("ssh", key.private, passphrase)):
        key.verify(mirror.git_dir, oid)


@pytest.mark.parametrize("form", ["", "-t ecdsa -m PEM"])
def test_line_ends_of_a_browser_do_a_key_no_harm(mirror: Mirror, tmp_path: Path, form: str) -> None:
    key = ssh_key(tmp_path / "ssh", "", *form.split())
    for oid in signed(mirror, SigningKey("ssh", key.private.replace("\n", "\r\n"))):
        key.verify(mirror.git_dir, oid)


def test_T10_a_key_of_gpg_signs_every_commit_and_is_gone(
    mirror: Mirror, of_gpg: GpgKey, temporary_folder: Path, processes: list[list[str]], words: Path
) -> None:
    made = signed(mirror, SigningKey("gpg", of_gpg.private))
    for oid in made:
        assert "Good signature" in of_gpg.verify(mirror.git_dir, oid)
    check_clean(temporary_folder, [*processes, words.read_text().splitlines()], of_gpg.private)


def test_T10_a_passphrase_opens_a_key_and_is_gone(
    mirror: Mirror, locked: tuple[SshKey, GpgKey], temporary_folder: Path, processes: list[list[str]], words: Path
) -> None:
    ours, other = locked
    for oid in signed(mirror, SigningKey("ssh", ours.private, PASSPHRASE)):
        ours.verify(mirror.git_dir, oid)
    for oid in signed(mirror, SigningKey("gpg", other.private, PASSPHRASE)):
        other.verify(mirror.git_dir, oid)
    started = [*processes, words.read_text().splitlines()]
    check_clean(temporary_folder, started, ours.private, other.private, PASSPHRASE)


def test_an_agent_signs_without_our_seeing_the_key(
    mirror: Mirror, of_ssh: SshKey, of_gpg: GpgKey, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_agent(of_ssh, temporary_folder) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        for oid in signed(mirror, SigningKey("ssh", agent=of_ssh.public)):
            of_ssh.verify(mirror.git_dir, oid)
    monkeypatch.setenv("GNUPGHOME", str(of_gpg.home))
    for oid in signed(mirror, SigningKey("gpg", agent=of_gpg.fingerprint)):
        of_gpg.verify(mirror.git_dir, oid)


def test_a_signed_commit_says_what_the_unsigned_one_says(mirror: Mirror, of_ssh: SshKey) -> None:
    plain, made = signed(mirror, None), signed(mirror, SigningKey("ssh", of_ssh.private))
    fields = "--format=%T%n%an%n%ae%n%ai%n%cn%n%ce%n%ci%n%B"
    for one, other in zip(plain, made, strict=True):
        told = [mirror.git.run("log", "-1", fields, oid).stdout for oid in (one, other)]
        assert told[0] == told[1]
    parents = mirror.git.run("rev-list", "--parents", "--max-count=2", made[1]).stdout.decode().split()
    assert parents[:4] == [made[1], made[0], made[0], mirror.fetch()]


def test_what_changes_nothing_is_not_signed_either(mirror: Mirror, processes: list[list[str]]) -> None:
    same = NewCommit("Same", [FileChange("prod/app.yaml", Mode.FILE, None, b"image: a:1\n")])
    assert signed(mirror, SigningKey("ssh", "PRIVATE KEY"), [same]) == []
    assert not [words for words in processes if "commit-tree" in words]


@pytest.mark.parametrize("name", ["Atlas, Inc.", "'gitcd'", "a.b"])
def test_a_branch_with_a_signed_commit_is_known_as_ours(mirror: Mirror, of_ssh: SshKey, name: str) -> None:
    """git itself takes some signs off the ends of a name when it makes a commit; another name is another's."""
    author = replace(AUTHOR, name=name, key=SigningKey("ssh", of_ssh.private))
    message = "Bump\n\nGitcd-Environment: dev\nGitcd-App: a/b\nGitcd-Digest: sha256:" + "0" * 64
    (oid,) = write_commits(mirror.git, mirror.fetch(), [NewCommit(message, COMMITS[0].files)], author=author, when=WHEN)
    text = mirror.git.run("cat-file", "commit", oid).stdout.decode()
    branch: Branch = _branch("gitcd/x", oid, text)
    assert branch.is_by(author)
    assert not branch.is_by(replace(author, name="Ada"))


@pytest.mark.parametrize(
    ("format_", "private", "words"),
    [
        ("ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\nZ2FyYmFnZS1jYW5hcnk=\n-----END OPENSSH PRIVATE KEY-----", ""),
        ("gpg", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nZ2FyYmFnZS1jYW5hcnk=\n-----END PGP PRIVATE KEY BLOCK-----", "gpg:"),
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_an_error_with_the_programs_words(
    mirror: Mirror, format_: str, private: str, words: str, temporary_folder: Path
) -> None:
    find({"ssh": "ssh-keygen", "gpg": "gpg"}[format_])
    with pytest.raises(ConfigError, match="the commit cannot be signed") as caught:
        signed(mirror, SigningKey(format_, private))  # type: ignore[arg-type]
    assert words in caught.value.message
    assert "Z2FyYmFnZS1jYW5hcnk" not in str(caught.value)
    check_empty(temporary_folder)


def test_a_wrong_passphrase_is_an_error(mirror: Mirror, locked: tuple[SshKey, GpgKey]) -> None:
    for wrong in ("", "not the passphrase"):
        with pytest.raises(ConfigError, match="incorrect passphrase"):
            signed(mirror, SigningKey("ssh", locked[0].private, wrong))
        with pytest.raises(ConfigError, match=r"gpg: .*(Bad|No) passphrase"):
            signed(mirror, SigningKey("gpg", locked[1].private, wrong))


def test_an_agent_without_the_key_is_an_error(mirror: Mirror, of_ssh: SshKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(ConfigError, match="cannot be signed"):
        signed(mirror, SigningKey("ssh", agent=of_ssh.public))
    with pytest.raises(ConfigError, match="No secret key"):
        signed(mirror, SigningKey("gpg", agent="0123456789ABCDEF"))


def test_what_is_missing_is_named(
    mirror: Mirror, of_gpg: GpgKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no private key"):
        signed(mirror, SigningKey("ssh", "ssh-ed25519 AAAA the public half"))
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(ConfigError, match="too long a path for gpg") as caught:
        signed(mirror, SigningKey("gpg", of_gpg.private))
    assert "TMPDIR" in caught.value.remedy
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "env"):
        (tools / name).symlink_to(
            next(Path(part, name) for part in os.environ["PATH"].split(":") if Path(part, name).exists())
        )
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ConfigError, match="gpg is not installed"):
        signed(mirror, SigningKey("gpg", of_gpg.private))


def test_T10_a_key_file_that_everybody_may_read_is_refused(of_ssh: SshKey, tmp_path: Path) -> None:
    copy = tmp_path / "key"
    copy.write_text(of_ssh.private)
    copy.chmod(0o644)
    with pytest.raises(ConfigError, match="everybody may read") as caught:
        read_key(copy)
    assert "chmod o-r" in caught.value.remedy
    copy.chmod(0o440)  # as Kubernetes mounts a Secret for a group: ssh-keygen itself would refuse it
    assert read_key(copy) == of_ssh.private
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none")


def test_T10_a_key_is_masked_wherever_it_is_said(mirror: Mirror, of_ssh: SshKey) -> None:
    key = SigningKey("ssh", of_ssh.private, "a passphrase of many words")
    signed(mirror, key)
    body = of_ssh.private.splitlines()[2]
    assert body not in redact(f"said {body}")
    assert redact("a passphrase of many words") == MASK
    assert body not in repr(key)
    assert "passphrase" not in repr(key)
