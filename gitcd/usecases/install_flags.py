"""The flags of an installation, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from gitcd import __version__
from gitcd.errors import ConfigError
from gitcd.model import schema
from gitcd.model.fields import EnvironmentName, Items, Label, OptionalName, Text

_CRON_FIELD = r"[0-9A-Za-z*,/?#L-]+"

Quantity = Annotated[str, Text(r"[1-9][0-9]*(Ki|Mi|Gi|Ti)", max=20, hint="a quantity of bytes such as 512Mi")]

Resource = Annotated[
    str,
    Text(
        r"[A-Z][A-Za-z0-9]*=[a-z0-9]+(\.[a-z0-9.-]+)?",
        max=253,
        hint="KIND=PLURAL.GROUP such as Gizmo=gizmos.example.com",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags of an installation. An empty text means that there is no such thing."""

    environment: Annotated[tuple[EnvironmentName, ...], Items(max=100)] = ()
    declarations_from: Literal["repo", "cluster"] = "repo"
    cluster_wide: bool = False
    old_kinds: bool = False
    controller: bool = False
    http_auth: bool = False
    metrics_from: Annotated[tuple[Label, ...], Items(max=20)] = ()
    namespace: Label = "gitcd"
    create_namespace: bool = False
    crd: bool = True
    image: Annotated[str, Text(r"[^\s\x00-\x1f\x7f]+", min=1, max=1024, hint="an image reference")] = (
        f"gitcd:{__version__}"
    )
    apply: Literal["", "images", "all"] = ""
    prune: bool = False
    kind: Annotated[tuple[Resource, ...], Items(max=100)] = ()
    schedule: Annotated[
        str,
        Text(rf"@(hourly|daily|weekly|monthly)|{_CRON_FIELD}( {_CRON_FIELD}){{4}}", max=200, hint="five cron fields"),
    ] = "*/5 * * * *"
    role_arn: Annotated[
        str, Text(r"(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+)?", hint="the ARN of a role")
    ] = ""
    pod_identity: bool = False
    git_secret: OptionalName = "gitcd-git"  # noqa: S105 - its name
    cache_claim: OptionalName = ""
    cache_size: Quantity = "512Mi"
    memory: Quantity = "1Gi"

    @property
    def served(self) -> Mapping[str, str]:
        """How kinds are served, each as `plural.group`."""
        return {kind: served for kind, _, served in (each.partition("=") for each in self.kind)}


def read(flags: Mapping[str, object]) -> Wanted:
    """What the flags say.

    Raises:
        ConfigError: one is not valid, or goes with another that is not given.
    """
    names = {field.name: name for name, field in schema.table(Wanted).fields.items()}
    plain = {names[flag]: list(value) if isinstance(value, tuple) else value for flag, value in flags.items()}
    wanted, problems = schema.read(Wanted, plain)
    if wanted is None:
        spelled = {camel: name.replace("_", "-") for name, camel in names.items()}
        faults = [f"--{spelled[str(each.steps[0])]}: {each.message}" for each in problems]
        raise ConfigError("\n".join(faults))
    if wanted.cluster_wide and wanted.declarations_from == "repo" and not wanted.apply:
        raise ConfigError(
            "--cluster-wide goes with --from cluster or --apply: otherwise nothing in the cluster is read"
        )
    if (wanted.prune or wanted.kind) and not wanted.apply:
        raise ConfigError("--prune and --kind go with --apply: nothing else writes into the cluster")
    if wanted.prune and wanted.controller:
        raise ConfigError(
            "--prune goes with CronJobs: `gitcd run` deletes nothing",
            remedy="Leave --controller out, or prune by hand: gitcd apply --prune.",
        )
    if wanted.old_kinds and wanted.declarations_from == "repo":
        raise ConfigError("--old-kinds goes with --from cluster: in the repository they need no permission")
    if (wanted.http_auth or wanted.metrics_from) and not wanted.controller:
        raise ConfigError("--http-auth and --metrics-from go with --controller: CronJobs serve nothing")
    return wanted
