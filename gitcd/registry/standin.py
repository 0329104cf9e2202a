"""A local stand-in for Amazon ECR, for `gitcd demo`: moto's server, filled through the real client.

Its digests are not those of the manifests unless they are given, so every image is put under its true one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gitcd.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

ACCOUNT = "123456789012"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",  # the stand-in does not look at it
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "MOTO_ACCOUNT_ID": ACCOUNT,
}
_UNWANTED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION")


class LocalEcr:
    """The running stand-in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: dict[str, ECRClient] = {}

    def push(self, region: str, repository: str, tags: Sequence[str], *, platforms: Sequence[str] = ("amd64",)) -> str:
        """Push an image of its own for these tags, an index where there are several platforms; answer its digest."""
        single = {each: _image(f"{repository}:{tags[0]}", each) for each in platforms}
        if len(platforms) == 1:
            return self._put(region, repository, single[platforms[0]], _MANIFEST, tags)
        children = {each: self._put(region, repository, manifest, _MANIFEST, ()) for each, manifest in single.items()}
        return self._put(region, repository, _index(children, single), _INDEX, tags)

    def retag(self, region: str, repository: str, version: str, tag: str) -> None:
        """Move a tag to the image of a version: the same manifest, put once more."""
        client = self._client(region)
        answer = client.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": version}])
        image = answer["images"][0]
        client.put_image(
            repositoryName=repository,
            imageManifest=image["imageManifest"],
            imageManifestMediaType=image["imageManifestMediaType"],
            imageTag=tag,
            imageDigest=image["imageId"]["imageDigest"],
        )

    def _put(self, region: str, repository: str, manifest: str, media_type: str, tags: Sequence[str]) -> str:
        client = self._client(region)
        with suppress(client.exceptions.RepositoryAlreadyExistsException):
            client.create_repository(repositoryName=repository)
        digest = _digest(manifest.encode())
        for tag in tags or (None,):
            named: Any = {"imageTag": tag} if tag else {}
            client.put_image(
                repositoryName=repository,
                imageManifest=manifest,
                imageManifestMediaType=media_type,
                imageDigest=digest,
                **named,
            )
        return digest

    def _client(self, region: str) -> ECRClient:
        import boto3

        if region not in self._clients:
            self._clients[region] = boto3.client("ecr", region_name=region, endpoint_url=self.url)
        return self._clients[region]


@contextmanager
def local_ecr() -> Iterator[LocalEcr]:
    """Start the stand-in on a free port of the loopback interface; this process has credentials for it meanwhile.

    Raises:
        ConfigError: the extra that brings it is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        remedy = "Install gitcd with its extra `demo`, or run `make demo` in a checkout."
        raise ConfigError("the local stand-in for ECR is not installed", remedy=remedy) from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it reports every request
    before = {name: os.environ.get(name) for name in (*_ENVIRONMENT, *_UNWANTED)}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    try:
        for name in _UNWANTED:
            os.environ.pop(name, None)
        os.environ.update(_ENVIRONMENT)
        server.start()
        host, port = server.get_host_and_port()
        yield LocalEcr(f"http://{host}:{port}")
    finally:
        server.stop()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _image(name: str, platform: str) -> str:
    """A small but whole OCI image manifest."""
    config = _described(f"{name} {platform} config", "application/vnd.oci.image.config.v1+json", 1470)
    layer = _described(f"{name} {platform} layer", "application/vnd.oci.image.layer.v1.tar+gzip", 2_811_478)
    return _json({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [layer]})


def _index(children: dict[str, str], manifests: dict[str, str]) -> str:
    entries = [
        {
            "mediaType": _MANIFEST,
            "digest": digest,
            "size": len(manifests[platform].encode()),
            "platform": {"os": "linux", "architecture": platform},
        }
        for platform, digest in children.items()
    ]
    return _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries})


def _described(seed: str, media_type: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(seed.encode()), "size": size}


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
