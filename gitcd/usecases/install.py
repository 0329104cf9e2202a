"""What runs gitcd in a cluster, as manifests: computed from flags and the operator's settings, asked of nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitcd.errors import ConfigError
from gitcd.git.remote import Kind, Remote, check_branch
from gitcd.manifests import documents
from gitcd.manifests.dump import to_yaml
from gitcd.model.crd import custom_resource_definition
from gitcd.model.settings import Settings
from gitcd.rendering.install import (
    GIT_FOLDER,
    SETTINGS_FOLDER,
    Controller,
    Installation,
    Job,
    Scope,
    Variable,
    manifests,
)
from gitcd.usecases import install_apply, install_roles
from gitcd.usecases.install_flags import Wanted, read
from gitcd.usecases.settings import load

KUSTOMIZATION = "kustomization.yaml"

_CACHE = "/var/cache/gitcd"
_HTTPS, _SSH, _API_SERVER = 443, 22, 6443
_SPARE = timedelta(minutes=5)  # for the end of a run that has used up its own time
# Longer names leave no room for what the controllers append: eleven characters, of 63.
_LONGEST_JOB = 52
_PORT = 8081  # where `gitcd run` serves unless it is told otherwise


def install(flags: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, str]:
    """The manifests by the name of their file, in the order in which they are applied.

    `flags` are those of `Wanted`; `settings` those that are operator settings: repo, branch, config. The file that
    `config` names goes into the cluster as it is.

    Raises:
        ConfigError: something that was given is not valid, or something is missing.
    """
    wanted = read(flags)
    text, installed = _settings_file(settings)
    remote, branch = _repository(settings, installed)
    if wanted.declarations_from == "cluster" and not installed.namespaces:
        raise ConfigError(
            "declarations of a cluster reach nothing unless the operator maps their namespaces to environments",
            remedy="Name a settings file with --config that has `namespaces`; docs/settings.md shows one.",
        )
    if wanted.apply:
        install_apply.check(wanted, installed)
    files = {"crd.yaml": to_yaml(custom_resource_definition())} if wanted.crd else {}
    return files | manifests(_installation(wanted, remote, branch, installed, text))


def objects(files: Mapping[str, str]) -> list[dict[str, Any]]:
    """The objects of the manifests."""
    return [each for text in files.values() for each in documents.compose(text)]


def kustomization(files: Mapping[str, str]) -> str:
    """The file that makes a kustomize base of the others."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return to_yaml(head | {"resources": list(files)})


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the manifests as a kustomize base; what is there under these names is replaced.

    Raises:
        ConfigError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {**files, KUSTOMIZATION: kustomization(files)}.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error


def _settings_file(settings: Mapping[str, object]) -> tuple[str, Settings]:
    """The text of the settings file that is to be installed, and what it says.

    Raises:
        ConfigError: it is not valid, or holds a token.
    """
    named = settings.get("config")
    if not named:
        return "", Settings()
    path = Path(str(named))
    loaded = load({}, {}, path)
    for key in ("git.token", "forge.token"):
        if loaded.origins[key] != "default":
            raise ConfigError(
                f"{loaded.origins[key]}: {key} would be readable for everybody who may read ConfigMaps",
                remedy="Keep tokens in the Secret that --git-secret names, and none in this file.",
            )
    return path.read_text(encoding="utf-8"), loaded.settings


def _repository(settings: Mapping[str, object], installed: Settings) -> tuple[Remote, str]:
    """The remote and the branch, empty for its own.

    Raises:
        ConfigError: there is no remote, or no pod could reach it.
    """
    if installed.repo:
        Remote.parse(installed.repo)  # even where another is given: this one goes into the cluster too
    given = load(settings, os.environ).settings
    text, branch = given.repo or installed.repo, given.branch or installed.branch
    if not text:
        raise ConfigError(
            "no config repository is named",
            remedy="Give its address as the last operand, or set GITCD_REPO.",
        )
    remote = Remote.parse(text, allowed_hosts=installed.git.allowed_hosts)
    if remote.kind is Kind.LOCAL:
        raise ConfigError(f"{text} is a folder of this machine, which no pod reaches", remedy="Give an address.")
    return remote, check_branch(branch) if branch else ""


def _installation(wanted: Wanted, remote: Remote, branch: str, installed: Settings, text: str) -> Installation:
    asks_cluster = wanted.controller or bool(wanted.apply) or wanted.declarations_from == "cluster"
    ports = _ports(remote, installed, asks_cluster=asks_cluster, applies=bool(wanted.apply))
    return Installation(
        namespace=wanted.namespace,
        create_namespace=wanted.create_namespace,
        image=wanted.image,
        schedule=wanted.schedule,
        jobs=() if wanted.controller else tuple(_jobs(wanted)),
        controller=_controller(wanted) if wanted.controller else None,
        readers=wanted.metrics_from,
        environ=tuple(_variables(wanted, remote, branch, has_settings=bool(text))),
        ports=tuple(dict.fromkeys(ports)),
        checks=bool(wanted.apply),
        checked=tuple(install_apply.namespaces(wanted, installed)) if wanted.apply else (),
        deadline=int((installed.deadlines.run + _SPARE).total_seconds()),
        cache_size=wanted.cache_size,
        cache_claim=wanted.cache_claim,
        memory=wanted.memory,
        asks_cluster=asks_cluster,
        scopes=tuple(_scopes(wanted, installed)),
        role_arn=wanted.role_arn,
        pod_identity=wanted.pod_identity,
        git_secret=wanted.git_secret,
        ssh=remote.kind is Kind.SSH,
        settings=text,
    )


def _source(wanted: Wanted) -> tuple[str, ...]:
    return ("--from", "cluster", "--all-namespaces") if wanted.declarations_from == "cluster" else ()


def _controller(wanted: Wanted) -> Controller:
    chosen = [word for name in dict.fromkeys(wanted.environment) for word in ("--environment", name)]
    asked = ("--http-auth",) if wanted.http_auth else ()
    applying = ("--apply", wanted.apply, "--apply-namespace", wanted.namespace) if wanted.apply else ()
    return Controller("gitcd-run", ("run", *chosen, *_source(wanted), *applying, *asked), _PORT)


def _jobs(wanted: Wanted) -> Iterator[Job]:
    source = _source(wanted)
    if not wanted.environment:
        yield Job("gitcd-reconcile", "", ("reconcile", *source))
    for environment in dict.fromkeys(wanted.environment):
        name = f"gitcd-reconcile-{environment}"
        if len(name) > _LONGEST_JOB:
            raise ConfigError(
                f"the CronJob {name} would have a name of more than {_LONGEST_JOB} characters",
                remedy="Give the environment a shorter name.",
            )
        yield Job(name, environment, ("reconcile", "--environment", environment, *source))
    if wanted.apply:
        yield from install_apply.jobs(wanted)


def _variables(wanted: Wanted, remote: Remote, branch: str, *, has_settings: bool) -> Iterator[Variable]:
    yield Variable("GITCD_REPO", remote.url)
    if branch:
        yield Variable("GITCD_BRANCH", branch)
    if has_settings:
        yield Variable("GITCD_CONFIG", f"{SETTINGS_FOLDER}/config.yaml")
    yield Variable("GITCD_CACHE_DIR", _CACHE)
    yield Variable("GITCD_LOG_FORMAT", "json")
    yield Variable("HOME", "/tmp")  # noqa: S108 - of the container
    if wanted.git_secret and remote.kind is Kind.SSH:
        yield Variable("GITCD_GIT_SSH_KEY", f"{GIT_FOLDER}/ssh-privatekey")
        yield Variable("GITCD_GIT_KNOWN_HOSTS", f"{GIT_FOLDER}/known_hosts")


def _ports(remote: Remote, installed: Settings, *, asks_cluster: bool, applies: bool) -> Iterator[int]:
    """Where connections go to: 443 for registries and AWS, the git host's, the API server's behind its Service.

    And that of the Prometheus which checks of rollouts query.
    """
    yield _HTTPS
    yield _port(remote)
    if asks_cluster:
        yield _API_SERVER
    if applies and (port := install_apply.prometheus_port(installed)):
        yield port


def _port(remote: Remote) -> int:
    named = urlsplit(remote.url).port if "://" in remote.url else None
    return named or (_SSH if remote.kind is Kind.SSH else _HTTPS)


def _scopes(wanted: Wanted, installed: Settings) -> Iterator[Scope]:
    """Who may do what where, beyond what everybody may."""
    name = f"gitcd-{wanted.namespace}"
    if wanted.declarations_from == "cluster":
        namespaces = [] if wanted.cluster_wide else [each.name for each in installed.namespaces]
        watches, old_kinds = wanted.controller, wanted.old_kinds
        yield from install_roles.for_declarations(name, namespaces, watches=watches, old_kinds=old_kinds)
    if installed.environments and (wanted.apply or wanted.declarations_from == "cluster"):
        yield install_roles.to_know_the_cluster(name)
    if wanted.apply:
        yield from install_apply.scopes(wanted, installed, name)
    if wanted.controller:
        yield install_roles.to_be_elected(name, wanted.namespace)
    if wanted.http_auth:
        yield install_roles.to_review(name)
