"""What ECR says of scans and signatures, asked by the real client: over the stand-in, and where it can, over moto."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from gitcd.errors import ConfigError
from gitcd.model.evidence import (
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
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.registry.evidence import EcrEvidence, inspect
from gitcd.registry.settings import RegistrySettings
from tests.support.ecr import (
    CREDENTIALS,
    OCI_INDEX,
    OCI_MANIFEST,
    StandIn,
    index_manifest,
    scan_result,
    sha256,
    single_manifest,
)

APP = "team/app"
NOTATION = "application/vnd.cncf.notary.signature"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOWHERE = {"os": "unknown", "architecture": "unknown"}
NOTE = {"vnd.docker.reference.type": "attestation-manifest"}


@pytest.fixture
def registry(ecr: StandIn) -> EcrEvidence:
    return EcrEvidence(RegistrySettings(endpoint_url=ecr.url))


@pytest.fixture
def image(ecr: StandIn) -> str:
    return ecr.put(APP, tags=["1.1.0", "prod"])


def scan_of(registry: EcrEvidence, ecr: StandIn, digest: str) -> Scan | Failure:
    found = registry.inspect(Inspection(ecr.repository(APP), digest, Aspect.SCAN))
    assert isinstance(found, Scan | Failure)
    return found


def signing_of(registry: EcrEvidence, ecr: StandIn, digest: str) -> Signing | Failure:
    found = registry.inspect(Inspection(ecr.repository(APP), digest, Aspect.SIGNING))
    assert isinstance(found, Signing | Failure)
    return found


class TestScan:
    def test_the_numbers_by_severity(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.scan(APP, image, CRITICAL=1, HIGH=2, UNDEFINED=4)
        found = scan_of(registry, ecr, image)
        assert isinstance(found, Scan)
        assert found.status is ScanStatus.DONE
        assert found.findings == Findings(critical=1, high=2, undefined=4)
        assert ecr.counted() == {"BatchGetImage": 1, "DescribeImageScanFindings": 1}

    @pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
    def test_a_clean_image(self, ecr: StandIn, registry: EcrEvidence, image: str, status: str) -> None:
        ecr.scan(APP, image, status)
        found = scan_of(registry, ecr, image)
        assert (found.status, found.findings) == (ScanStatus.DONE, Findings())

    @pytest.mark.parametrize(
        ("status", "meaning"),
        [
            ("IN_PROGRESS", ScanStatus.RUNNING),
            ("PENDING", ScanStatus.RUNNING),
            ("FAILED", ScanStatus.FAILED),
            ("UNSUPPORTED_IMAGE", ScanStatus.FAILED),
            ("SCAN_ELIGIBILITY_EXPIRED", ScanStatus.FAILED),
            ("FINDINGS_UNAVAILABLE", ScanStatus.FAILED),
            ("LIMIT_EXCEEDED", ScanStatus.FAILED),
            ("IMAGE_ARCHIVED", ScanStatus.FAILED),
            ("A_WORD_OF_TOMORROW", ScanStatus.FAILED),
        ],
    )
    def test_T15_what_is_not_done(
        self, ecr: StandIn, registry: EcrEvidence, image: str, status: str, meaning: ScanStatus
    ) -> None:
        ecr.scan(APP, image, status)
        found = scan_of(registry, ecr, image)
        assert found.status is meaning
        assert status in found.note

    def test_T15_an_image_that_was_not_scanned(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        assert scan_of(registry, ecr, image) == Scan(ScanStatus.ABSENT)

    @pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
    @pytest.mark.parametrize("findings", [{"findings": []}, {}, None])
    def test_T15_a_status_without_a_result_is_not_done(
        self, ecr: StandIn, registry: EcrEvidence, image: str, status: str, findings: dict[str, Any] | None
    ) -> None:
        more = {} if findings is None else {"imageScanFindings": findings}
        ecr.set_scan(APP, image, {"imageScanStatus": {"status": status}, **more})
        assert scan_of(registry, ecr, image).status is ScanStatus.RUNNING

    def test_findings_come_in_pages(
        self, ecr: StandIn, registry: EcrEvidence, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gitcd.registry.evidence._PAGE", 2)
        result = scan_result(counts={"LOW": 4, "CRITICAL": 1})
        del result["imageScanFindings"]["findingSeverityCounts"]
        ecr.set_scan(APP, image, result)
        assert scan_of(registry, ecr, image).findings == Findings(low=4, critical=1)
        assert ecr.counted()["DescribeImageScanFindings"] == 3

    def test_pages_without_an_end_are_no_answer(
        self, ecr: StandIn, registry: EcrEvidence, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gitcd.registry.evidence._PAGE", 1)
        ecr.scan(APP, image, LOW=60)
        found = scan_of(registry, ecr, image)
        assert isinstance(found, Failure)
        assert (found.reason, found.transient) == ("MalformedAnswer", True)

    def test_T15_the_larger_of_sum_and_list_counts(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        result = scan_result(counts={"CRITICAL": 1, "LOW": 1})
        result["imageScanFindings"]["findingSeverityCounts"] = {"LOW": 5}
        ecr.set_scan(APP, image, result)
        assert scan_of(registry, ecr, image).findings == Findings(critical=1, low=5)

    def test_what_amazon_inspector_says(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        result = scan_result("ACTIVE", counts={"HIGH": 2, "UNTRIAGED": 1}, enhanced=True)
        findings = result["imageScanFindings"]
        del findings["findingSeverityCounts"]
        findings["enhancedFindings"][0]["status"] = "SUPPRESSED"
        findings["enhancedFindings"][1]["status"] = "ACTIVE"
        ecr.set_scan(APP, image, result)
        assert scan_of(registry, ecr, image).findings == Findings(high=1, undefined=1)

    @pytest.mark.parametrize("counts", [{"CATASTROPHIC": 1}, {"": 1}])
    def test_T15_an_unknown_severity_is_no_answer(
        self, ecr: StandIn, registry: EcrEvidence, image: str, counts: dict[str, int]
    ) -> None:
        ecr.set_scan(APP, image, scan_result(counts=counts))
        assert scan_of(registry, ecr, image).reason == "MalformedAnswer"

    @pytest.mark.parametrize(
        "findings",
        [
            {"findingSeverityCounts": {"HIGH": "many"}},
            {"findingSeverityCounts": {"HIGH": -1}},
            {"findingSeverityCounts": {"LOW": 1}, "findings": [None]},
            {"findingSeverityCounts": {"LOW": 1}, "findings": [{"name": "CVE-2026-0001"}]},
            {"findingSeverityCounts": {"LOW": 1}, "enhancedFindings": [{"severity": 7}]},
        ],
    )
    def test_T15_what_cannot_be_read_is_no_answer(
        self, ecr: StandIn, registry: EcrEvidence, image: str, findings: dict[str, Any]
    ) -> None:
        ecr.set_scan(APP, image, {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": findings})
        assert scan_of(registry, ecr, image).reason == "MalformedAnswer"

    def test_F5_who_may_not_ask_learns_what_to_allow(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.fail("DescribeImageScanFindings", "AccessDeniedException", message="no identity-based policy allows it")
        found = scan_of(registry, ecr, image)
        assert isinstance(found, Failure)
        arn = f"arn:aws:ecr:{ecr.region}:{ecr.account}:repository/{APP}"
        assert f"ecr:DescribeImageScanFindings on {arn}" in found.message
        assert f"allow ecr:DescribeImageScanFindings on {arn}" in found.remedy
        assert not found.transient

    def test_an_image_that_is_gone(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        assert scan_of(registry, ecr, sha256(b"gone")).reason == "ImageNotFound"

    def test_a_registry_that_cannot_be_asked(self, registry: EcrEvidence) -> None:
        found = registry.inspect(Inspection(Repository("docker.io", "library/nginx"), sha256(b"x"), Aspect.SCAN))
        assert isinstance(found, Failure)
        assert found.reason == "RegistryNotSupported"

    def test_F4_throttling_is_ridden_out(
        self, ecr: StandIn, registry: EcrEvidence, image: str, no_backoff: None
    ) -> None:
        ecr.scan(APP, image, LOW=1)
        ecr.fail("DescribeImageScanFindings", "ThrottlingException", times=3)
        assert scan_of(registry, ecr, image).findings == Findings(low=1)
        ecr.fail("DescribeImageScanFindings", "ThrottlingException", times=-1)
        found = scan_of(registry, ecr, image)
        assert (found.reason, found.transient) == ("Throttled", True)

    @pytest.mark.parametrize("manifest", ["[]", "no json", "[" * 5000, '{"manifests": 3}', '{"manifests": [3]}'])
    def test_a_manifest_that_cannot_be_read(
        self, ecr: StandIn, registry: EcrEvidence, image: str, manifest: str
    ) -> None:
        ecr.create(APP).images[image].manifest = manifest
        assert scan_of(registry, ecr, image).reason == "MalformedAnswer"


def child(manifest: str = "", **more: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": sha256(manifest.encode()), "size": 1} | more


def put_index(ecr: StandIn, *children: dict[str, Any]) -> str:
    return ecr.put(APP, manifest=json.dumps({"mediaType": OCI_INDEX, "manifests": list(children)}))


class TestPlatforms:
    """ECR scans what an index binds together, not the index."""

    @pytest.fixture
    def platforms(self, ecr: StandIn) -> dict[str, str]:
        return {each: ecr.put(APP, manifest=single_manifest(each)) for each in ("amd64", "arm64")}

    @pytest.fixture
    def index(self, ecr: StandIn, platforms: dict[str, str]) -> str:
        return ecr.put(APP, tags=["prod"], manifest=index_manifest(platforms))

    def test_T15_the_worst_platform_decides(
        self, ecr: StandIn, registry: EcrEvidence, platforms: dict[str, str], index: str
    ) -> None:
        ecr.scan(APP, platforms["amd64"], HIGH=2, LOW=1)
        ecr.scan(APP, platforms["arm64"], CRITICAL=1, HIGH=1)
        found = scan_of(registry, ecr, index)
        assert found == Scan(
            ScanStatus.DONE, Findings(critical=1, high=2, low=1), "the worst of linux/amd64, linux/arm64"
        )
        asked = [call.body["imageId"]["imageDigest"] for call in ecr.calls if "imageId" in call.body]
        assert sorted(asked) == sorted(platforms.values())

    @pytest.mark.parametrize(
        ("status", "meaning"), [("PENDING", ScanStatus.RUNNING), ("UNSUPPORTED_IMAGE", ScanStatus.FAILED)]
    )
    def test_T15_all_platforms_must_be_done(
        self,
        ecr: StandIn,
        registry: EcrEvidence,
        platforms: dict[str, str],
        index: str,
        status: str,
        meaning: ScanStatus,
    ) -> None:
        ecr.scan(APP, platforms["amd64"])
        ecr.scan(APP, platforms["arm64"], status)
        found = scan_of(registry, ecr, index)
        assert found.status is meaning
        assert f"linux/arm64 {status}" in found.note
        assert "amd64" not in found.note

    def test_T15_a_platform_that_was_not_scanned(
        self, ecr: StandIn, registry: EcrEvidence, platforms: dict[str, str], index: str
    ) -> None:
        ecr.scan(APP, platforms["amd64"])
        assert scan_of(registry, ecr, index) == Scan(ScanStatus.ABSENT, note="linux/arm64")

    def test_the_scan_of_the_index_itself_says_nothing(
        self, ecr: StandIn, registry: EcrEvidence, platforms: dict[str, str], index: str
    ) -> None:
        ecr.scan(APP, index)
        assert scan_of(registry, ecr, index).status is ScanStatus.ABSENT

    def test_attestations_are_left_out(self, ecr: StandIn, registry: EcrEvidence, platforms: dict[str, str]) -> None:
        image = child(digest=platforms["amd64"], platform={"os": "linux", "architecture": "amd64"})
        note = child("note", platform=NOWHERE, annotations=NOTE)
        ecr.scan(APP, platforms["amd64"], LOW=1)
        assert scan_of(registry, ecr, put_index(ecr, image, note)).findings == Findings(low=1)

    @pytest.mark.parametrize(
        "disguise",
        [
            {"annotations": NOTE},
            {"annotations": NOTE, "platform": {"os": "linux", "architecture": "amd64"}},
            {"platform": NOWHERE},
        ],
    )
    def test_T15_what_only_looks_like_an_attestation_is_asked_about(
        self, ecr: StandIn, registry: EcrEvidence, platforms: dict[str, str], disguise: dict[str, Any]
    ) -> None:
        ecr.scan(APP, platforms["amd64"])
        hidden = child(digest=platforms["arm64"], **disguise)
        index = put_index(ecr, child(digest=platforms["amd64"]), hidden)
        assert scan_of(registry, ecr, index).status is ScanStatus.ABSENT

    @pytest.mark.parametrize(
        "children", [[], [child(mediaType=OCI_INDEX)], [child(digest="latest")], [child(str(n)) for n in range(65)]]
    )
    def test_T15_an_index_that_cannot_be_judged(
        self, ecr: StandIn, registry: EcrEvidence, children: list[dict[str, Any]]
    ) -> None:
        found = scan_of(registry, ecr, put_index(ecr, *children))
        assert isinstance(found, Failure)
        assert found.reason == "IndexNotRead"
        assert "DescribeImageScanFindings" not in ecr.counted()


class TestSigning:
    def test_signed_with_every_profile(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.sign(APP, image, "COMPLETE", "COMPLETE")
        found = signing_of(registry, ecr, image)
        assert isinstance(found, Signing)
        assert (found.status, len(found.profiles)) == (SigningStatus.SIGNED, 2)
        assert ecr.counted() == {"DescribeImageSigningStatus": 1}

    @pytest.mark.parametrize(
        ("statuses", "meaning"),
        [
            ([], SigningStatus.UNSIGNED),
            (["IN_PROGRESS"], SigningStatus.RUNNING),
            (["COMPLETE", "IN_PROGRESS"], SigningStatus.RUNNING),
            (["COMPLETE", "FAILED"], SigningStatus.FAILED),
            (["IN_PROGRESS", "FAILED"], SigningStatus.FAILED),
            (["A_WORD_OF_TOMORROW"], SigningStatus.FAILED),
        ],
    )
    def test_T15_what_is_not_signed(
        self, ecr: StandIn, registry: EcrEvidence, image: str, statuses: list[str], meaning: SigningStatus
    ) -> None:
        ecr.sign(APP, image, *statuses)
        assert signing_of(registry, ecr, image).status is meaning

    def test_T15_statuses_that_cannot_be_read(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        for answer in (b'{"signingStatuses": [null]}', b"{}", b'{"signingStatuses": {"status": "COMPLETE"}}'):
            ecr.fail("DescribeImageSigningStatus", answer=answer, times=2)
            assert signing_of(registry, ecr, image).reason == "MalformedAnswer"

    def test_a_failure_is_told_in_ecr_s_words(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.sign(APP, image, "FAILED")
        found = signing_of(registry, ecr, image)
        assert "profile_0" in found.note
        assert "AccessDeniedException: may not use the profile" in found.note

    def test_T15_signatures_of_others_are_listed_and_do_not_count(
        self, ecr: StandIn, registry: EcrEvidence, image: str
    ) -> None:
        ecr.refer(APP, image, "application/spdx+json")
        bundle, notation = ecr.refer(APP, image, BUNDLE), ecr.refer(APP, image, NOTATION)
        assert signing_of(registry, ecr, image) == Signing(
            SigningStatus.UNSIGNED, (), (Referrer(NOTATION, notation), Referrer(BUNDLE, bundle))
        )

    def test_a_list_that_may_not_be_had_is_told(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.fail("ListImageReferrers", "AccessDeniedException")
        found = signing_of(registry, ecr, image)
        assert isinstance(found, Signing)
        assert found.status is SigningStatus.UNSIGNED
        assert "could not be listed: not allowed to call ecr:ListImageReferrers" in found.note

    def test_F5_who_may_not_ask_learns_what_to_allow(self, ecr: StandIn, registry: EcrEvidence, image: str) -> None:
        ecr.fail("DescribeImageSigningStatus", "AccessDeniedException")
        found = signing_of(registry, ecr, image)
        assert isinstance(found, Failure)
        assert "ecr:DescribeImageSigningStatus on arn:aws:ecr:" in found.message

    @pytest.mark.parametrize("code", ["UnknownOperationException", "ValidationException"])
    def test_T15_an_endpoint_that_does_not_know_the_question(
        self, ecr: StandIn, registry: EcrEvidence, image: str, code: str
    ) -> None:
        ecr.fail("DescribeImageSigningStatus", code)
        found = signing_of(registry, ecr, image)
        assert isinstance(found, Failure)
        assert code in found.message

    def test_an_index_is_asked_about_as_itself(self, ecr: StandIn, registry: EcrEvidence) -> None:
        index = ecr.put_index(APP, tags=["prod"])
        ecr.sign(APP, index, "COMPLETE")
        assert signing_of(registry, ecr, index).status is SigningStatus.SIGNED


class TestInspect:
    def questions(self, ecr: StandIn, count: int) -> list[Inspection]:
        digests = [ecr.put(APP, tags=[f"1.0.{number}"]) for number in range(count)]
        for digest in digests:
            ecr.scan(APP, digest, LOW=1)
        return [Inspection(ecr.repository(APP), digest, Aspect.SCAN) for digest in digests]

    def test_each_question_is_asked_once_in_a_run(self, ecr: StandIn, registry: EcrEvidence) -> None:
        one, two, three = self.questions(ecr, 3)
        first = inspect([one, two, one], registry)
        again = inspect([two, three], registry, known=first)
        assert ecr.counted()["DescribeImageScanFindings"] == 3
        assert set(again.answers) == {one, two, three}
        assert all(isinstance(answer, Scan) for answer in again.answers.values())

    def test_an_answer_stays_for_the_run(self, ecr: StandIn, registry: EcrEvidence) -> None:
        (question,) = self.questions(ecr, 1)
        first = inspect([question], registry)
        ecr.scan(APP, question.digest, CRITICAL=9)
        assert inspect([question], registry, known=first) == first

    def test_nothing_asked_is_no_call(self, ecr: StandIn, registry: EcrEvidence) -> None:
        assert inspect([], registry) == Inspected()
        assert ecr.calls == []

    def test_questions_go_side_by_side_within_bounds(self, ecr: StandIn, registry: EcrEvidence) -> None:
        asked = self.questions(ecr, 12)
        registry.inspect(asked[0])
        ecr.fail("DescribeImageScanFindings", times=-1, delay=0.1)
        start = time.monotonic()
        inspect(asked, registry, workers=4)
        assert 0.3 <= time.monotonic() - start < 1.1

    def test_F7_a_deadline_leaves_questions_open(self, ecr: StandIn, registry: EcrEvidence) -> None:
        asked = self.questions(ecr, 2)
        ecr.fail("BatchGetImage", times=-1, delay=3)
        start = time.monotonic()
        found = inspect(asked, registry, deadline=time.monotonic() + 0.3)
        assert time.monotonic() - start < 2
        answers = {found.scan(each.repository, each.digest).reason for each in asked}
        assert answers == {"DeadlineExceeded"}
        assert found.scan(asked[0].repository, asked[0].digest).transient

    def test_without_credentials_nothing_can_be_asked(self, ecr: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.questions(ecr, 1)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with pytest.raises(ConfigError, match="no usable AWS credentials"):
            inspect(asked, EcrEvidence(RegistrySettings(endpoint_url=ecr.url)))

    def test_what_was_not_asked_is_no_answer(self) -> None:
        inspected = Inspected()
        for found in (inspected.scan(Repository("", "a"), "x"), inspected.signing(Repository("", "a"), "x")):
            assert isinstance(found, Failure)
            assert found.reason == "NotInspected"


class TestContract:
    """The same over both; moto knows nothing of signatures, and finds one HIGH in every image."""

    @pytest.fixture(params=["stand-in", "moto"])
    def url(self, request: pytest.FixtureRequest) -> Iterator[str]:
        if request.param == "moto":
            yield request.getfixturevalue("moto")
            return
        with StandIn() as server:
            yield server.url

    def test_a_scan_is_absent_until_it_is_started(self, url: str) -> None:
        client = boto3.client(
            "ecr",
            endpoint_url=url,
            region_name=StandIn.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        name = "team/scanned"  # moto's registry is one for the whole process
        client.create_repository(repositoryName=name)
        manifest = single_manifest()
        digest = sha256(manifest.encode())
        client.put_image(repositoryName=name, imageManifest=manifest, imageDigest=digest, imageTag="prod")
        image = {"repositoryName": name, "imageId": {"imageDigest": digest}}
        with pytest.raises(ClientError, match="ScanNotFoundException"):
            client.describe_image_scan_findings(**image)
        host = f"{StandIn.account}.dkr.ecr.{StandIn.region}.amazonaws.com"
        registry = EcrEvidence(RegistrySettings(endpoint_url=url))
        question = Inspection(Repository(host, name), digest, Aspect.SCAN)
        assert registry.inspect(question) == Scan(ScanStatus.ABSENT)
        client.start_image_scan(**image)
        found = registry.inspect(question)
        assert isinstance(found, Scan)
        assert found.status is ScanStatus.DONE
        assert found.findings in (Findings(), Findings(high=1))
        client.delete_repository(repositoryName=name, force=True)
