"""A proxy on loopback that knows CONNECT, as those of companies do for https."""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.listening import Quiet, listening


@dataclass
class Proxy:
    """`asked` holds the host and port of every connection that was asked for."""

    user: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.user}{'@' if self.user else ''}127.0.0.1:{self.port}"


@contextmanager
def proxy(user: str = "") -> Iterator[Proxy]:
    """Start one; `user` is a name and a password that it asks for, as `name:password`."""
    state = Proxy(user)

    class Handler(_Handler):
        proxy_state = state

    with listening(Handler) as state.port:
        yield state


class _Handler(Quiet):
    proxy_state: Proxy
    protocol_version = "HTTP/1.1"  # who is asked for a password tries again on the same connection

    def do_CONNECT(self) -> None:
        state = self.proxy_state
        state.asked.append(self.path)
        wanted = base64.b64encode(state.user.encode()).decode()
        if state.user and self.headers.get("Proxy-Authorization", "") != f"Basic {wanted}":
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            _join(self.connection, there)
        self.close_connection = True


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            (other if ready is one else one).sendall(data)
