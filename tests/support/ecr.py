"""An ECR of the tests' own: an HTTP server that speaks the JSON 1.1 protocol, driven by the real boto3 client.

It keeps what moto does not: manifests under their true sha256, images that a tag has left, paging, the limit of 100
ids, throttling. Faults are asked for by name. Repositories are named `team/app` (of the default account and region) or
in full, `<account>.dkr.ecr.<region>.amazonaws.com/team/app`.

    with StandIn() as ecr:
        digest = ecr.put("team/app", tags=["1.2.3", "env-prod"])
        client = boto3.client("ecr", endpoint_url=ecr.url, region_name=ecr.region)
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from gitcd.model.reference import EcrRegistry, Repository
from tests.support.lifecycle import expiring

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCOUNT = "123456789012"
REGION = "us-east-1"
PUSHED_AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
MAX_IDS = 100
PAGE = 100
GET_BLOB = "GetBlob"  # not of ECR's API: the request to the address that GetDownloadUrlForLayer gives
SIGNATURE = "f0c5a9d2e7b14836f0c5a9d2e7b14836"  # of such an address; a secret


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIASTANDIN",
    "AWS_SECRET_ACCESS_KEY": "stand-in-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# The blobs that have been pushed somewhere, by digest; of layers nobody asks for the bytes.
BLOBS: dict[str, bytes] = {}


def push_blob(data: bytes) -> str:
    """Have the bytes handed out by every stand-in, and return their digest."""
    BLOBS[sha256(data)] = data
    return sha256(data)


def single_manifest(seed: str = "app", platform: str = "linux/amd64") -> str:
    """A manifest for one platform, as `docker buildx` writes it; another seed, another image. Its configuration is pushed."""
    parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    history = [{"created_by": f"COPY {seed} /app # buildkit"}]
    configuration = json.dumps({**parts, "config": {"Cmd": ["/app"]}, "history": history}).encode()
    push_blob(configuration)

    def blob(kind: str, media: str, size: int) -> dict[str, object]:
        return {"mediaType": media, "digest": sha256(f"{kind} {seed}".encode()), "size": size}

    config = "application/vnd.oci.image.config.v1+json"
    layer = "application/vnd.oci.image.layer.v1.tar+gzip"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": config, "digest": sha256(configuration), "size": len(configuration)},
        "layers": [blob("base", layer, 29_124_181), blob("app", layer, 4_331_204)],
        "annotations": {"org.opencontainers.image.source": "https://git.example.com/team/app"},
    }
    return json.dumps(document, indent=2)


def index_manifest(children: Mapping[str, str]) -> str:
    """A multi-platform index; `children` maps an architecture to the digest of its manifest."""
    manifests = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "size": 1_570,
            "platform": {"architecture": architecture, "os": "linux"},
        }
        for architecture, digest in children.items()
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, indent=2)


@dataclass
class StoredImage:
    digest: str
    manifest: str
    media_type: str
    pushed_at: datetime | float | str | None
    status: str = "ACTIVE"
    tags: set[str] = field(default_factory=set)
    trouble: str = ""  # a failure code that BatchGetImage answers with
    scan: dict[str, Any] | None = None  # what DescribeImageScanFindings says of it; None: there was no scan
    signing: list[dict[str, str]] = field(default_factory=list)
    referrers: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class StoredRepository:
    account: str
    region: str
    name: str
    immutable: bool = False
    images: dict[str, StoredImage] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    policy: str = ""  # the lifecycle policy
    preview: str = ""  # the policy that was previewed last
    preview_delay: int = 0  # how many answers a preview takes to be ready
    preview_pending: int = 0
    preview_status: str = "COMPLETE"
    filters: tuple[str, ...] = ()  # tags that are treated in the opposite way; `*` stands for anything

    @property
    def description(self) -> dict[str, Any]:
        return {
            "repositoryArn": f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.name}",
            "registryId": self.account,
            "repositoryName": self.name,
            "repositoryUri": f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.name}",
            "createdAt": PUSHED_AT.timestamp(),
            "imageTagMutability": self.mutability,
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": each} for each in self.filters],
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }

    @property
    def mutability(self) -> str:
        return ("IMMUTABLE" if self.immutable else "MUTABLE") + ("_WITH_EXCLUSION" if self.filters else "")

    def fixes(self, tag: str) -> bool:
        """Whether the tag, once it is there, may not move."""
        excluded = any(re.fullmatch(".*".join(map(re.escape, each.split("*"))), tag) for each in self.filters)
        return self.immutable is not excluded

    def has_parent(self, digest: str) -> bool:
        """Whether an index refers to this image."""
        return any(digest in image.manifest for image in self.images.values() if "index" in image.media_type)

    def find(self, image_id: Mapping[str, str]) -> StoredImage | None:
        digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
        named = self.tags.get(tag) if tag else digest
        return self.images.get(named) if named and (not digest or digest == named) else None

    def tag(self, tag: str, digest: str) -> None:
        if tag in self.tags:
            self.images[self.tags[tag]].tags.discard(tag)
        self.tags[tag] = digest
        self.images[digest].tags.add(tag)


@dataclass(frozen=True)
class Call:
    """One request as it came in, retries included."""

    operation: str
    body: Mapping[str, Any]
    region: str
    access_key: str
    user_agent: str = ""

    @property
    def ids(self) -> list[str]:
        return [each.get("imageTag") or each.get("imageDigest", "") for each in self.body.get("imageIds", ())]


@dataclass
class Fault:
    """What goes wrong with requests: an error code, or with the connection, a delay, or a body of one's own."""

    operation: str
    code: str = ""
    times: int = 1
    message: str = ""
    status: int = 400
    repository: str = ""
    delay: float = 0
    connection: str = ""  # reset (nothing was done) | lose (done, but the answer is lost) | truncate
    answer: bytes | None = None
    after: int = 0  # let so many through first

    def strikes(self, call: Call) -> bool:
        meant = self.operation in {"*", call.operation}
        if not meant or self.times == 0 or self.repository not in {"", call.body.get("repositoryName")}:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


class EcrError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Store:
    """What the registry holds, and the operations on it, free of HTTP."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.repositories: dict[tuple[str, str, str], StoredRepository] = {}
        self.lock = threading.RLock()

    def answer(self, call: Call) -> dict[str, Any]:
        operation = getattr(self, f"on_{call.operation}", None)
        if operation is None:
            raise EcrError("UnknownOperationException", call.operation)
        with self.lock:
            result: dict[str, Any] = operation(call)
        return result

    def repository(self, call: Call, name: str = "") -> StoredRepository:
        account, name = call.body.get("registryId") or ACCOUNT, name or call.body["repositoryName"]
        found = self.repositories.get((account, call.region, name))
        if found is None:
            raise EcrError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id '{account}'",
            )
        return found

    def on_CreateRepository(self, call: Call) -> dict[str, Any]:
        account, name = call.body.get("registryId") or ACCOUNT, call.body["repositoryName"]
        if (account, call.region, name) in self.repositories:
            raise EcrError("RepositoryAlreadyExistsException", f"The repository with name '{name}' already exists")
        immutable = call.body.get("imageTagMutability", "").startswith("IMMUTABLE")
        filters = tuple(each["filter"] for each in call.body.get("imageTagMutabilityExclusionFilters", ()))
        created = StoredRepository(account, call.region, name, immutable, filters=filters)
        self.repositories[account, call.region, name] = created
        return {"repository": created.description}

    def on_DeleteRepository(self, call: Call) -> dict[str, Any]:
        deleted = self.repository(call)
        del self.repositories[deleted.account, deleted.region, deleted.name]
        return {"repository": deleted.description}

    def on_DescribeRepositories(self, call: Call) -> dict[str, Any]:
        account, names = call.body.get("registryId") or ACCOUNT, call.body.get("repositoryNames")
        if names:
            return {"repositories": [self.repository(call, name).description for name in names]}
        found = [
            each.description for key, each in sorted(self.repositories.items()) if key[:2] == (account, call.region)
        ]
        return _page("repositories", found, call.body)

    def on_PutImage(self, call: Call) -> dict[str, Any]:
        repository, manifest = self.repository(call), call.body["imageManifest"]
        digest, tag = sha256(manifest.encode()), call.body.get("imageTag", "")
        if call.body.get("imageDigest", digest) != digest:
            raise EcrError("ImageDigestDoesNotMatchException", "The specified image digest does not match")
        media_type = call.body.get("imageManifestMediaType") or json.loads(manifest).get("mediaType", OCI_MANIFEST)
        children = [child["digest"] for child in json.loads(manifest).get("manifests", ())]
        if any(child not in repository.images for child in children):
            raise EcrError("ReferencedImagesNotFoundException", "The manifest list refers to images that do not exist")
        if repository.tags.get(tag) == digest or (not tag and digest in repository.images):
            raise EcrError(
                "ImageAlreadyExistsException", f"Image with digest '{digest}' and tag '{tag}' already exists"
            )
        if repository.fixes(tag) and tag in repository.tags:
            raise EcrError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists and cannot be overwritten because the tag is immutable.",
            )
        repository.images.setdefault(digest, StoredImage(digest, manifest, media_type, datetime.now(UTC)))
        if tag:
            repository.tag(tag, digest)
        return {"image": _image(repository, repository.images[digest], {"imageTag": tag} if tag else {})}

    def on_BatchGetImage(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        images, failures = [], []
        for image_id in _ids(call):
            image = repository.find(image_id)
            if image is None or image.trouble:
                code = image.trouble if image else "ImageNotFound"
                reason = "Requested image not found" if image is None else f"{code} for this image"
                failures.append({"imageId": image_id, "failureCode": code, "failureReason": reason})
            else:
                images.append(_image(repository, image, image_id))
        return {"images": images, "failures": failures}

    def on_DescribeImages(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        if "imageIds" not in call.body:
            status = call.body.get("filter", {}).get("tagStatus", "ANY")
            chosen = [image for image in repository.images.values() if status in ("ANY", _TAG_STATUS[bool(image.tags)])]
            return _page("imageDetails", [_detail(repository, image) for image in chosen], call.body)
        found: dict[str, dict[str, Any]] = {}
        for image_id in _ids(call):
            image = repository.find(image_id)
            if image is None or image.trouble.startswith("Upstream"):
                raise EcrError(
                    "ImageNotFoundException",
                    f"The image with imageId {image_id} does not exist within the repository with name "
                    f"'{repository.name}' in the registry with id '{repository.account}'",
                )
            found[image.digest] = _detail(repository, image)
        return {"imageDetails": list(found.values())}

    def on_GetDownloadUrlForLayer(self, call: Call) -> dict[str, Any]:
        """Any image that names the blob will do."""
        repository, digest = self.repository(call), call.body["layerDigest"]
        if digest not in BLOBS or not any(digest in image.manifest for image in repository.images.values()):
            raise EcrError("LayersNotFoundException", f"The layer with digest '{digest}' could not be found")
        return {"downloadUrl": f"{self.url}/{digest}?X-Amz-Signature={SIGNATURE}", "layerDigest": digest}

    def blob(self, call: Call) -> bytes:
        """What somebody gets who has that address, without further credentials."""
        if call.body["signature"] != SIGNATURE:
            raise EcrError("AccessDenied", "Access Denied", 403)
        return BLOBS[call.body["digest"]]

    def on_ListImages(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        status = call.body.get("filter", {}).get("tagStatus", "ANY")
        tagged = [{"imageDigest": digest, "imageTag": tag} for tag, digest in sorted(repository.tags.items())]
        untagged = [{"imageDigest": image.digest} for image in repository.images.values() if not image.tags]
        chosen = {"ANY": tagged + untagged, "TAGGED": tagged, "UNTAGGED": untagged}[status]
        return _page("imageIds", chosen, call.body)

    def on_BatchDeleteImage(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        deleted, failures = [], []
        for image_id in _ids(call):
            image = repository.find(image_id)
            if image is None:
                reason = "Requested image not found"
                failures.append({"imageId": image_id, "failureCode": "ImageNotFound", "failureReason": reason})
                continue
            if image.tags <= {image_id.get("imageTag")} and repository.has_parent(image.digest):
                code, reason = "ImageReferencedByManifestList", "Requested image referenced by manifest list"
                failures.append({"imageId": image_id, "failureCode": code, "failureReason": reason})
                continue
            deleted.append({"imageDigest": image.digest, **image_id})
            for tag in [image_id["imageTag"]] if "imageTag" in image_id else sorted(image.tags):
                del repository.tags[tag]
                image.tags.discard(tag)
            if not image.tags:
                del repository.images[image.digest]
        return {"imageIds": deleted, "failures": failures}

    def on_DescribeImageScanFindings(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        image = _one(repository, call.body["imageId"])
        if image.scan is None:
            raise EcrError("ScanNotFoundException", f"Image scan does not exist for the image with '{image.digest}'")
        answer = {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest},
            **image.scan,
        }
        findings = image.scan.get("imageScanFindings", {})
        key = "enhancedFindings" if "enhancedFindings" in findings else "findings"
        page = _page(key, findings.get(key, []), call.body)
        if findings:
            answer["imageScanFindings"] = findings | {key: page.pop(key)}
        return answer | {name: token for name, token in page.items() if name == "nextToken"}

    def on_StartImageScan(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        image = _one(repository, call.body["imageId"])
        image.scan = scan_result()
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest},
            "imageScanStatus": {"status": "PENDING"},
        }

    def on_DescribeImageSigningStatus(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        image = _one(repository, call.body["imageId"])
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest},
            "signingStatuses": image.signing,
        }

    def on_ListImageReferrers(self, call: Call) -> dict[str, Any]:
        image = self.repository(call).find(call.body["subjectId"])
        wanted = call.body.get("filter", {}).get("artifactTypes")
        found = [each for each in (image.referrers if image else []) if not wanted or each["artifactType"] in wanted]
        return _page("referrers", found, call.body)

    def on_StartLifecyclePolicyPreview(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        text = call.body.get("lifecyclePolicyText") or repository.policy
        if not text:
            raise EcrError("LifecyclePolicyNotFoundException", f"There is no lifecycle policy for '{repository.name}'")
        if repository.preview and repository.preview_pending:
            message = f"The previous preview for '{repository.name}' has not completed"
            raise EcrError("LifecyclePolicyPreviewInProgressException", message)
        repository.preview, repository.preview_pending = text, repository.preview_delay
        return self._previewed(repository, "IN_PROGRESS")

    def on_GetLifecyclePolicyPreview(self, call: Call) -> dict[str, Any]:
        repository = self.repository(call)
        if not repository.preview:
            message = f"There is no lifecycle policy preview for '{repository.name}'"
            raise EcrError("LifecyclePolicyPreviewNotFoundException", message)
        if repository.preview_pending:
            repository.preview_pending -= 1
            return self._previewed(repository, "IN_PROGRESS")
        results = expiring(repository.preview, repository.images.values(), repository.has_parent)
        summary = {"expiringImageTotalCount": sum(each["action"]["type"] == "EXPIRE" for each in results)}
        page = _page("previewResults", results, call.body)
        return self._previewed(repository, repository.preview_status) | {"summary": summary} | page

    @staticmethod
    def _previewed(repository: StoredRepository, status: str) -> dict[str, Any]:
        text = repository.preview
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "lifecyclePolicyText": text,
            "status": status,
        }

    def on_GetAuthorizationToken(self, call: Call) -> dict[str, Any]:
        endpoint = f"https://{ACCOUNT}.dkr.ecr.{call.region}.amazonaws.com"
        token = {"authorizationToken": "QVdTOnN0YW5kLWlu", "expiresAt": time.time() + 43_200, "proxyEndpoint": endpoint}
        return {"authorizationData": [token]}


def _one(repository: StoredRepository, image_id: Mapping[str, str]) -> StoredImage:
    image = repository.find(image_id)
    if image is None:
        raise EcrError("ImageNotFoundException", f"The image with imageId {image_id} does not exist")
    return image


def scan_result(
    status: str = "COMPLETE", *, counts: Mapping[str, int] | None = None, enhanced: bool = False, listed: bool = True
) -> dict[str, Any]:
    """What ECR says of a scan; the findings are `listed` one by one, too, unless told otherwise."""
    head = {"imageScanStatus": {"status": status, "description": f"The scan is {status.lower()}."}}
    if status not in {"COMPLETE", "ACTIVE"}:
        return head
    severities = [severity for severity, number in (counts or {}).items() for _ in range(number)] if listed else []
    findings = [{"name": f"CVE-2026-{number:04}", "severity": each} for number, each in enumerate(severities)]
    return head | {
        "imageScanFindings": {
            "imageScanCompletedAt": PUSHED_AT.timestamp(),
            "findingSeverityCounts": dict(counts or {}),
            "enhancedFindings" if enhanced else "findings": findings,
        }
    }


_TAG_STATUS = {True: "TAGGED", False: "UNTAGGED"}


def _ids(call: Call) -> Sequence[Mapping[str, str]]:
    ids: Sequence[Mapping[str, str]] = call.body["imageIds"]
    if not 1 <= len(ids) <= MAX_IDS:
        raise EcrError(
            "InvalidParameterException",
            f"Invalid parameter at 'imageIds' failed to satisfy constraint: between 1 and {MAX_IDS} items",
        )
    return ids


def _image(repository: StoredRepository, image: StoredImage, image_id: Mapping[str, str]) -> dict[str, Any]:
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest, **image_id},
        "imageManifest": image.manifest,
        "imageManifestMediaType": image.media_type,
    }


def _detail(repository: StoredRepository, image: StoredImage) -> dict[str, Any]:
    pushed_at = image.pushed_at.timestamp() if isinstance(image.pushed_at, datetime) else image.pushed_at
    detail = {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageTags": sorted(image.tags),
        "imageSizeInBytes": 33_455_385,
        "imagePushedAt": pushed_at,
        "imageManifestMediaType": image.media_type,
        "imageStatus": image.status,
    }
    return {key: value for key, value in detail.items() if value not in (None, [])}


def _page(key: str, items: list[Any], body: Mapping[str, Any]) -> dict[str, Any]:
    start, size = int(body.get("nextToken") or 0), int(body.get("maxResults") or PAGE)
    more = {"nextToken": str(start + size)} if start + size < len(items) else {}
    return {key: items[start : start + size], **more}


class StandIn:
    """The server, and the tests' handle on what it holds."""

    account = ACCOUNT
    region = REGION

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.hooks: list[Callable[[Call], object]] = []  # called with every request, before it is answered
        self.roles: list[Mapping[str, str]] = []
        self.clock = 0.0  # seconds by which the server's clock is ahead
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.store = Store(self.url)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    @property
    def host(self) -> str:
        """The registry host of the default account and region."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    def repository(self, name: str) -> Repository:
        """The repository as a declaration names it."""
        return Repository.parse(name if EcrRegistry.parse(name.partition("/")[0]) else f"{self.host}/{name}")

    def create(self, name: str, *, immutable: bool = False, filters: Sequence[str] = ()) -> StoredRepository:
        """The repository in the store, made if there is none."""
        repository = self.repository(name)
        registry = EcrRegistry.parse(repository.registry)
        assert registry is not None
        key = registry.account, registry.region, repository.path
        with self.store.lock:
            return self.store.repositories.setdefault(
                key, StoredRepository(*key, immutable=immutable, filters=tuple(filters))
            )

    def put(
        self,
        name: str,
        *,
        tags: Iterable[str] = (),
        manifest: str | None = None,
        pushed_at: datetime | float | str | None = PUSHED_AT,
        status: str = "ACTIVE",
        trouble: str = "",
    ) -> str:
        """Push an image (by default one of its own for these tags) and return its digest."""
        tags = list(tags)
        repository = self.create(name)
        manifest = manifest if manifest is not None else single_manifest(f"{name} {tags}")
        media_type = json.loads(manifest).get("mediaType", OCI_MANIFEST)
        digest = sha256(manifest.encode())
        with self.store.lock:
            image = StoredImage(digest, manifest, media_type, pushed_at, status, trouble=trouble)
            repository.images.setdefault(digest, image)
            for tag in tags:
                repository.tag(tag, digest)
        return digest

    def put_index(
        self, name: str, *, tags: Iterable[str] = (), architectures: Sequence[str] = ("amd64", "arm64")
    ) -> str:
        """Push a multi-platform image, its children untagged, and return the digest of the index."""
        tags = list(tags)
        children = {
            each: self.put(name, manifest=single_manifest(f"{name} {tags} {each}", f"linux/{each}"))
            for each in architectures
        }
        return self.put(name, tags=tags, manifest=index_manifest(children))

    def scan(self, name: str, digest: str, status: str = "COMPLETE", **counts: int) -> None:
        """Let a scan of an image have come to this: `CRITICAL=1`, and so on."""
        self.set_scan(name, digest, scan_result(status, counts=counts))

    def set_scan(self, name: str, digest: str, result: dict[str, Any] | None) -> None:
        """Let DescribeImageScanFindings answer with this; None: there was no scan."""
        with self.store.lock:
            self.create(name).images[digest].scan = result

    def sign(self, name: str, digest: str, *statuses: str) -> None:
        """Let ECR's managed signing be so far, for as many profiles as statuses."""
        arn = f"arn:aws:signer:{self.region}:{self.account}:/signing-profiles/profile_"
        signing = [{"signingProfileArn": f"{arn}{number}", "status": each} for number, each in enumerate(statuses)]
        for each in signing:
            if each["status"] == "FAILED":
                each |= {"failureCode": "AccessDeniedException", "failureReason": "may not use the profile"}
        with self.store.lock:
            self.create(name).images[digest].signing = signing

    def refer(self, name: str, digest: str, artifact_type: str) -> str:
        """Put an artifact beside an image that refers to it, and return the artifact's digest."""
        artifact = sha256(f"{artifact_type} {digest}".encode())
        entry = {"digest": artifact, "mediaType": OCI_MANIFEST, "artifactType": artifact_type, "size": 741}
        with self.store.lock:
            self.create(name).images[digest].referrers.append(entry)
        return artifact

    def set_policy(self, name: str, *rules: Mapping[str, Any]) -> None:
        """Give a repository a lifecycle policy; see `tests.support.lifecycle.rule`."""
        self.create(name).policy = json.dumps({"rules": list(rules)})

    def move(self, name: str, tag: str, digest: str) -> None:
        """Let a tag name another image; the one it leaves stays."""
        with self.store.lock:
            self.create(name).tag(tag, digest)

    def delete(self, name: str, digest: str) -> None:
        repository = self.create(name)
        with self.store.lock:
            for tag in repository.images.pop(digest).tags:
                del repository.tags[tag]

    def contents(self, name: str) -> dict[str, set[str]]:
        """All that a repository holds: the tags of every digest."""
        with self.store.lock:
            return {digest: set(image.tags) for digest, image in self.create(name).images.items()}

    def before(self, operation: str, act: Callable[[], object]) -> None:
        """Do something once, just before the next request of this kind is answered: a move by somebody else."""

        def hook(call: Call) -> None:
            if call.operation == operation:
                self.hooks.remove(hook)
                act()

        self.hooks.append(hook)

    def fail(self, operation: str, code: str = "", **how: Any) -> Fault:
        """Let requests fail: `times` of them (-1: every one), for `*` or one operation. See `Fault`."""
        fault = Fault(operation, code, **how)
        self.faults.append(fault)
        return fault

    def counted(self) -> dict[str, int]:
        """How many requests came in, by operation."""
        return {
            name: sum(call.operation == name for call in self.calls) for name in {call.operation for call in self.calls}
        }

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                for target, headers, body in _requests(stream):
                    answer = self._handle(target, headers, body)
                    if answer is None:
                        _reset(connection)
                        return
                    connection.sendall(answer)
                    if b"X-Cut: short" in answer:
                        return
        except OSError:
            return
        finally:
            self._open.discard(connection)

    def _handle(self, target: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        call = _read_call(target, headers, body)
        with self.store.lock:
            self.calls.append(call)
            fault = next((fault for fault in self.faults if fault.strikes(call)), None)
        if fault:
            time.sleep(fault.delay)
            if fault.connection == "reset":
                return None
            if fault.answer is not None:
                return self._response(200, fault.answer)
            if fault.code:
                return self._error(
                    target, EcrError(fault.code, fault.message or f"{fault.code} on demand", fault.status)
                )
        for hook in self.hooks:
            hook(call)
        try:
            answer = self._answer(target, call)
        except EcrError as error:
            return self._error(target, error)
        if fault and fault.connection == "lose":
            return None
        return self._response(200, answer, cut=bool(fault and fault.connection == "truncate"))

    def _answer(self, target: str, call: Call) -> bytes:
        if call.operation == GET_BLOB:
            return self.store.blob(call)
        return json.dumps(self.store.answer(call)).encode() if target else self._sts(call)

    def _error(self, target: str, error: EcrError) -> bytes:
        if target:
            body = json.dumps({"__type": error.code, "message": error.message}).encode()
        else:
            code, message = escape(error.code), escape(error.message)
            body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()
        return self._response(error.status, body)

    def _response(self, status: int, body: bytes, *, cut: bool = False) -> bytes:
        date = formatdate(time.time() + self.clock, usegmt=True)
        head = f"HTTP/1.1 {status} -\r\nDate: {date}\r\nContent-Type: application/x-amz-json-1.1\r\n"
        if cut:
            return f"{head}X-Cut: short\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2]
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _sts(self, call: Call) -> bytes:
        if call.operation == "AssumeRole":
            self.roles.append({key: str(value) for key, value in call.body.items()})
            number, expires = len(self.roles), datetime.fromtimestamp(time.time() + 3600, UTC).isoformat()
            inner = (
                f"<Credentials><AccessKeyId>ASIAROLE{number:08}</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"
                f"<SessionToken>role-token</SessionToken><Expiration>{expires}</Expiration></Credentials>"
            )
        else:
            arn = f"arn:aws:iam::{ACCOUNT}:user/tests"
            inner = f"<Arn>{arn}</Arn><UserId>AIDATESTS</UserId><Account>{ACCOUNT}</Account>"
        name = call.operation
        return f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>".encode()


def _requests(stream: Any) -> Iterator[tuple[str, dict[str, str], bytes]]:
    while start := stream.readline():
        headers = {":path": start.decode("latin-1").split(" ")[1]}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        yield headers.get("x-amz-target", ""), headers, stream.read(int(headers.get("content-length", 0)))


_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")


def _read_call(target: str, headers: Mapping[str, str], body: bytes) -> Call:
    scope = _SCOPE.search(headers.get("authorization", ""))
    access_key, region = scope.groups() if scope else ("", REGION)
    agent = headers.get("user-agent", "")
    if target:
        return Call(target.rpartition(".")[2], json.loads(body or b"{}"), region, access_key, agent)
    address = urlsplit(headers[":path"])
    if address.path.startswith("/sha256:"):
        signature = parse_qs(address.query).get("X-Amz-Signature", [""])[0]
        return Call(GET_BLOB, {"digest": address.path[1:], "signature": signature}, region, access_key, agent)
    form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
    return Call(form.get("Action", ""), form, region, access_key, agent)


def _reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset, not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
