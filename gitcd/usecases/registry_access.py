"""The operator's settings for registries, as the registry floor takes them."""

from __future__ import annotations

import os

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.model.reference import Repository
from gitcd.model.settings import RegistryAccess, Settings
from gitcd.registry.settings import Access, RegistrySettings


def registry_settings(settings: Settings) -> RegistrySettings:
    """The operator's settings as the registry floor takes them.

    Raises:
        ConfigError: a password is not where the settings say.
    """
    return RegistrySettings(
        endpoint_url=settings.ecr.endpoint_url,
        region=settings.ecr.region,
        access={_key(each): _access(each) for each in settings.registries},
        allowed=settings.allow.registries,
    )


def _key(entry: RegistryAccess) -> str:
    """The account, or the host in the spelling of repositories: `docker.io` has another one."""
    return Repository.parse(f"{entry.host}/any").registry if entry.host else entry.account


def _access(entry: RegistryAccess) -> Access:
    password = os.environ.get(entry.password_env, "") if entry.password_env else ""
    if entry.password_env and not password:
        message = f"the registry {entry.host} takes its password from {entry.password_env}, which is not set"
        raise ConfigError(message, remedy=f"Set {entry.password_env}.")
    redact.register(password)
    return Access(
        entry.role_arn,
        entry.external_id,
        entry.endpoint_url,
        entry.kind,
        entry.username,
        password,
        entry.plain_http,
    )
