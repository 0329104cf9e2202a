"""Requests to one registry: what goes out is bound to its origin, what comes in has limits.

A redirect of a read is followed to wherever it leads, without credentials; registries hand blobs out so. Sources: the
OCI distribution specification, and RFC 9110, 10.2.3 (Retry-After) and 15.4 (redirects).
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv6Address, ip_address
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gitcd import __version__, redact
from gitcd.model.registry import Failure
from gitcd.registry.faults import CLOCK, clean
from gitcd.web import joined, origin, proxy_credentials, retry_after, without_pool

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

ATTEMPTS = 5
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_FIRST_PAUSE = 0.5  # seconds; doubled for every further attempt
_LONGEST_PAUSE = 8.0
_LONGEST_WAIT = 30.0  # seconds that a registry may ask to wait
_PATIENCE = 60.0  # seconds after which a request is not tried again
_WHOLE_SECONDS = 60.0  # in which an answer must be there that has begun to come
_PIECE = 1 << 16  # bytes read at once
_REDIRECTS = 3
_AT_ONCE = 16  # requests to one registry
_MOVED = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_DOCUMENT = 4 << 20  # bytes; what registries must take for a manifest, by the distribution specification


class UnreachedError(Exception):
    """No answer, or none that may be read; the failure says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Names of headers are in lower case; `url` is where it came from."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Clock:
    """How time passes; another one in tests."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Transport:
    """Sends requests for one registry, known by the `name` of its host. `count` is told of every one that goes out."""

    name: str
    base: str
    count: Callable[[], None]
    clock: Clock = field(default_factory=Clock)
    _places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(_AT_ONCE))

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        limit: int = MAX_DOCUMENT,
    ) -> Reply:
        """Send a request and return the answer, whatever its status; what is busy is asked again.

        `url` is absolute. Of `headers`, Authorization goes to the origin of `url` alone.

        Raises:
            UnreachedError: no answer came, or one that is too large or leads astray.
        """
        begun = self.clock.now()
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS or self.clock.now() - begun > _PATIENCE
            try:
                reply = self._once(method, url, headers or {}, body, limit)
            except UnreachedError as error:
                if last or not error.failure.transient:
                    raise
                self.clock.sleep(_backoff(attempt))
                continue
            wait = _asked_to_wait(reply.headers.get("retry-after", ""), attempt)
            if reply.status not in _BUSY or last or wait > _LONGEST_WAIT:
                return reply
            self.clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Reply:
        home = origin(url)
        for _ in range(_REDIRECTS + 1):
            self._check(url)
            own = origin(url) == home
            sent = {name: value for name, value in headers.items() if own or name.lower() != "authorization"}
            reply = self._exchange(method, url, sent, body, limit)
            if reply.status not in _MOVED or method not in {"GET", "HEAD"}:
                return reply
            url = joined(url, reply.headers.get("location", ""))
        message = f"{self.name} redirects in a circle"
        raise UnreachedError(Failure("TooManyRedirects", message, "check the registry, and what stands before it"))

    def _check(self, url: str) -> None:
        """Whether an address may be asked at all: never where machines keep their own credentials.

        Raises:
            UnreachedError: it may not.
        """
        found = origin(url)
        plain = self.base.startswith("http:")
        if found is None or found[0] not in ({"http", "https"} if plain else {"https"}) or _is_link_local(found[1]):
            where = f"{found[0]}://{found[1]}" if found else "no address"
            message = f"{self.name} leads to {clean(redact.clean(where))}, which is not asked"
            remedy = "check its host and port; a registry may send clients to https addresses that are not link-local"
            raise UnreachedError(Failure("RedirectRefused", message, remedy))

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Reply:
        from urllib3.exceptions import HTTPError

        self.count()
        sent = {"User-Agent": f"gitcd/{__version__}", **headers}
        try:
            with self._places:
                raw = self._pool(urlsplit(url).scheme, url).request(
                    method, url, body=body, headers=sent, redirect=False, retries=False, preload_content=False
                )
                try:
                    data = self._content(raw, method, limit)
                    return Reply(raw.status, {name.lower(): text for name, text in raw.headers.items()}, data, url)
                finally:
                    raw.release_conn()
        except (HTTPError, OSError, ValueError) as error:
            raise UnreachedError(self._unreached(error, url)) from None

    def _content(self, raw: BaseHTTPResponse, method: str, limit: int) -> bytes:
        if method == "HEAD":
            raw.drain_conn()
            return b""
        data, ends = bytearray(), self.clock.now() + _WHOLE_SECONDS
        while piece := raw.read1(min(_PIECE, limit + 1 - len(data)), decode_content=True):
            data += piece
            if len(data) > limit:
                raw.close()
                message = f"{self.name} answered with more than {limit} bytes"
                raise UnreachedError(Failure("AnswerTooLarge", message, "check that this is the address of a registry"))
            if self.clock.now() > ends:
                raw.close()
                message = f"{self.name} did not come to the end of an answer in {_WHOLE_SECONDS:.0f} seconds"
                raise UnreachedError(Failure("Timeout", message, "check the network", transient=True))
        return bytes(data)

    def _unreached(self, error: Exception, url: str) -> Failure:
        from urllib3 import exceptions as trouble

        said = clean(without_pool(error))
        where = urlsplit(url).netloc
        if isinstance(error, trouble.SSLError):
            remedy = f"check the certificate, SSL_CERT_FILE, and the proxy; {CLOCK}"
            return Failure("TlsFailed", f"no trusted connection to {where}: {said}", remedy, transient=True)
        if isinstance(error, trouble.TimeoutError) and not isinstance(error, trouble.NewConnectionError):
            return Failure("Timeout", f"no answer from {where}: {said}", "check the network", transient=True)
        remedy = "check the host's name, the network and the proxy"
        return Failure("ConnectionFailed", f"{where} cannot be reached: {said}", remedy, transient=True)

    def _pool(self, scheme: str, url: str) -> PoolManager:
        """Connections by way of the proxy of the environment, where there is one for this address.

        Never to this machine: it is asked in the clear because that does not leave it.
        """
        proxy, host = getproxies().get(scheme, ""), urlsplit(url).netloc
        if not proxy or is_loopback(host) or proxy_bypass(host):
            return self._direct
        if proxy not in self._proxied:
            self._proxied[proxy] = _proxy_pool(proxy)
        return self._proxied[proxy]

    @cached_property
    def _direct(self) -> PoolManager:
        import urllib3

        return urllib3.PoolManager(**_options())

    @cached_property
    def _proxied(self) -> dict[str, PoolManager]:
        return {}


def _options() -> dict[str, Any]:
    import urllib3

    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    return {"timeout": timeout, "cert_reqs": "CERT_REQUIRED", "maxsize": _AT_ONCE}


def _proxy_pool(proxy: str) -> PoolManager:
    import urllib3

    return urllib3.ProxyManager(proxy, proxy_headers=proxy_credentials(proxy), **_options())


def is_loopback(host: str) -> bool:
    """Whether a host, with a port or without, is this machine by its very name."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_link_local(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return _is_odd_link_local(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_link_local


def _is_odd_link_local(host: str) -> bool:
    """The same of the spellings that only the system's resolver takes for an address: `2852039166`, `0xa9.254.1`."""
    try:
        return ip_address(socket.inet_aton(host)).is_link_local
    except (OSError, ValueError):
        return False


def _backoff(attempt: int) -> float:
    pause: float = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
    return pause * random.uniform(0.5, 1)  # noqa: S311 - jitter


def _asked_to_wait(text: str, attempt: int) -> float:
    """How long a registry wants to be left alone, in seconds; without a word of it, a little longer each time."""
    asked = retry_after(text, time.time())
    return _backoff(attempt) if asked is None else asked
