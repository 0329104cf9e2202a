"""Keys that sign commits, agents that hold them, and what verifies their signatures."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import find
from tests.support.repos import git

PASSPHRASE = "open sesame 7d2e"
EMAIL = "gitcd@example.com"


@dataclass(frozen=True)
class SshKey:
    file: Path

    @property
    def private(self) -> str:
        return self.file.read_text()

    @property
    def public(self) -> str:
        return self.file.with_suffix(".pub").read_text().strip()

    def verify(self, repository: Path, commit: str) -> str:
        """What git says of the signature; fails where it is not good."""
        allowed = self.file.with_suffix(".allowed")
        allowed.write_text(f"{EMAIL} {self.public}\n")
        return _verify(repository, commit, "gpg.ssh.allowedSignersFile", str(allowed))


def ssh_key(folder: Path, passphrase: str = "", *options: str) -> SshKey:
    """A new key; `options` are of ssh-keygen, an Ed25519 key where there are none."""
    folder.mkdir(exist_ok=True)
    file = folder / "id"
    made = ["-q", *(options or ("-t", "ed25519")), "-N", passphrase, "-f", file]
    subprocess.run([find("ssh-keygen"), *made], check=True)
    return SshKey(file)


@contextmanager
def ssh_agent(key: SshKey, folder: Path) -> Iterator[str]:
    """An agent that holds the key: the path of its socket."""
    socket = folder / "agent"
    agent = subprocess.Popen([find("ssh-agent"), "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert agent.poll() is None
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", key.file], env=environment, check=True)
        yield str(socket)
    finally:
        agent.terminate()
        agent.wait()


@dataclass(frozen=True)
class GpgKey:
    """`home` is that of its owner, and of the agent that holds it."""

    home: Path
    fingerprint: str
    private: str

    def verify(self, repository: Path, commit: str) -> str:
        return _verify(repository, commit, "gpg.format", "openpgp", GNUPGHOME=str(self.home))


@contextmanager
def gpg_key(passphrase: str = "") -> Iterator[GpgKey]:
    """A key in a home of its own, below a path that is short enough for a socket."""
    find("gpg")
    with tempfile.TemporaryDirectory(prefix="gpg", dir="/tmp") as name:
        home = Path(name)
        (home / "gpg-agent.conf").write_text("s2k-count 65536\n")  # a passphrase costs seconds otherwise
        words = ["--quick-generate-key", f"gitcd <{EMAIL}>", "ed25519", "sign", "never"]
        _gpg(home, passphrase, *words)
        listing = _gpg(home, passphrase, "--with-colons", "--list-secret-keys")
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        private = _gpg(home, passphrase, "--armor", "--export-secret-keys")
        try:
            yield GpgKey(home, fingerprint, private)
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def _gpg(home: Path, passphrase: str, *words: str) -> str:
    given = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase]
    done = subprocess.run(["gpg", "--homedir", home, *given, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _verify(repository: Path, commit: str, name: str, value: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", "-c", f"{name}={value}", "verify-commit", "--verbose", commit],
        cwd=repository,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}{git(repository, 'cat-file', 'commit', commit)}"
    return done.stderr


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for temporary files whose path leaves room for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
