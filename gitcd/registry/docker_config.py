"""Credentials of registries as container tools keep them: config.json of docker, auth.json of podman, and helpers.

Sources: "docker login" of Docker's documentation (properties `auths`, `credHelpers`, `credsStore`),
containers-auth.json(5), and the protocol of docker-credential-helpers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitcd import redact
from gitcd.model.reference import DOCKER_HUB
from gitcd.model.registry import Failure
from gitcd.registry.faults import clean

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers write in place of a user where the secret is an identity token
_NOT_FOUND = "credentials not found"
_HELPER_SECONDS = 30
_LARGEST = 1 << 20  # bytes of a configuration


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks a registry: a user with a password, or an identity token that access tokens are bought with."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token)


ANONYMOUS = Login()


def find_login(host: str, environ: Mapping[str, str] = os.environ) -> Login | Failure:
    """What is set up for a registry, by its host as image references name it; `ANONYMOUS` where nothing is."""
    for path in _files(environ):
        try:
            found = _in_file(path, host) if path.is_file() else ANONYMOUS
        except OSError as error:
            return _unreadable(path, error.strerror or "it cannot be opened")
        if isinstance(found, Failure) or found:
            return found
    return ANONYMOUS


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files that there may be, in the order in which container tools look for them."""
    home = environ.get("HOME", "")
    named = environ.get("REGISTRY_AUTH_FILE", "")
    folder = environ.get("DOCKER_CONFIG", "") or (f"{home}/.docker" if home else "")
    for path in (named, f"{folder}/config.json" if folder else ""):
        if path:
            yield Path(path)


def _in_file(path: Path, host: str) -> Login | Failure:
    try:
        with path.open("rb") as stream:
            config = json.loads(stream.read(_LARGEST))
    except (ValueError, RecursionError):
        return _unreadable(path, "it is not JSON")  # the parser's own words would quote it
    if not isinstance(config, dict):
        return _unreadable(path, "it holds no object")
    plain = _in_auths(config.get("auths"), host)
    if plain is None:
        return _unreadable(path, f"the entry of {host} is none that docker writes")
    helpers = config.get("credHelpers")
    own = next((helpers[key] for key in _keys(host) if key in helpers), "") if isinstance(helpers, dict) else ""
    store = config.get("credsStore")
    if own:
        return _from_helper(str(own), host, path)
    return plain or (_from_helper(str(store), host, path) if store else ANONYMOUS)


def _unreadable(path: Path, why: str) -> Failure:
    return Failure("CredentialsUnreadable", f"the registry credentials {path} cannot be read: {why}", "mend the file")


def _keys(host: str) -> tuple[str, ...]:
    """Under what a host is found; docker login has written addresses for it."""
    if host == DOCKER_HUB:
        return _HUB_KEY, "https://index.docker.io/v1", "index.docker.io", host
    return host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/", f"http://{host}"


def _in_auths(auths: Any, host: str) -> Login | None:
    """The login that stands in the file itself; None where it cannot be understood."""
    known: dict[str, Any] = auths if isinstance(auths, dict) else {}
    entry: Any = next((known[key] for key in _keys(host) if key in known), {})
    if not isinstance(entry, dict):
        return None
    if token := entry.get("identitytoken"):
        return _login("", "", str(token))
    if not (encoded := entry.get("auth")):
        return _login(str(entry.get("username") or ""), str(entry.get("password") or ""))
    try:
        user, colon, password = base64.b64decode(str(encoded), validate=True).decode().rstrip("\0").partition(":")
    except ValueError:
        return None
    return _login(user, password) if colon else None


def _login(username: str, password: str, identity_token: str = "") -> Login:
    # JSON can hold halves of characters, which cannot be sent: the registry is to refuse what they leave.
    user, secret, token = (text.encode(errors="replace").decode() for text in (username, password, identity_token))
    for each in filter(None, (secret, token)):
        redact.register(each)
    return Login(user, secret, token)


def _from_helper(name: str, host: str, path: Path) -> Login | Failure:
    """Ask a credential helper. The host goes to its stdin, the secret comes from its stdout; neither is on argv."""
    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        return _unreadable(path, f"{clean(name)!r} is no name of a credential helper")
    server = _HUB_KEY if host == DOCKER_HUB else host
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        remedy = "install it, or take it out of the file"
        return Failure("CredentialHelperMissing", f"{program}, which {path} names for {host}, is not installed", remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{program} did not answer for {host}: {type(error).__name__}"
        return Failure("CredentialHelperFailed", message, "run it by hand", transient=True)
    if done.returncode:
        if _NOT_FOUND in done.stdout.decode(errors="replace").lower():
            return ANONYMOUS
        # What it says may hold the secret, so it is not repeated.
        message = f"{program} failed for {host} with exit status {done.returncode}"
        return Failure("CredentialHelperFailed", message, f"see what `echo {server} | {program} get` says")
    return _answered(program, host, done.stdout)


def _answered(program: str, host: str, said: bytes) -> Login | Failure:
    try:
        found = json.loads(said)
        user, secret = found["Username"], found["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        message = f"{program} answered for {host} with something else than credentials"
        return Failure("CredentialHelperFailed", message, "update the helper")
    return _login("", "", secret) if user == _TOKEN_USER else _login(user, secret)
