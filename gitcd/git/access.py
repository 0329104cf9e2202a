"""How git is let in: askpass for https, the operator's known hosts and key for ssh. No secret is ever written down."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.git.remote import Kind, Remote

# The prompt ends in the address that asks, so only the remote's own host gets an answer.
_ASKPASS = """#!/bin/sh
case "$1" in
  *"://$GITCD_ASKPASS_HOST'"* | *"@$GITCD_ASKPASS_HOST'"*) ;;
  *) exit 1 ;;
esac
case "$1" in
  Username*) printf '%s\\n' "$GITCD_ASKPASS_USERNAME" ;;
  *) printf '%s\\n' "$GITCD_ASKPASS_TOKEN" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """For https: a user name and a token, handed to git by askpass, never on a command line or on disk."""

    token: str = field(repr=False)
    username: str = "x-access-token"


@dataclass(frozen=True, slots=True)
class Ssh:
    """For ssh: the operator's file of known hosts (mandatory) and, where the agent has none, a key."""

    known_hosts: Path | None = None
    key: Path | None = None


def environment(remote: Remote, scratch: Path, credentials: Credentials | None, ssh: Ssh | None) -> dict[str, str]:
    """What git needs in its environment to reach the remote, and nothing but this remote.

    `scratch` is a private folder (mode 0700) for the askpass program.

    Raises:
        ConfigError: an ssh remote without a file of known hosts.
    """
    environment = {"GIT_ALLOW_PROTOCOL": remote.protocols}
    if remote.kind is Kind.SSH:
        environment |= {"GIT_SSH_COMMAND": _ssh_command(remote, ssh or Ssh()), "GIT_SSH_VARIANT": "ssh"}
    if remote.kind is Kind.HTTP and credentials:
        redact.register(credentials.token)
        redact.register(f"{credentials.username}:{credentials.token}")
        environment |= {
            "GIT_ASKPASS": str(_askpass(scratch)),
            "GITCD_ASKPASS_HOST": urlsplit(remote.url).netloc,
            "GITCD_ASKPASS_USERNAME": credentials.username,
            "GITCD_ASKPASS_TOKEN": credentials.token,
        }
    return environment


def _ssh_command(remote: Remote, ssh: Ssh) -> str:
    if not ssh.known_hosts or not ssh.known_hosts.is_file():
        given = f"{ssh.known_hosts} is not a file" if ssh.known_hosts else "none is given"
        raise ConfigError(
            f"{remote} needs a file of known hosts: {given}",
            remedy=f"check the key of `ssh-keyscan {remote.host}` and name the file as GITCD_GIT_KNOWN_HOSTS",
        )
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={ssh.known_hosts}",
        f"GlobalKnownHostsFile={os.devnull}",
        "ConnectTimeout=20",
        "ServerAliveInterval=15",
        "ForwardAgent=no",
        "PermitLocalCommand=no",
    ]
    words = ["ssh", "-F", "none"]
    if ssh.key:
        options.append("IdentitiesOnly=yes")
        words += ["-i", str(ssh.key)]
    return shlex.join([*words, *(word for option in options for word in ("-o", option))])


def _askpass(scratch: Path) -> Path:
    program = scratch / "askpass"
    if not program.exists():
        program.write_text(_ASKPASS)
        program.chmod(0o700)
    return program
