"""Real boto3 clients for ECR: one for each route, shared by all threads."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from gitcd import __version__
from gitcd.registry.faults import MalformedAnswerError, parsing
from gitcd.registry.route import Route

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_ecr import ECRClient

_ATTEMPTS = 8
_CONNECT_SECONDS = 5
_READ_SECONDS = 20
_POOL = 64


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Credentials of an assumed role; kept out of every repr."""

    access_key: str
    secret_key: str
    token: str


class Clients:
    """Makes clients on demand and keeps them for one run.

    Methods raise what botocore raises. A role that could not be assumed is not tried again.
    """

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._lock = Lock()
        self._session: Session | None = None
        self._clients: dict[Route, ECRClient] = {}
        self._renewed: set[Route] = set()
        self._roles: dict[tuple[str, str], Keys | Exception] = {}
        quieten()

    def get(self, route: Route) -> ECRClient:
        with self._lock:
            if route not in self._clients:
                self._clients[route] = self._make(route)
            return self._clients[route]

    def renew(self, route: Route, client: ECRClient) -> bool:
        """Drop a client whose credentials have expired, with the credentials; once in a run.

        Returns whether `get` now gives another client than this one.
        """
        with self._lock:
            if self._clients.get(route) is client and route not in self._renewed:
                self._renewed.add(route)
                del self._clients[route]
                self._roles.pop((route.access.role_arn, route.access.external_id), None)
                self._session = None
            return self._clients.get(route) is not client

    @property
    def credential_source(self) -> str:
        """How the credentials that everything starts from were found, in botocore's words; empty: not looked yet."""
        credentials = self._session.get_credentials() if self._session else None
        return credentials.method if credentials else ""

    def caller(self, route: Route) -> str:
        """The Amazon Resource Name of whoever asks by this route, as AWS STS says it."""
        sts: Any = self._client("sts", route, _config())
        with parsing():
            return str(sts.get_caller_identity()["Arn"])

    def _make(self, route: Route) -> ECRClient:
        endpoint = route.access.endpoint_url
        config = _config(fips=route.fips and not endpoint, dual_stack=route.dual_stack and not endpoint)
        client: ECRClient = self._client("ecr", route, config, endpoint)
        return client

    def _client(self, service: str, route: Route, config: Any, endpoint: str = "") -> Any:
        keys = self._assumed(route) if route.access.role_arn else None
        base: Any = self._base()
        return base.client(
            service,
            region_name=route.region or None,
            endpoint_url=endpoint or None,
            config=config,
            aws_access_key_id=keys.access_key if keys else None,
            aws_secret_access_key=keys.secret_key if keys else None,
            aws_session_token=keys.token if keys else None,
        )

    def _base(self) -> Session:
        import boto3
        from botocore.exceptions import NoCredentialsError

        if self._session is None:
            session = boto3.Session(profile_name=self._profile or None)
            if session.get_credentials() is None:
                raise NoCredentialsError
            self._session = session
        return self._session

    def _assumed(self, route: Route) -> Keys:
        from botocore.exceptions import BotoCoreError, ClientError

        role = (route.access.role_arn, route.access.external_id)
        if role not in self._roles:
            try:
                self._roles[role] = self._assume(route)
            except (BotoCoreError, ClientError, MalformedAnswerError) as error:
                self._roles[role] = error
        keys = self._roles[role]
        if isinstance(keys, Exception):
            raise keys
        return keys

    def _assume(self, route: Route) -> Keys:
        sts: Any = self._base().client("sts", region_name=route.region or None, config=_config())
        external = {"ExternalId": route.access.external_id} if route.access.external_id else {}
        with parsing():
            answer = sts.assume_role(RoleArn=route.access.role_arn, RoleSessionName="gitcd", **external)
            keys = answer["Credentials"]
            return Keys(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def quieten() -> None:
    """Keep the AWS libraries' debug records off: they hold session tokens and signatures."""
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _config(*, fips: bool = False, dual_stack: bool = False) -> Any:
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_POOL,
        user_agent_extra=f"gitcd/{__version__}",
        use_fips_endpoint=fips or None,
        use_dualstack_endpoint=dual_stack or None,
    )
