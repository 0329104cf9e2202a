"""How git is let in: askpass, a header or a credential helper for https, the operator's known hosts and key for ssh.

No secret is ever written down.
"""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.git.remote import Kind, Remote
from gitcd.git.runner import Means

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

# A helper is asked, and what to forget it is told, but nothing is given to it to keep: that may be our token. Where it
# answers, what else it said is not shown, since scripts that are traced say what they answer.
_HELPER = """#!/bin/sh
[ "$1" = store ] && exit
HOME="$GITCD_HELPER_HOME"
exec 3>&1
said=$(sh -c "$GITCD_HELPER $1" 2>&1 >&3) || { status=$?; printf '%s\\n' "$said" >&2; exit "$status"; }
"""

# Its helper makes a credential for one repository, so it has to be told which.
_CODECOMMIT = re.compile(r"git-codecommit(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


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


@dataclass(frozen=True, slots=True)
class Https:
    """For https: what is asked of a connection beside a token.

    `header` is a whole header (`Authorization: Bearer …`), sent to this remote alone. `helper` is a credential helper,
    as git's `credential.helper` names one. `ca_bundle` is a file with the certificates that are trusted, and no others.
    """

    ca_bundle: Path | None = None
    header: str = field(default="", repr=False)
    helper: str = ""


def access_to(
    remote: Remote, scratch: Path, credentials: Credentials | None, ssh: Ssh | None, https: Https | None = None
) -> Means:
    """What git needs to reach the remote, and nothing but this remote.

    `scratch` is a private folder (mode 0700) for the askpass program.

    Raises:
        ConfigError: an ssh remote without a file of known hosts; a key or a CA bundle that is not there.
    """
    environment = {"GIT_ALLOW_PROTOCOL": remote.protocols}
    config: dict[str, str] = {}
    if remote.kind is Kind.SSH:
        environment |= {"GIT_SSH_COMMAND": _ssh_command(remote, ssh or Ssh()), "GIT_SSH_VARIANT": "ssh"}
    if remote.kind is Kind.HTTP and credentials:
        redact.register(credentials.token)
        redact.register(f"{credentials.username}:{credentials.token}")
        environment |= {
            "GIT_ASKPASS": str(_program(scratch, "askpass", _ASKPASS)),
            "GITCD_ASKPASS_HOST": urlsplit(remote.url).netloc,
            "GITCD_ASKPASS_USERNAME": credentials.username,
            "GITCD_ASKPASS_TOKEN": credentials.token,
        }
    if remote.kind is Kind.HTTP and https:
        config = _https_config(remote, https)
    if remote.kind is Kind.HTTP and https and https.helper:
        environment |= _for_helper(https.helper)
        config["credential.helper"] = f"!{shlex.quote(str(_program(scratch, 'helper', _HELPER)))}"
        config["credential.useHttpPath"] = "true" if _CODECOMMIT.fullmatch(remote.host) else "false"
    return Means(environment, config)


def _https_config(remote: Remote, https: Https) -> dict[str, str]:
    config = {}
    if https.ca_bundle:
        if not _is_file(https.ca_bundle):
            raise ConfigError(
                f"the CA bundle {https.ca_bundle} is not a file that can be read",
                remedy="correct git.caBundle (GITCD_GIT_CA_BUNDLE)",
            )
        config["http.sslCAInfo"] = str(https.ca_bundle)
    if https.header:
        redact.register(https.header.partition(":")[2])
        redact.register(https.header.rpartition(" ")[2])
        url = urlsplit(remote.url)
        config[f"http.{url.scheme}://{url.netloc}/.extraHeader"] = https.header
    return config


def _as_command(helper: str) -> str:
    """A helper's command for a shell, by the three forms of gitcredentials(7)."""
    if helper.startswith("!"):
        return helper[1:]
    return helper if helper.startswith("/") else f"git credential-{helper}"


def _for_helper(helper: str) -> dict[str, str]:
    """What helpers find their own credentials by; git itself has no home, so that it reads no `.netrc` there."""
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return aws | {"GITCD_HELPER_HOME": os.environ.get("HOME", os.devnull), "GITCD_HELPER": _as_command(helper)}


def _ssh_command(remote: Remote, ssh: Ssh) -> str:
    if not ssh.known_hosts or not _is_file(ssh.known_hosts):
        given = f"{ssh.known_hosts} is not a file that can be read" if ssh.known_hosts else "none is given"
        raise ConfigError(
            f"{remote} needs a file of known hosts: {given}",
            remedy=f"check the key of `ssh-keyscan {remote.host}` and name the file as GITCD_GIT_KNOWN_HOSTS",
        )
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={_for_ssh(ssh.known_hosts)}",
        f"GlobalKnownHostsFile={os.devnull}",
        "ConnectTimeout=20",
        "ServerAliveInterval=15",
        "ForwardAgent=no",
        "PermitLocalCommand=no",
    ]
    if ssh.key:
        if not _is_file(ssh.key):
            raise ConfigError(
                f"the ssh key {ssh.key} is not a file that can be read",
                remedy="correct git.sshKey (GITCD_GIT_SSH_KEY)",
            )
        options += ["IdentitiesOnly=yes", f"IdentityFile={_for_ssh(ssh.key)}"]
    return shlex.join(["ssh", "-F", "none", *(word for option in options for word in ("-o", option))])


def _for_ssh(path: Path) -> str:
    """A path in an option of ssh: ssh_config(5) parts words at blanks, and fills in percent signs and variables."""
    if "${" in str(path):
        raise ConfigError(f"ssh takes no path with a `${{`, as in {path}", remedy="give the file another name")
    escaped = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and os.access(path, os.R_OK)
    return False


def _program(scratch: Path, name: str, script: str) -> Path:
    program = scratch / name
    if not program.exists():
        program.write_text(script)
        program.chmod(0o700)
    return program
