"""Where an image was built from: annotations, labels of its configuration, and all that may be wrong with them."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from gitcd.model.registry import Failure
from gitcd.registry import image_documents
from gitcd.registry.labels import EcrLabels, ImageSource
from gitcd.registry.settings import RegistrySettings
from tests.support.ecr import GET_BLOB, OCI_MANIFEST, SIGNATURE, StandIn, index_manifest, sha256, single_manifest
from tests.support.listening import Quiet
from tests.support.tls import self_signed

SOURCE, REVISION = "https://github.com/team/app", "a" * 40
LABELS = {"org.opencontainers.image.source": SOURCE, "org.opencontainers.image.revision": REVISION, "other": "x"}
FOUND = ImageSource(SOURCE, REVISION)


class Blobs:
    """Blobs by digest, at addresses that the registry hands out."""

    def __init__(self, ecr: StandIn) -> None:
        self.ecr, self.blobs, self.status, self.seen, self.scheme = ecr, {}, 200, [], "http"
        blobs = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                blobs.seen.append(dict(self.headers))
                body = blobs.blobs[self.path[1:]]
                self.send_response(blobs.status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ecr.store.on_GetDownloadUrlForLayer = lambda call: {
            "downloadUrl": f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}/{call.body['layerDigest']}",
            "layerDigest": call.body["layerDigest"],
        }

    def secure(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None
        self.scheme = "https"

    def add(self, data: bytes) -> str:
        self.blobs[sha256(data)] = data
        return sha256(data)

    def manifest(self, labels: object = None, *, annotations: object = None, data: bytes | None = None) -> str:
        config = self.add(json.dumps({"config": {"Labels": labels}}).encode() if data is None else data)
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"digest": config}, "layers": []}
        return json.dumps(manifest | ({"annotations": annotations} if annotations else {}))


@pytest.fixture
def blobs(ecr: StandIn) -> Iterator[Blobs]:
    found = Blobs(ecr)
    yield found
    found.server.shutdown()
    found.server.server_close()


def source(ecr: StandIn, manifest: str) -> ImageSource | Failure:
    digest = ecr.put("team/app", tags=["x"], manifest=manifest)
    return EcrLabels(RegistrySettings(endpoint_url=ecr.url)).source(ecr.repository("team/app"), digest)


def test_labels_of_the_configuration_say_it(ecr, blobs):
    assert source(ecr, blobs.manifest(LABELS)) == FOUND
    assert all("authorization" not in {name.lower() for name in headers} for headers in blobs.seen)


def test_annotations_of_the_manifest_say_it_without_a_download(ecr, blobs):
    assert source(ecr, blobs.manifest(annotations=LABELS)) == FOUND
    assert blobs.seen == []


def test_the_first_platform_speaks_for_an_index(ecr, blobs):
    child = ecr.put("team/app", manifest=blobs.manifest(LABELS))
    assert source(ecr, index_manifest({"amd64": child})) == FOUND


@pytest.mark.parametrize(
    "labels",
    [None, {}, [], "x", {"org.opencontainers.image.source": 1}, {"org.opencontainers.image.source": "x" * 999}],
)
def test_what_is_not_said_is_left_empty(ecr, blobs, labels):
    assert source(ecr, blobs.manifest(labels)) == ImageSource()


@pytest.mark.parametrize("status", [403, 302, 500])
def test_what_is_not_given_out_is_a_failure_and_nothing_is_followed(ecr, blobs, status):
    blobs.status = status
    found = source(ecr, blobs.manifest(LABELS))
    assert isinstance(found, Failure)
    assert found.reason == "ConfigurationUnreachable"
    assert len(blobs.seen) == 1


@pytest.mark.parametrize("data", [b"", b"[", b"[]", b'"x"', b"x" * (1 << 21)])
def test_a_configuration_that_is_none_is_a_failure(ecr, blobs, data):
    assert isinstance(source(ecr, blobs.manifest(data=data)), Failure)


def test_another_blob_than_the_digest_says_is_a_failure(ecr, blobs):
    manifest = blobs.manifest(LABELS)
    blobs.blobs = dict.fromkeys(blobs.blobs, b"{}")
    assert isinstance(source(ecr, manifest), Failure)


def test_a_configuration_that_trickles_in_is_given_up(ecr, blobs, monkeypatch):
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr("gitcd.registry.image_documents.time.monotonic", lambda: next(now))
    monkeypatch.setattr("gitcd.registry.image_documents._PIECE", 1)
    found = source(ecr, blobs.manifest(LABELS))
    assert isinstance(found, Failure)
    assert found.reason == "ConfigurationUnreachable"


def test_no_signature_travels_in_the_clear(monkeypatch):
    monkeypatch.setattr(image_documents, "_read", lambda _: pytest.fail("it was asked for"))
    for address in ("http://blobs.example.com/x?X-Amz-Signature=1", "file:///etc/passwd", "", "http://[", "//x"):
        found = image_documents._download(address, {"https"})
        assert isinstance(found, Failure)
        assert "Signature" not in found.message


@pytest.mark.parametrize("how", ["reset", "lose", "truncate"])
def test_a_connection_that_breaks_is_a_failure(ecr, how):
    ecr.fail(GET_BLOB, connection=how, times=-1)
    found = source(ecr, single_manifest().replace("image.source", "image.other"))
    assert isinstance(found, Failure)
    assert SIGNATURE not in f"{found.message} {found.remedy}"


def test_https_trusts_whom_the_aws_client_trusts(ecr, blobs, tmp_path, monkeypatch):
    certificate, key = self_signed(tmp_path)
    blobs.secure(certificate, key)
    found = source(ecr, blobs.manifest(LABELS))
    assert isinstance(found, Failure)
    assert found.reason == "ConfigurationUnreachable"
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    assert source(ecr, blobs.manifest(LABELS)) == FOUND


def test_a_proxy_of_the_environment_is_asked(ecr, blobs, monkeypatch):
    manifest = blobs.manifest(LABELS)
    ecr.store.on_GetDownloadUrlForLayer = lambda call: {
        "downloadUrl": f"http://blobs.example.com/{call.body['layerDigest']}", "layerDigest": ""
    }  # fmt: skip
    blobs.blobs = {f"http://blobs.example.com/{digest}"[1:]: data for digest, data in blobs.blobs.items()}
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{blobs.server.server_address[1]}")
    assert source(ecr, manifest) == FOUND
