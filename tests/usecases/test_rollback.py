"""Rollback over real git: images and holds in one commit, back to what git held and the registry still has."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.errors import ConfigError, RefusedError, TransientError
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.manifests.reading import read_hold
from gitcd.model.plan import Direction, OutcomeKind
from gitcd.model.reference import Repository
from gitcd.model.registry import Image
from gitcd.model.trailers import parse, verbs
from gitcd.registry.tags import Manifest
from gitcd.usecases.promote import Pen
from gitcd.usecases.rollback import MovedError, RollbackRequest, Sources, rollback
from tests.support.ecr import index_manifest, single_manifest
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, HOST, LAYOUT, NOW, app_files, context, digest, mirror_of, reference, run

PATH = "envs/dev/app/deployment.yaml"
HOLD = ".gitcd/holds/dev/team.app.yaml"


def back(remote, tags, app="app", *, manifests=lambda *_: {}, history=None, now=NOW, **more):
    with mirror_of(remote.url) as mirror:
        sources = Sources(lambda: history or ensure_history(mirror, mirror.tip), manifests)
        return rollback(mirror, context(mirror, tags, now), RollbackRequest(app, **more), sources, Pen(AUTHOR))


def bump(remote, tags, *versions, name="app"):
    for version in versions:
        tags.move(f"team/{name}", "env-dev", version)
        assert run(remote.url, tags).commits


@pytest.fixture
def bumped(remote, tags):
    """app went through 1.0.0, 1.1.0 and 1.2.0 in dev."""
    run(remote.url, tags)
    bump(remote, tags, "1.1.0", "1.2.0")
    return remote


def outcome(published, name="app"):
    return next(each for each in published.work.plan.outcomes if each.identity.name == name)


class TestNobodyAsks:
    """As a rollout that failed does."""

    def test_why_stands_in_the_message(self, bumped, tags):
        back(bumped, tags, reason="CrashLoopBackOff", by="gitcd apply", automatic=True)
        message = bumped.git("log", "-1", "--format=%B", "main")
        assert "\nRolled back by gitcd apply: CrashLoopBackOff. What it leaves is held off.\n" in message
        assert [str(move.identity) for move in parse(message)] == ["dev/team/app"]

    def test_what_the_tag_names_by_now_is_not_held_off(self, bumped, tags):
        tags.move("team/app", "env-dev", "1.3.0")
        back(bumped, tags, automatic=True)
        hold, _ = read_hold(HOLD, bumped.show(HOLD))
        assert [entry.version for entry in hold.reject] == ["1.2.0"]
        assert run(bumped.url, tags).commits

    def test_what_has_moved_on_is_left_alone(self, bumped, tags):
        with pytest.raises(MovedError):
            back(bumped, tags, automatic=True, leaving=digest("team/app:1.1.0"))


class TestOneCommit:
    def test_takes_back_the_bytes_and_holds_off_what_it_leaves(self, bumped, tags):
        before, count = bumped.show(PATH, "main~1"), bumped.count()
        published = back(bumped, tags, reason="comes out empty", by="dana", until="2026-12-24")
        assert bumped.count() == count + 1
        assert bumped.show(PATH) == before
        assert bumped.git("diff-tree", "-r", "--name-only", "main~1", "main").split() == [HOLD, PATH]
        hold, problems = read_hold(HOLD, bumped.show(HOLD))
        (entry,) = hold.reject
        assert not problems
        assert (entry.digest, entry.version, entry.reason) == (digest("team/app:1.2.0"), "1.2.0", "comes out empty")
        assert (entry.by, entry.time, entry.until) == ("dana", "2026-11-22T12:00:00Z", "2026-12-24")
        assert (outcome(published).reason, outcome(published).direction) == ("RolledBack", Direction.BACKWARD)

    def test_says_who_and_why_and_its_trailers_name_where_it_went(self, bumped, tags):
        back(bumped, tags, reason="slow", by="dana")
        message = bumped.git("log", "-1", "--format=%B")
        assert message.startswith(
            "dev: roll back app 1.2.0 -> 1.1.0\n\nRolled back by dana: slow. What it leaves is held off.\n"
        )
        (move,) = parse(message)
        assert (move.digest, verbs(message)) == (digest("team/app:1.1.0"), ["rollback"])

    @pytest.mark.parametrize(
        "reason", ["x\n\nGitcd-App: team/app\nGitcd-Digest: sha256:1", "Signed-off-by: E <e@x.org>", "@all"]
    )
    def test_T21_a_reason_forges_no_trailer(self, bumped, tags, reason):
        with pytest.raises(ConfigError) if "\n" in reason else pytest.MonkeyPatch.context():
            back(bumped, tags, reason=reason)
            message = bumped.git("log", "-1", "--format=%B")
            names = bumped.git("interpret-trailers", "--parse", stdin=message.encode())
            assert {line.partition(":")[0] for line in names.splitlines()} <= {
                "Gitcd-Environment", "Gitcd-App", "Gitcd-Digest", "Gitcd-Verb",
            }  # fmt: skip
            assert "@all" not in message

    def test_no_run_brings_it_back_until_the_tag_moves_on(self, bumped, tags):
        back(bumped, tags)
        tip = bumped.tip
        for _ in range(3):
            published = run(bumped.url, tags)
            assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.HELD, "Rejected")
        assert bumped.tip == tip
        bump(bumped, tags, "1.3.0")
        assert reference("app", "1.3.0") in bumped.show(PATH)

    def test_nor_what_the_tag_named_meanwhile(self, bumped, tags):
        tags.move("team/app", "env-dev", "1.3.0")
        back(bumped, tags)
        assert outcome(run(bumped.url, tags)).kind is OutcomeKind.HELD
        assert reference("app", "1.1.0") in bumped.show(PATH)

    def test_asked_again_it_stays_and_names_the_next_step(self, bumped, tags):
        back(bumped, tags)
        tip = bumped.tip
        for _ in range(2):
            published = back(bumped, tags, now=NOW + timedelta(hours=1), reason="once more")
            assert (bumped.tip, outcome(published).kind) == (tip, OutcomeKind.CURRENT)
            assert published.work.plan.warnings == (
                "dev/team/app has gone back from 1.2.0 to 1.1.0 already; to go back further, say --to 1.0.0",
            )

    def test_asked_again_after_something_new_it_goes_back_from_that(self, bumped, tags):
        back(bumped, tags)
        bump(bumped, tags, "1.3.0")
        back(bumped, tags)
        assert reference("app", "1.1.0") in bumped.show(PATH)

    def test_what_is_rejected_before_it_is_left_is_no_rollback(self, bumped, tags):
        hold = f"reject: [{{digest: '{digest('team/app:1.2.0')}', reason: bad}}]\n"
        bumped.commit({HOLD: hold.encode()})
        bump(bumped, tags, "1.3.0")
        back(bumped, tags)
        assert reference("app", "1.1.0") in bumped.show(PATH)

    def test_one_further_and_never_forward(self, bumped, tags):
        back(bumped, tags)
        back(bumped, tags, to="1.0.0")
        assert reference("app", "1.0.0") in bumped.show(PATH)
        with pytest.raises(RefusedError, match=r"1\.1\.0 is rejected, so it is not gone back to"):
            back(bumped, tags, to="1.1.0")

    def test_a_hold_or_a_suspension_refuses_it_aloud(self, bumped, tags):
        bumped.commit({HOLD: b"freeze: true\nreason: audit\n"})
        with pytest.raises(RefusedError, match="dev/team/app is not taken back: frozen: audit"):
            back(bumped, tags)
        declared = bumped.show("envs/dev/app/cv.yaml")
        bumped.commit({HOLD: None, "envs/dev/app/cv.yaml": declared + b"  suspend: true\n"})
        with pytest.raises(RefusedError, match="dev/team/app is not taken back: "):
            back(bumped, tags)

    def test_two_people_at_once_go_back_once(self, bumped, tags):
        raced = []

        def manifests(*_):
            if not raced:
                raced.append(bumped.tip)
                back(bumped, tags, reason="mine")
            return {}

        with pytest.raises(RefusedError, match="dev/team/app moved meanwhile"):
            back(bumped, tags, reason="yours", manifests=manifests)
        assert reference("app", "1.1.0") in bumped.show(PATH)
        assert bumped.git("rev-list", "--count", f"{raced[0]}..main") == "1"

    def test_another_change_at_once_is_kept(self, bumped, tags):
        raced = []

        def manifests(*_):
            raced.append(raced or bumped.commit({"x.txt": b"x"}))
            return {}

        assert back(bumped, tags, manifests=manifests).attempts == 2
        assert (bumped.show("x.txt"), reference("app", "1.1.0") in bumped.show(PATH)) == (b"x", True)

    def test_a_second_place_and_a_config_key_go_along(self, remote, tags):
        files = app_files("app")
        key = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: cfg, namespace: team}\ndata: {version: '1.0.0'}\n"
        declared = files["envs/dev/app/cv.yaml"] + b"  config: {name: cfg, key: version}\n"
        second = files[PATH].replace(b"name: app\n", b"name: app-two\n", 1)
        remote.commit({"envs/dev/app/cv.yaml": declared, "envs/dev/app/two.yaml": second, "envs/dev/app/cfg.yaml": key})
        run(remote.url, tags)
        paths = [PATH, "envs/dev/app/two.yaml", "envs/dev/app/cfg.yaml"]
        before = [remote.show(path) for path in paths]
        bump(remote, tags, "1.1.0")
        assert all(remote.show(path) != old for path, old in zip(paths, before, strict=True))
        back(remote, tags)
        assert [remote.show(path) for path in paths] == before


class TestGroups:
    @pytest.fixture
    def grouped(self, tmp_path, tags):
        files = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other")
        for name in ("app", "other"):
            files[f"envs/dev/{name}/cv.yaml"] += b"  strategy: {group: release}\n"
        remote = make_bare(tmp_path / "grouped.git", files)
        run(remote.url, tags)
        return remote

    def test_go_back_together_to_the_same_point(self, grouped, tags):
        tags.move("team/app", "env-dev", "1.1.0")
        bump(grouped, tags, "1.1.0", name="other")
        count = grouped.count()
        back(grouped, tags, reason="slow")
        assert grouped.count() == count + 1
        for name in ("app", "other"):
            assert reference(name, "1.0.0") in grouped.show(f"envs/dev/{name}/deployment.yaml")
            assert digest(f"team/{name}:1.1.0").encode() in grouped.show(f".gitcd/holds/dev/team.{name}.yaml")

    def test_a_member_that_had_not_moved_stays_and_is_not_held(self, grouped, tags):
        bump(grouped, tags, "1.1.0")
        back(grouped, tags)
        assert reference("app", "1.0.0") in grouped.show(PATH)
        assert ".gitcd/holds/dev/team.other.yaml" not in grouped.git("ls-tree", "-r", "--name-only", "main").split()

    def test_what_a_member_came_to_by_itself_before_is_kept(self, grouped, tags):
        """It is taken back to what it was before both moved, not to when the first of them was touched last."""
        bump(grouped, tags, "1.1.0", name="other")
        tags.move("team/app", "env-dev", "1.1.0")
        bump(grouped, tags, "1.2.0", name="other")
        back(grouped, tags)
        assert reference("app", "1.0.0") in grouped.show(PATH)
        assert reference("other", "1.1.0") in grouped.show("envs/dev/other/deployment.yaml")

    def test_nothing_moves_where_a_member_cannot(self, grouped, tags):
        tags.move("team/app", "env-dev", "1.1.0")
        bump(grouped, tags, "1.1.0", name="other")
        grouped.commit({".gitcd/holds/dev/team.other.yaml": b"freeze: true\nreason: audit\n"})
        tip = grouped.tip
        with pytest.raises(RefusedError, match="dev/team/other is not taken back: frozen: audit"):
            back(grouped, tags)
        assert grouped.tip == tip


class TestPreflight:
    def test_F48_what_the_registry_lost_is_refused_and_the_nearest_usable_is_named(self, bumped, tags):
        bump(bumped, tags, "1.3.0")
        tags.versions["team/app"].remove("1.2.0")
        tip = bumped.tip
        with pytest.raises(RefusedError, match=r"1\.2\.0 cannot be gone back to: .*has no") as caught:
            back(bumped, tags)
        assert "say `--to 1.1.0`" in caught.value.remedy
        assert bumped.tip == tip
        back(bumped, tags, to="1.1.0")
        assert reference("app", "1.1.0") in bumped.show(PATH)

    def test_F48_what_the_registry_put_away_is_refused_and_the_nearest_usable_is_named(self, bumped, tags):
        """An archived image has its digest and its tags, and no node can pull it."""

        def asked(queries):
            answers = tags(queries)
            away = digest("team/app:1.1.0")
            found = {
                key: replace(each, archived=True) if isinstance(each, Image) and each.digest == away else each
                for key, each in answers.by_key.items()
            }
            return replace(answers, by_key=found)

        tip = bumped.tip
        with pytest.raises(RefusedError, match=r"1\.1\.0 cannot be gone back to: it is archived") as refused:
            back(bumped, asked)
        assert "1.0.0" in refused.value.remedy
        assert bumped.tip == tip
        back(bumped, asked, to="1.0.0")
        assert reference("app", "1.0.0") in bumped.show(PATH)

    def test_F48_history_that_is_missing_stops_it(self, bumped, tags):
        with pytest.raises(TransientError, match="what to go back to, is missing: cut off"):
            back(bumped, tags, history=MissingHistory("cut off"))

    def test_F48_an_image_that_was_pushed_later_is_no_way_back(self, remote, tags):
        tags.versions["team/app"] = ["0.9.0", "1.0.0"]
        run(remote.url, tags)
        bump(remote, tags, "0.9.0")
        with pytest.raises(RefusedError, match="pushed after the present image"):
            back(remote, tags)
        back(remote, tags, to="1.0.0")
        assert reference("app", "1.0.0") in remote.show(PATH)

    def test_what_git_never_held_is_not_gone_to(self, bumped, tags):
        tags.versions["team/app"].insert(0, "0.1.0")
        with pytest.raises(ConfigError, match=r"git never held 0\.1\.0 there") as caught:
            back(bumped, tags, to="0.1.0")
        assert caught.value.remedy == "It held: 1.2.0, 1.1.0, 1.0.0"

    def test_a_digest_may_be_named_by_its_beginning(self, bumped, tags):
        back(bumped, tags, to=digest("team/app:1.0.0")[:20])
        assert reference("app", "1.0.0") in bumped.show(PATH)

    def test_what_a_hold_rejects_is_passed_over_and_not_named(self, bumped, tags):
        hold = f"reject: [{{digest: '{digest('team/app:1.1.0')}', reason: bad}}]\n"
        bumped.commit({HOLD: hold.encode()})
        with pytest.raises(RefusedError, match=r"is rejected: bad, so it is not gone back to"):
            back(bumped, tags, to="1.1.0")
        back(bumped, tags)
        assert reference("app", "1.0.0") in bumped.show(PATH)
        entries = read_hold(HOLD, bumped.show(HOLD))[0].reject
        assert [each.digest for each in entries] == [digest("team/app:1.1.0"), digest("team/app:1.2.0")]

    def test_what_people_gave_up_is_no_step_back(self, remote, tags):
        run(remote.url, tags)
        bump(remote, tags, "1.1.0")
        remote.commit({PATH: remote.show(PATH, "main~1")}, "Take it back")
        bump(remote, tags, "1.2.0")
        back(remote, tags)
        assert reference("app", "1.0.0") in remote.show(PATH)

    def test_an_environment_that_is_frozen_lets_it_through(self, bumped, tags):
        frozen = LAYOUT.replace(
            b"path: envs/dev}", b"path: envs/dev, freeze: [{reason: no}], gates: {allowDowngrade: false}}"
        )
        bumped.commit({"gitcd.yaml": frozen})
        back(bumped, tags)
        assert reference("app", "1.1.0") in bumped.show(PATH)

    @pytest.mark.parametrize(
        ("target", "present", "said"),
        [
            ({"amd64": "a"}, {"amd64": "b", "arm64": "c"}, "not for linux/arm64"),
            (None, {"amd64": "b", "arm64": "c"}, "for one platform"),
            ({"amd64": "a", "arm64": "d"}, {"amd64": "b"}, ""),
            ({"amd64": "a"}, None, ""),
        ],
    )
    def test_platforms_have_to_fit(self, bumped, tags, target, present, said):
        def manifests(_repository, _digests):
            texts = [index_manifest(each) if each else single_manifest() for each in (target, present)]
            names = [digest("team/app:1.1.0"), digest("team/app:1.2.0")]
            home = Repository(HOST, "team/app")
            return {name: Manifest(name, text, "index", home) for name, text in zip(names, texts, strict=True)}

        if said:
            with pytest.raises(RefusedError, match=said):
                back(bumped, tags, manifests=manifests)
        back(bumped, tags, manifests=manifests, any_platform=bool(said))
        assert reference("app", "1.1.0") in bumped.show(PATH)

    def test_the_nearest_version_that_fits_is_named(self, bumped, tags):
        both, one = index_manifest({"amd64": "a", "arm64": "b"}), index_manifest({"amd64": "a"})
        texts = {"1.2.0": both, "1.1.0": one, "1.0.0": both}
        known = {digest(f"team/app:{version}"): text for version, text in texts.items()}

        def manifests(repository, digests):
            return {name: Manifest(name, known[name], "index", repository) for name in digests}

        with pytest.raises(RefusedError, match=r"1\.1\.0 might not run where 1\.2\.0 does") as caught:
            back(bumped, tags, manifests=manifests)
        assert caught.value.remedy.startswith("The nearest version that can is 1.0.0: say `--to 1.0.0`.")
        back(bumped, tags, manifests=manifests, to="1.0.0")
        assert reference("app", "1.0.0") in bumped.show(PATH)

    def test_a_hold_that_would_be_over_is_refused(self, bumped, tags):
        with pytest.raises(ConfigError, match="would have ended"):
            back(bumped, tags, until="2026-01-01")

    def test_after_its_end_the_tag_counts_again(self, bumped, tags):
        back(bumped, tags, until="2026-11-24")
        assert outcome(run(bumped.url, tags, now=NOW + timedelta(days=1))).kind is OutcomeKind.HELD
        assert outcome(run(bumped.url, tags, now=NOW + timedelta(days=2))).kind is OutcomeKind.BUMPED
