"""gitcd.yaml: how a config repository is laid out. No secrets stand here, and no hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from gitcd.model.declaration import API_VERSION, DeliveryMode, Severity
from gitcd.model.fields import (
    Doc,
    Duration,
    EnvironmentName,
    GroupName,
    Items,
    Line,
    Moment,
    OptionalEnvironment,
    OptionalScope,
    Rule,
    Scope,
    either,
)

FILE_NAME = "gitcd.yaml"
KIND: Literal["ConfigRepository"] = "ConfigRepository"

Granularity = Literal["run", "environment", "app"]


@dataclass(frozen=True, slots=True)
class EnvironmentDelivery:
    mode: Annotated[DeliveryMode, Doc("Commit to the branch, or open a pull request.")] = "Commit"
    group: Annotated[GroupName, Doc("One pull request for the whole env, for each app, or for each namespace.")] = ""
    on_closed: Annotated[Literal["hold", "recreate"], Doc("What a pull request closed without a merge means.")] = "hold"


@dataclass(frozen=True, slots=True)
class EnvironmentGates:
    min_age: Annotated[Duration, Doc("How long ago the digest must have been pushed.")] = timedelta(0)
    min_soak: Annotated[Duration, Doc("How long the digest must have been the value of promoteFrom.")] = timedelta(0)
    max_severity: Annotated[Severity, Doc("The worst scan finding that may pass; empty: not asked.")] = ""
    require_signed: Annotated[bool, Doc("Only images with a valid signature pass.")] = False
    allow_downgrade: Annotated[bool, Doc("Whether an image pushed before the present one may replace it.")] = True


@dataclass(frozen=True, slots=True)
class Freeze:
    from_: Annotated[Moment, Doc("First moment of the freeze; absent: always so far.")] = ""
    until: Annotated[Moment, Doc("End of the freeze (a date: until that day begins, UTC); absent: no end.")] = ""
    reason: Annotated[Line, Doc("Why, for people.")] = ""


@dataclass(frozen=True, slots=True)
class Environment:
    name: Annotated[EnvironmentName, Doc("Name of the environment.")]
    path: Annotated[OptionalScope, Doc("Folder or glob; the same as one entry of paths.")] = ""
    paths: Annotated[tuple[Scope, ...], Items(max=64), Doc("Folders or globs whose files belong here.")] = ()
    delivery: Annotated[EnvironmentDelivery, Doc("How changes reach the branch.")] = field(
        default_factory=EnvironmentDelivery
    )
    promote_from: Annotated[OptionalEnvironment, Doc("Such an environment never follows its tags.")] = ""
    gates: Annotated[EnvironmentGates, Doc("What must hold before other content may move in.")] = field(
        default_factory=EnvironmentGates
    )
    freeze: Annotated[tuple[Freeze, ...], Items(max=64), Doc("Times in which nothing moves.")] = ()
    applier: Annotated[Literal["gitcd", "external"], Doc("Who takes commits to the cluster.")] = "gitcd"
    markers: Annotated[bool, Doc("Whether what Flux setter comments mark is gitcd's to change.")] = False
    helm_tag: Annotated[
        Literal["VersionAndDigest", "Version"],
        Doc("What a Helm `tag` without a sibling `digest` holds."),
    ] = "VersionAndDigest"

    STRANGERS: ClassVar[Mapping[str, str]] = {
        "branch": "all environments live on one branch: give each a folder of its own in place of a branch"
    }
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.path) && self.path != '') != (has(self.paths) && size(self.paths) > 0)",
            "give either path or paths",
            lambda environment: bool(environment.path) != bool(environment.paths),
            "path",
            either("path", "paths"),
        ),
    )

    @property
    def scopes(self) -> tuple[str, ...]:
        """The folders or globs of this environment, without a leading `./` or a final `/`; `.` is the repository."""
        return tuple(scope.removeprefix("./").rstrip("/") for scope in self.paths or (self.path,))


@dataclass(frozen=True, slots=True)
class ConfigRepository:
    environments: Annotated[
        tuple[Environment, ...], Items(min=1, max=1000, unique="name"), Doc("The environments of this repository.")
    ]
    commits: Annotated[Granularity, Doc("Granularity of commits.")] = "environment"
    api_version: Annotated[Literal["gitcd.io/v1"], Doc("Group and version of this schema.")] = API_VERSION
    kind: Annotated[Literal["ConfigRepository"], Doc("What this document is.")] = KIND
