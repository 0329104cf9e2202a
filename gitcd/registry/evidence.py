"""What private Amazon ECR knows of an image's safety: the findings of its scans, and whether ECR has signed it.

ECR scans the manifests of single platforms, not the index that binds them: of a multi-platform image every platform is
asked about, and the image is as good as the worst of them. A signature is that of the digest which is written, the
index's.

Source: DescribeImageScanFindings, DescribeImageSigningStatus and ListImageReferrers in the Amazon ECR API reference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Protocol

from gitcd.model.declaration import Severity
from gitcd.model.evidence import (
    SEVERITIES,
    Aspect,
    Findings,
    Inspected,
    Inspection,
    Referrer,
    Scan,
    ScanStatus,
    Signing,
    SigningStatus,
)
from gitcd.model.reference import is_digest, short
from gitcd.model.registry import Failure
from gitcd.registry.faults import MalformedAnswerError, clean, parsing
from gitcd.registry.image_documents import EcrDocuments
from gitcd.registry.parallel import in_parallel
from gitcd.registry.route import Target, find_target

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_PAGE = 1000  # the most findings that ECR gives at once
_MAX_PAGES = 50
_MAX_PLATFORMS = 64
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
# Source: `ScanStatus` of the Amazon ECR API. ACTIVE: Amazon Inspector watches the image, and tells what it knows now.
_DONE = frozenset({"COMPLETE", "ACTIVE"})
_RUNNING = frozenset({"IN_PROGRESS", "PENDING"})
# Source: the signature specification of the Notary Project, and cosign's signature and bundle specifications.
_SIGNATURES = (
    "application/vnd.cncf.notary.signature",
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
)
_ORDER = (ScanStatus.FAILED, ScanStatus.ABSENT, ScanStatus.RUNNING)


class Inspector(Protocol):
    """Something that knows about the safety of images."""

    def inspect(self, inspection: Inspection) -> Scan | Signing | Failure: ...


def inspect(
    inspections: Iterable[Inspection],
    inspector: Inspector,
    *,
    workers: int = 16,
    deadline: float = math.inf,
    known: Inspected | None = None,
) -> Inspected:
    """Ask everything that is not `known`, up to `workers` questions at a time, until a moment of `time.monotonic()`.

    Raises:
        ConfigError: the registry cannot be asked at all.
    """
    answers = dict(known.answers) if known else {}
    asked = set(inspections)
    answers.update(in_parallel(inspector.inspect, sorted(asked - answers.keys()), workers, deadline))
    return Inspected(answers | {each: _late(each) for each in asked - answers.keys()})


class EcrEvidence(EcrDocuments):
    """A registry that can also be asked about the safety of images. Safe to share by threads."""

    def inspect(self, inspection: Inspection) -> Scan | Signing | Failure:
        """Ask about one image.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        target = find_target(inspection.repository, self._settings)
        if isinstance(target, Failure):
            return target
        if inspection.aspect is Aspect.SCAN:
            return self._run(target, partial(self._scan, target, inspection.digest))
        return self._run(target, partial(self._signing, target, inspection.digest))

    def _scan(self, target: Target, digest: str, client: ECRClient) -> Scan | Failure:
        manifest = self._manifest(target, digest, client)
        if isinstance(manifest, Failure):
            return manifest
        if "manifests" not in manifest:
            return self._scan_one(target, digest, client)
        platforms = _platforms(manifest, f"{target.repository}@{short(digest)}")
        if isinstance(platforms, Failure):
            return platforms
        return _worst([(each, self._scan_one(target, each.digest, client)) for each in platforms])

    def _scan_one(self, target: Target, digest: str, client: ECRClient) -> Scan:
        try:
            pages = list(self._pages(target, digest, client))
        except client.exceptions.ScanNotFoundException:
            return Scan(ScanStatus.ABSENT)
        with parsing():
            return _read_scan(pages)

    def _pages(self, target: Target, digest: str, client: ECRClient) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            page = self._request(
                client.describe_image_scan_findings, "imageScanStatus", target,
                repositoryName=target.repository.path, imageId={"imageDigest": digest}, maxResults=_PAGE, **token,
            )  # fmt: skip
            yield page
            if not page.get("nextToken"):
                return
            token = {"nextToken": str(page["nextToken"])}
        raise MalformedAnswerError(f"the findings of {digest} do not end")

    def _signing(self, target: Target, digest: str, client: ECRClient) -> Signing:
        answer = self._request(
            client.describe_image_signing_status, "signingStatuses", target,
            repositoryName=target.repository.path, imageId={"imageDigest": digest},
        )  # fmt: skip
        with parsing():
            status, note = _read_signing(answer["signingStatuses"])
            profiles = tuple(sorted(clean(each.get("signingProfileArn", "")) for each in answer["signingStatuses"]))
        if status is SigningStatus.SIGNED:
            return Signing(status, profiles)
        referrers = self._run(target, partial(self._referrers, target, digest))
        if isinstance(referrers, Failure):
            unlisted = f"signatures of others could not be listed: {referrers.message}"
            return Signing(status, profiles, (), "; ".join(filter(None, (note, unlisted))))
        return Signing(status, profiles, referrers, note)

    def _referrers(self, target: Target, digest: str, client: ECRClient) -> tuple[Referrer, ...]:
        """The signatures that were made outside ECR, as far as they come at once."""
        answer = self._request(
            client.list_image_referrers, "referrers", target,
            repositoryName=target.repository.path, subjectId={"imageDigest": digest},
            filter={"artifactTypes": list(_SIGNATURES)},
        )  # fmt: skip
        with parsing():
            found = [(str(each.get("artifactType", "")), str(each.get("digest", ""))) for each in answer["referrers"]]
        return tuple(Referrer(kind, name) for kind, name in sorted(found) if kind in _SIGNATURES and is_digest(name))


@dataclass(frozen=True, slots=True)
class _Platform:
    name: str
    digest: str


def _platforms(index: Mapping[str, Any], name: str) -> list[_Platform] | Failure:
    """What an index binds together, save the notes that builders leave about it.

    Source: the image index of the OCI image specification, and BuildKit's "attestation storage".
    """
    children = index["manifests"]
    if not isinstance(children, list) or not all(isinstance(each, dict) for each in children):
        raise MalformedAnswerError("an index without a list of manifests")
    images = [each for each in children if not _is_attestation(each)]
    if not images or len(images) > _MAX_PLATFORMS:
        return Failure(
            "IndexNotRead", f"{name} is an index of {len(images)} images; 1 to {_MAX_PLATFORMS} are asked for"
        )
    if any(each.get("mediaType") in _INDEXES or not is_digest(str(each.get("digest"))) for each in images):
        return Failure("IndexNotRead", f"{name} is an index of indexes, which is not looked into")
    return [_Platform(_name(each), str(each["digest"])) for each in images]


def _is_attestation(child: Mapping[str, Any]) -> bool:
    """Whether no runtime would ever start it: it says so, and is for no platform."""
    annotations, platform = child.get("annotations"), child.get("platform")
    if not isinstance(annotations, dict) or not isinstance(platform, dict):
        return False
    nowhere = platform.get("os") == platform.get("architecture") == "unknown"
    return nowhere and annotations.get("vnd.docker.reference.type") == "attestation-manifest"


def _name(child: Mapping[str, Any]) -> str:
    platform = child.get("platform")
    parts = [platform.get(key) for key in ("os", "architecture", "variant")] if isinstance(platform, dict) else []
    return clean("/".join(str(part) for part in parts if part)) or short(str(child["digest"]))


def _worst(scans: Sequence[tuple[_Platform, Scan]]) -> Scan:
    """One scan for all platforms: of each severity the most that one of them has; not done before all are done."""
    for status in _ORDER:
        if open_ones := [(platform, scan) for platform, scan in scans if scan.status is status]:
            told = [f"{platform.name} {scan.note}".strip() for platform, scan in open_ones]
            return Scan(status, note=clean("; ".join(told)))
    findings = reduce(Findings.most, (scan.findings for _, scan in scans))
    return Scan(ScanStatus.DONE, findings, clean(f"the worst of {', '.join(platform.name for platform, _ in scans)}"))


def _read_scan(pages: Sequence[Mapping[str, Any]]) -> Scan:
    status = pages[0]["imageScanStatus"]
    word = str(status.get("status", ""))
    note = clean(": ".join(filter(None, (word, str(status.get("description", ""))))))
    if word not in _DONE:
        return Scan(ScanStatus.RUNNING if word in _RUNNING else ScanStatus.FAILED, note=note)
    results = [page.get("imageScanFindings") or {} for page in pages]
    if not any(_has_result(each) for each in results):
        return Scan(ScanStatus.RUNNING, note=f"{note} Its findings are not there yet.")
    return Scan(ScanStatus.DONE, reduce(Findings.most, map(_counted, results), _listed(results)), note)


def _has_result(result: Mapping[str, Any]) -> bool:
    """Whether a scan is behind it: for a while ECR calls a scan complete and has nothing to tell but an empty list."""
    keys = ("imageScanCompletedAt", "findingSeverityCounts")
    return any(result.get(key) is not None for key in keys) or any(map(result.get, ("findings", "enhancedFindings")))


def _counted(result: Mapping[str, Any]) -> Findings:
    """The numbers as ECR sums them up."""
    counts: Counter[Severity] = Counter()
    for word, number in (result.get("findingSeverityCounts") or {}).items():
        counts[_severity(word)] += _count(number)
    return Findings.of(counts)


def _count(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise MalformedAnswerError(f"{clean(number)!r} is no number of findings")
    return number


def _listed(results: Iterable[Mapping[str, Any]]) -> Findings:
    """The numbers as the findings themselves say; those that Amazon Inspector holds back or has closed do not count."""
    counts: Counter[Severity] = Counter()
    for result in results:
        enhanced = [each for each in result.get("enhancedFindings") or () if each.get("status", "ACTIVE") == "ACTIVE"]
        counts.update(_severity(each.get("severity")) for each in [*(result.get("findings") or ()), *enhanced])
    return Findings.of(counts)


def _severity(word: object) -> Severity:
    """Amazon Inspector says UNTRIAGED where ECR's own scan says UNDEFINED."""
    wanted = "UNDEFINED" if word == "UNTRIAGED" else word
    severity = next((each for each in SEVERITIES if each == wanted), None)
    if severity is None:
        raise MalformedAnswerError(f"a finding has the unknown severity {clean(word)!r}")
    return severity


def _read_signing(statuses: Sequence[Mapping[str, Any]]) -> tuple[SigningStatus, str]:
    """Signed is what is signed with every profile that ECR's rules ask for."""
    open_ones = [each for each in statuses if each.get("status") != "COMPLETE"]
    running = [each for each in open_ones if each.get("status") == "IN_PROGRESS"]
    if len(running) < len(open_ones):
        failed = next(each for each in open_ones if each not in running)
        words = (failed.get(key) for key in ("signingProfileArn", "status", "failureCode", "failureReason"))
        return SigningStatus.FAILED, clean(": ".join(str(word) for word in words if word))
    if running:
        return SigningStatus.RUNNING, clean(f"{running[0].get('signingProfileArn', '')}: IN_PROGRESS")
    return (SigningStatus.SIGNED if statuses else SigningStatus.UNSIGNED), ""


def _late(inspection: Inspection) -> Failure:
    message = f"{inspection.repository} was not asked about {short(inspection.digest)} before the run's deadline"
    return Failure("DeadlineExceeded", message, "run again, or allow the run more time", transient=True)
