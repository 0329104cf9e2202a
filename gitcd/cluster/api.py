"""Requests to an API server: plain JSON in and out, in pages, with a deadline, tried again while that may help."""

from __future__ import annotations

import json
import logging
import math
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from gitcd import __version__, redact
from gitcd.cluster.access import Access
from gitcd.errors import ConfigError, RefusedError, TransientError

if TYPE_CHECKING:
    import urllib3

PAGE = 500
APPLY = "application/apply-patch+yaml"  # JSON is YAML, too
_JSON = "application/json"
_PATIENCE = 30.0  # seconds for one request with all its repetitions
_CONNECT, _READ = 5.0, 30.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_RELISTS = 3
_CHUNK, _LONGEST_NO, _LONGEST_LINE = 1 << 16, 1 << 16, 1 << 24  # bytes
# bytes; an object has 3 MiB at most, a page of usual ones has as much, and one of the largest would not fit into memory
_LONGEST_ANSWER = 1 << 23
_SHOWN = 256
_AGAIN = frozenset({429, 500, 502, 503, 504})
_HEADERS = {"Accept": _JSON, "User-Agent": f"gitcd/{__version__}"}

_WARNING = re.compile(r'^\d{3} \S+ "(.*)"$')  # as RFC 7234 has it: a code, who warns, and the text

_log = logging.getLogger(__name__)

Json = dict[str, Any]
Query = Mapping[str, str | int]
Item = TypeVar("Item")


class DeclinedError(RefusedError):
    """The API server's no. `status` is that of HTTP, `reason` the one word in which it says why, such as NotFound."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"the cluster says {reason or status}: {message}")
        self.status = status
        self.reason = reason
        self.words = message


class _TooLongError(TransientError):
    """An answer that is not read to its end."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query
    body: Json | None = None
    kind: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Type": self.kind} if self.kind else {}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    value: Json
    retry_after: float

    @property
    def is_good(self) -> bool:
        return _is_good(self.status)


class Api:
    """One API server.

    `deadline` is a moment of `time.monotonic()` at which everything ends. `calls` counts requests with repetitions.
    Every method raises `DeclinedError` where the server refuses, TransientError where it cannot be reached or remains
    in trouble, and ConfigError where it does not accept the credentials.
    """

    def __init__(
        self,
        access: Access,
        *,
        deadline: float = math.inf,
        patience: float = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = access.server
        self.namespace = access.namespace
        self.calls = 0
        self._access = access
        self._deadline = deadline
        self._patience = patience
        self._sleep = sleep
        self._warnings: set[str] = set()

    def hurried(self, patience: float) -> Api:
        """The same server for those who wait no longer than so many seconds for one request."""
        return Api(self._access, deadline=self._deadline, patience=patience, sleep=self._sleep)

    def get(self, path: str, query: Query | None = None) -> Json:
        return self._ask(_Request("GET", path, query or {}))

    def create(self, path: str, body: Json, query: Query | None = None) -> Json:
        """POST. It is tried again, so the name should be one that tells twice the same from two."""
        return self._ask(_Request("POST", path, query or {}, body, _JSON))

    def replace(self, path: str, body: Json) -> Json:
        """PUT. The body names the resourceVersion that it replaces; where that has gone, the answer is Conflict."""
        return self._ask(_Request("PUT", path, {}, body, _JSON))

    def apply(self, path: str, body: Json, *, manager: str, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply, to an object or a subresource of it."""
        query: dict[str, str | int] = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return self._ask(_Request("PATCH", path, query, body, APPLY))

    def collect(self, path: str, take: Callable[[Json], Item], query: Query | None = None) -> list[Item]:
        """What `take` makes of each object of a list, which is read page by page; from the start where a page expires.

        An answer that is no list is trouble, never an empty list.
        """
        for _ in range(_RELISTS):
            try:
                return [take(item) for item in self._items(path, dict(query or {}))]
            except DeclinedError as answer:
                if answer.status != HTTPStatus.GONE:
                    raise
                _log.info("%s: a page expired, listing anew", path)
        raise TransientError(f"{self.server} lets every list of {path} expire before its end", remedy="Run again.")

    def stream(self, path: str, query: Query, silence: float) -> Iterator[Json]:
        """The objects of an answer that goes on, line by line, until the server ends it.

        `silence` is how many seconds without a word are taken for a broken connection.
        """
        import urllib3

        timeout = urllib3.Timeout(connect=_CONNECT, read=silence)
        try:
            response = self._send(_Request("GET", path, query), timeout, preload_content=False)
            try:
                if not _is_good(response.status):
                    value = _value(response.read(_LONGEST_NO), response.status)
                    raise _no(_Answer(response.status, value, _seconds(response.headers)), self.server)
                yield from map(_event, _lines(response.stream(_CHUNK)))
            finally:
                response.close()
        except urllib3.exceptions.SSLError as error:
            raise _untrusted(self.server, error) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _trouble(error, self.server) from error

    def _items(self, path: str, query: dict[str, str | int]) -> Iterator[Json]:
        limit = PAGE
        while True:
            try:
                page = self._ask(_Request("GET", path, {**query, "limit": limit}))
            except _TooLongError:
                if limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            if not _is_list(page):
                raise TransientError(f"{self.server} answers {path} with no list", remedy="Run again.")
            yield from page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    def _ask(self, request: _Request) -> Json:
        ends = min(time.monotonic() + self._patience, self._deadline)
        pause = _FIRST_PAUSE
        while True:
            answer = self._attempt(request, ends)
            if isinstance(answer, _Answer):
                if answer.is_good:
                    return answer.value
                if answer.status not in _AGAIN:
                    raise _refusal(answer, self.server)
            wait = max(pause * random.uniform(0.5, 1), _wish(answer))  # noqa: S311 - jitter, no secret
            if time.monotonic() + wait >= ends:
                raise _trouble(answer, self.server)
            _log.debug("%s %s: %s, again in %.1f s", request.method, request.path, _words(answer), wait)
            self._sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, request: _Request, ends: float) -> _Answer | Exception:
        """One request; an exception where there was no answer."""
        import urllib3

        left = max(ends - time.monotonic(), 0.1)
        try:
            timeout = urllib3.Timeout(connect=min(_CONNECT, left), read=min(_READ, left))
            response = self._send(request, timeout, preload_content=False)
            self._warn(response.headers.getlist("Warning"))
            data = _whole(response, self.server)
            return _Answer(response.status, _value(data, response.status), _seconds(response.headers))
        except urllib3.exceptions.SSLError as error:
            raise _untrusted(self.server, error) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return error

    def _send(self, request: _Request, timeout: urllib3.Timeout, **how: Any) -> urllib3.BaseHTTPResponse:
        self.calls += 1
        return self._access.pool.request(
            request.method,
            f"{self.server}{request.path}" + (f"?{urlencode(request.query)}" if request.query else ""),
            body=None if request.body is None else json.dumps(request.body),
            headers={**_HEADERS, **self._access.authorize(), **request.headers},
            timeout=timeout,
            retries=False,
            redirect=False,
            **how,
        )

    def _warn(self, headers: Iterable[str]) -> None:
        """Pass on what the server warns of, once: fields that it does not know, versions that will go."""
        for header in headers:
            text = redact.clean(_WARNING.sub(r"\1", header).replace(r"\"", '"'))[:_SHOWN]
            if text not in self._warnings:
                self._warnings.add(text)
                _log.warning("%s warns: %s", self.server, text)


def _whole(response: urllib3.BaseHTTPResponse, server: str) -> bytes:
    """The body, after which the connection is free for the next request.

    Raises:
        _TooLongError: there is more of it than is read.
    """
    data = response.read(_LONGEST_ANSWER + 1)
    if len(data) > _LONGEST_ANSWER:
        response.close()
        raise _TooLongError(f"{server} answers with more than {_LONGEST_ANSWER} bytes", remedy="Run again.")
    response.release_conn()
    return data


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a body that comes bit by bit; what has no end yet is none.

    Raises:
        ValueError: one is longer than any object of an API server.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)
        if len(rest) > _LONGEST_LINE:
            raise ValueError("a line of the answer is too long")


def _event(line: bytes) -> Json:
    return _value(line, HTTPStatus.OK)


def _no(answer: _Answer, server: str) -> Exception:
    return _trouble(answer, server) if answer.status in _AGAIN else _refusal(answer, server)


def _is_good(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _value(data: bytes, status: int) -> Json:
    """The object that an answer holds. A good answer has to be one; what else a bad one holds is passed over."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    if _is_good(status):
        raise ValueError("the answer is no object")
    return {}


def _is_list(page: Json) -> bool:
    """Whether it is a list of objects as an API server has them, so that an empty one can be believed."""
    items, metadata = page.get("items"), page.get("metadata")
    return (
        str(page.get("kind", "")).endswith("List")
        and isinstance(metadata, dict)
        and isinstance(items, list)
        and all(isinstance(item, dict) and _is_named(item.get("metadata")) for item in items)
    )


def _is_named(metadata: object) -> bool:
    return isinstance(metadata, dict) and all(isinstance(metadata.get(key), str) for key in ("namespace", "name"))


def _seconds(headers: Mapping[str, str]) -> float:
    """What Retry-After asks for; API servers give whole seconds."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _wish(answer: _Answer | Exception) -> float:
    return answer.retry_after if isinstance(answer, _Answer) else 0.0


def _words(answer: _Answer | Exception) -> str:
    """What went wrong, in short, and without a body that is no Status: it may hold anything."""
    if isinstance(answer, Exception):
        return redact.clean(f"{type(answer).__name__}: {answer}")[:_SHOWN]
    return f"{answer.status} {_message(answer)}".strip()


def _message(answer: _Answer) -> str:
    message = answer.value.get("message") if answer.value.get("kind") == "Status" else ""
    return redact.clean(message)[:_SHOWN] if isinstance(message, str) else ""


def _refusal(answer: _Answer, server: str) -> Exception:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return ConfigError(
            f"{server} does not accept these credentials", remedy="Sign in again, or choose another --context."
        )
    reason = answer.value.get("reason")
    return DeclinedError(answer.status, reason if isinstance(reason, str) else "", _message(answer))


def _trouble(answer: _Answer | Exception, server: str) -> TransientError:
    what = "answers" if isinstance(answer, _Answer) else "cannot be reached:"
    return TransientError(f"{server} {what} {_words(answer)}", remedy="Run again.")


def _untrusted(server: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{server} shows a certificate that is not trusted: {redact.clean(str(error))[:_SHOWN]}",
        remedy="Correct the certificate authority or the client certificate in the kubeconfig.",
    )
