"""Tags written: the requests that are made, and what ECR's answers to them mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.registry.mutability import Mutability
from gitcd.registry.route import Target, find_target
from gitcd.registry.settings import Access, RegistrySettings
from gitcd.registry.tags import EcrTags, Manifest, immutable
from tests.support.ecr import ACCOUNT, DOCKER_MANIFEST, OCI_INDEX, StandIn, sha256

APP = "team/app"
BARE = Repository("", APP)


@pytest.fixture
def registry(ecr: StandIn) -> EcrTags:
    return EcrTags(RegistrySettings(endpoint_url=ecr.url, region=ecr.region))


def manifest(registry: EcrTags, digest: str, repository: Repository = BARE) -> Manifest:
    found = registry.manifests(repository, [digest])[digest]
    assert isinstance(found, Manifest), found
    return found


def test_a_bare_name_is_asked_in_the_callers_own_registry_and_learns_its_host(ecr: StandIn, registry: EcrTags) -> None:
    digest = ecr.put(APP, tags=["1.0.0"])
    assert manifest(registry, digest).home == ecr.repository(APP)
    assert "registryId" not in ecr.calls[-1].body


def test_a_full_name_keeps_its_account_and_region(ecr: StandIn, registry: EcrTags) -> None:
    name = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/app"
    digest = ecr.put(name, tags=["1.0.0"])
    assert manifest(registry, digest, ecr.repository(name)).home == ecr.repository(name)
    assert (ecr.calls[-1].body["registryId"], ecr.calls[-1].region) == ("210987654321", "eu-west-1")


def test_a_region_that_nothing_names_is_that_of_the_aws_environment(
    ecr: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    digest = ecr.put(APP, tags=["1.0.0"])
    assert manifest(EcrTags(RegistrySettings(endpoint_url=ecr.url)), digest).home == ecr.repository(APP)


def test_no_region_at_all_is_said_with_a_remedy(ecr: StandIn) -> None:
    with pytest.raises(ConfigError, match="no region is known") as caught:
        EcrTags(RegistrySettings(endpoint_url=ecr.url)).look_up(BARE, ["1.0.0"])
    assert "AWS_REGION" in caught.value.remedy


def test_no_credentials_are_said_with_a_remedy(
    ecr: StandIn, registry: EcrTags, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="no usable AWS credentials"):
        registry.find(BARE, ["1.0.0"])


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"),
        ("cn-north-1", f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1", f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu"),
        ("us-isob-east-1", f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov"),
    ],
)
def test_the_host_of_a_bare_name_is_that_of_its_partition(region: str, host: str) -> None:
    target = find_target(BARE, RegistrySettings(region=region))
    assert isinstance(target, Target)
    assert target.home(ACCOUNT, region) == Repository(host, APP)
    assert target.home("", region) == BARE


def test_the_arn_of_a_bare_name_leaves_open_what_is_not_known() -> None:
    target = find_target(BARE, RegistrySettings())
    assert isinstance(target, Target)
    assert target.arn == "arn:aws:ecr:*:*:repository/team/app"


def test_a_general_role_is_assumed_where_an_entry_names_none() -> None:
    settings = RegistrySettings(role_arn="general", access={"123456789012": Access(role_arn="own")})
    assert settings.access_to("").role_arn == "general"
    assert settings.access_to(f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com").role_arn == "own"


class TestPut:
    @pytest.mark.parametrize("kind", ["index", "oci", "docker", "odd bytes"])
    def test_the_same_bytes_and_media_type_are_put_with_the_digest(
        self, ecr: StandIn, registry: EcrTags, kind: str
    ) -> None:
        texts = {
            "oci": None,
            "docker": json.dumps({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "layers": []}, indent=3),
            "odd bytes": '{ "schemaVersion":2,\r\n\t"annotations": {"näme": "\\u00e9 日本"} }\n\n',
        }
        digest = (
            ecr.put_index(APP, tags=["1.0.0"]) if kind == "index" else ecr.put(APP, tags=["1"], manifest=texts[kind])
        )
        stored = ecr.create(APP).images[digest]
        before = ecr.contents(APP)
        assert registry.put(BARE, manifest(registry, digest), "env-prod") is None
        body = ecr.calls[-1].body
        assert (body["imageManifest"], body["imageDigest"]) == (stored.manifest, digest)
        assert body["imageManifestMediaType"] == stored.media_type
        assert sha256(body["imageManifest"].encode()) == digest
        assert ecr.contents(APP) == before | {digest: before[digest] | {"env-prod"}}

    def test_an_index_is_asked_for_as_one(self, ecr: StandIn, registry: EcrTags) -> None:
        digest = ecr.put_index(APP, tags=["1.0.0"])
        assert manifest(registry, digest).media_type == OCI_INDEX
        assert OCI_INDEX in ecr.calls[-1].body["acceptedMediaTypes"]

    def test_what_is_there_already_is_a_success(self, ecr: StandIn, registry: EcrTags) -> None:
        digest = ecr.put(APP, tags=["1.0.0", "env-prod"])
        assert registry.put(BARE, manifest(registry, digest), "env-prod") is None

    @pytest.mark.usefixtures("no_backoff")
    def test_a_lost_answer_is_made_up_for_by_asking_again(self, ecr: StandIn, registry: EcrTags) -> None:
        digest = ecr.put(APP, tags=["1.0.0"])
        found = manifest(registry, digest)
        ecr.fail("PutImage", connection="lose")
        assert registry.put(BARE, found, "env-prod") is None
        assert ecr.contents(APP) == {digest: {"1.0.0", "env-prod"}}

    @pytest.mark.usefixtures("no_backoff")  # botocore takes LimitExceededException for throttling
    @pytest.mark.parametrize(
        ("code", "reason", "remedy"),
        [
            ("LimitExceededException", "LimitExceeded", "quota"),
            ("ReferencedImagesNotFoundException", "ImageIncomplete", "push the whole image"),
            ("LayersNotFoundException", "ImageIncomplete", "push the whole image"),
            ("ImageDigestDoesNotMatchException", "ManifestChanged", "push the image"),
            ("KmsException", "KmsError", f"KMS key of arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app"),
            ("AccessDeniedException", "AccessDenied", f"ecr:PutImage on arn:aws:ecr:us-east-1:{ACCOUNT}:repository/"),
            ("InvalidParameterException", "RequestRefused", ""),
        ],
    )
    def test_a_refusal_names_its_cause_and_remedy(
        self, ecr: StandIn, registry: EcrTags, code: str, reason: str, remedy: str
    ) -> None:
        digest, full = ecr.put(APP, tags=["1.0.0"]), ecr.repository(APP)
        found, before = manifest(registry, digest), ecr.contents(APP)
        ecr.fail("PutImage", code, times=-1)
        failure = registry.put(full, found, "env-prod")
        assert failure is not None
        assert (failure.reason, failure.transient) == (reason, False)
        assert remedy in failure.remedy
        assert ecr.contents(APP) == before

    @pytest.mark.usefixtures("no_backoff")
    @pytest.mark.parametrize(
        ("code", "status", "reason"),
        [
            ("ThrottlingException", 400, "Throttled"),
            ("ServerException", 500, "RegistryUnavailable"),
            ("ExpiredTokenException", 400, "ExpiredToken"),
        ],
    )
    def test_trouble_that_may_pass_is_told_as_such(
        self, ecr: StandIn, registry: EcrTags, code: str, status: int, reason: str
    ) -> None:
        digest = ecr.put(APP, tags=["1.0.0"])
        found = manifest(registry, digest)
        ecr.fail("PutImage", code, status=status, times=-1)
        failure = registry.put(BARE, found, "env-prod")
        assert failure is not None
        assert (failure.reason, failure.transient) == (reason, True)
        assert failure.remedy

    def test_an_immutable_repository_is_named_with_its_setting(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.create(APP, immutable=True)
        old, new = ecr.put(APP, tags=["env-prod"]), ecr.put(APP, tags=["1.0.0"])
        failure = registry.put(BARE, manifest(registry, new), "env-prod")
        assert failure is not None
        assert failure.reason == "ImmutableTag"
        assert failure.message == "team/app does not let the tag env-prod move: its tag mutability is IMMUTABLE"
        assert "put-image-tag-mutability" in failure.remedy
        assert ecr.contents(APP) == {old: {"env-prod"}, new: {"1.0.0"}}

    def test_exclusion_filters_are_named(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.create(APP, immutable=True, filters=["env-*", "latest"])
        old, new = ecr.put(APP, tags=["prod", "env-dev"]), ecr.put(APP, tags=["1.0.0"])
        found = manifest(registry, new)
        failure = registry.put(BARE, found, "prod")
        assert failure is not None
        assert "IMMUTABLE_WITH_EXCLUSION, and it matches none of env-*, latest" in failure.message
        assert registry.put(BARE, found, "env-dev") is None
        assert ecr.contents(APP) == {old: {"prod"}, new: {"1.0.0", "env-dev"}}

    def test_a_setting_that_may_not_be_read_does_not_hide_the_cause(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.create(APP, immutable=True)
        ecr.put(APP, tags=["env-prod"])
        found = manifest(registry, ecr.put(APP, tags=["1.0.0"]))
        ecr.fail("DescribeRepositories", "AccessDeniedException", times=-1)
        failure = registry.put(BARE, found, "env-prod")
        assert failure is not None
        assert failure.message.endswith("its tags are immutable")


class TestRemove:
    def test_only_the_tags_that_are_named_go(self, ecr: StandIn, registry: EcrTags) -> None:
        first, second = ecr.put(APP, tags=["1.0.0", "a", "b"]), ecr.put(APP, tags=["2.0.0", "c"])
        other = ecr.put("team/other", tags=["a", "x"])
        assert registry.remove(BARE, ["a", "c", "nope"]) == {"a": first, "c": second, "nope": ""}
        assert ecr.contents(APP) == {first: {"1.0.0", "b"}, second: {"2.0.0"}}
        assert ecr.contents("team/other") == {other: {"a", "x"}}
        assert ecr.calls[-1].body["imageIds"] == [{"imageTag": "a"}, {"imageTag": "c"}, {"imageTag": "nope"}]

    def test_more_than_a_hundred_go_in_several_requests(self, ecr: StandIn, registry: EcrTags) -> None:
        tags = [f"t{number}" for number in range(205)]
        digest = ecr.put(APP, tags=["1.0.0", *tags])
        assert set(registry.remove(BARE, tags).values()) == {digest}
        assert [len(call.ids) for call in ecr.calls] == [100, 100, 5]
        assert ecr.contents(APP) == {digest: {"1.0.0"}}

    def test_the_last_tag_of_a_part_of_an_index_stays(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.put_index(APP, tags=["1.0.0"])
        child = next(digest for digest, tags in ecr.contents(APP).items() if not tags)
        ecr.move(APP, "amd64", child)
        before = ecr.contents(APP)
        failure = registry.remove(BARE, ["amd64"])["amd64"]
        assert isinstance(failure, Failure)
        assert failure.reason == "ImageReferencedByManifestList"
        assert "multi-platform" in failure.message
        assert ecr.contents(APP) == before

    def test_a_denial_names_the_action_and_the_resource(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.put(APP, tags=["1.0.0", "a"])
        before = ecr.contents(APP)
        ecr.fail("BatchDeleteImage", "AccessDeniedException", times=-1)
        failure = registry.remove(ecr.repository(APP), ["a"])["a"]
        assert isinstance(failure, Failure)
        assert f"ecr:BatchDeleteImage on arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app" in failure.remedy
        assert ecr.contents(APP) == before


class TestImages:
    def test_pages_are_read_to_the_end_and_untagged_images_left_out(self, ecr: StandIn, registry: EcrTags) -> None:
        for number in range(1005):
            ecr.put(APP, tags=[f"t{number}"])
        ecr.put(APP, manifest="{}")
        tags = [image.tags for image in registry.images(BARE)]
        assert tags == [(f"t{number}",) for number in range(1005)]
        assert ecr.counted() == {"DescribeImages": 2}

    def test_a_failure_on_the_way_is_the_last_that_comes(self, ecr: StandIn, registry: EcrTags) -> None:
        for number in range(1001):
            ecr.put(APP, tags=[f"t{number}"])
        ecr.fail("DescribeImages", "AccessDeniedException", times=-1, after=1)
        *images, failure = registry.images(BARE)
        assert len(images) == 1000
        assert isinstance(failure, Failure)
        assert failure.reason == "AccessDenied"

    def test_pages_that_come_to_no_end_are_a_failure(self, ecr: StandIn, registry: EcrTags) -> None:
        ecr.create(APP)
        ecr.fail("DescribeImages", answer=b'{"imageDetails": [], "nextToken": "again"}', times=-1)
        (failure,) = registry.images(BARE)
        assert isinstance(failure, Failure)
        assert (failure.reason, failure.transient) == ("MalformedAnswer", True)


class TestManifests:
    @pytest.mark.parametrize("code", ["KmsError", "ImageInaccessible", "UpstreamUnavailable"])
    def test_an_image_that_cannot_be_had_is_explained(self, ecr: StandIn, registry: EcrTags, code: str) -> None:
        digest = ecr.put(APP, tags=["1.0.0"], trouble=code)
        failure = registry.manifests(BARE, [digest])[digest]
        assert isinstance(failure, Failure)
        assert failure.reason == code
        assert failure.remedy

    def test_an_image_that_is_passed_over_is_a_failure(self, ecr: StandIn, registry: EcrTags) -> None:
        digest = ecr.put(APP, tags=["1.0.0"])
        ecr.fail("BatchGetImage", answer=b'{"images": [], "failures": []}', times=-1)
        failure = registry.manifests(BARE, [digest])[digest]
        assert isinstance(failure, Failure)
        assert (failure.reason, failure.transient) == ("MalformedAnswer", True)


def test_a_registry_of_another_kind_is_refused_by_every_method(ecr: StandIn, registry: EcrTags) -> None:
    hub = Repository.parse("nginx")
    found = Manifest("d", "{}", "", hub)
    answers = [
        registry.manifests(hub, ["d"])["d"], registry.put(hub, found, "a"), registry.remove(hub, ["a"])["a"],
        *registry.images(hub), registry.mutability(hub), registry.caller(hub), registry.find(hub, ["a"])["a"],
    ]  # fmt: skip
    assert [isinstance(answer, Failure) and answer.reason for answer in answers] == ["RegistryNotSupported"] * 7
    assert ecr.calls == []


def test_the_caller_is_who_sts_says(ecr: StandIn, registry: EcrTags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ecr.url)
    assert registry.caller(BARE) == f"arn:aws:iam::{ACCOUNT}:user/tests"


@pytest.mark.parametrize("answer", [b"<", b"{}", b"<AssumeRoleResponse></AssumeRoleResponse>"])
def test_an_answer_of_sts_that_cannot_be_read_is_a_failure(
    ecr: StandIn, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ecr.url)
    ecr.fail("AssumeRole", answer=answer, times=-1)
    ecr.fail("GetCallerIdentity", answer=answer, times=-1)
    plain = RegistrySettings(endpoint_url=ecr.url, region=ecr.region)
    failures = [
        EcrTags(replace(plain, role_arn=f"arn:aws:iam::{ACCOUNT}:role/tagger")).find(BARE, ["1.0.0"])["1.0.0"],
        EcrTags(plain).caller(BARE),
    ]
    assert [isinstance(each, Failure) and (each.reason, each.transient) for each in failures] == [
        ("MalformedAnswer", True),
        ("MalformedAnswer", True),
    ]


def test_F1_it_is_said_who_throttled(ecr: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ecr.url)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    ecr.fail("AssumeRole", "Throttling", times=-1)
    settings = RegistrySettings(endpoint_url=ecr.url, region=ecr.region, role_arn=f"arn:aws:iam::{ACCOUNT}:role/tagger")
    failure = EcrTags(settings).find(BARE, ["1.0.0"])["1.0.0"]
    assert isinstance(failure, Failure)
    assert failure.message == "AWS STS in us-east-1 throttled every attempt to ask team/app"


@pytest.mark.parametrize(
    ("setting", "filters", "tag", "moves"),
    [
        ("MUTABLE", (), "prod", True),
        ("IMMUTABLE", (), "prod", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("env-*",), "env-prod", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("env-*",), "prod", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("env-*",), "my-env-prod", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("*-eu-*",), "prod-eu-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("1.0",), "1x0", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "v1", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "prod", True),
    ],
)
def test_what_a_setting_and_its_filters_let_move(setting, filters, tag, moves) -> None:
    assert Mutability(setting, filters).lets_move(tag) is moves


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True))
def test_a_filter_matches_itself_and_a_star_everything(tag: str) -> None:
    assert Mutability("IMMUTABLE_WITH_EXCLUSION", (tag,)).lets_move(tag)
    assert Mutability("IMMUTABLE_WITH_EXCLUSION", ("*",)).lets_move(tag)


def test_a_filter_that_makes_a_tag_immutable_is_named() -> None:
    failure = immutable(BARE, "v1", Mutability("MUTABLE_WITH_EXCLUSION", ("v*",)))
    assert failure.message.endswith("its tag mutability is MUTABLE_WITH_EXCLUSION, and it matches one of v*")
