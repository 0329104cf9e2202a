"""Operator settings: what belongs to whoever runs gitcd, and what no declaration can widen.

Every field has an environment variable: `GITCD_` and the field's path in capitals, as `GITCD_GIT_KNOWN_HOSTS`; lists of
texts are divided by commas there, and lists of maps stand in the file alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from gitcd.model.fields import (
    REGISTRY_HOST,
    Doc,
    Duration,
    EnvironmentName,
    FilePath,
    Items,
    Line,
    LocalPath,
    Name,
    Number,
    Rule,
    Secret,
    Text,
    Url,
    Variable,
    either,
    given,
    not_both,
)
from gitcd.model.reference import PATH_PATTERN, EcrRegistry, Repository
from gitcd.model.settings_git import Author, Git, Signing

Account = Annotated[str, Text(r"([0-9]{12})?", hint="the 12 digits of an AWS account, in quotes")]
RegistryScope = Annotated[
    str,
    Text(
        rf"([0-9]{{12}}|{REGISTRY_HOST}(/{PATH_PATTERN})?/?)",
        min=1,
        hint="an AWS account, a registry host, or a host with the beginning of a path",
    ),
]
Region = Annotated[str, Text(r"([a-z]{2}(-[a-z]+)+-[0-9]+)?", max=32, hint="an AWS region such as us-east-1")]


@dataclass(frozen=True, slots=True)
class GitHubApp:
    """A GitHub App that gitcd acts as: tokens are minted for each run and end by themselves."""

    id: Annotated[
        str,
        Text(r"([0-9]{1,20}|Iv[A-Za-z0-9.]{4,40})?", hint="the id or client id of an App"),
        Doc("Id or client id of the App."),
    ] = ""
    key_file: Annotated[LocalPath, Doc("File of its private key, in PEM form.")] = ""
    installation: Annotated[str, Text(r"([0-9]{1,20})?", hint="a number"), Doc("Empty: the repository's own.")] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.id) && self.id != '') == (has(self.keyFile) && self.keyFile != '')",
            "give both id and keyFile, or neither",
            lambda app: bool(app.id) == bool(app.key_file),
            "keyFile",
            {
                "oneOf": [
                    {"allOf": [given("id"), given("keyFile")]},
                    {"not": {"anyOf": [given("id"), given("keyFile")]}},
                ]
            },
        ),
    )


@dataclass(frozen=True, slots=True)
class Forge:
    """Where pull requests are made; which forge that is follows from the repository's host where it is well known."""

    kind: Annotated[
        Literal["", "github", "gitlab", "gitea", "bitbucket", "codecommit"],
        Doc("Forgejo counts as gitea. Empty: by the repository's host."),
    ] = ""
    url: Annotated[Url, Doc("Address of the forge; empty: https at the repository's host.")] = ""
    token: Annotated[str, Text(r"[^\x00-\x20\x7f]*", max=8192, hint="a token"), Secret(), Doc("Empty: git's.")] = field(
        default="", repr=False
    )
    token_env: Annotated[Variable, Doc("The environment variable that holds the token.")] = ""
    app: Annotated[GitHubApp, Doc("Used instead of a token.")] = field(default_factory=GitHubApp)
    labels: Annotated[tuple[Line, ...], Items(max=20), Doc("Given to every pull request.")] = ()
    reviewers: Annotated[tuple[Line, ...], Items(max=20), Doc("Users, or teams as org/team.")] = ()
    api_commits: Annotated[bool, Doc("Whether GitHub makes and signs the commits of pull requests itself.")] = False

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.token) && self.token != '' && has(self.tokenEnv) && self.tokenEnv != '')",
            "give either token or tokenEnv",
            lambda forge: not (forge.token and forge.token_env),
            "tokenEnv",
            not_both("token", "tokenEnv"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Ecr:
    endpoint_url: Annotated[Url, Doc("Asked instead of Amazon ECR: a local stand-in, a VPC endpoint.")] = ""
    region: Annotated[Region, Doc("Where the name of a registry does not say it.")] = ""
    workers: Annotated[int, Number(min=1, max=64), Doc("How many repositories are asked at a time.")] = 16


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The one Prometheus that checks of rollouts may query."""

    url: Annotated[Url, Doc("Its address; empty: checks that query it cannot be made.")] = ""
    token: Annotated[str, Text(r"[^\x00-\x20\x7f]*", max=8192, hint="a token"), Secret(), Doc("Sent as bearer.")] = (
        field(default="", repr=False)
    )
    token_env: Annotated[Variable, Doc("The environment variable that holds the token.")] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.token) && self.token != '' && has(self.tokenEnv) && self.tokenEnv != '')",
            "give either token or tokenEnv",
            lambda prometheus: not (prometheus.token and prometheus.token_env),
            "tokenEnv",
            not_both("token", "tokenEnv"),
        ),
    )


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How one registry is reached: named by its host, or for ECR by the account."""

    host: Annotated[
        str, Text(rf"({REGISTRY_HOST})?", max=255, hint="a registry host"), Doc("Host of the registry.")
    ] = ""
    account: Annotated[Account, Doc("Or, for ECR, the account.")] = ""
    role_arn: Annotated[
        str,
        Text(r"(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+)?", hint="the ARN of a role"),
        Doc("The role assumed before this registry is asked."),
    ] = ""
    external_id: Annotated[
        str, Text(r"([A-Za-z0-9+=,.@:/_-]{2,})?", max=1224, hint="an external id"), Doc("What that role asks for.")
    ] = ""
    endpoint_url: Annotated[Url, Doc("Asked in place of the registry itself.")] = ""
    kind: Annotated[
        Literal["", "ecr", "oci"],
        Doc(
            "ecr: by the API of Amazon ECR; oci: as any other registry. Empty: by the host, or an endpoint in a region."
        ),
    ] = ""
    username: Annotated[
        str, Text(r"[^\x00-\x20\x7f:]*", max=255, hint="a user name"), Doc("Empty: what `docker login` keeps.")
    ] = ""
    password_env: Annotated[Variable, Doc("The environment variable that holds the password or token.")] = ""
    plain_http: Annotated[bool, Doc("Whether it is asked without TLS, as registries on this machine are.")] = False

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.host) && self.host != '') != (has(self.account) && self.account != '')",
            "give either host or account",
            lambda access: bool(access.host) != bool(access.account),
            "host",
            either("host", "account"),
        ),
        Rule(
            "(has(self.username) && self.username != '') == (has(self.passwordEnv) && self.passwordEnv != '')",
            "give both username and passwordEnv, or neither",
            lambda access: bool(access.username) == bool(access.password_env),
            "passwordEnv",
            {
                "oneOf": [
                    {"allOf": [given("username"), given("passwordEnv")]},
                    {"not": {"anyOf": [given("username"), given("passwordEnv")]}},
                ]
            },
        ),
    )


@dataclass(frozen=True, slots=True)
class Allow:
    registries: Annotated[
        tuple[RegistryScope, ...], Items(max=1000), Doc("Registries that declarations may name; empty: any.")
    ] = ()
    kinds: Annotated[
        tuple[Annotated[str, Text(r"[A-Z][A-Za-z0-9]*", min=1, max=63, hint="a kind such as Secret")], ...],
        Items(max=100),
        Doc("Kinds that apply may write beyond those that it always may."),
    ] = ()


@dataclass(frozen=True, slots=True)
class NamespaceScope:
    """What declarations of one namespace may reach."""

    name: Annotated[Name, Doc("The namespace.")]
    environments: Annotated[
        tuple[EnvironmentName, ...], Items(min=1, max=1000), Doc("The environments that its declarations may reach.")
    ]
    paths: Annotated[tuple[FilePath, ...], Items(max=100), Doc("Folders; empty: all of the environments.")] = ()
    registries: Annotated[
        tuple[RegistryScope, ...], Items(max=100), Doc("Of the registries that are allowed at all; empty: all of them.")
    ] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentCluster:
    """Which cluster an environment is; apply refuses any other."""

    name: Annotated[EnvironmentName, Doc("The environment.")]
    cluster: Annotated[
        str,
        Text(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", hint="a UID"),
        Doc("The UID of the cluster's kube-system namespace."),
    ]


@dataclass(frozen=True, slots=True)
class Deadlines:
    run: Annotated[Duration, Doc("How long a whole run may take.")] = timedelta(minutes=15)
    git: Annotated[Duration, Doc("How long one exchange with a git remote may take.")] = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Settings:
    repo: Annotated[
        Line,
        Text(r"[^\x00-\x1f\x7f]*", max=4096, hint="a path or an address, on one line"),
        Doc("The config repository: a path or an address."),
    ] = ""
    branch: Annotated[Line, Doc("Empty: the one that the remote's HEAD names.")] = ""
    cache_dir: Annotated[LocalPath, Doc("Where mirrors are kept; default: gitcd in the user's cache folder.")] = ""
    templates: Annotated[LocalPath, Doc("Folder of templates that replace gitcd's own.")] = ""
    author: Annotated[Author, Doc("Who commits.")] = field(default_factory=Author)
    signing: Annotated[Signing, Doc("How commits are signed.")] = field(default_factory=Signing)
    git: Annotated[Git, Doc("How git remotes are reached.")] = field(default_factory=Git)
    forge: Annotated[Forge, Doc("How pull requests are opened.")] = field(default_factory=Forge)
    ecr: Annotated[Ecr, Doc("How Amazon ECR is reached.")] = field(default_factory=Ecr)
    prometheus: Annotated[Prometheus, Doc("What checks of rollouts may query.")] = field(default_factory=Prometheus)
    registries: Annotated[
        tuple[RegistryAccess, ...], Items(max=1000), Doc("How single registries or accounts are reached.")
    ] = ()
    allow: Annotated[Allow, Doc("What declarations may name at all.")] = field(default_factory=Allow)
    namespaces: Annotated[
        tuple[NamespaceScope, ...],
        Items(max=1000, unique="name"),
        Doc("Which environments and folders the declarations of a namespace may reach; empty: all."),
    ] = ()
    environments: Annotated[
        tuple[EnvironmentCluster, ...], Items(max=1000, unique="name"), Doc("Which cluster each environment is.")
    ] = ()
    deadlines: Annotated[Deadlines, Doc("How long things may take.")] = field(default_factory=Deadlines)


def allows(entries: tuple[str, ...], repository: Repository) -> bool:
    """Whether a list of accounts, hosts, or hosts with the beginning of a path has the repository; an empty one does.

    `host/team` is everything under `team/`, and `team` itself.
    """
    if not entries:
        return True
    registry = EcrRegistry.parse(repository.registry)
    name = f"{repository}/"
    return any(
        (registry and entry == registry.account) or name.startswith(f"{entry.rstrip('/')}/") for entry in entries
    )
