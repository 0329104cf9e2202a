"""Tags moved and taken away while others do the same: what is done, what is said, and that no image is lost."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitcd.errors import ConfigError, ExitCode, RefusedError, TransientError
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.tags import EcrTags, Manifest
from gitcd.usecases import tagging, untagging
from gitcd.usecases.journal import Journal, Skipped, Wanted, actor, appending, appending_to, new_run, read
from gitcd.usecases.tag_reading import get, listed, platforms_of
from gitcd.usecases.tagging import Action, Add, TagChange, every, exit_code, parse_repository, settings_for
from gitcd.usecases.untagging import Remove
from tests.support.ecr import ACCOUNT, CREDENTIALS, GET_BLOB, StandIn, push_blob, single_manifest

APP = "team/app"
BARE = Repository("", APP)


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with StandIn() as server:
        yield server


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@dataclass
class Scene:
    """A registry, and the moves that were recorded, as (tag, old, new)."""

    ecr: StandIn
    registry: EcrTags
    moves: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, *tags: str, version: str = "2.0.0", **more) -> dict[str, TagChange]:
        return self._by_tag(tagging.add(Add(version, tags, **more), self.registry, BARE, self._record))

    def remove(self, *tags: str, **more) -> dict[str, TagChange]:
        return self._by_tag(untagging.remove(Remove(tags, **more), self.registry, BARE, self._record))

    def _record(self, change: TagChange) -> None:
        self.moves.append((change.tag, change.old, change.new))

    def _by_tag(self, changes: list[TagChange]) -> dict[str, TagChange]:
        return {change.tag: change for change in changes}

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.ecr.calls]

    @property
    def contents(self) -> dict[str, set[str]]:
        return self.ecr.contents(APP)


@pytest.fixture
def scene(ecr: StandIn) -> Scene:
    return Scene(ecr, EcrTags(RegistrySettings(endpoint_url=ecr.url, region=ecr.region)))


@pytest.fixture
def one(ecr: StandIn) -> str:
    return ecr.put(APP, tags=["1.0.0", "env-prod"])


@pytest.fixture
def two(ecr: StandIn) -> str:
    return ecr.put(APP, tags=["2.0.0"])


def reasons(changes: dict[str, TagChange]) -> dict[str, str]:
    return {tag: change.failure.reason for tag, change in changes.items() if change.failure}


class TestAdd:
    def test_tags_move_are_added_or_stay(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.move(APP, "env-dev", two)
        changes = scene.add("env-prod", "env-new", "env-dev")
        assert [(each.action, each.old, each.new) for each in changes.values()] == [
            (Action.MOVED, one, two),
            (Action.ADDED, "", two),
            (Action.UNCHANGED, two, two),
        ]
        assert scene.contents == {one: {"1.0.0"}, two: {"2.0.0", "env-prod", "env-new", "env-dev"}}
        assert scene.moves == [("env-prod", one, two), ("env-new", "", two)]
        assert {str(change.home) for change in changes.values() if change.writes} == {str(scene.ecr.repository(APP))}

    def test_a_move_costs_four_requests_and_none_after_that_but_one(self, scene: Scene, one: str, two: str) -> None:
        scene.add("env-prod")
        assert scene.operations == ["DescribeImages", "BatchGetImage", "PutImage", "DescribeImages"]
        scene.ecr.calls.clear()
        assert scene.add("env-prod")["env-prod"].action is Action.UNCHANGED
        assert scene.operations == ["DescribeImages"]

    def test_an_index_is_one_afterwards(self, scene: Scene, one: str) -> None:
        index = scene.ecr.put_index(APP, tags=["2.0.0"])
        scene.add("env-prod")
        assert scene.contents[index] == {"2.0.0", "env-prod"}
        assert sum(not tags for tags in scene.contents.values()) == 2

    def test_an_image_that_is_left_without_a_tag_is_told_of(self, scene: Scene, one: str, two: str) -> None:
        old = scene.ecr.put(APP, tags=["x", "y"])
        assert [change.note for change in scene.add("x", "env-prod", "new").values()] == ["", "", ""]
        note = f"{old[7:19]} has no tag left; a lifecycle rule for untagged images may expire it"
        assert [change.note for change in scene.add("y", "x").values()] == [note, ""]
        assert scene.contents[old] == set()

    def test_an_image_that_keeps_a_tag_by_a_failure_is_not_called_untagged(
        self, scene: Scene, one: str, two: str
    ) -> None:
        scene.ecr.create(APP).immutable, scene.ecr.create(APP).filters = True, ("env-*",)
        changes = scene.add("env-prod", "1.0.0")
        assert reasons(changes) == {"1.0.0": "ImmutableTag"}
        assert [change.note for change in changes.values()] == ["", ""]

    def test_the_version_may_be_a_digest(self, scene: Scene, one: str, two: str) -> None:
        scene.add("env-prod", version=two)
        assert scene.contents[two] == {"2.0.0", "env-prod"}

    def test_a_version_that_is_not_there_fails_every_tag(self, scene: Scene, one: str) -> None:
        before = scene.contents
        changes = scene.add("env-prod", "env-dev", version="9.9.9")
        assert reasons(changes) == {"env-prod": "ImageNotFound", "env-dev": "ImageNotFound"}
        assert (scene.contents, scene.moves) == (before, [])

    def test_a_dry_run_writes_nothing_and_says_what_it_would(self, scene: Scene, one: str, two: str) -> None:
        before = scene.contents
        changes = scene.add("env-prod", "env-new", dry_run=True)
        assert [change.action for change in changes.values()] == [Action.MOVED, Action.ADDED]
        assert (scene.contents, scene.moves) == (before, [])
        assert "PutImage" not in scene.operations

    def test_a_dry_run_foresees_immutable_tags(self, scene: Scene, one: str, two: str) -> None:
        repository = scene.ecr.create(APP)
        repository.immutable, repository.filters = True, ("env-*",)
        changes = scene.add("1.0.0", "env-prod", "3.0.0", dry_run=True)
        assert reasons(changes) == {"1.0.0": "ImmutableTag"}
        assert [change.action for change in changes.values()] == [Action.FAILED, Action.MOVED, Action.ADDED]

    def test_a_dry_run_says_what_it_could_not_find_out(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.fail("DescribeRepositories", "AccessDeniedException", times=-1)
        change = scene.add("env-prod", dry_run=True)["env-prod"]
        assert change.action is Action.MOVED
        assert "could not be found out" in change.note
        assert "ecr:DescribeRepositories" in change.note

    def test_what_can_be_done_is_done(self, scene: Scene, one: str, two: str) -> None:
        repository = scene.ecr.create(APP)
        repository.immutable, repository.filters = True, ("env-*",)
        changes = scene.add("1.0.0", "env-prod")
        assert reasons(changes) == {"1.0.0": "ImmutableTag"}
        assert scene.contents == {one: {"1.0.0"}, two: {"2.0.0", "env-prod"}}
        assert exit_code(changes.values()) is ExitCode.ITEMS_FAILED
        assert scene.moves == [("env-prod", one, two)]

    def test_an_image_whose_manifest_cannot_be_had_moves_nothing(self, scene: Scene, one: str) -> None:
        scene.ecr.put(APP, tags=["2.0.0"], trouble="KmsError")
        before = scene.contents
        assert reasons(scene.add("env-prod")) == {"env-prod": "KmsError"}
        assert scene.contents == before


class TestExpectCurrent:
    def test_a_tag_that_names_what_is_expected_moves(self, scene: Scene, one: str, two: str) -> None:
        assert scene.add("env-prod", expected=one)["env-prod"].action is Action.MOVED

    def test_a_tag_that_names_something_else_is_left_alone(self, scene: Scene, one: str, two: str) -> None:
        three = scene.ecr.put(APP, tags=["3.0.0"])
        before = scene.contents
        changes = scene.add("env-prod", "env-new", expected=three)
        assert reasons(changes) == {"env-prod": "CurrentDiffers", "env-new": "CurrentDiffers"}
        assert f"names {one}, and not {three}" in changes["env-prod"].failure.message
        assert "names nothing" in changes["env-new"].failure.message
        assert (scene.contents, scene.moves) == (before, [])

    def test_none_means_that_there_is_no_such_tag(self, scene: Scene, one: str, two: str) -> None:
        changes = scene.add("env-prod", "env-new", expected=tagging.NOTHING)
        assert reasons(changes) == {"env-prod": "CurrentDiffers"}
        assert changes["env-new"].action is Action.ADDED

    def test_doing_it_again_is_a_success(self, scene: Scene, one: str, two: str) -> None:
        scene.add("env-prod", expected=one)
        assert scene.add("env-prod", expected=one)["env-prod"].action is Action.UNCHANGED

    def test_a_move_by_somebody_else_afterwards_is_seen(self, scene: Scene, one: str, two: str) -> None:
        three = scene.ecr.put(APP, tags=["3.0.0"])
        looked = []

        def meanwhile() -> None:
            looked.append(True)
            scene.ecr.before("DescribeImages", lambda: scene.ecr.move(APP, "env-prod", three))

        scene.ecr.before("PutImage", meanwhile)
        change = scene.add("env-prod", expected=one)["env-prod"]
        assert looked
        assert change.failure.reason == "Overtaken"
        assert f"names {three} now" in change.failure.message
        assert scene.contents[three] == {"3.0.0", "env-prod"}
        assert scene.moves == [("env-prod", one, two)]

    def test_a_move_between_look_and_write_is_what_cannot_be_seen(self, scene: Scene, one: str, two: str) -> None:
        three = scene.ecr.put(APP, tags=["3.0.0"])
        scene.ecr.before("PutImage", lambda: scene.ecr.move(APP, "env-prod", three))
        assert scene.add("env-prod", expected=one)["env-prod"].action is Action.MOVED
        assert scene.contents[three] == {"3.0.0"}


@pytest.mark.usefixtures("no_backoff")
class TestAddInTrouble:
    def test_an_answer_that_never_comes_is_made_up_for_by_looking(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.fail("PutImage", connection="lose", times=-1)
        change = scene.add("env-prod")["env-prod"]
        assert (change.action, change.failure) == (Action.MOVED, None)
        assert scene.moves == [("env-prod", one, two)]

    def test_a_move_that_did_not_land_is_worth_another_run(self, scene: Scene, one: str, two: str) -> None:
        before = scene.contents
        scene.ecr.fail("PutImage", "ThrottlingException", times=-1)
        changes = scene.add("env-prod")
        assert reasons(changes) == {"env-prod": "Throttled"}
        assert exit_code(changes.values()) is ExitCode.TRANSIENT
        assert (scene.contents, scene.moves) == (before, [])

    def test_a_look_afterwards_that_fails_is_said_and_changes_nothing(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.fail("DescribeImages", "ThrottlingException", times=-1, after=1)
        change = scene.add("env-prod")["env-prod"]
        assert change.action is Action.MOVED
        assert "not possible to look again" in change.note

    def test_a_registry_that_still_shows_the_old_image_is_worth_another_run(
        self, scene: Scene, one: str, two: str
    ) -> None:
        scene.ecr.before(
            "PutImage", lambda: scene.ecr.before("DescribeImages", lambda: scene.ecr.move(APP, "env-prod", one))
        )
        change = scene.add("env-prod")["env-prod"]
        assert (change.failure.reason, change.failure.transient) == ("NotSeen", True)

    def test_a_registry_in_trouble_fails_every_tag(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.fail("*", "ServerException", status=500, times=-1)
        assert reasons(scene.add("env-prod", "x")) == {"env-prod": "RegistryUnavailable", "x": "RegistryUnavailable"}

    @pytest.mark.usefixtures("no_backoff")
    def test_trouble_that_lasts_is_waited_out_for_one_tag_and_not_for_each(
        self, scene: Scene, one: str, two: str
    ) -> None:
        scene.ecr.fail("PutImage", "ThrottlingException", times=-1, after=1)
        changes = scene.add("env-prod", "a", "b", "c")
        assert reasons(changes) == {"a": "Throttled", "b": "Throttled", "c": "Throttled"}
        assert exit_code(changes.values()) is ExitCode.TRANSIENT
        assert {call.body["imageTag"] for call in scene.ecr.calls if call.operation == "PutImage"} == {"env-prod", "a"}
        assert scene.moves == [("env-prod", one, two)]


class TestRemove:
    def test_tags_go_and_nothing_else_does(self, scene: Scene, one: str, two: str) -> None:
        other = scene.ecr.put("team/other", tags=["env-prod"])
        untagged = scene.ecr.put(APP, manifest=single_manifest("untagged"))
        changes = scene.remove("env-prod", "nope")
        assert [(each.action, each.old) for each in changes.values()] == [(Action.REMOVED, one), (Action.ABSENT, "")]
        assert scene.contents == {one: {"1.0.0"}, two: {"2.0.0"}, untagged: set()}
        assert scene.ecr.contents("team/other") == {other: {"env-prod"}}
        assert scene.moves == [("env-prod", one, "")]
        assert exit_code(changes.values()) is ExitCode.OK

    def test_only_absent_tags_cost_no_writing_request(self, scene: Scene, one: str) -> None:
        assert scene.remove("nope")["nope"].action is Action.ABSENT
        assert "BatchDeleteImage" not in scene.operations

    def test_the_last_tag_is_refused(self, scene: Scene, one: str, two: str) -> None:
        before = scene.contents
        changes = scene.remove("2.0.0")
        assert reasons(changes) == {"2.0.0": "LastTag"}
        assert "--delete-untagged" in changes["2.0.0"].failure.remedy
        assert scene.contents == before
        assert "BatchDeleteImage" not in scene.operations

    def test_all_tags_of_an_image_in_one_call_are_refused_together(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.move(APP, "env-dev", two)
        changes = scene.remove("1.0.0", "env-prod", "env-dev")
        assert reasons(changes) == {"1.0.0": "LastTag", "env-prod": "LastTag"}
        assert scene.contents == {one: {"1.0.0", "env-prod"}, two: {"2.0.0"}}

    def test_delete_untagged_deletes_that_image_and_no_other(self, scene: Scene, one: str, two: str) -> None:
        changes = scene.remove("2.0.0", delete_untagged=True)
        assert changes["2.0.0"].action is Action.REMOVED
        assert scene.contents == {one: {"1.0.0", "env-prod"}}
        assert scene.moves == [("2.0.0", two, "")]

    def test_a_dry_run_removes_nothing(self, scene: Scene, one: str, two: str) -> None:
        before = scene.contents
        changes = scene.remove("env-prod", "2.0.0", delete_untagged=True, dry_run=True)
        assert [change.action for change in changes.values()] == [Action.REMOVED, Action.REMOVED]
        assert (scene.contents, scene.moves) == (before, [])

    def test_with_a_version_tags_on_other_images_stay(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.move(APP, "env-dev", two)
        changes = scene.remove("env-prod", "env-dev", "nope", version="2.0.0")
        assert reasons(changes) == {"env-prod": "OnOtherImage"}
        assert changes["env-prod"].failure.remedy == "did you mean `add`?"
        assert changes["env-dev"].action is Action.REMOVED
        assert changes["nope"].action is Action.ABSENT
        assert scene.contents == {one: {"1.0.0", "env-prod"}, two: {"2.0.0"}}

    def test_a_version_that_is_not_there_leaves_every_tag_alone(self, scene: Scene, one: str) -> None:
        before = scene.contents
        changes = scene.remove("env-prod", "nope", version="9.9.9")
        assert reasons(changes) == {"env-prod": "ImageNotFound"}
        assert changes["nope"].action is Action.ABSENT
        assert scene.contents == before

    @pytest.mark.usefixtures("no_backoff")
    @pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "ServerException"])
    def test_what_ecr_refuses_is_not_done_and_said(self, scene: Scene, one: str, code: str) -> None:
        before = scene.contents
        scene.ecr.fail("BatchDeleteImage", code, times=-1)
        assert len(reasons(scene.remove("env-prod"))) == 1
        assert (scene.contents, scene.moves) == (before, [])

    @pytest.mark.usefixtures("no_backoff")
    def test_an_answer_that_never_comes_is_made_up_for_by_looking(self, scene: Scene, one: str) -> None:
        scene.ecr.fail("BatchDeleteImage", connection="lose", times=-1)
        change = scene.remove("env-prod")["env-prod"]
        assert (change.action, change.failure) == (Action.REMOVED, None)
        assert scene.contents == {one: {"1.0.0"}}
        assert scene.moves == [("env-prod", one, "")]

    def test_an_image_that_could_not_be_put_back_keeps_its_tags(self, scene: Scene, one: str) -> None:
        before = scene.contents
        scene.ecr.fail("BatchGetImage", "AccessDeniedException", times=-1)
        changes = scene.remove("env-prod")
        assert reasons(changes) == {"env-prod": "NoWayBack"}
        assert "ecr:BatchGetImage" in changes["env-prod"].failure.remedy
        assert scene.contents == before

    @pytest.mark.usefixtures("no_backoff")
    def test_a_look_afterwards_that_fails_is_said(self, scene: Scene, one: str) -> None:
        scene.ecr.fail("DescribeImages", "ThrottlingException", times=-1, after=1)
        change = scene.remove("env-prod")["env-prod"]
        assert change.action is Action.REMOVED
        assert "not possible to look again" in change.note


class TestRemoveAtOnce:
    """Two processes take an image's tags away in the same moment, each one believing in the other's tag."""

    def theft(self, scene: Scene, digest: str) -> None:
        """Somebody takes every tag but ours away, just before we remove."""
        stored = scene.ecr.create(APP)
        for tag in stored.images[digest].tags - {"env-prod"}:
            del stored.tags[tag]
        stored.images[digest].tags &= {"env-prod"}

    @pytest.mark.parametrize("kind", ["single", "index"])
    def test_an_image_that_went_is_put_back(self, scene: Scene, two: str, kind: str) -> None:
        put = scene.ecr.put_index if kind == "index" else scene.ecr.put
        one = put(APP, tags=["1.0.0", "env-prod"])
        stored = scene.ecr.create(APP).images[one]
        scene.ecr.before("BatchDeleteImage", lambda: self.theft(scene, one))
        before = scene.contents
        changes = scene.remove("env-prod")
        assert reasons(changes) == {"env-prod": "PutBack"}
        assert scene.contents == before | {one: {"env-prod"}}
        assert scene.ecr.create(APP).images[one].manifest == stored.manifest
        assert scene.moves == [("env-prod", one, ""), ("env-prod", "", one)]
        assert exit_code(changes.values()) is ExitCode.ITEMS_FAILED

    def test_an_image_that_cannot_be_put_back_is_named(self, scene: Scene, one: str, two: str) -> None:
        scene.ecr.before("BatchDeleteImage", lambda: self.theft(scene, one))
        scene.ecr.fail("PutImage", "LayersNotFoundException", times=-1)
        change = scene.remove("env-prod")["env-prod"]
        assert change.failure.reason == "ImageLost"
        assert one in change.failure.message
        assert scene.contents == {two: {"2.0.0"}}

    @pytest.mark.parametrize("by_intent", [False, True])
    def test_a_tag_that_went_to_another_image_is_told(self, scene: Scene, one: str, two: str, by_intent: bool) -> None:
        scene.ecr.before("BatchDeleteImage", lambda: scene.ecr.move(APP, "env-prod", two))
        change = scene.remove("env-prod", delete_untagged=by_intent)["env-prod"]
        assert (change.failure.reason, change.old) == ("Overtaken", two)
        assert f"add --version {two}" in change.failure.remedy
        assert scene.contents == {one: {"1.0.0"}, two: {"2.0.0"}}
        assert scene.moves == [("env-prod", two, "")]

    def test_an_image_that_came_in_between_and_went_is_named(self, scene: Scene, one: str) -> None:
        came: list[str] = []
        scene.ecr.before("BatchDeleteImage", lambda: came.append(scene.ecr.put(APP, tags=["env-prod"])))
        change = scene.remove("env-prod")["env-prod"]
        assert (change.failure.reason, change.old) == ("ImageLost", came[0])
        assert came[0] in change.failure.message
        assert scene.contents == {one: {"1.0.0"}}

    def test_two_that_remove_everything_between_them_leave_the_image(self, scene: Scene, one: str) -> None:
        """Whatever the timing: the image is there afterwards, with at least one tag."""
        start = threading.Barrier(2)
        other = Scene(scene.ecr, EcrTags(RegistrySettings(endpoint_url=scene.ecr.url, region=scene.ecr.region)))

        def run(each: Scene, tag: str) -> None:
            start.wait()
            each.remove(tag)

        for _ in range(5):
            threads = [threading.Thread(target=run, args=pair) for pair in ((scene, "1.0.0"), (other, "env-prod"))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert scene.contents.get(one), scene.contents
            for tag in ("1.0.0", "env-prod"):
                scene.ecr.move(APP, tag, one)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_removal_ever_loses_an_image(scene: Scene, data: st.DataObject) -> None:
    """Any repository, any selection: every image stays, and every tag that was not named stays where it was."""
    names = st.sampled_from([f"t{number}" for number in range(8)])
    repository = scene.ecr.create(APP)
    repository.images.clear()
    repository.tags.clear()
    for number in range(3):
        digest = scene.ecr.put(APP, manifest=single_manifest(str(number)))
        for tag in data.draw(st.sets(names, max_size=4)):
            scene.ecr.move(APP, tag, digest)
    before, asked = scene.contents, data.draw(st.lists(names, min_size=1, unique=True))
    version = data.draw(st.sampled_from(["", *before, "t0"]))
    changes = scene.remove(*asked, version=version)
    after = scene.contents
    gone = {tag for tag, change in changes.items() if change.action is Action.REMOVED}
    assert after == {digest: tags - gone for digest, tags in before.items()}
    assert all(after[digest] for digest, tags in before.items() if tags)


class TestReading:
    def test_platforms_of_an_index_cost_a_second_request(self, scene: Scene, one: str) -> None:
        scene.ecr.put_index(APP, tags=["3.0.0"])
        assert get(scene.registry, BARE, "3.0.0").platforms == ("linux/amd64", "linux/arm64")
        assert scene.operations == ["DescribeImages", "BatchGetImage"]
        assert get(scene.registry, BARE, "3.0.0", platforms=False).platforms is None
        assert scene.operations[2:] == ["DescribeImages"]

    @pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm/v7", "windows/amd64"])
    def test_the_platform_of_a_single_one_stands_in_its_configuration(self, scene: Scene, platform: str) -> None:
        scene.ecr.put(APP, tags=["3.0.0"], manifest=single_manifest(platform=platform))
        shown = get(scene.registry, BARE, "3.0.0")
        assert (shown.platforms, shown.hindrance) == ((platform,), None)
        assert scene.operations == ["DescribeImages", "BatchGetImage", "GetDownloadUrlForLayer", GET_BLOB]

    @pytest.mark.parametrize(
        "config", [None, [], {}, {"mediaType": "application/vnd.cncf.helm.config.v1+json"}, {"digest": "../x"}]
    )
    def test_what_is_no_image_has_no_platform(self, scene: Scene, config: object) -> None:
        own = json.loads(single_manifest())
        own["config"] = (own["config"] | config) if isinstance(config, dict) and config else config
        scene.ecr.put(APP, tags=["3.0.0"], manifest=json.dumps(own))
        shown = get(scene.registry, BARE, "3.0.0")
        assert (shown.platforms, shown.hindrance) == (None, None)
        assert scene.operations == ["DescribeImages", "BatchGetImage"]

    @pytest.mark.parametrize(
        "data", [b"{}", b'{"os": "linux"}', b'{"os": 1, "architecture": 2}', b'{"os": [], "architecture": "x"}']
    )
    def test_a_configuration_that_says_nothing_has_no_platform(self, scene: Scene, data: bytes) -> None:
        own = json.loads(single_manifest())
        own["config"]["digest"] = push_blob(data)
        scene.ecr.put(APP, tags=["3.0.0"], manifest=json.dumps(own))
        shown = get(scene.registry, BARE, "3.0.0")
        assert not shown.platforms
        assert shown.hindrance is None

    def test_an_image_that_is_not_there_is_an_error_with_a_remedy(self, scene: Scene, one: str) -> None:
        with pytest.raises(RefusedError, match="has no image for the tag 9") as caught:
            get(scene.registry, BARE, "9")
        assert "ecr-tags list" in caught.value.remedy

    @pytest.mark.usefixtures("no_backoff")
    def test_trouble_is_an_error_of_its_kind(self, scene: Scene, one: str) -> None:
        fault = scene.ecr.fail("DescribeImages", "ThrottlingException", times=-1)
        with pytest.raises(TransientError, match="throttled"):
            get(scene.registry, BARE, "1.0.0")
        fault.times = 0
        scene.ecr.fail("DescribeImages", "AccessDeniedException", times=-1)
        with pytest.raises(RefusedError, match="not allowed to call ecr:DescribeImages"):
            listed(scene.registry, BARE)

    @pytest.mark.usefixtures("no_backoff")
    @pytest.mark.parametrize(
        ("operation", "reason"),
        [
            ("BatchGetImage", "Throttled"),
            ("GetDownloadUrlForLayer", "Throttled"),
            (GET_BLOB, "ConfigurationUnreachable"),
        ],
    )
    def test_trouble_with_platforms_leaves_them_out(self, scene: Scene, one: str, operation: str, reason: str) -> None:
        scene.ecr.fail(operation, "ThrottlingException", times=-1)
        shown = get(scene.registry, BARE, "1.0.0")
        assert (shown.image.digest, shown.platforms) == (one, None)
        assert shown.hindrance
        assert shown.hindrance.reason == reason

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", '{"manifests": 1}', '{"manifests": [1]}', '{"manifests": [{"platform": []}]}',
         '{"manifests": [{"platform": {"os": 1, "architecture": 2}}]}', "[" * 100_000],
    )  # fmt: skip
    def test_a_manifest_that_says_nothing_has_no_platforms(self, text: str) -> None:
        assert not platforms_of(Manifest("d", text, "", BARE))

    def test_attestations_are_no_platform(self) -> None:
        text = """{"manifests": [{"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            {"platform": {"os": "unknown", "architecture": "unknown"}}, {"digest": "x"}]}"""
        assert platforms_of(Manifest("d", text, "", BARE)) == ("linux/arm/v7",)

    def test_the_last_ones_pushed_come_first(self, scene: Scene) -> None:
        for number in range(12):
            scene.ecr.put(APP, tags=[f"1.{number}", f"env-{number}"], pushed_at=1_700_000_000 + (number * 7) % 12)
        scene.ecr.put(APP, tags=["old"], pushed_at=None)
        names = [image.tags[0] for image in listed(scene.registry, BARE)]
        assert names == [*sorted(names[:-1], key=lambda tag: -(int(tag[2:]) * 7 % 12)), "old"]
        assert [image.tags for image in listed(scene.registry, BARE, "^env", 3)] == [(f"env-{n}",) for n in (5, 10, 3)]


class TestSeveral:
    def test_each_repository_gets_its_turn_in_order(self) -> None:
        repositories = [Repository("", f"r{number}") for number in range(20)]
        changes = every(EcrTags(), repositories, lambda each: [TagChange(each, "a", Action.ADDED)])
        assert [change.repository for change in changes] == repositories

    def test_trouble_with_one_keeps_no_other_from_it(self, scene: Scene, one: str, two: str) -> None:
        repositories = [Repository("", "no/such"), BARE, Repository("", "nor/this")]
        request = Add("2.0.0", ["env-prod"])
        changes = every(
            scene.registry, repositories, lambda each: tagging.add(request, scene.registry, each, lambda _: None)
        )
        assert [change.action for change in changes] == [Action.FAILED, Action.MOVED, Action.FAILED]
        assert scene.contents[two] == {"2.0.0", "env-prod"}

    def test_no_move_is_begun_once_the_end_is_near(self, scene: Scene, one: str, two: str) -> None:
        before, made = scene.contents, []
        scene.registry.closing = True
        tagging.add(Add("2.0.0", ["env-prod"]), scene.registry, BARE, made.append)
        untagging.remove(Remove(["env-prod"]), scene.registry, BARE, made.append)
        assert (scene.contents, made, scene.ecr.calls) == (before, [], [])

    def test_the_worst_failure_decides_the_exit_code(self) -> None:
        done = TagChange(BARE, "a", Action.ADDED)
        passing, final = done.failed(Failure("A", "a", transient=True)), done.failed(Failure("B", "b"))
        assert [exit_code(each) for each in ([], [done], [done, passing], [passing, final])] == [0, 0, 3, 5]


class TestNames:
    @pytest.mark.parametrize(
        ("text", "repository"),
        [
            ("nearmap/cvmanager", Repository("", "nearmap/cvmanager")),
            ("tiles", Repository("", "tiles")),
            (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/a/b", Repository(f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", "a/b")),
            ("docker.io/team/app", Repository("docker.io", "team/app")),
            ("ghcr.io/team/app", Repository("ghcr.io", "team/app")),
        ],
    )  # fmt: skip
    def test_a_name_without_host_is_in_the_callers_own_registry(self, text: str, repository: Repository) -> None:
        assert parse_repository(text) == repository

    @pytest.mark.parametrize("text", ["", "team/app:1.0.0", "Team/App", "team/app@sha256:ab", "team//app", "-"])
    def test_what_is_no_repository_is_said(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"^--ecr: "):
            parse_repository(text)

    def test_settings_come_from_flags_then_the_environment(self) -> None:
        environ = {"AWS_REGION": "eu-west-1"}
        assert settings_for({}, environ).region == "eu-west-1"
        environ |= {"AWS_DEFAULT_REGION": "eu-west-2"}
        assert settings_for({}, environ).region == "eu-west-2"
        assert settings_for({"region": "eu-west-3", "role_arn": None}, environ).region == "eu-west-3"
        flags = {"ecr_endpoint_url": "http://flag", "profile": "p", "role_arn": "r"}
        assert settings_for(flags, {"GITCD_ECR_ENDPOINT_URL": "x"}) == RegistrySettings(
            endpoint_url="http://flag", profile="p", role_arn="r"
        )


class TestJournal:
    def journal(self, append) -> Journal:
        return Journal(append, "me", "run-1", "arn:aws:iam::1:user/x")

    def test_what_is_written_is_read(self, tmp_path) -> None:
        path = tmp_path / "journal"
        path.write_bytes(b"")
        old, new = "sha256:" + "0" * 64, "sha256:" + "1" * 64
        for tag in ("a", "b"):
            with appending(str(path)) as append:
                self.journal(append).record(TagChange(BARE, tag, Action.MOVED, old, new, home=Repository("h.io", APP)))
        with path.open("rb") as stream:
            entries = list(read("journal", stream, Wanted()))
        assert [(each.tag, each.old, each.new, each.repository) for each in entries] == [
            ("a", old, new, "h.io/team/app"),
            ("b", old, new, "h.io/team/app"),
        ]
        assert (entries[0].by, entries[0].run, entries[0].caller) == ("me", "run-1", "arn:aws:iam::1:user/x")
        assert path.stat().st_mode & 0o777 & ~0o644 == 0

    def test_a_disk_that_is_full_loses_no_line(self) -> None:
        def full(_line: bytes) -> None:
            raise OSError(28, "No space left on device")

        journal = self.journal(full)
        journal.record(TagChange(BARE, "a", Action.ADDED))
        ((line, reason),) = journal.lost
        assert reason == "No space left on device"
        assert '"tag":"a"' in line

    @pytest.mark.parametrize("before", [b"", b"{}\n", b'{"kind":"TagM', b"{}\n{"])
    def test_a_line_that_was_cut_off_spoils_no_other(self, tmp_path, before: bytes) -> None:
        path = tmp_path / "journal"
        path.write_bytes(before)
        with appending(str(path)) as append:
            assert path.read_bytes() == before
            append(b"one\n")
            append(b"two\n")
        kept = before if not before or before.endswith(b"\n") else before + b"\n"
        assert path.read_bytes() == kept + b"one\ntwo\n"

    def test_a_write_that_fails_half_way_spoils_no_later_line(self, monkeypatch) -> None:
        written = bytearray()
        room = [3, OSError(28, "No space left on device"), 1000]

        def write(_file: int, data: bytes) -> int:
            taken = room.pop(0)
            if isinstance(taken, OSError):
                raise taken
            written.extend(data[:taken])
            return min(taken, len(data))

        monkeypatch.setattr(os, "write", write)
        append = appending_to(9)
        with pytest.raises(OSError, match="No space"):
            append(b"first\n")
        append(b"second\n")
        assert bytes(written) == b"fir\nsecond\n"

    def test_processes_and_threads_share_a_journal(self, tmp_path) -> None:
        path = tmp_path / "journal"
        texts = {f"{number} {'x' * 2000}\n".encode() for number in range(64)}
        with appending(str(path)) as one, appending(str(path)) as other, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda text: (one if len(text) % 2 else other)(text), texts))
        assert set(path.read_bytes().splitlines(keepends=True)) == texts

    def test_a_journal_that_cannot_be_opened_is_said(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match="cannot be written: Is a directory"), appending(str(tmp_path)):
            pass

    def test_hostile_lines_are_passed_over_one_by_one(self) -> None:
        written: list[bytes] = []
        self.journal(written.append).record(TagChange(BARE, "a", Action.ADDED))
        hostile = [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 9_000, b'{"kind": "TagMove"}', b"9" * 5000, b"x" * 200_000]
        data = b"\n".join([*hostile, b"", written[0].rstrip(), b" ", b"y" * 70_000])
        items = list(read("j", io.BytesIO(data), Wanted()))
        assert [item.line for item in items if isinstance(item, Skipped)] == [*range(1, 9), 12]
        assert [item.tag for item in items if not isinstance(item, Skipped)] == ["a"]

    def test_entries_are_chosen_by_repository_and_tag(self) -> None:
        written: list[bytes] = []
        for host, path, tag in [("a.io", APP, "x"), ("b.io", APP, "y"), ("a.io", "my/team/app", "x"), ("", APP, "z")]:
            self.journal(written.append).record(TagChange(Repository(host, path), tag, Action.ADDED))

        def chosen(*names: str, tags=()) -> list[str]:
            wanted = Wanted([parse_repository(name) for name in names], tags)
            return [f"{each.repository}:{each.tag}" for each in read("j", io.BytesIO(b"".join(written)), wanted)]

        assert chosen(APP) == ["a.io/team/app:x", "b.io/team/app:y", "team/app:z"]
        assert chosen("a.io/team/app") == ["a.io/team/app:x"]
        assert chosen("my/team/app", "b.io/team/app") == ["b.io/team/app:y", "a.io/my/team/app:x"]
        assert chosen(tags=["z", "y"]) == ["b.io/team/app:y", "team/app:z"]

    def test_who_and_which_run(self) -> None:
        assert actor({"GITHUB_ACTOR": "octo", "USER": "root"}) == "octo"
        assert actor({}) == ""
        assert new_run() != new_run()


def test_an_archived_or_odd_image_is_still_described(scene: Scene) -> None:
    digest = scene.ecr.put(APP, tags=["1.0.0"], status="ARCHIVED", pushed_at=None)
    image = get(scene.registry, BARE, digest).image
    assert isinstance(image, Image)
    assert (image.archived, image.pushed_at) == (True, None)
