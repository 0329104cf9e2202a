"""Promotion over real git: what one environment deploys moves into the next, and nothing else does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.errors import ConfigError
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.tree import CommitTree
from gitcd.model.plan import OutcomeKind
from gitcd.model.registry import Failure
from gitcd.model.trailers import parse, verbs
from gitcd.usecases.explain import explain
from gitcd.usecases.planner import make_plan
from gitcd.usecases.promote import Pen, Promotion, promote
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, HOST, NOW, Tags, app_files, context, digest, mirror_of, reference, run

LAYOUT = """\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, promoteFrom: dev%s}
  - {name: lab, path: envs/lab}
"""
PROD = "envs/prod/app/deployment.yaml"
DEV = "envs/dev/app/deployment.yaml"


def fleet(*names, more=""):
    files = {"gitcd.yaml": (LAYOUT % more).encode()}
    for name in names or ("app", "other"):
        files |= app_files(name) | app_files(name, environment="prod")
    return files


def in_own_namespaces(files):
    """The same, in a namespace for each environment that bears its name."""
    for name in ("dev", "prod"):
        own = {path: data.replace(b": team", f": team-{name}".encode()) for path, data in files.items()}
        files |= {path: data for path, data in own.items() if path.startswith(f"envs/{name}/")}
    return files


@pytest.fixture
def tags() -> Tags:
    """Everything runs 1.0.0; the tags of dev name 1.1.0, those of prod still 1.0.0."""
    tags = Tags()
    for name in ("team/app", "team/other"):
        tags.move(name, "env-prod", "1.0.0")
        tags.move(name, "env-dev", "1.1.0")
    return tags


@pytest.fixture
def remote(tmp_path, tags):
    """The fleet, with dev pinned at 1.1.0 by a reconcile."""
    remote = make_bare(tmp_path / "remote.git", fleet())
    run(remote.url, tags)
    return remote


def promoted(remote, tags, *apps, source="dev", target="prod", now=NOW):
    with mirror_of(remote.url) as mirror:
        request = Promotion(source, target, frozenset(apps))

        def recollect():
            return ensure_history(mirror, mirror.tip)

        return promote(mirror, context(mirror, tags, now), request, recollect, Pen(AUTHOR))


def outcome(published, name="app"):
    return next(each for each in published.work.plan.outcomes if each.identity.name == name)


class TestWhatMoves:
    def test_what_the_source_deploys_byte_for_byte_and_nothing_else(self, remote, tags):
        before, tip = remote.show(PROD), remote.tip
        published = promoted(remote, tags, "app")
        assert remote.show(PROD) == before.replace(f"{HOST}/team/app:1.0.0".encode(), reference("app", "1.1.0"))
        assert remote.git("diff", "--name-only", tip, "main").split() == [PROD]
        assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.BUMPED, "Promoted")

    def test_between_namespaces_that_bear_the_name_of_the_environment(self, tmp_path, tags):
        remote = make_bare(tmp_path / "own.git", in_own_namespaces(fleet()))
        run(remote.url, tags)
        published = promoted(remote, tags, "app")
        assert reference("app", "1.1.0") in remote.show(PROD)
        assert str(outcome(published).identity) == "prod/team-prod/app"
        assert published.work.plan.warnings == ()

    def test_the_commit_says_so_and_its_trailers_name_the_move(self, remote, tags):
        promoted(remote, tags, "app")
        message = remote.git("log", "-1", "--format=%B")
        assert message.startswith("prod: promote app 1.0.0 -> 1.1.0\n\nPromoted from dev.\n\nteam/app 1.0.0 -> 1.1.0\n")
        assert "env-prod" not in message
        (move,) = parse(message)
        assert (str(move.identity), move.digest) == ("prod/team/app", digest("team/app:1.1.0"))
        assert verbs(message) == ["promote"]

    def test_everything_that_both_have_where_nothing_is_selected(self, remote, tags):
        promoted(remote, tags)
        assert all(
            reference(name, "1.1.0") in remote.show(f"envs/prod/{name}/deployment.yaml") for name in ("app", "other")
        )

    def test_a_second_promotion_changes_nothing(self, remote, tags):
        promoted(remote, tags)
        tip = remote.tip
        assert promoted(remote, tags).commits == ()
        assert remote.tip == tip

    def test_three_reconciles_with_the_old_tag_in_place_change_nothing(self, remote, tags):
        promoted(remote, tags)
        tip = remote.tip
        for _ in range(3):
            published = run(remote.url, tags)
            kinds = {str(each.identity): (each.kind, each.reason) for each in published.work.plan.outcomes}
            assert kinds["prod/team/app"] == (OutcomeKind.PROMOTED, "TagDrift")
            assert published.commits == ()
        assert remote.tip == tip

    def test_a_push_that_lost_the_race_is_computed_anew(self, remote, tags):
        with mirror_of(remote.url) as mirror:
            made = context(mirror, tags)
            raced = []

            def resolve(queries):
                if not raced:
                    raced.append(remote.commit({DEV: remote.show(DEV).replace(b"1.1.0", b"1.1.0"), "x.txt": b"x"}))
                return tags(queries)

            published = promote(
                mirror, replace(made, resolve=resolve), Promotion("dev", "prod"),
                lambda: ensure_history(mirror, mirror.tip), Pen(AUTHOR),
            )  # fmt: skip
        assert published.attempts == 2
        assert remote.show("x.txt") == b"x"
        assert reference("app", "1.1.0") in remote.show(PROD)


class TestMatching:
    def test_what_only_one_environment_has_stays_and_is_warned_of(self, tmp_path, tags):
        files = fleet("app") | app_files("other") | app_files("alone", environment="prod")
        tags.move("team/alone", "env-prod", "1.0.0")
        remote = make_bare(tmp_path / "remote.git", files)
        run(remote.url, tags)
        published = promoted(remote, tags)
        assert outcome(published, "alone").kind is OutcomeKind.PROMOTED
        assert list(published.work.plan.warnings) == [
            "prod/team/alone stays: dev has no declaration team/alone",
            "dev/team/other goes nowhere: prod has no declaration team/other",
        ]

    def test_asked_for_by_name_what_the_source_lacks_is_an_error(self, tmp_path, tags):
        remote = make_bare(tmp_path / "remote.git", fleet("app") | app_files("alone", environment="prod"))
        found = outcome(promoted(remote, tags, "alone"), "alone")
        assert (found.kind, found.reason) == (OutcomeKind.FAILED, "NoSource")
        assert "dev has no declaration team/alone" in found.message

    @pytest.mark.parametrize(
        ("source", "target", "said"),
        [
            ("dev", "lab", "lab follows its tags"),
            ("lab", "prod", "prod is promoted from dev, not from lab"),
            ("dev", "pord", "no environment pord"),
        ],
    )
    def test_only_along_promote_from(self, remote, tags, source, target, said):
        with pytest.raises(ConfigError, match=said):
            promoted(remote, tags, source=source, target=target)

    def test_a_selection_that_meets_nothing_is_an_error(self, remote, tags):
        with pytest.raises(ConfigError, match="nothing is selected by --app tpyo"):
            promoted(remote, tags, "tpyo")

    def test_a_group_is_promoted_together_or_not_at_all(self, tmp_path, tags):
        files = fleet()
        for name in ("app", "other"):
            files[f"envs/prod/{name}/cv.yaml"] += b"  strategy: {group: release}\n"
        remote = make_bare(tmp_path / "remote.git", files)
        run(remote.url, tags)
        alone = outcome(promoted(remote, tags, "app"))
        assert (alone.kind, alone.reason) == (OutcomeKind.BLOCKED, "GroupNotSelected")
        assert "--app prod/team/other" in alone.remedy
        assert len(promoted(remote, tags).commits) == 1
        assert reference("other", "1.1.0") in remote.show("envs/prod/other/deployment.yaml")


class TestTheImage:
    def test_a_copy_that_is_missing_is_named(self, tmp_path, tags):
        files = fleet("app")
        for path in (PROD, "envs/prod/app/cv.yaml"):
            files[path] = files[path].replace(b"team/app", b"prod/app")
        tags.move("prod/app", "env-prod", "1.0.0")
        remote = make_bare(tmp_path / "remote.git", files)
        run(remote.url, tags)

        class Real(Tags):
            def _answer(self, name, asked):
                answer = super()._answer(name, asked)
                return Failure("ImageNotFound", answer.message) if isinstance(answer, Failure) else answer

        found = outcome(promoted(remote, Real(tags.versions, tags.moving)))
        assert (found.kind, found.reason) == (OutcomeKind.FAILED, "CopyMissing")
        new = digest("team/app:1.1.0")
        assert found.message == (
            f"{HOST}/prod/app does not hold 1.1.0 ({new}), which dev/team/app deploys from {HOST}/team/app: "
            "its copy is missing"
        )
        assert found.remedy == f"Copy {HOST}/team/app@{new} to {HOST}/prod/app, digest and all."

    def test_a_source_that_names_the_moving_tag_alone_is_refused(self, tmp_path, tags):
        files = fleet("app")
        files[DEV] = files[DEV].replace(b":1.0.0", b":env-dev")
        found = outcome(promoted(make_bare(tmp_path / "remote.git", files), tags))
        assert (found.kind, found.reason) == (OutcomeKind.FAILED, "SourceNotPinned")

    def test_a_version_alone_is_asked_of_the_registry(self, tmp_path, tags):
        files = fleet("app")
        files[DEV] = files[DEV].replace(b":1.0.0", b":1.1.0")
        remote = make_bare(tmp_path / "remote.git", files)
        assert outcome(promoted(remote, tags)).kind is OutcomeKind.BUMPED
        assert reference("app", "1.1.0") in remote.show(PROD)

    def test_a_place_without_its_digest_counts_as_what_the_registry_says(self, remote, tags):
        second = app_files("app", "1.1.0")[DEV].replace(b"name: app\n", b"name: two\n")
        remote.commit({"envs/dev/app/second.yaml": second})
        assert outcome(promoted(remote, tags)).kind is OutcomeKind.BUMPED
        tags.versions["team/app"].remove("1.1.0")
        found = outcome(promoted(remote, tags, "app"))
        assert found.kind is OutcomeKind.FAILED

    def test_a_source_in_the_middle_of_a_move_is_refused(self, remote, tags):
        remote.commit({"envs/dev/app/second.yaml": app_files("app")[DEV].replace(b"name: app\n", b"name: two\n")})
        found = outcome(promoted(remote, tags))
        assert (found.kind, found.reason) == (OutcomeKind.FAILED, "SourceUnclear")
        assert "1.1.0 (envs/dev/app/deployment.yaml:15) and 1.0.0 (envs/dev/app/second.yaml:15)" in found.message


class TestGates:
    def test_a_hold_and_a_freeze_of_the_target_apply(self, remote, tags):
        hold = f"reject: [{{digest: '{digest('team/app:1.1.0')}', reason: slow}}]\n"
        remote.commit({".gitcd/holds/prod/team.app.yaml": hold.encode()})
        published = promoted(remote, tags)
        assert (outcome(published).kind, outcome(published, "other").kind) == (OutcomeKind.HELD, OutcomeKind.BUMPED)
        remote.commit(
            {"gitcd.yaml": (LAYOUT % ", freeze: [{reason: no}]").encode(), ".gitcd/holds/prod/team.app.yaml": None}
        )
        assert outcome(promoted(remote, tags)).kind is OutcomeKind.FROZEN

    def test_what_the_source_itself_rejects_goes_no_further(self, remote, tags):
        hold = f"reject: [{{digest: '{digest('team/app:1.1.0')}', reason: slow}}]\n"
        remote.commit({".gitcd/holds/dev/team.app.yaml": hold.encode()})
        published = promoted(remote, tags)
        found = outcome(published)
        assert (found.kind, found.reason) == (OutcomeKind.FAILED, "SourceRejected")
        assert "dev/team/app deploys what its own hold keeps out: " in found.message
        assert outcome(published, "other").kind is OutcomeKind.BUMPED

    def test_a_persons_revert_keeps_the_digest_out(self, remote, tags):
        before = remote.show(PROD)
        promoted(remote, tags)
        remote.commit({PROD: before}, "Take it back")
        assert outcome(promoted(remote, tags)).reason == "Reverted"

    def test_no_way_back_where_downgrades_are_not_allowed(self, tmp_path, tags):
        files = fleet("app", more=", gates: {allowDowngrade: false}")
        files[PROD] = files[PROD].replace(b":1.0.0", b":1.1.0")
        tags.moving["team/app", "env-dev"] = "1.0.0"
        found = outcome(promoted(make_bare(tmp_path / "remote.git", files), tags))
        assert (found.kind, found.reason) == (OutcomeKind.BLOCKED, "Downgrade")


class TestSoak:
    @pytest.fixture
    def remote(self, tmp_path, tags):
        """dev got 1.1.0 two hours ago."""
        remote = make_bare(tmp_path / "remote.git", fleet("app", more=", gates: {minSoak: 24h}"))
        run(remote.url, tags, now=NOW - timedelta(hours=2))
        return remote

    def test_what_has_not_soaked_is_blocked_with_the_time_to_go(self, remote, tags):
        found = outcome(promoted(remote, tags))
        assert (found.kind, found.reason) == (OutcomeKind.BLOCKED, "NotSoaked")
        assert found.message == (
            f"gates.minSoak is 1d, and dev/team/app ({digest('team/app:1.1.0')[7:19]}) has had it for 2h: 22h to go"
        )

    def test_what_has_soaked_passes(self, remote, tags):
        assert outcome(promoted(remote, tags, now=NOW + timedelta(hours=22))).kind is OutcomeKind.BUMPED

    def test_a_change_beside_the_image_does_not_start_it_anew(self, remote, tags):
        remote.commit({DEV: remote.show(DEV) + b"# more\n"}, "Touch")
        assert outcome(promoted(remote, tags, now=NOW + timedelta(hours=22))).kind is OutcomeKind.BUMPED
        assert outcome(promoted(remote, tags, now=NOW)).kind is OutcomeKind.CURRENT

    def test_a_break_starts_it_anew(self, remote, tags):
        with_new = remote.show(DEV)
        tags.moving["team/app", "env-dev"] = "1.0.0"
        run(remote.url, tags, now=NOW - timedelta(hours=1))
        assert remote.show(DEV) != with_new
        tags.moving["team/app", "env-dev"] = "1.1.0"
        run(remote.url, tags, now=NOW)
        found = outcome(promoted(remote, tags, now=NOW + timedelta(hours=23)))
        assert (found.kind, found.reason) == (OutcomeKind.BLOCKED, "NotSoaked")

    def test_missing_history_blocks(self, remote, tags):
        with mirror_of(remote.url) as mirror:
            published = promote(
                mirror,
                context(mirror, tags),
                Promotion("dev", "prod"),
                lambda: MissingHistory("no way in"),
                Pen(AUTHOR),
            )
        found = outcome(published)
        assert (found.kind, found.reason, found.transient) == (OutcomeKind.BLOCKED, "SoakUnknown", True)
        assert "no way in" in found.message

    def test_a_commit_from_the_future_blocks(self, remote, tags):
        found = outcome(promoted(remote, tags, now=NOW - timedelta(hours=3)))
        assert (found.kind, found.reason) == (OutcomeKind.BLOCKED, "SoakUnknown")
        assert "dated in the future" in found.message

    def test_explain_names_the_gate(self, remote, tags):
        with mirror_of(remote.url) as mirror:
            tree = CommitTree(mirror.git, mirror.fetch())
            planned = make_plan(tree, context(mirror, tags))
        (explained,) = [each for each in explain(planned, NOW) if each.outcome.identity.environment == "prod"]
        assert "minSoak 1d in dev, asked by promote" in [fact.text for fact in explained.facts]
