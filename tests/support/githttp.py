"""A git server over http on loopback, by git's own CGI program: it outlives a client that is killed."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.listening import Quiet, listening


@dataclass
class GitServer:
    """`seen` holds the Authorization header of every request, `paths` what was asked for.

    With a `token` it lets in whoever shows it by basic authentication; with an `authorization`, that header alone.
    """

    root: Path
    token: str = ""
    username: str = "x-access-token"
    authorization: str = ""
    redirect: str = ""
    port: int = 0
    scheme: str = "http"
    seen: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def url(self, path: Path) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{path.relative_to(self.root)}"

    def lets_in(self, header: str) -> bool:
        if self.authorization:
            return header == self.authorization
        wanted = base64.b64encode(f"{self.username}:{self.token}".encode()).decode()
        return not self.token or header == f"Basic {wanted}"


@contextmanager
def serve(root: Path, *, tls: tuple[Path, Path] | None = None, **settings: str) -> Iterator[GitServer]:
    """Serve the bare repositories below `root`; by https with `tls`, the files of a certificate and of its key."""
    state = GitServer(root, scheme="https" if tls else "http", **settings)

    class Handler(_Handler):
        server_state = state

    with listening(Handler, tls=tls) as state.port:
        yield state


class _Handler(Quiet):
    server_state: GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _answer(self, body: bytes) -> None:
        state = self.server_state
        state.paths.append(self.path)
        state.seen.append(self.headers.get("Authorization", ""))
        if state.redirect:
            self._plain(307, {"Location": state.redirect + self.path})
        elif not state.lets_in(state.seen[-1]):
            self._plain(401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._backend(body)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
            "GIT_PROJECT_ROOT": str(self.server_state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        try:
            self._plain(int(headers.pop("Status", "200").split()[0]), headers | {"Content-Length": str(len(content))})
            self.wfile.write(content)
        except OSError:
            pass  # the client is gone

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(parts)
