"""How a repository is reached: which client asks, and under which names ECR knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gitcd.model.reference import EcrRegistry, Repository
from gitcd.model.registry import Failure
from gitcd.registry.settings import Access, RegistrySettings


@dataclass(frozen=True, slots=True)
class Route:
    """What tells two clients apart; an empty region is that of the AWS environment."""

    region: str
    access: Access = field(default_factory=Access)
    fips: bool = False
    dual_stack: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A repository and the way to it; `account` is empty where the host does not say it."""

    repository: Repository
    route: Route
    account: str = ""

    @property
    def arn(self) -> str:
        """The repository's Amazon Resource Name; `*` where the account is not known."""
        region = self.route.region
        place = f"{region or '*'}:{self.account or '*'}"
        return f"arn:{_partition(region)}:ecr:{place}:repository/{self.repository.path}"

    def home(self, account: str, region: str) -> Repository:
        """The repository with its registry's host name, which a bare name leaves open until ECR has answered."""
        if self.repository.registry or not account or not region:
            return self.repository
        domain = _DOMAINS.get(_partition(region), "amazonaws.com")
        return Repository(f"{account}.dkr.ecr.{region}.{domain}", self.repository.path)


def find_target(repository: Repository, settings: RegistrySettings) -> Target | Failure:
    """The way to a repository, or why it is not asked: not allowed, or no registry that can be read."""
    if not settings.allows(repository):
        return Failure(
            "RegistryNotAllowed",
            f"{repository} is not among the registries that the operator allows",
            "add its account, host or repository to the allowed registries in the operator settings",
        )
    access = settings.access_to(repository.registry)
    if not repository.registry:
        return Target(repository, Route(settings.region, access))
    if registry := EcrRegistry.parse(repository.registry):
        route = Route(registry.region, access, registry.fips, registry.dual_stack)
        return Target(repository, route, registry.account)
    if settings.is_ecr(repository):
        return Target(repository, Route(settings.region, access))
    return _unsupported(repository)


def _unsupported(repository: Repository) -> Failure:
    return Failure(
        "RegistryNotSupported",
        f"{repository} is not private Amazon ECR, and nobody else could be asked this",
        "name a private ECR repository, such as a pull-through cache or a copy of this one",
    )


# Source: "Amazon ECR endpoints and quotas" of the AWS documentation.
_DOMAINS = {
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
}


def _partition(region: str) -> str:
    """Source: "Amazon Resource Names (ARNs)" and "AWS partitions" of the AWS documentation."""
    partitions = {
        "cn": "aws-cn",
        "us-gov": "aws-us-gov",
        "eusc": "aws-eusc",
        "us-iso": "aws-iso",
        "us-isob": "aws-iso-b",
    }
    place = region.rsplit("-", 2)[0]
    return partitions.get(place, partitions.get(place.split("-")[0], "aws"))
