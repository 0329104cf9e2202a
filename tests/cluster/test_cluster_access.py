"""How requests reach an API server: below a path, and through a proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api


@contextmanager
def recorder() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server whose every answer is an object; with the targets that it was asked for, and the hosts."""
    seen: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Host"]))
            body = b'{"kind": "Thing"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def _api(folder: Path, server: str, **more: str) -> Api:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, **more}}],
        "users": [{"name": "it", "user": {"token": "t0ken"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return Api(find_access(str(path)), patience=5)


@pytest.mark.parametrize("below", ["", "/k8s/clusters/c-m-1", "/k8s/clusters/c-m-1/"])
def test_a_server_may_stand_below_a_path(tmp_path: Path, below: str) -> None:
    with recorder() as (address, seen):
        api = _api(tmp_path, address + below)
        assert api.get("/api/v1/pods", {"limit": 2}) == {"kind": "Thing"}
        assert api.get("/version") == {"kind": "Thing"}
    host = address.removeprefix("http://")
    assert seen == [(f"{below.rstrip('/')}/api/v1/pods?limit=2", host), (f"{below.rstrip('/')}/version", host)]


def test_a_proxy_without_a_tunnel_is_given_the_whole_address(tmp_path: Path) -> None:
    with recorder() as (proxy, seen):
        api = _api(tmp_path, "http://api.example.com:6443/below", **{"proxy-url": proxy})
        assert api.get("/api/v1/pods", {"limit": 2}) == {"kind": "Thing"}
    assert seen == [("http://api.example.com:6443/below/api/v1/pods?limit=2", "api.example.com:6443")]
