"""Tags moved and taken away over the tests' own ECR and over moto, with the same expectations.

Every image keeps a version tag of its own: moto drops an image that its last tag left, and ECR does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from gitcd.model.reference import Repository
from gitcd.model.registry import Image
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.tags import EcrTags
from gitcd.usecases.tag_reading import listed
from gitcd.usecases.tagging import Action, Add, TagChange, add
from gitcd.usecases.untagging import Remove, remove
from tests.support.ecr import CREDENTIALS, OCI_INDEX, StandIn, index_manifest, sha256, single_manifest

APP = "team/app"
BARE = Repository("", APP)
MOTO_DIFFERS = {
    "test_an_immutable_tag_stays_where_it_is": "moto calls it ImageAlreadyExistsException, which ECR says of success",
}


@dataclass
class Backend:
    client: Any
    registry: EcrTags

    def push(self, *tags: str, name: str = APP, manifest: str = "", **more: str) -> str:
        manifest = manifest or single_manifest(str(tags))
        digest = sha256(manifest.encode())
        for tag in tags:
            self.client.put_image(
                repositoryName=name, imageManifest=manifest, imageTag=tag, imageDigest=digest, **more
            )  # fmt: skip
        return digest

    def tags(self, digest: str) -> tuple[str, ...]:
        image = self.registry.look_up(BARE, [digest])[digest]
        assert isinstance(image, Image), image
        return image.tags

    def add(self, *tags: str, **more: Any) -> list[TagChange]:
        return add(Add("2.0.0", tags, **more), self.registry, BARE, lambda _: None)

    def remove(self, *tags: str, **more: Any) -> list[TagChange]:
        return remove(Remove(tags, **more), self.registry, BARE, lambda _: None)


@pytest.fixture(params=["stand-in", "moto"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with StandIn() as server:
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
        yield Backend(client, EcrTags(RegistrySettings(endpoint_url=url, region=StandIn.region)))
        if request.param == "moto":
            client.delete_repository(repositoryName=APP, force=True)


class TestContract:
    def test_tags_move_and_are_added(self, backend: Backend) -> None:
        old, new = backend.push("1.0.0", "env-prod"), backend.push("2.0.0")
        assert [change.action for change in backend.add("env-prod", "env-dev")] == [Action.MOVED, Action.ADDED]
        assert (backend.tags(old), backend.tags(new)) == (("1.0.0",), ("2.0.0", "env-dev", "env-prod"))
        assert [change.action for change in backend.add("env-prod")] == [Action.UNCHANGED]

    def test_an_index_stays_one(self, backend: Backend) -> None:
        child = backend.push("child", manifest=single_manifest("child"))
        text = index_manifest({"amd64": child})
        digest = backend.push("2.0.0", manifest=text, imageManifestMediaType=OCI_INDEX)
        backend.add("env-prod")
        (image,) = backend.client.batch_get_image(repositoryName=APP, imageIds=[{"imageTag": "env-prod"}])["images"]
        assert (image["imageId"]["imageDigest"], image["imageManifest"]) == (digest, text)
        assert image["imageManifestMediaType"] == OCI_INDEX

    def test_an_expected_digest_decides(self, backend: Backend) -> None:
        old, new = backend.push("1.0.0", "env-prod"), backend.push("2.0.0")
        assert [change.action for change in backend.add("env-prod", expected=new)] == [Action.FAILED]
        assert backend.tags(old) == ("1.0.0", "env-prod")
        assert [change.action for change in backend.add("env-prod", expected=old)] == [Action.MOVED]

    def test_tags_are_taken_away_and_images_stay(self, backend: Backend) -> None:
        first, second = backend.push("1.0.0", "a"), backend.push("2.0.0", "b", "c")
        changes = backend.remove("a", "b", "nope", "2.0.0", "c")
        assert [change.action.value for change in changes] == ["Removed", "Failed", "Absent", "Failed", "Failed"]
        assert (backend.tags(first), backend.tags(second)) == (("1.0.0",), ("2.0.0", "b", "c"))

    def test_an_image_is_deleted_where_that_is_asked_for(self, backend: Backend) -> None:
        first, second = backend.push("1.0.0"), backend.push("2.0.0")
        assert [change.action for change in backend.remove("1.0.0", delete_untagged=True)] == [Action.REMOVED]
        assert not isinstance(backend.registry.look_up(BARE, [first])[first], Image)
        assert backend.tags(second) == ("2.0.0",)

    def test_all_images_are_listed(self, backend: Backend) -> None:
        digests = {backend.push(f"{number}.0.0", f"t{number}") for number in range(5)}
        assert {image.digest for image in listed(backend.registry, BARE)} == digests

    def test_an_immutable_tag_stays_where_it_is(self, backend: Backend) -> None:
        name = "team/fixed"
        filters = [{"filterType": "WILDCARD", "filter": "env-*"}]
        backend.client.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=filters,
        )
        try:
            backend.push("1.0.0", "prod", "env-dev", name=name)
            new = backend.push("2.0.0", name=name)
            changes = add(Add("2.0.0", ["prod", "env-dev"]), backend.registry, Repository("", name), lambda _: None)
            assert [change.action for change in changes] == [Action.FAILED, Action.MOVED]
            assert changes[1].new == new
            assert changes[0].failure is not None
            assert "IMMUTABLE_WITH_EXCLUSION" in changes[0].failure.message
        finally:
            backend.client.delete_repository(repositoryName=name, force=True)
