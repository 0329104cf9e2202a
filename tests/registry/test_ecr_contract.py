"""The same expectations of ECR, held against the tests' own stand-in and against moto.

Where moto is known to differ from ECR, the test is expected to fail there, strictly: should moto learn it, we hear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.ecr import Ecr
from gitcd.registry.settings import RegistrySettings
from tests.support.ecr import CREDENTIALS, OCI_INDEX, StandIn, index_manifest, sha256, single_manifest

APP = "team/app"
REPOSITORY = Repository(f"{StandIn.account}.dkr.ecr.{StandIn.region}.amazonaws.com", APP)

MOTO_DIFFERS = {
    "test_an_image_that_its_tag_left_stays": "moto drops the image",
    "test_more_than_a_hundred_ids_are_refused": "moto accepts any number",
    "test_each_image_carries_the_tag_that_was_asked": "moto gives both the last tag",
    "test_an_immutable_tag_cannot_move": "moto says ImageAlreadyExistsException",
    "test_images_come_in_pages": "moto gives everything in one page",
    "test_an_index_needs_its_children": "moto accepts an index without them",
    "test_a_wrong_digest_is_refused": "moto accepts any digest",
    "test_the_digest_is_that_of_the_bytes": "moto makes digests of its own",
}


@dataclass
class Backend:
    client: Any
    registry: Ecr

    def put(self, manifest: str, tag: str = "", **more: str) -> str:
        digest = sha256(manifest.encode())
        tagged = {"imageTag": tag} if tag else {}
        self.client.put_image(repositoryName=APP, imageManifest=manifest, **{"imageDigest": digest} | tagged | more)
        return digest

    def ask(self, identifier: str) -> Image | Failure:
        return self.registry.look_up(REPOSITORY, [identifier])[identifier]


@pytest.fixture(params=["stand-in", "moto"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    server = StandIn()
    with server:
        url = server.url if request.param == "stand-in" else request.getfixturevalue("moto")
        if request.param == "moto" and (reason := MOTO_DIFFERS.get(request.node.originalname)):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        client = boto3.client(
            "ecr",
            endpoint_url=url,
            region_name=StandIn.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_repository(repositoryName=APP)
        yield Backend(client, Ecr(RegistrySettings(endpoint_url=url)))
        if request.param == "moto":
            client.delete_repository(repositoryName=APP, force=True)


class TestContract:
    def test_a_tag_leads_to_digest_and_all_tags(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "1.2.3")
        backend.put(single_manifest(), "prod")
        answer = backend.ask("prod")
        assert isinstance(answer, Image)
        assert (answer.digest, answer.tags) == (digest, ("1.2.3", "prod"))
        assert answer.pushed_at is not None
        assert answer.pushed_at.utcoffset() is not None
        assert backend.registry.calls == 1

    def test_a_digest_leads_to_its_image(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "1.2.3")
        answer = backend.ask(digest)
        assert isinstance(answer, Image)
        assert answer.tags == ("1.2.3",)

    def test_missing_tags_are_named_one_by_one(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "1.2.3")
        answers = backend.registry.look_up(REPOSITORY, ["nope", "1.2.3", "neither"])
        assert answers["1.2.3"].digest == digest
        assert [answers[tag].reason for tag in ("nope", "neither")] == ["ImageNotFound"] * 2
        assert backend.registry.calls == 3

    def test_a_missing_repository_is_named(self, backend: Backend) -> None:
        other = Repository(REPOSITORY.registry, "no/such")
        assert backend.registry.look_up(other, ["prod"])["prod"].reason == "RepositoryNotFound"

    def test_an_index_is_answered_as_itself(self, backend: Backend) -> None:
        child = backend.put(single_manifest("amd64"), "child")
        digest = backend.put(index_manifest({"amd64": child}), "prod", imageManifestMediaType=OCI_INDEX)
        assert backend.ask("prod").digest == digest

    def test_a_hundred_ids_are_answered(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "t0")
        for number in range(1, 100):
            backend.put(single_manifest(), f"t{number}")
        answers = backend.registry.look_up(REPOSITORY, [f"t{number}" for number in range(100)])
        assert {answer.digest for answer in answers.values()} == {digest}

    def test_pushing_the_same_again_already_exists(self, backend: Backend) -> None:
        backend.put(single_manifest(), "prod")
        with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
            backend.put(single_manifest(), "prod")

    def test_a_tag_that_is_deleted_is_missing(self, backend: Backend) -> None:
        backend.put(single_manifest(), "1.2.3")
        backend.put(single_manifest(), "prod")
        backend.client.batch_delete_image(repositoryName=APP, imageIds=[{"imageTag": "prod"}])
        assert backend.ask("prod").reason == "ImageNotFound"
        assert isinstance(backend.ask("1.2.3"), Image)

    def test_the_last_tag_takes_the_image_with_it(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "prod")
        backend.client.batch_delete_image(repositoryName=APP, imageIds=[{"imageTag": "prod"}])
        assert backend.ask(digest).reason == "ImageNotFound"

    def test_listing_names_tags_and_digests(self, backend: Backend) -> None:
        digest = backend.put(single_manifest(), "prod")
        assert backend.client.list_images(repositoryName=APP)["imageIds"] == [
            {"imageDigest": digest, "imageTag": "prod"}
        ]

    def test_repositories_can_be_described(self, backend: Backend) -> None:
        (described,) = backend.client.describe_repositories(repositoryNames=[APP])["repositories"]
        assert described["repositoryUri"] == str(REPOSITORY)
        with pytest.raises(ClientError, match="RepositoryNotFoundException"):
            backend.client.describe_repositories(repositoryNames=["no/such"])

    def test_a_token_for_the_registry_is_handed_out(self, backend: Backend) -> None:
        (token,) = backend.client.get_authorization_token()["authorizationData"]
        assert token["authorizationToken"]

    def test_an_image_that_its_tag_left_stays(self, backend: Backend) -> None:
        old = backend.put(single_manifest("old"), "prod")
        backend.put(single_manifest("new"), "prod")
        assert backend.ask(old).tags == ()

    def test_more_than_a_hundred_ids_are_refused(self, backend: Backend) -> None:
        backend.put(single_manifest(), "prod")
        ids = [{"imageTag": f"t{number}"} for number in range(101)]
        with pytest.raises(ClientError, match="InvalidParameterException"):
            backend.client.batch_get_image(repositoryName=APP, imageIds=ids)

    def test_each_image_carries_the_tag_that_was_asked(self, backend: Backend) -> None:
        for tag in ("1.2.3", "prod"):
            backend.put(single_manifest(), tag)
        ids = [{"imageTag": "1.2.3"}, {"imageTag": "prod"}]
        images = backend.client.batch_get_image(repositoryName=APP, imageIds=ids)["images"]
        assert sorted(image["imageId"]["imageTag"] for image in images) == ["1.2.3", "prod"]

    def test_an_immutable_tag_cannot_move(self, backend: Backend) -> None:
        backend.client.create_repository(repositoryName="team/fixed", imageTagMutability="IMMUTABLE")
        push = {"repositoryName": "team/fixed", "imageTag": "1.2.3"}
        backend.client.put_image(imageManifest=single_manifest("old"), **push)
        try:
            with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
                backend.client.put_image(imageManifest=single_manifest("new"), **push)
        finally:
            backend.client.batch_delete_image(repositoryName="team/fixed", imageIds=[{"imageTag": "1.2.3"}])

    def test_images_come_in_pages(self, backend: Backend) -> None:
        for number in range(3):
            backend.put(single_manifest(str(number)), f"t{number}")
        first = backend.client.list_images(repositoryName=APP, maxResults=2)
        rest = backend.client.list_images(repositoryName=APP, maxResults=2, nextToken=first["nextToken"])
        assert [len(page["imageIds"]) for page in (first, rest)] == [2, 1]

    def test_an_index_needs_its_children(self, backend: Backend) -> None:
        manifest = index_manifest({"amd64": sha256(b"absent")})
        with pytest.raises(ClientError, match="ReferencedImagesNotFoundException"):
            backend.put(manifest, "prod", imageManifestMediaType=OCI_INDEX)

    def test_a_wrong_digest_is_refused(self, backend: Backend) -> None:
        with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
            backend.put(single_manifest(), "prod", imageDigest=sha256(b"other"))

    def test_the_digest_is_that_of_the_bytes(self, backend: Backend) -> None:
        manifest = single_manifest("bytes")
        backend.client.put_image(repositoryName=APP, imageManifest=manifest, imageTag="prod")
        assert backend.ask("prod").digest == sha256(manifest.encode())
