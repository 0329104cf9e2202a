"""One small HTTP client for all forges: what goes out is bound to one origin, what comes in has limits."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from gitcd import __version__, redact
from gitcd.forge.failures import ForgeError, refusal
from gitcd.forge.limits import asked_to_wait
from gitcd.forge.tokens import Tokens
from gitcd.model.pull import Trouble
from gitcd.web import joined, origin, without_pool

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

ATTEMPTS = 4
MAX_PAGES = 20
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_FIRST_PAUSE = 0.5  # seconds; doubled for every further attempt
_LONGEST_PAUSE = 8.0
_LONGEST_WAIT = 120.0  # seconds that a forge may ask to wait, where no deadline is nearer
_MAX_BYTES = 16 * 1024 * 1024
_LONGEST_MESSAGE = 300
_REDIRECTS = 3
_UNAUTHORIZED = 401
_UNSURE = frozenset({408, 425, 500, 502, 503, 504, 555})  # whether it was carried out is not known; 555 is Bitbucket's
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)

Params = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is what the JSON says, None where there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clock:
    """How time passes; another one in tests."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Client:
    """Sends requests below one base URL, and never a byte to another origin.

    `deadline` is a moment of `clock.now`; a wait that a forge asks for does not reach beyond it.
    """

    name: str  # the forge, for messages
    base: str
    tokens: Tokens
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    clock: Clock = field(default_factory=Clock)
    requests: int = 0
    writes: int = 0

    def get(self, path: str, params: Params | None = None) -> Any:
        """What a resource says, as JSON. Raises ForgeError."""
        return self.send("GET", path, params=params).body

    def pages(self, path: str, params: Params | None = None, *, most: int = MAX_PAGES) -> Iterator[Response]:
        """The pages of a list, from the first on, as the `Link` header leads (RFC 8288)."""
        response = self.send("GET", path, params=params)
        for page in range(1, most + 1):
            yield response
            following = _NEXT.search(response.headers.get("link", ""))
            if not following or page == most:
                return
            response = self.send("GET", following[1])

    def send(
        self, method: str, path: str, body: object = None, *, params: Params | None = None, repeat: bool | None = None
    ) -> Response:
        """Send one request and return what was answered with success.

        `path` is below the base URL, or a whole URL of the same origin. `repeat`: whether it may be sent again when
        it is not clear what became of it; by default as the method is idempotent or not.

        Raises:
            ForgeError: anything but success.
        """
        url = self._url(path, params)
        repeat = method in {"GET", "PUT", "DELETE"} if repeat is None else repeat
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._let_in(method, url, body)
            except ForgeError as error:
                if not self._pause(error, attempt, repeat=repeat or not error.unclear):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _let_in(self, method: str, url: str, body: object) -> Response:
        """Once more with other credentials, if there are any, where these are no longer good."""
        try:
            return self._once(method, url, body)
        except ForgeError as error:
            if error.status != _UNAUTHORIZED or not self.tokens.renew():
                raise
            return self._once(method, url, body)

    def _pause(self, error: ForgeError, attempt: int, *, repeat: bool) -> bool:
        """Wait before another attempt; False if there shall be none."""
        if not error.failure.transient or not repeat or attempt == ATTEMPTS:
            return False
        left = self.deadline - self.clock.now() if self.deadline is not None else _LONGEST_WAIT
        pause = error.failure.retry_after
        if pause is None:
            pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        if pause > min(left, _LONGEST_WAIT):
            return False
        self.clock.sleep(pause)
        return True

    def _once(self, method: str, url: str, body: object) -> Response:
        for _ in range(_REDIRECTS + 1):
            response = self._exchange(method, url, body)
            if response.status not in {301, 302, 307, 308}:
                return self._judged(response, method, url)
            url = self._redirected(response, method, url)
        raise refusal(Trouble.REFUSED, f"{self.name} redirects {_short(url)} in a circle")

    def _exchange(self, method: str, url: str, body: object) -> Response:
        from urllib3.exceptions import HTTPError

        self.requests += 1
        self.writes += method != "GET"
        name, value = self.tokens.header()
        headers = {"Accept": "application/json", **self.headers, "User-Agent": f"gitcd/{__version__}", name: value}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            raw = self._pool.request(
                method, url, body=data, headers=headers, redirect=False, retries=False, preload_content=False
            )
            try:
                return Response(raw.status, self._content(raw, url), {k.lower(): v for k, v in raw.headers.items()})
            finally:
                raw.release_conn()
        except HTTPError as error:
            raise self._unreached(error, url) from None

    def _content(self, raw: BaseHTTPResponse, url: str) -> Any:
        data = raw.read(_MAX_BYTES + 1, decode_content=True)
        if len(data) > _MAX_BYTES:
            raw.close()
            raise refusal(Trouble.REFUSED, f"{self.name} answered {_short(url)} with more than {_MAX_BYTES >> 20} MiB")
        if not data.strip():
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            text = data[: 4 * _LONGEST_MESSAGE].decode(errors="replace")
            return _Unreadable(text)

    def _judged(self, response: Response, method: str, url: str) -> Response:
        """The response if it is a success."""
        status, said = response.status, message_of(response.body)
        about = f"{self.name} answered {method} {_short(url)} with {status}" + (f": {said}" if said else "")
        wait = asked_to_wait(status, response.headers, said, self.clock.now())
        if status in _UNSURE:
            error = refusal(Trouble.TRANSIENT, about, "run again later", status=status, retry_after=wait)
            error.unclear = True
            raise error
        if wait is not None:
            remedy = "run again later, or less often"
            raise refusal(Trouble.RATE_LIMITED, about, remedy, status=status, retry_after=wait)
        match status:
            case 200 | 201 | 202 | 204:
                if isinstance(response.body, _Unreadable):
                    raise refusal(
                        Trouble.REFUSED, f"{self.name} answered {_short(url)} with no JSON", "check forge.url"
                    )
                return response
            case 401:
                raise refusal(Trouble.FORBIDDEN, about, "check forge.token: it is not accepted", status=status)
            case 403:
                raise refusal(Trouble.FORBIDDEN, about, "check what forge.token may do", status=status)
            case 404 | 410:
                remedy = "check the repository, and that forge.token may read it"
                raise refusal(Trouble.NOT_FOUND, about, remedy, status=status)
            case _:
                raise refusal(Trouble.REFUSED, about, status=status)

    def _unreached(self, error: Exception, url: str) -> ForgeError:
        from urllib3 import exceptions as trouble

        said = _line(without_pool(error))
        host = urlsplit(url).netloc
        if isinstance(error, trouble.SSLError):
            remedy = "check the certificate, SSL_CERT_FILE, and the proxy"
            return refusal(Trouble.TRANSIENT, f"no trusted connection to {host}: {said}", remedy)
        failure = refusal(Trouble.TRANSIENT, f"{self.name} at {host} cannot be reached: {said}", "check the network")
        failure.unclear = not isinstance(error, trouble.NewConnectionError | trouble.ConnectTimeoutError)
        return failure

    def _redirected(self, response: Response, method: str, url: str) -> str:
        """Where a moved resource is: within the origin only, and never with another method."""
        location = response.headers.get("location", "")
        target = joined(url, location)
        if not self._own(target):
            message = f"{self.name} redirects {_short(url)} to {_line(redact.clean(location))}, which gets no token"
            raise refusal(Trouble.REFUSED, message, "set forge.url to the forge's own address")
        if method != "GET" and response.status in {301, 302}:
            raise refusal(Trouble.REFUSED, f"{_short(url)} has moved to {_short(target)}", "use the new address")
        return target

    def _url(self, path: str, params: Params | None) -> str:
        url = path if "://" in path else f"{self.base.rstrip('/')}/{path.lstrip('/')}"
        if not self._own(url):
            message = f"{self.name} continues a list at {_line(redact.clean(url))}, which is refused"
            raise refusal(Trouble.REFUSED, message)
        return f"{url}{'&' if '?' in url else '?'}{urlencode(params, doseq=True)}" if params else url

    def _own(self, url: str) -> bool:
        found = origin(url)
        return found is not None and found == origin(self.base)

    @cached_property
    def _pool(self) -> Any:
        from gitcd.forge.pool import open_pool

        return open_pool(self.base, connect=_CONNECT_SECONDS, read=_READ_SECONDS)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    text: str


def message_of(body: Any) -> str:
    """What an error answer says, on one line and without secrets. The forges put it under various names."""
    return _line(redact.clean(", ".join(dict.fromkeys(_words(body)))))


def _words(body: Any) -> Iterator[str]:
    match body:
        case _Unreadable(text):
            yield re.sub(r"<[^>]*>", " ", text)
        case str():
            yield body
        case list():
            for each in body[:5]:
                yield from _words(each)
        case dict():
            for key in ("message", "error", "detail", "error_description", "errors", "code"):
                if body.get(key):
                    yield from _words(body[key])
        case _:
            pass


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _short(url: str) -> str:
    """A URL as messages show it: its path alone."""
    return redact.clean(urlsplit(url).path)
