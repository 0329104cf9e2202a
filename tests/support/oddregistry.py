"""A registry that does as it is told: for faults of the protocol that no real one shows, and for large repositories.

with OddRegistry() as odd:
    digest = odd.put("team/app", "1.0.0")
    odd.answers["HEAD manifests/1.0.0"] = [Reply(429, {"Retry-After": "0"})]
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.listening import Quiet, listening

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PAGE = 1000


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Said:
    """An answer in place of the true one. `body` None: that of the true one; `cut`: the connection breaks inside it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    cut: bool = False
    delay: float = 0
    without: tuple[str, ...] = ()


@dataclass
class Asked:
    method: str
    path: str
    authorization: str


class OddRegistry:
    """`asked` are the requests; `answers` holds what is said in place of the truth, by method and end of the path."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.names: dict[str, list[str]] = {}
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Said]] = {}
        self.page = PAGE
        self.lock = threading.Lock()

    def put(self, repository: str, *tags: str, seed: str = "", annotations: Mapping[str, str] | None = None) -> str:
        config = json.dumps({"seed": seed or tags[0], "os": "linux", "architecture": "amd64"}).encode()
        self.blobs[sha256(config)] = config
        document: dict[str, Any] = {
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(config), "size": len(config)},
        }  # fmt: skip
        if annotations:
            document["annotations"] = dict(annotations)
        data = json.dumps(document).encode()
        for name in (sha256(data), *tags):
            self.manifests[repository, name] = data
        self.names.setdefault(repository, []).extend(tags)
        return sha256(data)

    def counted(self, part: str) -> int:
        """How many requests had this in their method and path."""
        return sum(part in f"{each.method} {each.path}" for each in self.asked)

    def __enter__(self) -> Self:
        odd = self

        class Handler(Quiet):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                said = odd.answer(self.command, self.path, self.headers.get("Authorization", ""))
                time.sleep(said.delay)
                self.send_response(said.status)
                body = said.body or b""
                for name, value in {"Content-Length": str(len(body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if said.cut:
                    self.wfile.write(body[: len(body) // 2])
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                elif self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - as http.server has it

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.do_GET()

        self._running = ExitStack()
        self.host = f"127.0.0.1:{self._running.enter_context(listening(Handler))}"
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self, method: str, path: str, authorization: str) -> Said:
        with self.lock:
            self.asked.append(Asked(method, path, authorization))
            key = next((each for each in self.answers if f"{method} {path}".endswith(each.split(" ", 1)[1])
                        and each.startswith(method) and self.answers[each]), None)  # fmt: skip
            said = self.answers[key].pop(0) if key else None
        truth = self._truth(path)
        if said is None:
            return truth
        if said.body is None:
            headers = {name: text for name, text in truth.headers.items() if name not in said.without}
            return Said(said.status, headers | dict(said.headers), truth.body, said.cut)
        return said

    def _truth(self, path: str) -> Said:
        parts = urlsplit(path)
        repository, _, rest = parts.path.removeprefix("/v2/").partition("/manifests/")
        if rest:
            data = self.manifests.get((repository, rest))
            if data is None:
                return error(404, "MANIFEST_UNKNOWN" if repository in self.names else "NAME_UNKNOWN")
            return Said(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": sha256(data)}, data)
        if "/blobs/" in parts.path:
            data = self.blobs.get(parts.path.rpartition("/")[2])
            return error(404, "BLOB_UNKNOWN") if data is None else Said(200, {}, data)
        if parts.path.endswith("/tags/list"):
            return self._tags(parts.path.removeprefix("/v2/").removesuffix("/tags/list"), parse_qs(parts.query))
        return error(404, "UNSUPPORTED")

    def _tags(self, repository: str, query: Mapping[str, Sequence[str]]) -> Said:
        if repository not in self.names:
            return error(404, "NAME_UNKNOWN")
        last, size = query.get("last", [""])[0], min(self.page, int(query.get("n", ["1000"])[0]))
        names = sorted(self.names[repository])
        rest = [name for name in names if name > last]
        headers = {}
        if len(rest) > size:
            headers["Link"] = f'</v2/{repository}/tags/list?last={rest[size - 1]}&n={size}>; rel="next"'
        return Said(200, headers, json.dumps({"name": repository, "tags": rest[:size]}).encode())


def error(status: int, code: str, message: str = "") -> Said:
    return Said(status, {}, json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode())
