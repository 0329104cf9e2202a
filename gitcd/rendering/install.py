"""An installation as manifests: from templates, each value written as a JSON string, which YAML reads as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gitcd.rendering import sandbox

_LIMIT = 4 * 1024 * 1024
SETTINGS_FOLDER = "/etc/gitcd/settings"
GIT_FOLDER = "/etc/gitcd/git"  # where the Secret for git is mounted; docs/install.md names its keys


@dataclass(frozen=True, slots=True)
class Job:
    """One CronJob; `environment` is empty where it is for all. With one of the `final` exit codes it has ended."""

    name: str
    environment: str
    args: tuple[str, ...]
    does: str = "Reconciles"
    final: tuple[int, ...] = (2, 5, 70)


@dataclass(frozen=True, slots=True)
class Controller:
    """The Deployment of `gitcd run`, which serves on `port`."""

    name: str
    args: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of a role; `name` is the one object that it is about, empty for all."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """A Role or ClusterRole with its binding; `namespace` is empty for the latter."""

    kind: str
    name: str
    namespace: str
    rules: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """All that the templates of `templates/install` fill in.

    `deadline` is in seconds, `cache_size` and `memory` are quantities of Kubernetes. An empty text means that there is
    no such thing. `readers` are the namespaces whose pods may connect to the controller. Where rollouts are checked
    (`checks`), pods of the `checked` namespaces are asked, or of all.
    """

    namespace: str
    image: str
    schedule: str
    jobs: tuple[Job, ...]
    environ: tuple[Variable, ...]
    ports: tuple[int, ...]
    deadline: int
    cache_size: str
    memory: str
    cache_claim: str = ""
    create_namespace: bool = False
    asks_cluster: bool = False
    controller: Controller | None = None
    readers: tuple[str, ...] = ()
    checks: bool = False
    checked: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    role_arn: str = ""
    pod_identity: bool = False
    git_secret: str = ""
    ssh: bool = False
    settings: str = ""


def manifests(installation: Installation) -> dict[str, str]:
    """The text of each file of an installation, by its name, in the order in which they are applied."""
    values = asdict(installation)
    return {name: _rendered(name, values) for name in _wanted(installation)}


def _rendered(name: str, values: Mapping[str, Any]) -> str:
    return sandbox.render(f"install/{name}", values, limit=_LIMIT).rstrip("\n") + "\n"


def _wanted(installation: Installation) -> Sequence[str]:
    parts = {
        "namespace.yaml": installation.create_namespace,
        "serviceaccount.yaml": True,
        "rbac.yaml": bool(installation.scopes),
        "networkpolicy.yaml": True,
        "settings.yaml": bool(installation.settings),
        "cronjob.yaml": bool(installation.jobs),
        "controller.yaml": bool(installation.controller),
    }
    return [name for name, wanted in parts.items() if wanted]
