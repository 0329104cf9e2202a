"""What the operator says about registries: how each is reached, and which may be asked at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitcd.model.reference import EcrRegistry, Repository
from gitcd.model.settings import allows


@dataclass(frozen=True, slots=True)
class Access:
    """How one account or host is reached; empty strings: as the environment says.

    `kind` is `ecr` or `oci`, or empty: as the rest tells. User and password are for registries that are no ECR, and so
    is `plain_http`: to be asked without TLS.
    """

    role_arn: str = ""
    external_id: str = ""
    endpoint_url: str = ""
    kind: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    plain_http: bool = False


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Operator settings of the registry floor.

    `access` is keyed by account id or by registry host; the host wins. A host that is not of ECR's form counts as ECR
    in `region` when its entry says so, or has an endpoint and nothing that is for other registries alone.
    `role_arn` is assumed where an entry names none; `profile` is the one of the AWS configuration that everything
    starts from. `allowed` holds accounts, hosts, or hosts with the beginning of a repository path (`host/team`:
    everything under `team/`, and `team` itself); empty: everything is allowed.
    """

    endpoint_url: str = ""
    region: str = ""
    access: Mapping[str, Access] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    role_arn: str = ""
    profile: str = ""

    def access_to(self, host: str) -> Access:
        """The entry that holds for a host, with the general endpoint filled in."""
        registry = EcrRegistry.parse(host)
        general = self.endpoint_url if self._is_ecr(host) else ""
        entry = self.access.get(host) or self.access.get(registry.account if registry else "") or Access()
        return Access(entry.role_arn or self.role_arn, entry.external_id, entry.endpoint_url or general)

    def is_ecr(self, repository: Repository) -> bool:
        """Whether a repository is asked by the API of private Amazon ECR, and not by the distribution protocol."""
        return self._is_ecr(repository.registry)

    def _is_ecr(self, host: str) -> bool:
        if not host or EcrRegistry.parse(host):
            return True
        entry = self.access.get(host)
        if entry is None or entry.kind:
            return entry is not None and entry.kind == "ecr"
        return bool(entry.endpoint_url and self.region and not (entry.username or entry.plain_http))

    def allows(self, repository: Repository) -> bool:
        return allows(self.allowed, repository)
