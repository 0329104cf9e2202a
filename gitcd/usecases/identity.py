"""Who a run is, by the operator's settings: to remotes, and in commits."""

from __future__ import annotations

import os
from pathlib import Path

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.git.access import Credentials, Https, Ssh
from gitcd.git.commit import Author
from gitcd.git.remote import Kind, Remote
from gitcd.git.signing import SigningKey, read_key
from gitcd.model.settings import Settings
from gitcd.model.settings_git import Signing
from gitcd.usecases.credentials import extra_header, git_token, secret


def author(settings: Settings) -> Author:
    """Who commits, and the key that signs.

    Raises:
        ConfigError: the key is to be had neither from its file nor from its variable.
    """
    return Author(settings.author.name, settings.author.email, _signing_key(settings.signing))


def credentials(settings: Settings, place: Remote) -> Credentials | None:
    """What an https remote is shown: the operator's token, or one that is minted for a GitHub App.

    Raises:
        ConfigError: `git.tokenEnv` names a variable that is not set, or the App cannot be used.
    """
    token = git_token(settings, os.environ)
    if not token and settings.forge.app.id and place.kind is Kind.HTTP:
        from gitcd.forge.opening import app_token

        token = app_token(place.url, settings.forge)
    if not token:
        return None
    redact.register(token)
    return Credentials(token, settings.git.username)


def https(settings: Settings) -> Https:
    """What else a connection to an https remote is given.

    Raises:
        ConfigError: `git.extraHeaderEnv` names a variable that is not set, or one that holds no header.
    """
    header = extra_header(settings, os.environ)
    if "\n" in header or (header and ":" not in header):
        raise ConfigError("git.extraHeaderEnv names a variable that holds no header", remedy="write it as Name: value")
    return Https(_path(settings.git.ca_bundle), header, settings.git.credential_helper)


def ssh(settings: Settings) -> Ssh:
    return Ssh(_path(settings.git.known_hosts), _path(settings.git.ssh_key))


def _signing_key(signing: Signing) -> SigningKey | None:
    if not signing.format:
        return None
    if signing.agent_key:
        return SigningKey(signing.format, agent=signing.agent_key)
    file = _path(signing.key_file)
    private = read_key(file) if file else secret("signing.keyEnv", signing.key_env, os.environ)
    name = signing.passphrase_env
    return SigningKey(signing.format, private, secret("signing.passphraseEnv", name, os.environ) if name else "")


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None
