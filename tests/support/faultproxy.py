"""A proxy in front of the API server that does what a bad day does.

    with faultproxy.before(control_plane) as proxy:
        proxy.plane                          # the ControlPlane by way of the proxy: its kubeconfigs name it
        proxy.answer(429, path="/containerversions", retry_after=1, times=2)
        proxy.answer(410, path="continue=")  # the next page of a list has expired
        proxy.expire_watch(path="watch=")    # a watch that answers 200 and then an ERROR event of 410, as a real one does
        proxy.cut(path="watch=", after=100)  # the connection breaks after so many bytes of the body
        proxy.delay(0.5, method="GET")
        proxy.say("a line of a log", path="/log")  # 200 and that text
        proxy.close_streams()                # every watch that is open now ends
        proxy.seen                           # (method, path with query) of every request

A fault holds for the next `times` requests whose method is `method` and whose path with its query matches the regular
expression `path`; the first that matches is taken.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from types import MappingProxyType
from typing import Any, ClassVar

from tests.support.controlplane import ControlPlane
from tests.support.listening import Quiet, Server, listening

_REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "host"}
_CHUNK = 64 * 1024


@dataclass
class Fault:
    method: str
    path: str
    times: int
    status: int = 0
    retry_after: int | None = None
    event: bool = False  # the status comes as an event of a watch
    cut_after: int | None = None
    seconds: float = 0
    text: str | None = None

    def takes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"", method} and re.search(self.path, path) is not None


@dataclass
class Proxy:
    upstream: ControlPlane
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _streams: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def plane(self) -> ControlPlane:
        return self.upstream.through(f"https://127.0.0.1:{self.port}")

    def answer(
        self, status: int, *, path: str = "", method: str = "", times: int = 1, retry_after: int | None = None
    ) -> None:
        self.faults.append(Fault(method, path, times, status=status, retry_after=retry_after))

    def expire_watch(self, *, path: str = "watch=", times: int = 1) -> None:
        self.faults.append(Fault("GET", path, times, status=410, event=True))

    def cut(self, *, after: int = 0, path: str = "", method: str = "", times: int = 1) -> None:
        self.faults.append(Fault(method, path, times, cut_after=after))

    def delay(self, seconds: float, *, path: str = "", method: str = "", times: int = 1) -> None:
        self.faults.append(Fault(method, path, times, seconds=seconds))

    def say(self, text: str, *, path: str = "", method: str = "", times: int = 1) -> None:
        self.faults.append(Fault(method, path, times, text=text))

    def close_streams(self) -> None:
        with self._lock:
            for stream in self._streams:
                with suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)

    def pick(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append((method, path))
            fault = next((fault for fault in self.faults if fault.takes(method, path)), None)
            if fault:
                fault.times -= 1
            return fault

    @contextmanager
    def streaming(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._streams.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(connection)


@contextmanager
def before(plane: ControlPlane) -> Iterator[Proxy]:
    """Serve on a free port of loopback with the API server's own certificate, so that clients verify it as ever."""
    proxy = Proxy(plane)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    files = plane.ca.with_name("serving.crt"), plane.ca.with_name("serving.key")
    with listening(handler, tls=files, server=_Server) as proxy.port:
        try:
            yield proxy
        finally:
            proxy.close_streams()


class _Server(Server):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone, or a connection that a fault broke, is no news."""


class _Handler(Quiet):
    protocol_version = "HTTP/1.1"
    proxy: ClassVar[Proxy]

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.pick(self.command, self.path)
        if fault and fault.seconds:
            time.sleep(fault.seconds)
        if fault and fault.text is not None:
            self._answer(200, "text/plain", fault.text.encode())
        elif fault and fault.status:
            self._say(fault)
        else:
            self._forward(body, fault.cut_after if fault else None)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815 - the names of http.server

    def _say(self, fault: Fault) -> None:
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "a fault of the test",
            "reason": _REASONS.get(fault.status, ""),
            "code": fault.status,
        }
        content = json.dumps({"type": "ERROR", "object": status} if fault.event else status).encode() + b"\n"
        wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        self._answer(200 if fault.event else fault.status, "application/json", content, wait)

    def _answer(self, status: int, kind: str, content: bytes, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _forward(self, body: bytes, cut_after: int | None) -> None:
        plane = self.proxy.upstream
        host, _, port = plane.server.removeprefix("https://").partition(":")
        connection = HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=str(plane.ca)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            with self.proxy.streaming(connection.sock), self.proxy.streaming(self.connection):
                self._relay(answer, cut_after)
        finally:
            connection.close()

    def _relay(self, answer: HTTPResponse, cut_after: int | None) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        with suppress(HTTPException, OSError):
            while chunk := answer.read1(_CHUNK):
                if cut_after is not None and sent + len(chunk) > cut_after:
                    self._chunk(chunk[: cut_after - sent])
                    self.close_connection = True
                    return
                self._chunk(chunk)
                sent += len(chunk)
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
