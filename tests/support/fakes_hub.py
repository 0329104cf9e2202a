"""What the stateful fakes of forges share: branches and pull requests in memory, a real HTTP server, faults on demand.

A fake is a subclass of `Fake` whose methods are marked with `route`; each gets the parts of the path that its pattern
captures, and returns a status and what shall be sent as JSON.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.listening import Quiet, listening

Reply = tuple[int, Any]


@dataclass
class Pull:
    number: int
    branch: str
    base: str
    title: str
    body: str
    author: str = "bot"
    state: str = "open"  # open, closed, merged
    draft: bool = False
    head: str = ""
    merge_commit: str = ""
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    auto_merge: str = ""
    updated: str = ""


@dataclass
class Fault:
    """Answer requests that match with this instead; `after`: only once they have been carried out.

    The status 0 is no answer at all: the connection ends.
    """

    method: str
    path: str
    status: int
    times: int = 1
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class Request:
    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    headers: Mapping[str, str]

    @property
    def asked(self) -> dict[str, str]:
        return dict(self.query)


class Hub:
    """One repository. `tokens` are those that are let in, `checking` is how many merges find the forge not ready."""

    def __init__(self) -> None:
        self.branches = {"main": "a" * 40}
        self.pulls: list[Pull] = []
        self.users = {"bot": 1, "reviewer": 2}
        self.tokens = {"token-of-tests"}
        self.protected: set[str] = set()
        self.conflict = False
        self.checking = 0
        self.statuses: list[tuple[str, str, str]] = []
        self._count = itertools.count(1)
        self._start = datetime(2026, 11, 20, tzinfo=UTC)

    def commit(self, branch: str) -> str:
        """A new commit on a branch, which begins at `main` where it is new."""
        oid = hashlib.sha1(f"{branch} {next(self._count)}".encode()).hexdigest()
        self.branches[branch] = oid
        for pull in self.pulls:
            if pull.state == "open" and pull.branch == branch:
                pull.head = oid
        return oid

    def open(self, branch: str, base: str, title: str, body: str, *, draft: bool = False) -> Pull:
        pull = Pull(len(self.pulls) + 1, branch, base, title, body, draft=draft, head=self.branches[branch])
        self.pulls.append(pull)
        return self.touch(pull)

    def find(self, number: str | int) -> Pull | None:
        return next((pull for pull in self.pulls if pull.number == int(number)), None)

    def listed(self, branch: str, base: str, *states: str) -> list[Pull]:
        """The newest change first."""
        found = [
            pull
            for pull in self.pulls
            if pull.state in states and pull.branch == (branch or pull.branch) and pull.base == (base or pull.base)
        ]
        return sorted(found, key=lambda pull: pull.updated, reverse=True)

    def merge(self, pull: Pull) -> None:
        pull.state, pull.merge_commit = "merged", self.commit(pull.base)
        self.touch(pull)

    def touch(self, pull: Pull) -> Pull:
        pull.updated = (self._start + timedelta(minutes=next(self._count))).isoformat()
        return pull


Handler = Callable[..., Reply]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    def mark(function: Handler) -> Handler:
        function.__dict__["route"] = (method, re.compile(pattern))
        return function

    return mark


class Fake:
    """A server of one forge's API. `requests` are all that came in, with what they carried."""

    prefix = ""

    def __init__(self) -> None:
        self.hub = Hub()
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.url = ""
        self.page_size = 100
        self._lock = threading.Lock()
        members = (getattr(self, name) for name in dir(type(self)) if not name.startswith("__"))
        self._routes = [(*member.route, member) for member in members if hasattr(member, "route")]

    def fail(self, method: str, path: str, status: int, **more: Any) -> Fault:
        """Let the next matching requests fail; `path` is a regular expression for a part of the path."""
        self.faults.append(Fault(method, path, status, **more))
        return self.faults[-1]

    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization", "").rpartition(" ")[2] in self.hub.tokens

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        with self._lock:
            self.requests.append(request)
            fault = next((each for each in self.faults if each.times and _matches(each, request)), None)
            if fault:
                fault.times -= 1
                if fault.after:
                    self.carry_out(request)
                return fault.status, fault.body, fault.headers
            return self.carry_out(request)

    def carry_out(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(request.path.removeprefix(self.prefix))
            if method == request.method and found:
                if not getattr(handler, "open_to_all", False) and not self.lets_in(request.headers):
                    return 401, {"message": "Bad credentials"}, {}
                status, body = handler(request, *map(unquote, found.groups()))
                return self.paged(request, status, body)
        return 404, {"message": f"no route for {request.method} {request.path}"}, {}

    def paged(self, request: Request, status: int, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Lists come page by page, with a `Link` to the next one."""
        if not isinstance(body, list) or len(body) <= self.page_size:
            return status, body, {}
        page = int(request.asked.get("page", 1))
        rest = len(body) > page * self.page_size
        query = "&".join(f"{key}={value}" for key, value in request.query if key != "page")
        link = {"Link": f'<{self.url}{request.path}?{query}&page={page + 1}>; rel="next"'} if rest else {}
        return status, body[(page - 1) * self.page_size : page * self.page_size], link


def _matches(fault: Fault, request: Request) -> bool:
    return fault.method in {request.method, "*"} and bool(re.search(fault.path, request.path))


@contextmanager
def serving(fake: Fake) -> Iterator[None]:
    """Serve the fake on loopback; its `url` is set."""

    class Served(_Handler):
        fake_forge = fake

    with listening(Served) as port:
        fake.url = f"http://127.0.0.1:{port}"
        yield


class _Handler(Quiet):
    fake_forge: Fake
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def _serve(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qsl(url.query, keep_blank_values=True)
        request = Request(self.command, url.path, query, json.loads(data) if data else None, headers)
        status, body, more = self.fake_forge.answer(request)
        if not status:
            self.close_connection = True
            return
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(content))} | more).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the client has heard enough
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names are the base class's
