"""A real registry of the distribution project on loopback, filled by skopeo: both are programs of Debian.

    with registry(folder) as server:
        digest = push(server, "team/app", "1.4.2", labels={"org.opencontainers.image.version": "1.4.2"})

`LOGIN` is the one user that a registry with a password file, or the token server, lets in.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.listening import Quiet, listening

LOGIN = ("alice", "open-sesame-1f7c")
# What htpasswd writes for it, with bcrypt.
_HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuuCTxhooaCVJKeTgvzpZtQLkOshejjDhC\n"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_REQUIRED = "GITCD_REQUIRE_REGISTRY"
_SERVICE, _ISSUER = "registry.test", "issuer.test"


def need_programs() -> None:
    """Skip, or fail where the environment says that the programs must be there."""
    missing = [name for name in ("docker-registry", "skopeo") if shutil.which(name) is None]
    if not missing:
        return
    message = (
        f"{' and '.join(missing)} not found; on Debian: apt-get install --no-install-recommends docker-registry skopeo"
    )
    if os.environ.get(_REQUIRED):
        pytest.fail(f"{message}. {_REQUIRED} is set, so this is no reason to skip.", pytrace=False)
    pytest.skip(message)


@dataclass
class Server:
    """A running registry; `host` is how image references name it."""

    host: str
    login: tuple[str, str] | None = None
    tokens: TokenServer | None = None
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


@contextmanager
def registry(
    folder: Path,
    *,
    password: bool = False,
    tokens: TokenServer | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Server]:
    """Start a registry whose files lie in `folder`: open, behind a password file, or behind a token server.

    With a certificate and its key it is asked by https.
    """
    need_programs()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "of-tests-alone"},
    }
    if password:
        (folder / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tokens:
        config["auth"] = {
            "token": {
                "realm": tokens.realm, "service": _SERVICE, "issuer": _ISSUER, "rootcertbundle": str(tokens.certificate)
            }
        }  # fmt: skip
    if certificate:
        config["http"]["tls"] = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    path = folder / "config.yml"
    path.write_text(json.dumps(config))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(path)], stdout=log, stderr=log, env=environment)
    try:
        _await(host, process, folder / "log")
        yield Server(host, LOGIN if password or tokens else None, tokens, "https" if certificate else "http")
    finally:
        process.terminate()
        process.wait(10)


def _await(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    address, _, port = host.partition(":")
    for _ in range(400):
        try:
            socket.create_connection((address, int(port))).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.025)
        else:
            return
    raise AssertionError(f"docker-registry did not start: {log.read_text()}")


def push(
    server: Server,
    repository: str,
    *tags: str,
    seed: str = "",
    labels: Mapping[str, str] | None = None,
    platforms: Sequence[str] = ("amd64",),
) -> str:
    """Push one image, an index where there are several platforms, under all these tags; its digest."""
    with tempfile.TemporaryDirectory() as name:
        layout = Path(name)
        digest = _lay_out(layout, seed or f"{repository}:{tags[0]}", labels or {}, platforms)
        for tag in tags:
            target = f"docker://{server.host}/{repository}:{tag}"
            skopeo(server, "copy", "--all", f"oci:{layout}:image", target, dest=True)
    return digest


def skopeo(server: Server, verb: str, *arguments: str, dest: bool = False) -> str:
    """Run skopeo against the registry; what it prints."""
    prefix = "--dest-" if dest else "--"
    login = [f"{prefix}creds={':'.join(server.login)}"] if server.login else []
    command = ["skopeo", "--insecure-policy", verb, f"{prefix}tls-verify=false", *login, *arguments]
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _lay_out(folder: Path, seed: str, labels: Mapping[str, str], platforms: Sequence[str]) -> str:
    """Write an OCI image layout with one image in it."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str, **more: object) -> dict[str, object]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data), **more}

    def image(platform: str) -> dict[str, object]:
        tar = _tar(f"{seed} {platform}")
        config = {
            "architecture": platform, "os": "linux", "created": "2026-01-15T12:00:00Z",
            "config": {"Cmd": ["/app"], "Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2, "mediaType": _MANIFEST,
            "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [put(gzip.compress(tar, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
        }  # fmt: skip
        named = {"platform": {"os": "linux", "architecture": platform}} if len(platforms) > 1 else {}
        return put(json.dumps(manifest, indent=1).encode(), _MANIFEST, **named)

    images = [image(each) for each in platforms]
    if len(images) == 1:
        top = images[0]
    else:
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": images}
        top = put(json.dumps(index, indent=1).encode(), _INDEX)
    named = {**top, "annotations": {"org.opencontainers.image.ref.name": "image"}}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return str(top["digest"])


def _tar(text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("app")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@dataclass
class TokenServer:
    """Sells tokens that a registry of the distribution project trusts, to `LOGIN` and, for reading, to anybody.

    `asked` are the queries (or forms) that came, each with its Authorization header. `lasts` is in seconds.
    """

    folder: Path
    public: bool = True
    lasts: int = 300
    asked: list[tuple[str, str]] = field(default_factory=list)
    realm: str = ""

    @property
    def certificate(self) -> Path:
        return self.folder / "root.pem"

    def answer(self, query: str, authorization: str) -> dict[str, Any] | None:
        self.asked.append((query, authorization))
        values = {name: texts[0] for name, texts in parse_qs(query).items()}
        user = self._user(authorization, values)
        if user is None or (not user and not self.public):
            return None
        kind, name, actions = ([*values.get("scope", "").split(":"), "", "", ""])[:3]
        granted = [each for each in actions.split(",") if user or each == "pull"]
        return {"token": self._token(user, [{"type": kind, "name": name, "actions": granted}] if name else [])}

    def _user(self, authorization: str, values: Mapping[str, str]) -> str | None:
        if values.get("grant_type") == "refresh_token":
            return LOGIN[0] if values.get("refresh_token") == f"identity-{LOGIN[1]}" else None
        if not authorization:
            return ""
        return LOGIN[0] if authorization == basic(*LOGIN) else None

    def _token(self, user: str, access: list[dict[str, Any]]) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": _ISSUER, "sub": user, "aud": _SERVICE, "jti": os.urandom(8).hex(), "access": access,
            "nbf": int((now - timedelta(seconds=30)).timestamp()), "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=self.lasts)).timestamp()),
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._chain]}
        signed = b".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
        return b".".join((signed, _url64(self._sign(signed)))).decode()

    def _sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        signature: bytes = self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return signature

    def make_keys(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        self._key: Any = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _ISSUER)])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(
                name, name, self._key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._chain = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def token_server(folder: Path, *, public: bool = True) -> Iterator[TokenServer]:
    """Start a token server on loopback."""
    state = TokenServer(folder, public)
    state.make_keys()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self._reply(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _reply(self, query: str) -> None:
            found = state.answer(query, self.headers.get("Authorization", ""))
            body = json.dumps(found or {"details": "no"}).encode()
            self.send_response(200 if found else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as port:
        state.realm = f"http://127.0.0.1:{port}/token"
        yield state
