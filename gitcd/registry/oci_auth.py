"""How a registry lets somebody in: by user and password, or by tokens that another address sells.

Source: the distribution project's "Token Authentication Specification" and "OAuth2 Token Authentication", RFC 7235 for
challenges. A registry names the address that tokens come from, and would get to know the user's password there; so
credentials go to https addresses only, or, where the registry itself is asked without TLS, to its own host.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlencode

from gitcd import redact
from gitcd.model.registry import Failure
from gitcd.registry.docker_config import ANONYMOUS, Login
from gitcd.registry.faults import clean
from gitcd.registry.oci_http import Reply, Transport, UnreachedError
from gitcd.web import origin

# A parameter of a challenge, or the scheme that begins the next one.
_PART = re.compile(r'(?<![\w-])(?:([A-Za-z_]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s",]++))|([A-Za-z][A-Za-z0-9-]*+))')
_LEAST_SECONDS = 60.0  # what a token lasts that does not say
_MARGIN = 10.0  # seconds before its end from which on a token is no longer used
_MARKED = "eyJ"  # how a JSON Web Token begins, which redaction knows by its form
_MAX_ANSWER = 1 << 20
_TRIES = 3  # times that credentials are shown which nobody has accepted yet: some registries lock accounts
_OK, _LEAST_ERROR = 200, 400
_REJECTED = frozenset({400, 401, 403})


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for before it answers."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    ends: float


def challenge_of(reply: Reply) -> Challenge | None:
    """What a 401 asks for, a token where it takes that; None where it asks for nothing that is known here."""
    asked: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    for name, quoted, bare, scheme in _PART.findall(reply.headers.get("www-authenticate", "")):
        if scheme:
            values = asked.setdefault(scheme.lower(), {})
        else:
            values.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or bare)
    known = next((scheme for scheme in ("bearer", "basic") if scheme in asked), "")
    wanted = (asked[known].get(name, "") for name in ("realm", "service", "scope")) if known else ()
    return Challenge(known, *wanted) if known else None


@dataclass
class Gate:
    """The way into one registry, shared by all threads. `login` is looked for once, when the registry asks for it."""

    transport: Transport
    find: Callable[[], Login | Failure]
    _login: Login | Failure | None = None
    _basic: bool = False
    _tries: int = _TRIES
    _accepted: bool = False
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _locks: defaultdict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))

    def headers(self, scope: str) -> dict[str, str]:
        """What a request within a scope carries, as far as it is known what the registry wants."""
        token = self._tokens.get(scope)
        if token and token.ends > time.monotonic():
            return {"Authorization": f"Bearer {token.text}"}
        return self._user() if self._basic else {}

    def answer(self, reply: Reply, scope: str, sent: Mapping[str, str]) -> Failure | None:
        """Get what a 401 asks for, so that `headers` has it; or why there is nothing more to show."""
        challenge = challenge_of(reply)
        if challenge is None:
            message = f"{self.transport.name} lets nobody in and does not say how one gets in"
            return Failure("AccessDenied", message, "check the registry's host")
        with self._locks[scope]:
            if (now := self.headers(scope)) and now != dict(sent):
                return None  # another thread has it already
            login = self._found()
            if isinstance(login, Failure):
                return login
            if login and not self._tries and not self._accepted:
                return _rejected(self.transport.name, login)
            return self._take(challenge, scope, login, sent)

    def _take(self, challenge: Challenge, scope: str, login: Login, sent: Mapping[str, str]) -> Failure | None:
        if challenge.scheme == "bearer":
            token = self._buy(challenge, challenge.scope or scope, login)
            if isinstance(token, Failure):
                return token
            self._tokens[scope] = token
            return None
        if not login.username:
            return _wanted(self.transport.name)
        if self._basic and sent:
            return self._reject(login)
        self._basic = True
        return None

    def _reject(self, login: Login) -> Failure:
        self._tries = max(self._tries - 1, 0)
        self._basic = self._basic and (self._accepted or self._tries > 0)
        return _rejected(self.transport.name, login)

    def note(self, status: int, sent: Mapping[str, str]) -> None:
        """Learn from an answer that what was sent is good for something."""
        self._accepted = self._accepted or bool(sent and status < _LEAST_ERROR)

    @property
    def anonymous(self) -> bool:
        """Whether nobody is named to the registry, as far as it has asked."""
        return not isinstance(self._login, Login) or not self._login

    def _found(self) -> Login | Failure:
        with self._lock:
            if self._login is None:
                self._login = self.find()
            return self._login

    def _user(self) -> dict[str, str]:
        login = self._found()
        return {} if isinstance(login, Failure) or not login.username else {"Authorization": _basic(login)}

    def _buy(self, challenge: Challenge, scope: str, login: Login) -> _Token | Failure:
        """An access token, from the address that the registry names."""
        if failure := self._astray(challenge.realm):
            return failure
        try:
            reply = self._bought(challenge, scope, login)
        except UnreachedError as error:
            return error.failure
        if reply.status in _REJECTED:
            return self._reject(login)
        if reply.status != _OK:
            message = f"the tokens of {self.transport.name} cannot be had: {_host(challenge.realm)} says {reply.status}"
            return Failure("RegistryUnavailable", message, "run again later", transient=True)
        return _read_token(reply, self.transport.name)

    def _bought(self, challenge: Challenge, scope: str, login: Login) -> Reply:
        asked = {name: text for name, text in (("service", challenge.service), ("scope", scope)) if text}
        if login.identity_token:
            grant = {"grant_type": "refresh_token", "client_id": "gitcd", "refresh_token": login.identity_token}
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode(grant | asked).encode()
            return self.transport.send("POST", challenge.realm, form, body, limit=_MAX_ANSWER)
        joint = "&" if "?" in challenge.realm else "?"
        headers = {"Authorization": _basic(login)} if login.username else {}
        return self.transport.send("GET", f"{challenge.realm}{joint}{urlencode(asked)}", headers, limit=_MAX_ANSWER)

    def _astray(self, realm: str) -> Failure | None:
        """Why the address that tokens shall come from is not asked."""
        there, home = origin(realm), origin(self.transport.base)
        if there and (
            there[0] == "https" or (home and (there[0], there[1]) == ("http", home[1]) and home[0] == "http")
        ):
            return None
        message = (
            f"{self.transport.name} sends clients for a token to {clean(redact.clean(realm)) or 'nowhere'}, which is "
            "neither https nor its own host, so no credentials go there"
        )
        return Failure("TokenAddressRefused", message, "check the registry, and the way to it")


def _read_token(reply: Reply, name: str) -> _Token | Failure:
    try:
        found = json.loads(reply.data)
        text = str(found.get("token") or found.get("access_token") or "")
        lasts = float(found.get("expires_in") or _LEAST_SECONDS)
    except (ValueError, TypeError, AttributeError, RecursionError):
        text, lasts = "", 0.0
    if not text or not text.isascii() or not text.isprintable():
        return Failure("MalformedAnswer", f"what should be a token for {name} is none", "run again", transient=True)
    if not text.startswith(_MARKED):
        redact.register(text)
    return _Token(text, time.monotonic() + max(lasts - _MARGIN, _MARGIN))


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _host(url: str) -> str:
    found = origin(url)
    return found[1] if found else ""


def _wanted(name: str) -> Failure:
    message = f"{name} lets nobody in without credentials, and there are none for it"
    remedy = f"`docker login {name}`, or name a user and passwordEnv for it in the operator settings"
    return Failure("CredentialsMissing", message, remedy)


def _rejected(name: str, login: Login) -> Failure:
    if not login:
        return Failure(
            "AccessDenied", f"{name} gives no token to somebody without credentials", f"`docker login {name}`"
        )
    who = f"of {login.username}" if login.username else "that are set up for it"
    remedy = f"`docker login {name}`, or correct its entry in the operator settings"
    return Failure("InvalidCredentials", f"{name} does not accept the credentials {who}", remedy)


__all__ = ["ANONYMOUS", "Challenge", "Gate", "Login", "challenge_of"]
