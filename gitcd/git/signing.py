"""Sign commits: with a key that an agent holds, or with one that is handed to the signing program by its environment.

A private key is never on a command line. The programs need it in a file: that one lies in a private folder, and only
while they run.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.git.folders import private_folder
from gitcd.git.runner import ANY, Git, Means, clean, disk_trouble, one_line

TIMEOUT = 60.0  # seconds for one signature: an agent may ask a person
_LONGEST_FOLDER = 80  # characters; what is longer leaves no room for the name of the socket of gpg's agent
_LONGEST_KEY = 100_000  # bytes; what is longer is no single key, and no variable can hold it
_PROGRAMS = {"gpg": ("gpg", "gnupg"), "ssh": ("ssh-keygen", "openssh-client")}

# Both are called by git. `said` keeps what gpg says, of which git itself shows only that it failed. gpg's agent takes
# seconds to guard a key with a passphrase again; that copy of it is gone at once, so it may be guarded less well.
_GPG = """#!/bin/sh
umask 077
here="${0%/*}"
exec 4<&0 5>&2 2>"$here/said"
trap 'exit 143' HUP INT TERM
sign() { gpg --batch --no-tty --quiet --status-fd=5 --armor --detach-sign "$@"; }
if [ -n "$GITCD_SIGN_AGENT_KEY" ]; then
  sign --local-user "$GITCD_SIGN_AGENT_KEY" 0<&4
  exit
fi
export GNUPGHOME="$here/gnupg"
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
mkdir -p "$GNUPGHOME"
echo 's2k-count 65536' > "$GNUPGHOME/gpg-agent.conf"
printf '%s\\n' "$GITCD_SIGN_KEY" | gpg --batch --no-tty --quiet --import || exit
unset GITCD_SIGN_KEY
printf '%s\\n' "$GITCD_SIGN_PASSPHRASE" | sign --pinentry-mode loopback --passphrase-fd 3 3<&0 0<&4
"""
_SSH = """#!/bin/sh
umask 077
for signed; do :; done
key="${0%/*}/key"
trap 'exit 143' HUP INT TERM
trap 'rm -f "$key" "$key.pub"' EXIT
printf '%s\\n' "$GITCD_SIGN_KEY" > "$key"
case $GITCD_SIGN_KEY in
  *"BEGIN OPENSSH PRIVATE KEY"*) ;;
  *) ssh-keygen -y -f "$key" > "$key.pub" || exit ;; # other forms do not hold the public key
esac
ssh-keygen -Y sign -n git -f "$key" "$signed"
"""
_ANSWER = """#!/bin/sh
printf '%s\\n' "$GITCD_SIGN_PASSPHRASE"
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What commits are signed with.

    Either `private` is the key itself, as gpg exports it in armour or ssh-keygen writes it, with its passphrase; or
    `agent` names one that an agent holds: by its fingerprint for gpg, by its public key for ssh.
    """

    format: Literal["gpg", "ssh"]
    private: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    agent: str = ""


def read_key(path: Path) -> str:
    """The text of a file that holds a private key.

    Raises:
        ConfigError: it cannot be read, everybody may read it, or it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(_LONGEST_KEY)
    except OSError as error:
        raise ConfigError(
            f"the signing key {path} cannot be read: {error.strerror}", remedy="Correct the setting signing.keyFile."
        ) from None
    if mode & stat.S_IROTH:
        raise ConfigError(f"everybody may read the signing key {path}", remedy=f"chmod o-r {path}")
    return data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Signer:
    """Writes signed commits, as long as its folder is there."""

    _git: Git
    _folder: Path

    def commit(self, tree: str, parent: str, message: bytes, people: Mapping[str, str]) -> str:
        """Write one commit and return its id. `people` are git's variables for author and committer.

        Raises:
            ConfigError: it cannot be signed.
            TransientError: the disk is full, or nobody answered the agent's question.
        """
        git = self._git.with_more(people)
        args = ("commit-tree", "-S", "-p", parent, "-F", "-", tree)
        result = git.run(*args, stdin=message, ok=ANY)
        if result.status == 0:
            return result.stdout.decode().strip()
        if disk_trouble(result):
            raise git.failure(args, result)
        raise ConfigError(
            f"the commit cannot be signed: {self._said() or result.last_words}",
            remedy="check the settings of `signing`, and that the key has not expired; no commit was made",
        )

    def _said(self) -> str:
        """What gpg said, of which git does not tell."""
        with suppress(FileNotFoundError):
            return one_line(clean((self._folder / "said").read_bytes()))
        return ""


@contextmanager
def signer(git: Git, key: SigningKey) -> Iterator[Signer]:
    """What signs with this key, for as long as the context lasts.

    Raises:
        ConfigError: the program that signs is not installed, or the key is none.
    """
    program, package = _PROGRAMS[key.format]
    if not shutil.which(program):
        raise ConfigError(f"{program} is not installed, and commits are to be signed", remedy=f"install {package}")
    if not key.agent and ("PRIVATE KEY" not in key.private or len(key.private) >= _LONGEST_KEY):
        raise ConfigError(
            "the signing key is no private key", remedy="give it as `gpg --export-secret-keys --armor` or ssh-keygen do"
        )
    for secret in (key.private, key.passphrase):
        redact.register(secret)
    with private_folder() as folder:
        yield Signer(git.with_means(_means(key, folder), timeout=TIMEOUT), folder)


def _means(key: SigningKey, folder: Path) -> Means:
    if key.format == "gpg":
        return _gpg(key, folder)
    if key.agent:
        return Means(config={"gpg.format": "ssh", "user.signingKey": f"key::{key.agent}"})
    config = {"gpg.format": "ssh", "gpg.ssh.program": _program(folder, "ssh", _SSH), "user.signingKey": "given"}
    asking = {"SSH_ASKPASS": _program(folder, "passphrase", _ANSWER), "SSH_ASKPASS_REQUIRE": "force"}
    return Means(_given(key) | asking, config)


def _gpg(key: SigningKey, folder: Path) -> Means:
    if len(str(folder)) > _LONGEST_FOLDER and not key.agent:
        raise ConfigError(
            f"{folder.parent} is too long a path for gpg, which puts the socket of its agent below it",
            remedy="set TMPDIR to a shorter one",
        )
    home = os.environ.get("GNUPGHOME") or f"{os.environ.get('HOME', os.devnull)}/.gnupg"
    environment = {"GITCD_SIGN_AGENT_KEY": key.agent, "GNUPGHOME": home} if key.agent else _given(key)
    config = {"gpg.format": "openpgp", "gpg.program": _program(folder, "gpg", _GPG), "user.signingKey": "given"}
    return Means(environment, config)


def _given(key: SigningKey) -> dict[str, str]:
    private = key.private.replace("\r\n", "\n")  # as a form in a browser may send it; ssh-keygen takes no such lines
    return {"GITCD_SIGN_KEY": private, "GITCD_SIGN_PASSPHRASE": key.passphrase}


def _program(folder: Path, name: str, script: str) -> str:
    program = folder / name
    program.write_text(script)
    program.chmod(0o700)
    return str(program)
