"""Tokens and headers of this run: those that a setting holds, or the variable that one names."""

from __future__ import annotations

from collections.abc import Mapping

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.model.settings import Settings


def git_token(settings: Settings, environ: Mapping[str, str]) -> str:
    """The token for https remotes; empty where none is set up.

    Raises:
        ConfigError: `git.tokenEnv` names a variable that is not set.
    """
    return _token("git", settings.git.token, settings.git.token_env, environ)


def forge_token(settings: Settings, environ: Mapping[str, str]) -> str:
    """The token for the forge's API, git's where it has none of its own. Raises as `git_token` does."""
    forge = settings.forge
    return _token("forge", forge.token, forge.token_env, environ) or git_token(settings, environ)


def extra_header(settings: Settings, environ: Mapping[str, str]) -> str:
    """The header for https remotes; empty where none is set up. Raises as `git_token` does."""
    git = settings.git
    return secret("git.extraHeaderEnv", git.extra_header_env, environ) if git.extra_header_env else git.extra_header


def secret(setting: str, name: str, environ: Mapping[str, str]) -> str:
    """What the variable holds that a setting names.

    Raises:
        ConfigError: it is not set.
    """
    if not (found := environ.get(name, "").strip()):
        raise ConfigError(f"{setting} names the variable {name}, which is not set", remedy=f"set {name}")
    redact.register(found)
    return found


def prometheus_token(settings: Settings, environ: Mapping[str, str]) -> str:
    """The token for Prometheus; empty where none is set up. Raises as `git_token` does."""
    prometheus = settings.prometheus
    return _token("prometheus", prometheus.token, prometheus.token_env, environ)


def _token(section: str, value: str, name: str, environ: Mapping[str, str]) -> str:
    return secret(f"{section}.tokenEnv", name, environ) if name else value
