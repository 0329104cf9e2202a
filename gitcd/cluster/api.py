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
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from gitcd import __version__, redact
from gitcd.cluster import answers, asking
from gitcd.cluster.access import Access
from gitcd.cluster.answers import Answer, Cause, DeclinedError, Json
from gitcd.cluster.asking import Heard, Unheard
from gitcd.errors import TransientError

if TYPE_CHECKING:
    import urllib3

PAGE = 500
APPLY = "application/apply-patch+yaml"  # JSON is YAML, too
_JSON_PATCH = "application/json-patch+json"
_JSON = "application/json"
_PATIENCE = 30.0  # seconds for one request with all its repetitions
_WEBHOOK_PATIENCE = 3.0  # seconds, where the server is well and an admission webhook is not
_CONNECT, _READ = 5.0, 30.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_RELISTS = 3
_CHUNK, _LONGEST_NO, _LONGEST_TEXT = 1 << 16, 1 << 16, 1 << 18  # bytes
_SHOWN = 256
_HEADERS = {"Accept": _JSON, "User-Agent": f"gitcd/{__version__}"}

_WARNING = re.compile(r'^\d{3} \S+ "(.*)"$')  # as RFC 7234 has it: a code, who warns, and the text

__all__ = ["Api", "Cause", "DeclinedError", "Json", "Query"]

_log = logging.getLogger(__name__)

Query = Mapping[str, str | int]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query
    body: Json | list[Json] | None = None
    kind: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Type": self.kind} if self.kind else {}


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
        # Validation would parse the body once more to find keys that stand twice; what this sends has none, and fields
        # that are not in the schema are refused all the same.
        query: dict[str, str | int] = {
            "fieldManager": manager,
            "force": str(force).lower(),
            "fieldValidation": "Ignore",
        }
        if dry_run:
            query["dryRun"] = "All"
        return self._ask(_Request("PATCH", path, query, body, APPLY))

    def patch(self, path: str, operations: Iterable[Json], *, manager: str, dry_run: bool = False) -> Json:
        """A JSON patch (RFC 6902). It is tried again, so one that must not be made twice begins with a test."""
        query: Query = {"fieldManager": manager, "dryRun": "All"} if dry_run else {"fieldManager": manager}
        return self._ask(_Request("PATCH", path, query, list(operations), _JSON_PATCH))

    def delete(self, path: str, body: Json) -> Json:
        """DELETE. The body, a DeleteOptions, names the very object that is meant."""
        return self._ask(_Request("DELETE", path, {}, body, _JSON))

    def text(self, path: str, query: Query | None = None) -> str:
        """What is no JSON, such as the log of a container; asked for once, and read as far as it is not too long."""
        import urllib3

        timeout = urllib3.Timeout(connect=_CONNECT, read=_READ)
        try:
            response = self._send(_Request("GET", path, query or {}), timeout, preload_content=False)
            try:
                data = response.read(_LONGEST_TEXT)
                if not answers.is_good(response.status):
                    raise answers.no(Answer(response.status, answers.value(data, response.status), 0.0), self.server)
                return data.decode(errors="replace")
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise answers.unanswered(error, self.server) from error

    def knock(self, path: str, seconds: float, most: Callable[[int, str], int]) -> Heard | Unheard:
        """What somebody behind the server answers, to whom it forwards the question; see `asking.ask`."""
        question = _Request("GET", path, {})
        return asking.ask(lambda timeout: self._send(question, timeout, preload_content=False), seconds, most)

    def collect(
        self, path: str, take: Callable[[Json], Item], query: Query | None = None, *, namespaced: bool = True
    ) -> list[Item]:
        """What `take` makes of each object of a list, which is read page by page; from the start where a page expires.

        An answer that is no list is trouble, never an empty list. `namespaced`: whether its objects have namespaces.
        """
        for _ in range(_RELISTS):
            try:
                return [take(item) for item in self._items(path, dict(query or {}), namespaced=namespaced)]
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
                if not answers.is_good(response.status):
                    value = answers.value(response.read(_LONGEST_NO), response.status)
                    raise answers.no(Answer(response.status, value, answers.seconds(response.headers)), self.server)
                yield from map(answers.event, answers.lines(response.stream(_CHUNK)))
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise answers.unanswered(error, self.server) from error

    def _items(self, path: str, query: dict[str, str | int], *, namespaced: bool) -> Iterator[Json]:
        limit = PAGE
        while True:
            try:
                page = self._ask(_Request("GET", path, {**query, "limit": limit}))
            except answers.TooLongError:
                if limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            if not answers.is_list(page, namespaced=namespaced):
                raise TransientError(f"{self.server} answers {path} with no list", remedy="Run again.")
            yield from page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    def _ask(self, request: _Request) -> Json:
        begun = time.monotonic()
        ends = min(begun + self._patience, self._deadline)
        pause = _FIRST_PAUSE
        while True:
            answer = self._attempt(request, ends)
            if isinstance(answer, Answer):
                if answer.is_good:
                    return answer.value
                if not answers.may_pass(answer):
                    raise answers.refusal(answer, self.server)
            if answers.stuck_webhook(answer):  # this one alone is stuck: it shall not keep others for long
                ends = min(ends, begun + _WEBHOOK_PATIENCE)
            wait = max(pause * random.uniform(0.5, 1), answers.wish(answer))  # noqa: S311 - jitter, no secret
            if time.monotonic() + wait >= ends:
                raise answers.trouble(answer, self.server)
            _log.debug("%s %s: %s, again in %.1f s", request.method, request.path, answers.words(answer), wait)
            self._sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, request: _Request, ends: float) -> Answer | Exception:
        """One request; an exception where there was no answer."""
        import urllib3

        left = max(ends - time.monotonic(), 0.1)
        try:
            timeout = urllib3.Timeout(connect=min(_CONNECT, left), read=min(_READ, left))
            response = self._send(request, timeout, preload_content=False)
            self._warn(request, response.headers.getlist("Warning"))
            data = answers.whole(response, self.server)
            return Answer(response.status, answers.value(data, response.status), answers.seconds(response.headers))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if answers.is_untrusted(error):
                raise answers.unanswered(error, self.server) from error
            return error

    def _send(self, request: _Request, timeout: urllib3.Timeout, **how: Any) -> urllib3.BaseHTTPResponse:
        self.calls += 1
        return self._access.send(
            request.method,
            f"{request.path}?{_encoded(tuple(request.query.items()))}" if request.query else request.path,
            body=None if request.body is None else json.dumps(request.body),
            headers={**_HEADERS, **self._access.authorize(), **request.headers},
            timeout=timeout,
            retries=False,
            **how,
        )

    def _warn(self, request: _Request, headers: Iterable[str]) -> None:
        """Pass on what the server warns of, once: fields that it does not know, versions that will go."""
        for header in headers:
            text = redact.clean(_WARNING.sub(r"\1", header).replace(r"\"", '"'))[:_SHOWN]
            if text not in self._warnings:
                self._warnings.add(text)
                _log.warning("%s warns of %s: %s", self.server, request.path, text)


@lru_cache(maxsize=64)
def _encoded(query: tuple[tuple[str, str | int], ...]) -> str:
    """A query as it stands in an address; a thousand requests have the same one."""
    return urlencode(query)
