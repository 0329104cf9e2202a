"""What an image says of itself: its manifest, and its configuration, which is a blob beside its layers.

ECR hands a blob out by an address that holds a signature and works for a while. Whoever knows it can fetch the blob, so
it is never shown. Source: BatchGetImage and GetDownloadUrlForLayer in the Amazon ECR API reference.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gitcd.model.registry import Failure
from gitcd.registry.ecr import MEDIA_TYPES
from gitcd.registry.ecr_pages import EcrPages
from gitcd.registry.faults import MalformedAnswerError, clean, explain_missing
from gitcd.registry.route import Target

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_LARGEST = 1 << 20  # bytes of a configuration
_PIECE = 1 << 16
_TIMEOUT = 10  # seconds: to connect, to wait for a piece, and for all of it together
_OK = 200


class EcrDocuments(EcrPages):
    """A registry whose images' documents can be read."""

    def _manifest(self, target: Target, digest: str, client: ECRClient) -> Mapping[str, Any] | Failure:
        answer = self._call(client.batch_get_image, "images", target, [digest], acceptedMediaTypes=MEDIA_TYPES)
        for failure in answer.get("failures") or ():
            code, reason = str(failure.get("failureCode", "")), str(failure.get("failureReason", ""))
            return explain_missing(digest, code, reason, target)
        try:
            text = answer["images"][0]["imageManifest"]
        except (LookupError, TypeError) as error:
            raise MalformedAnswerError(f"the manifest of {digest} cannot be read") from error
        return _object(text, f"the manifest of {digest}")

    def _configuration(self, target: Target, digest: str, client: ECRClient) -> Mapping[str, Any] | Failure:
        """The configuration of an image, by the digest that its manifest names."""
        answer = self._request(
            client.get_download_url_for_layer, "downloadUrl", target,
            repositoryName=target.repository.path, layerDigest=digest,
        )  # fmt: skip
        data = _download(str(answer["downloadUrl"]), {"https", urlsplit(client.meta.endpoint_url).scheme})
        if isinstance(data, Failure):
            return data
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise MalformedAnswerError(f"the configuration {digest} is not what its digest says")
        return _object(data, f"the configuration {digest}")


def _object(text: str | bytes, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedAnswerError(f"{what} cannot be read") from error
    if not isinstance(found, dict):
        raise MalformedAnswerError(f"{what} is no object")
    return found


def _download(address: str, schemes: Container[str]) -> bytes | Failure:
    """A blob, from the very address that the registry gave; no other one is followed to."""
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    place = "ECR"
    with suppress(BotoCoreError, HTTPError, OSError, ValueError):  # their texts hold the address
        url = urlsplit(address)
        place = clean(url.hostname)
        if url.scheme in schemes and (data := _read(address)):
            return data
    remedy = "let this machine reach it by HTTPS: ECR keeps blobs in Amazon S3"
    return Failure("ConfigurationUnreachable", f"{place} did not give an image's configuration", remedy)


def _read(address: str) -> bytes | None:
    """What stands there; None where it is too much, or takes too long. Proxies and CA bundle are the AWS client's."""
    from botocore.awsrequest import AWSRequest
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    verify: Any = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True
    session = URLLib3Session(verify=verify, proxies=get_environ_proxies(address), timeout=_TIMEOUT)
    data, ends = b"", time.monotonic() + _TIMEOUT
    try:
        answer: Any = session.send(AWSRequest("GET", address, stream_output=True).prepare())
        while answer.status_code == _OK and len(data) <= _LARGEST and time.monotonic() < ends:
            piece = answer.raw.read1(_PIECE)
            if not piece:
                return data
            data += piece
    finally:
        session.close()
    return None
