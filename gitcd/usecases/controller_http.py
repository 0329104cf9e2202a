"""What `gitcd run` serves: probes, metrics, and the list that cvmanager served. Nothing can be changed through it."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gitcd import __version__, redact
from gitcd.cluster.review import Deed, Reviewer, Verdict
from gitcd.errors import ConfigError, GitcdError
from gitcd.model.declaration import GROUP, PLURAL
from gitcd.rendering import metrics
from gitcd.rendering.workloads import as_json, as_page
from gitcd.usecases.controller import Health
from gitcd.usecases.controller_workloads import Workloads
from gitcd.usecases.metrics import Meter

_AT_ONCE = 16
_MOST_FIELDS = 10
_POLL = 0.1  # seconds: how late its end is noticed
_SECONDS = 10.0  # for a whole request to come in, and for the answer to be taken
_LIST = "/v1/cv/workloads"
_PLAIN, _JSON, _HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
_OPEN = frozenset({"/healthz", "/readyz", "/alive", "/version"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    body: str
    kind: str = _PLAIN


@dataclass(frozen=True, slots=True)
class Question:
    """A request: its path, what its query says, and the token that came with it."""

    path: str
    query: dict[str, str]
    token: str = ""

    @property
    def deed(self) -> Deed:
        """What the cluster is asked whether they may do it."""
        if self.path == _LIST or self.path.startswith(f"{_LIST}/"):
            return Deed(group=GROUP, resource=PLURAL, namespace=self.query.get("namespace", ""))
        return Deed(path=self.path)


@dataclass(frozen=True, slots=True)
class Site:
    """What is served. Without a `reviewer` everybody may read all; without `workloads` there is no list of them."""

    health: Health
    meter: Meter
    workloads: Callable[[], Workloads]
    reviewer: Reviewer | None = None

    def answer(self, question: Question) -> Answer:
        """The answer to a GET."""
        try:
            return self._refusal(question) or self._page(question)
        except GitcdError as error:
            text = redact.clean(error.message)
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n")

    def _refusal(self, question: Question) -> Answer | None:
        if self.reviewer is None or question.path in _OPEN:
            return None
        match self.reviewer.judge(question.token, question.deed):
            case Verdict.ALLOWED:
                return None
            case Verdict.UNKNOWN:
                return Answer(HTTPStatus.UNAUTHORIZED, "send a token of the cluster: Authorization: Bearer TOKEN\n")
            case Verdict.FORBIDDEN:
                deed = question.deed
                what = f"list {deed.resource}.{deed.group}" if deed.resource else f"get {deed.path}"
                where = f" in namespace {deed.namespace}" if deed.namespace else ""
                return Answer(HTTPStatus.FORBIDDEN, f"the cluster does not let you {what}{where}\n")

    def _page(self, question: Question) -> Answer:
        match question.path:
            case "/healthz" | "/alive":
                return _probe(self.health.is_alive, "the loop stands still")
            case "/readyz":
                return _probe(self.health.is_alive and self.health.is_ready, "no look has come to its end yet")
            case "/version":
                return Answer(HTTPStatus.OK, json.dumps({"version": __version__}) + "\n", _JSON)
            case "/metrics":
                return Answer(HTTPStatus.OK, self._metrics(), metrics.CONTENT_TYPE)
            case path if path == _LIST or path.startswith(f"{_LIST}/"):
                return self._list(question, path.removeprefix(_LIST).strip("/"))
            case _:
                return Answer(HTTPStatus.NOT_FOUND, "there is /healthz /readyz /metrics /version and " + _LIST + "\n")

    def _metrics(self) -> str:
        leads = metrics.Family(
            "gitcd_leader", "gauge", "Whether this process is the one that works.", (metrics.Sample(self.health.leads),)
        )
        return metrics.exposition([*self.meter.totals(), *self.meter.state(), leads])

    def _list(self, question: Question, name: str) -> Answer:
        form = question.query.get("format", "json")
        if form not in {"json", "html"}:
            return Answer(HTTPStatus.BAD_REQUEST, "format is json or html\n")
        rows = self.workloads().rows(question.query.get("namespace", ""))
        if name:
            rows = tuple(row for row in rows if name in {row.cv, row.name})
        if name and not rows:
            return Answer(HTTPStatus.NOT_FOUND, "no workload, and no ContainerVersion with one, has that name\n")
        return (
            Answer(HTTPStatus.OK, as_page(rows), _HTML)
            if form == "html"
            else Answer(HTTPStatus.OK, as_json(rows), _JSON)
        )


def _probe(good: bool, why: str) -> Answer:
    return Answer(HTTPStatus.OK, "ok\n") if good else Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}\n")


class Server:
    """Serves a site in threads that keep no process from ending; so many at once, and no more."""

    def __init__(self, site: Site, address: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"site": site})
        try:
            self._server = _Bounded((address, port), handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"nothing can be served at {address or 'all addresses'}, port {port}: {why}",
                remedy="Choose another --port, or --address.",
            ) from error

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(_POLL,), name="http", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Bounded(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        ends = threading.Timer(_SECONDS, _cut, [request])
        ends.daemon = True
        ends.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ends.cancel()
            self._free.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A reader that goes away, or says nothing for too long, is no trouble of ours."""
        _log.debug("a request was not answered", exc_info=True)


def _cut(request: socket.socket) -> None:
    """Who sends or takes a byte now and then would otherwise be waited for for ever."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def _question(target: str, authorization: str) -> Question:
    """A request's target and the header that says who asks.

    Raises:
        ValueError: the target is none.
    """
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query, max_num_fields=_MOST_FIELDS).items()}
    scheme, _, token = authorization.partition(" ")
    return Question(unquote(parts.path).rstrip("/") or "/", query, token.strip() if scheme.lower() == "bearer" else "")


class _Handler(BaseHTTPRequestHandler):
    """One request for each connection, without a body."""

    site: Site
    timeout = _SECONDS
    server_version = "gitcd"
    sys_version = ""

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or self.headers.get("Transfer-Encoding"):
            self._send(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request with a body is not read\n"))
            return
        try:
            question = _question(self.path, self.headers.get("Authorization", ""))
        except ValueError:
            self._send(Answer(HTTPStatus.BAD_REQUEST, "this is no address\n"))
            return
        self._send(self.site.answer(question))

    do_HEAD = do_GET  # noqa: N815 - the name that the base class looks for

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {**_HEADERS, "Content-Type": answer.kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if answer.status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds; nobody reads a line for each."""
