"""Keep tags put and taken off, against a stand-in for ECR; what is needed is said without git."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Identity
from gitcd.model.reference import is_tag
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.tags import EcrTags
from gitcd.usecases.keeping import Duty, Need
from gitcd.usecases.protecting import Protect, keep_tag, protect
from gitcd.usecases.tagging import Action, TagChange
from tests.support.ecr import StandIn

APP = "team/app"
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with StandIn() as server:
        yield server


@pytest.fixture
def images(ecr: StandIn) -> list[str]:
    """Five images, with one tag each."""
    return [ecr.put(APP, tags=[f"1.{number}.0"]) for number in range(5)]


def need(environment: str, *images: str, past: tuple[str, ...] = (), name: str = "app") -> Need:
    return Need(Identity(environment, "team", name), dict.fromkeys(images, "app.yaml:7"), past)


def bring_about(
    ecr: StandIn, *needs: Need, environments: tuple[str, ...] = ("dev",), versions: int = 3, unsure: tuple[str, ...] = (), dry_run: bool = False
) -> tuple[list[TagChange], list[TagChange]]:  # fmt: skip
    """What was done, and what of it was recorded; that nothing but keep tags was touched is seen to."""
    before = plain(ecr)
    registry = EcrTags(RegistrySettings(endpoint_url=ecr.url))
    duty = Duty(ecr.repository(APP), frozenset(environments), needs, frozenset(unsure))
    recorded: list[TagChange] = []
    changes = protect(Protect(versions, dry_run), duty, registry, recorded.append)
    assert plain(ecr) == before
    for call in ecr.calls:
        if call.operation == "BatchDeleteImage":
            assert all(each.startswith("keep-") for each in call.ids)
    return changes, recorded


def plain(ecr: StandIn) -> dict[str, set[str]]:
    """All images with their other tags."""
    ours = tuple(f"keep-{each}-" for each in ("dev", "prod"))
    return {digest: {tag for tag in tags if not tag.startswith(ours)} for digest, tags in ecr.contents(APP).items()}


def kept(ecr: StandIn, environment: str = "dev") -> set[str]:
    return {digest for digest, tags in ecr.contents(APP).items() if keep_tag(environment, digest) in tags}


def actions(changes: list[TagChange]) -> list[Action]:
    return [change.action for change in changes]


class TestName:
    @given(LABELS, DIGESTS, LABELS, DIGESTS)
    def test_each_environment_and_image_has_a_tag_of_its_own(self, one, digest, two, other) -> None:
        assert is_tag(keep_tag(one, digest))
        assert (keep_tag(one, digest) == keep_tag(two, other)) == (one == two and digest[:39] == other[:39])


class TestPutting:
    def test_now_and_before(self, ecr, images) -> None:
        past = (images[3], images[2], images[3], images[1], images[0])
        changes, recorded = bring_about(ecr, need("dev", images[3], past=tuple(dict.fromkeys(past))), versions=2)
        assert kept(ecr) == {images[3], images[2], images[1]}
        assert changes == recorded
        assert actions(changes) == [Action.ADDED] * 3

    def test_a_tag_without_a_digest_is_asked_for(self, ecr, images) -> None:
        bring_about(ecr, need("dev", "1.2.0"))
        assert kept(ecr) == {images[2]}

    def test_what_a_tag_names_now_is_no_former_version(self, ecr, images) -> None:
        bring_about(ecr, need("dev", "1.2.0", past=(images[2], images[1], images[0])), versions=1)
        assert kept(ecr) == {images[2], images[1]}

    def test_several_environments_share_an_image(self, ecr, images) -> None:
        both = ("dev", "prod")
        bring_about(ecr, need("dev", images[1]), need("prod", images[1], images[0]), environments=both)
        assert kept(ecr) == {images[1]}
        assert kept(ecr, "prod") == {images[1], images[0]}
        changes, recorded = bring_about(
            ecr, need("dev", images[1]), need("prod", images[1], images[0]), environments=both
        )
        assert (actions(changes), recorded) == ([Action.UNCHANGED] * 3, [])

    def test_an_index_stays_an_index(self, ecr) -> None:
        digest = ecr.put_index(APP, tags=["2.0.0"])
        before = {key: (image.manifest, image.media_type) for key, image in ecr.create(APP).images.items()}
        bring_about(ecr, need("dev", digest))
        bring_about(ecr)
        assert {key: (image.manifest, image.media_type) for key, image in ecr.create(APP).images.items()} == before

    def test_an_untagged_image_can_be_kept(self, ecr) -> None:
        digest = ecr.put(APP)
        bring_about(ecr, need("dev", digest))
        assert kept(ecr) == {digest}

    def test_immutable_tags_are_no_hindrance(self, ecr, images) -> None:
        ecr.create(APP).immutable = True
        for number in (1, 1, 2):
            bring_about(ecr, need("dev", images[number]), versions=0)
            assert kept(ecr) == {images[number]}

    @pytest.mark.parametrize("immutable", [False, True])
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_keep_tag_that_somebody_put_elsewhere_is_left_there(
        self, ecr, images, immutable: bool, dry_run: bool
    ) -> None:
        ecr.move(APP, keep_tag("dev", images[1]), images[0])
        ecr.create(APP).immutable = immutable
        before = ecr.contents(APP)
        changes, recorded = bring_about(ecr, need("dev", images[1]), dry_run=dry_run)
        assert [change.failure.reason for change in changes if change.failure] == ["CurrentDiffers"]
        assert recorded == []
        assert ecr.contents(APP) == before

    def test_an_image_that_is_gone_is_told_and_the_rest_is_done(self, ecr, images) -> None:
        gone = "sha256:" + "0" * 64
        ecr.move(APP, keep_tag("dev", images[4]), images[4])
        changes, _ = bring_about(ecr, need("dev", gone, images[0], past=("sha256:" + "1" * 64, images[1])))
        failed = [change for change in changes if change.failure]
        assert [change.failure.reason for change in failed if change.failure] == ["ImageNotFound"] * 2
        assert f"has no image {gone}, and dev/team/app deploys it (app.yaml:7)" in failed[0].failure.message
        assert "dev/team/app may be taken back to it" in failed[1].failure.message
        assert kept(ecr) == {images[0], images[1]}

    def test_a_refused_put_keeps_no_other_from_it(self, ecr, images) -> None:
        ecr.fail("PutImage", "AccessDeniedException", times=1)
        changes, _ = bring_about(ecr, need("dev", images[0], images[1]))
        assert sorted(actions(changes)) == [Action.ADDED, Action.FAILED]
        assert len(kept(ecr)) == 1


class TestTakingOff:
    def test_what_nobody_needs_any_more(self, ecr, images) -> None:
        bring_about(ecr, need("dev", *images))
        changes, recorded = bring_about(ecr, need("dev", images[0]))
        assert kept(ecr) == {images[0]}
        assert actions(changes) == [Action.UNCHANGED, *[Action.REMOVED] * 4]
        assert {(change.tag, change.old, change.new) for change in recorded} == {
            (keep_tag("dev", each), each, "") for each in images[1:]
        }

    def test_other_environments_keep_theirs(self, ecr, images) -> None:
        bring_about(ecr, need("dev", images[0]), need("prod", images[0]), environments=("dev", "prod"))
        bring_about(ecr)
        assert (kept(ecr), kept(ecr, "prod")) == (set(), {images[0]})

    def test_tags_that_only_look_alike_stay(self, ecr, images) -> None:
        alike = {"keep", "keep-dev", "keep-dev-by-hand", "keep-dev-0123456789abcdef0123456789abcdef", "keep-dev-x-" + images[0][7:39],
                 "keep-devel-" + images[0][7:39], keep_tag("dev", images[0]) + "0", keep_tag("dev", images[1])}  # fmt: skip
        for tag in alike:
            ecr.move(APP, tag, images[0])
        changes, _ = bring_about(ecr)
        assert changes == []
        assert alike < ecr.contents(APP)[images[0]]

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_the_last_tag_of_an_image_stays(self, ecr, images, dry_run: bool) -> None:
        lonely = ecr.put(APP)
        both = ("dev", "prod")
        bring_about(ecr, need("dev", lonely), need("prod", lonely, images[0]), environments=both)
        before = ecr.contents(APP)
        changes, recorded = bring_about(ecr, environments=both, dry_run=dry_run)
        assert sorted(actions(changes)) == [Action.KEPT, Action.REMOVED, Action.REMOVED]
        (stays,) = [change for change in changes if change.action is Action.KEPT]
        assert "it is the last tag of its image" in stays.note
        if dry_run:
            assert (ecr.contents(APP), recorded) == (before, [])
        else:
            assert ecr.contents(APP)[lonely] == {stays.tag}

    def test_the_last_tag_stays_where_the_others_go_meanwhile(self, ecr, images) -> None:
        bring_about(ecr, need("dev", images[0]))
        registry = EcrTags(RegistrySettings(endpoint_url=ecr.url))
        seen: list[int] = []

        def lose(call) -> None:
            """Between the list and the look before the removal, somebody takes the version away."""
            if call.operation == "DescribeImages" and "imageIds" in call.body and not seen:
                seen.append(1)
                ecr.create(APP).tags.pop("1.0.0")
                ecr.create(APP).images[images[0]].tags.discard("1.0.0")

        ecr.hooks.append(lose)
        duty = Duty(ecr.repository(APP), frozenset({"dev"}))
        (change,) = protect(Protect(), duty, registry, lambda _: None)
        assert change.action is Action.KEPT
        assert ecr.contents(APP)[images[0]] == {keep_tag("dev", images[0])}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_one_keep_tag_may_follow_another(self, ecr, dry_run: bool) -> None:
        lonely = ecr.put(APP)
        bring_about(ecr, need("dev", lonely))
        changes, _ = bring_about(ecr, need("prod", lonely), environments=("dev", "prod"), dry_run=dry_run)
        assert actions(changes) == [Action.ADDED, Action.REMOVED]
        assert ecr.contents(APP)[lonely] == {keep_tag("dev" if dry_run else "prod", lonely)}

    def test_nothing_goes_where_not_all_is_known(self, ecr, images) -> None:
        both = ("dev", "prod")
        bring_about(ecr, need("dev", images[0]), need("prod", images[0]), environments=both)
        changes, _ = bring_about(ecr, need("dev", images[1]), environments=both, unsure=("dev",))
        assert actions(changes) == [Action.ADDED, Action.REMOVED]
        assert (kept(ecr), kept(ecr, "prod")) == ({images[0], images[1]}, set())

    def test_nothing_goes_where_a_deployed_tag_is_not_known(self, ecr, images) -> None:
        bring_about(ecr, need("dev", images[0]))
        changes, _ = bring_about(ecr, need("dev", "9.9.9"))
        assert [(change.tag, change.failure.reason) for change in changes if change.failure] == [
            ("9.9.9", "ImageNotFound")
        ]
        assert kept(ecr) == {images[0]}

    def test_a_list_that_is_denied_is_told_and_the_tags_are_put(self, ecr, images) -> None:
        bring_about(ecr, need("dev", images[0]))
        fault = ecr.fail("DescribeImages", "AccessDeniedException", times=-1, after=3)
        changes, _ = bring_about(ecr, need("dev", images[1]))
        fault.times = 0
        assert (changes[-1].tag, changes[-1].failure and changes[-1].failure.reason) == ("keep-*", "AccessDenied")
        assert kept(ecr) == {images[0], images[1]}

    def test_more_images_than_one_page_holds(self, ecr) -> None:
        many = [ecr.put(APP, tags=[f"2.{number}.0"]) for number in range(130)]
        for each in many[:120]:
            ecr.move(APP, keep_tag("dev", each), each)
        changes, _ = bring_about(ecr, need("dev", *many[5:125]))
        assert kept(ecr) == set(many[5:125])
        assert sum(change.action is Action.REMOVED for change in changes) == 5
