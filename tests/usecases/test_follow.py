"""Declarations that follow a rule in place of a tag: the same gates, holds and reports, over trees and over real git."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.model.plan import Direction, OutcomeKind
from gitcd.model.registry import Answers, Failure
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from gitcd.usecases.promote import Pen, Promotion, promote
from gitcd.usecases.rollback import RollbackRequest, Sources, rollback
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, HOST, LAYOUT, NOW, Tags, app_files, context, digest, mirror_of, reference, run

RANGE = "{semver: '>=1.0 <2'}"
DEPLOYMENT = "envs/dev/app/deployment.yaml"
DECLARATION = "envs/dev/app/cv.yaml"


def following(rule=RANGE, version="1.0.0", more="", environment="dev", name="app"):
    files = app_files(name, version, environment)
    path = f"envs/{environment}/{name}/cv.yaml"
    files[path] = files[path].replace(b"  tag: env-" + environment.encode(), f"  follow: {rule}{more}".encode())
    return files


def pushed(*versions, name="team/app"):
    tags = Tags()
    tags.versions[name] = list(versions)
    return tags


def planned(files, tags, layout=LAYOUT, now=NOW):
    tree = MemoryTree({"gitcd.yaml": layout, **files})
    return make_plan(tree, Context(tags, lambda _: {}, now)).plan


def only(plan):
    (outcome,) = plan.outcomes
    return outcome


class TestPlans:
    def test_the_highest_version_of_the_range_is_written(self):
        plan = planned(following(), pushed("1.0.0", "1.1.0", "1.2.0", "2.0.0", "1.3.0-rc.1"))
        outcome = only(plan)
        assert (outcome.kind, outcome.old, outcome.resolved.tag) == (OutcomeKind.BUMPED, "1.0.0", "1.2.0")
        assert outcome.resolved.version == "1.2.0"
        assert plan.files[0].after == plan.files[0].before.replace(
            f"{HOST}/team/app:1.0.0".encode(), reference("app", "1.2.0")
        )

    def test_F32_a_second_run_changes_nothing(self):
        files = following()
        tags = pushed("1.0.0", "1.1.0")
        (change,) = planned(files, tags).files
        again = planned(files | {change.path: change.after}, tags)
        assert (only(again).kind, again.commits) == (OutcomeKind.CURRENT, ())

    @pytest.mark.parametrize(
        ("pin", "expected"),
        [("VersionAndDigest", ":1.1.0@{}"), ("TagAndDigest", ":1.1.0@{}"), ("Version", ":1.1.0"), ("Digest", "@{}")],
    )
    def test_with_every_pin_it_comes_to_rest(self, pin, expected):
        files, tags = following(more=f"\n  pin: {pin}"), pushed("1.0.0", "1.1.0")
        (change,) = planned(files, tags).files
        wanted = f"{HOST}/team/app{expected.format(digest('team/app:1.1.0'))}  # moves".encode()
        assert wanted in change.after
        assert planned(files | {change.path: change.after}, tags).commits == ()

    def test_the_version_is_the_tag_that_was_chosen_and_none_beside_it(self):
        tags = pushed("1.1.0")
        tags.moving["team/app", "9.9.9"] = tags.moving["team/app", "main-7"] = "1.1.0"
        assert only(planned(following(), tags)).resolved.version == "1.1.0"
        newest = following("{newest: {match: 'main-.*'}}")
        assert only(planned(newest, tags)).resolved.version == "main-7"
        looked_for = following("{newest: {match: 'main-.*'}}", more="\n  versionSyntax: '1[.].*'")
        assert only(planned(looked_for, tags)).resolved.version == "1.1.0"

    def test_a_place_for_a_tag_alone_may_hold_a_tag_that_stays(self):
        places = "\n  places: [{file: place.yaml, pointer: /tag, format: tag}]\n  pin: TagAndDigest"
        files = following(more=places) | {"envs/dev/app/place.yaml": b"tag: 1.0.0\n"}
        changed = {change.path: change.after for change in planned(files, pushed("1.0.0", "1.1.0")).files}
        assert changed["envs/dev/app/place.yaml"] == b"tag: 1.1.0\n"

    def test_nothing_in_the_range_is_an_error_and_not_up_to_date(self):
        outcome = only(planned(following("{semver: '^3'}"), pushed("1.0.0", "2.0.0")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "NoTagFollowed")
        assert "its versions are 2.0.0, 1.0.0" in outcome.message

    def test_a_list_that_fails_is_transient_as_it_came(self):
        def unreachable(queries):
            failure = Failure("Throttled", "later", transient=True)
            chosen = {(query.repository, follow): failure for query in queries for follow in query.follows}
            return Answers({}, chosen)

        outcome = only(planned(following(), unreachable))
        assert (outcome.kind, outcome.reason, outcome.transient) == (OutcomeKind.FAILED, "Throttled", True)

    def test_an_archived_image_is_not_passed_over_for_an_older_one(self):
        tags = pushed("1.0.0", "1.1.0")

        def archived(queries):
            answers = tags(queries)
            return replace(
                answers, by_key={key: replace(image, archived=True) for key, image in answers.by_key.items()}
            )

        assert only(planned(following(), archived)).reason == "ImageArchived"

    def test_two_rules_for_one_place_are_a_conflict(self):
        other = following("{semver: '~1.0'}")[DECLARATION].replace(b"{name: app, n", b"{name: second, n")
        plan = planned(following() | {"envs/dev/app/cv2.yaml": other}, pushed("1.0.0", "1.1.0"))
        assert {each.kind for each in plan.outcomes} == {OutcomeKind.CONFLICT}

    @pytest.mark.parametrize(
        "rule", ["{semver: 'latest'}", "{semver: '^1', allow: '('}", "{}", "{semver: '^1', newest: {match: x}}"]
    )
    def test_a_rule_that_is_none_is_named(self, rule):
        outcome = only(planned(following(rule), pushed("1.0.0")))
        assert (outcome.kind, "spec.follow" in outcome.message) == (OutcomeKind.FAILED, True)


class TestGates:
    def test_a_version_that_is_too_young_waits_and_no_older_one_is_taken_for_it(self):
        files = following(more="\n  gates: {minAge: 36h}")
        outcome = only(planned(files, pushed("1.0.0", "1.1.0", "1.2.0")))
        assert (outcome.kind, outcome.reason, outcome.resolved.tag) == (OutcomeKind.BLOCKED, "TooYoung", "1.2.0")
        later = only(planned(files, pushed("1.0.0", "1.1.0", "1.2.0"), now=NOW + timedelta(days=1)))
        assert later.kind is OutcomeKind.BUMPED

    def test_T30_the_direction_is_told_by_the_time_of_the_push(self):
        tags = pushed("1.1.0", "1.0.0")  # 1.0.0 was pushed last, as a fix of an old line is
        outcome = only(planned(following(version="1.0.0"), tags))
        assert (outcome.kind, outcome.direction) == (OutcomeKind.BUMPED, Direction.BACKWARD)
        kept = only(planned(following(version="1.0.0", more="\n  gates: {allowDowngrade: false}"), tags))
        assert (kept.kind, kept.reason) == (OutcomeKind.BLOCKED, "Downgrade")

    def test_a_narrower_range_takes_it_back(self):
        outcome = only(planned(following("{semver: '<1.1'}", version="1.1.0"), pushed("1.0.0", "1.1.0")))
        assert (outcome.kind, outcome.resolved.tag, outcome.direction) == (
            OutcomeKind.BUMPED,
            "1.0.0",
            Direction.BACKWARD,
        )

    def test_a_hold_keeps_a_version_out_until_there_is_a_higher_one(self):
        bad = digest("team/app:1.1.0")
        hold = {".gitcd/holds/dev/team.app.yaml": f"reject: [{{digest: '{bad}', reason: broken, by: ann}}]\n".encode()}
        outcome = only(planned(following() | hold, pushed("1.0.0", "1.1.0")))
        assert (outcome.kind, outcome.resolved.tag) == (OutcomeKind.HELD, "1.1.0")
        assert only(planned(following() | hold, pushed("1.0.0", "1.1.0", "1.1.1"))).kind is OutcomeKind.BUMPED

    def test_a_freeze_and_suspend_hold_too(self):
        layout = LAYOUT.replace(b"path: envs/dev", b"path: envs/dev, freeze: [{from: 2026-11-01, until: 2026-12-01}]")
        assert only(planned(following(), pushed("1.0.0", "1.1.0"), layout)).kind is OutcomeKind.FROZEN
        assert only(planned(following(more="\n  suspend: true"), pushed("1.1.0"))).kind is OutcomeKind.SUSPENDED


class TestOverGit:
    @pytest.fixture
    def remote(self, tmp_path):
        return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | following())

    def test_each_push_of_a_higher_version_is_a_commit_and_nothing_else_is(self, remote, tmp_path):
        tags = pushed("1.0.0", "1.1.0")
        cache = tmp_path / "cache"
        assert len(run(remote.url, tags, cache).commits) == 1
        assert run(remote.url, tags, cache).commits == ()
        tags.versions["team/app"].append("0.9.9")
        assert run(remote.url, tags, cache).commits == ()
        tags.versions["team/app"].append("1.2.0")
        assert len(run(remote.url, tags, cache).commits) == 1
        assert reference("app", "1.2.0") in remote.show(DEPLOYMENT)

    def test_F3_a_version_that_is_gone_from_the_list_is_noticed(self, remote, tmp_path):
        tags, cache = pushed("1.0.0", "1.1.0"), tmp_path / "cache"
        run(remote.url, tags, cache)
        tags.versions["team/app"].clear()
        found = run(remote.url, tags, cache).work.plan
        assert only(found).reason == "NoTagFollowed"

    def test_a_rollback_holds_off_what_the_rule_chooses(self, remote):
        tags = pushed("1.0.0", "1.1.0")
        run(remote.url, tags)
        with mirror_of(remote.url) as mirror:
            request = RollbackRequest("dev/team/app", reason="broken", by="ann")
            made = context(mirror, tags)
            rollback(mirror, made, request, Sources(lambda: history(mirror), lambda *_: {}), Pen(AUTHOR))
        assert f"{HOST}/team/app:1.0.0".encode() in remote.show(DEPLOYMENT)
        assert only(run(remote.url, tags).work.plan).kind is OutcomeKind.HELD
        tags.versions["team/app"].append("1.1.1")
        run(remote.url, tags)
        assert reference("app", "1.1.1") in remote.show(DEPLOYMENT)


def history(mirror):
    from gitcd.git.history import ensure_history

    return ensure_history(mirror, mirror.tip or mirror.fetch())


class TestPromotion:
    LAYOUT = LAYOUT.replace(b"path: envs/prod", b"path: envs/prod, promoteFrom: dev")

    @pytest.mark.parametrize("pin", ["VersionAndDigest", "Version", "TagAndDigest"])
    def test_what_dev_chose_moves_on_and_prods_own_rule_is_only_compared(self, tmp_path, pin):
        rule = "{newest: {match: 'main-.*'}}"
        files = following(rule, more=f"\n  pin: {pin}") | following(rule, more=f"\n  pin: {pin}", environment="prod")
        remote = make_bare(tmp_path / "remote.git", {"gitcd.yaml": self.LAYOUT} | files)
        tags = pushed("1.0.0", "main-1")
        before = {str(each.identity): each for each in run(remote.url, tags).work.plan.outcomes}
        assert before["prod/team/app"].reason == "TagDrift"
        assert "the newest tag that matches main-.* is main-1" in before["prod/team/app"].message
        with mirror_of(remote.url) as mirror:
            promote(mirror, context(mirror, tags), Promotion("dev", "prod"), lambda: history(mirror), Pen(AUTHOR))
        assert b"team/app:main-1" in remote.show("envs/prod/app/deployment.yaml")
