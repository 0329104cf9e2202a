"""The part of an installation that takes commits to the cluster: where to, with which rights, by which jobs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gitcd.errors import ConfigError
from gitcd.model.settings import Settings
from gitcd.rendering.install import Job, Scope
from gitcd.usecases import install_roles
from gitcd.usecases.install_flags import Wanted
from gitcd.usecases.install_rights import Kinds


def check(wanted: Wanted, installed: Settings) -> None:
    """Refuse what no run could apply.

    Raises:
        ConfigError: it is not said which cluster an environment is, or which namespaces are its own.
    """
    known = [each.name for each in installed.environments]
    unknown = [each for each in wanted.environment if each not in known]
    if unknown or not known:
        raise ConfigError(
            f"--apply needs to know which cluster {unknown[0] if unknown else 'each environment'} is",
            remedy="Name a settings file with --config that has `environments`; docs/apply.md shows one.",
        )
    if not (wanted.cluster_wide or _mapped(wanted, installed)):
        raise ConfigError(
            "--apply needs to know which namespaces may be written",
            remedy="Map them in the settings file (`namespaces`), or say --cluster-wide for all of them.",
        )


def namespaces(wanted: Wanted, installed: Settings) -> list[str]:
    """The namespaces that are written: those mapped to an environment that is applied; none: all of the cluster."""
    return [] if wanted.cluster_wide else _mapped(wanted, installed)


def jobs(wanted: Wanted) -> Iterator[Job]:
    """One CronJob for each environment, or one for all that are this cluster."""
    asked = ["--namespace", wanted.namespace]
    asked += ["--all"] if wanted.apply == "all" else []
    asked += ["--prune"] if wanted.prune else []
    for environment in dict.fromkeys(wanted.environment) or ("",):
        name = f"gitcd-apply-{environment}".rstrip("-")
        chosen = ("--environment", environment) if environment else ()
        yield Job(name, environment, ("apply", *chosen, *asked), "Applies", (2, 4, 5, 70))


def scopes(wanted: Wanted, installed: Settings, name: str) -> Iterator[Scope]:
    """What it may write, and where it remembers that.

    Raises:
        ConfigError: it is not known what a kind needs.
    """
    kinds = Kinds(installed.allow.kinds, wanted.served)
    yield from install_roles.to_apply(name, namespaces(wanted, installed), kinds, prune=wanted.prune)
    yield install_roles.to_keep_records(name, wanted.namespace, _environments(wanted, installed))


def prometheus_port(installed: Settings) -> int | None:
    """Where checks of rollouts ask; None: there is no Prometheus."""
    url = urlsplit(installed.prometheus.url)
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _environments(wanted: Wanted, installed: Settings) -> list[str]:
    return list(dict.fromkeys(wanted.environment)) or [each.name for each in installed.environments]


def _mapped(wanted: Wanted, installed: Settings) -> list[str]:
    applied = set(_environments(wanted, installed))
    return [each.name for each in installed.namespaces if not applied.isdisjoint(each.environments)]
