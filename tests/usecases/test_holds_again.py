"""Holds: none is passed over in silence, each part ends by itself, and each release ends what it says."""

from datetime import timedelta

import pytest

from gitcd.errors import ConfigError
from gitcd.git.worktree import WorkTree
from gitcd.manifests.reading import read_hold
from gitcd.model.hold import Hold, Reject
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree, Mode
from gitcd.usecases import holding
from gitcd.usecases.context import Context
from gitcd.usecases.holding import HoldRequest, hold, release
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import write_in_place
from tests.support.scenes import AUTHOR, app_files, context, mirror_of, run
from tests.support.scenes import digest as image
from tests.usecases.test_planner import LAYOUT, NOW, TWO, app, declaration, digest, only, plan, tree

PATH = "envs/dev/app/deployment.yaml"
HOLD = ".gitcd/holds/dev/team.app.yaml"
LATER = NOW + timedelta(days=2)


def planned(tree, now=NOW):
    return make_plan(tree, Context(TWO, lambda _: {}, now)).plan


def held(tree, **request):
    change = hold(tree, HoldRequest("app", **request), NOW).change
    tree.files[change.path] = change.after


class TestEnds:
    def test_a_freeze_that_ends_leaves_a_rejection_in_force(self):
        files = tree(app())
        held(files, reject=digest("1.1.0"))
        held(files, until="2026-11-23")
        assert only(planned(files, LATER)).reason == "Rejected"

    def test_a_rejection_leaves_the_end_and_the_reason_of_a_freeze(self):
        files = tree(app())
        held(files, until="2026-11-23", reason="holidays", by="ann")
        held(files, reject=digest("9.9"), reason="crashes", by="bob")
        assert only(planned(files)).message == "frozen until 2026-11-23 by ann: holidays"
        assert only(planned(files, LATER)).kind is OutcomeKind.BUMPED

    def test_a_rejection_has_an_end_of_its_own(self):
        files = tree(app())
        held(files, reject=digest("1.1.0"), until="2026-11-23")
        assert only(planned(files)).reason == "Rejected"
        assert only(planned(files, LATER)).kind is OutcomeKind.BUMPED


class TestNeverInSilence:
    @pytest.mark.parametrize("path", [HOLD, HOLD.replace(".yaml", ".yml")])
    @pytest.mark.parametrize("mode", [Mode.FILE, Mode.SYMLINK])
    def test_a_hold_that_is_not_read_fails_its_declaration(self, path, mode):
        data = b"# " + b"x" * (1 << 20) if (path, mode) == (HOLD, Mode.FILE) else b"freeze: true\n"
        files = MemoryTree(tree(app()).files | {path: data}, {path: mode})
        outcome = only(planned(files))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "HoldUnreadable")
        assert path in outcome.message

    @pytest.mark.parametrize("path", ["gitcd.yaml", "gitcd.yml"])
    def test_a_layout_that_is_not_read_stops_all(self, path):
        modes = {path: Mode.SYMLINK} if path == "gitcd.yaml" else {}
        files = MemoryTree(tree(app(), layout="").files | {path: (LAYOUT % "").encode()}, modes)
        with pytest.raises(ConfigError, match=path):
            planned(files)

    def test_a_layout_that_is_too_large_stops_all(self):
        with pytest.raises(ConfigError, match=r"gitcd\.yaml is no regular file of fit size"):
            plan(app(), layout=LAYOUT % "" + "# " + "x" * (1 << 20))

    @pytest.mark.parametrize("name", ["dev/team.ap.yaml", "team.app.yaml", "prod/team.app.yaml", "dev/team.app.json"])
    def test_a_hold_for_nobody_is_warned_of(self, name):
        result = plan(app() | {f".gitcd/holds/{name}": "freeze: true\n"})
        assert only(result).kind is OutcomeKind.BUMPED
        assert f".gitcd/holds/{name}" in result.warnings[0]

    def test_a_namespace_with_a_dot_is_refused_for_hold_paths_could_not_tell_it(self):
        files = app() | {"envs/dev/cv.yaml": declaration().replace("namespace: team", "namespace: te.am")}
        assert only(plan(files)).reason == "InvalidDeclaration"


def released(remote, tags):
    with mirror_of(remote.url) as mirror:
        recall = context(mirror, tags).recall
        return holding.commit(mirror, lambda tree, _: holding.release(tree, "app", recall, now=NOW), AUTHOR, NOW)


def outcome(remote, tags):
    return next(each for each in run(remote.url, tags).work.plan.outcomes if each.identity.name == "app")


def held_files(remote):
    return remote.git("ls-tree", "-r", "--name-only", "main", ".gitcd").split()


def rolled_back(remote, tags, *, spec=b"", beside=None):
    """gitcd wrote 1.1.0, and a person took it back; with what else the person's commit holds."""
    declared = remote.show("envs/dev/app/cv.yaml") + spec
    remote.commit({"envs/dev/app/cv.yaml": declared})
    for version in ("1.0.1", "1.1.0"):
        tags.move("team/app", "env-dev", version)
        before = remote.show(PATH)
        assert run(remote.url, tags).commits
    remote.commit({PATH: before, **(beside or {})}, "Roll back")
    return before


REJECT = {HOLD: f"reject: [{{digest: '{image('team/app:1.1.0')}'}}]\n".encode()}


class TestRelease:
    def test_an_allowance_ends_with_the_move_that_it_allows(self, remote, tags):
        before = rolled_back(remote, tags)
        assert outcome(remote, tags).reason == "Reverted"
        released(remote, tags)
        assert held_files(remote) == [HOLD]
        assert outcome(remote, tags).kind is OutcomeKind.BUMPED
        assert held_files(remote) == []
        remote.commit({PATH: before}, "Revert again, it still crashes")
        assert outcome(remote, tags).reason == "Reverted"

    def test_other_parts_of_the_hold_file_outlive_a_spent_allowance(self):
        entry = f"reject: [{{digest: '{digest('9.9')}'}}]\nallow: [{{digest: '{digest('1.1.0')}'}}]\n"
        (commit,) = plan(app() | {HOLD: entry}).commits
        change = next(each for each in commit.files if each.path == HOLD)
        assert read_hold(HOLD, change.after) == (Hold(reject=(Reject(digest("9.9")),)), ())

    def test_a_version_without_digest_is_released(self, remote, tags):
        rolled_back(remote, tags, spec=b"  pin: Version\n")
        assert outcome(remote, tags).reason == "Reverted"
        released(remote, tags)
        assert outcome(remote, tags).kind is OutcomeKind.BUMPED

    def test_one_release_ends_a_rollback_with_a_hold(self, remote, tags):
        rolled_back(remote, tags, beside=REJECT)
        assert outcome(remote, tags).reason == "Rejected"
        released(remote, tags)
        assert outcome(remote, tags).kind is OutcomeKind.BUMPED

    def test_a_release_keeps_what_an_earlier_one_allowed(self, remote, tags):
        rolled_back(remote, tags)
        released(remote, tags)
        with mirror_of(remote.url) as mirror:
            holding.commit(mirror, lambda tree, _: hold(tree, HoldRequest("app"), NOW), AUTHOR, NOW)
        released(remote, tags)
        assert outcome(remote, tags).kind is OutcomeKind.BUMPED

    def test_a_place_that_lags_behind_is_nothing_to_release(self, remote, tags):
        run(remote.url, tags)
        tags.move("team/app", "env-dev", "1.1.0")
        run(remote.url, tags)
        more = app_files("app")[PATH].replace(b"name: app\n", b"name: app-two\n")
        remote.commit({"envs/dev/app/two.yaml": more})
        assert released(remote, tags).work.change is None

    @pytest.mark.parametrize("path", [HOLD, HOLD.replace(".yaml", ".yml")])
    def test_a_hold_that_cannot_be_read_is_released(self, remote, tags, path):
        remote.commit({path: b"frieze: true\n"})
        assert outcome(remote, tags).reason == "HoldUnreadable"
        with pytest.raises(ConfigError, match=path):
            hold(
                MemoryTree({"gitcd.yaml": remote.show("gitcd.yaml"), path: b"x", **app_files("app")}),
                HoldRequest("app"),
                NOW,
            )
        released(remote, tags)
        assert held_files(remote) == []
        assert outcome(remote, tags).kind is OutcomeKind.PIN_ONLY

    def test_in_a_work_tree_a_spent_hold_file_is_removed(self, tmp_path):
        entry = f"allow: [{{digest: '{digest('1.1.0')}'}}]\n"
        for path, data in tree(app() | {HOLD: entry}).files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
        files = WorkTree(tmp_path)
        write_in_place(files, planned(files))
        assert not (tmp_path / HOLD).exists()


def test_a_git_revert_of_the_bump_that_a_release_let_in_is_respected(remote, tags):
    """That revert brings the spent allowance back too; it is older than the bump, so it counts no more."""
    later = NOW + timedelta(minutes=10)
    run(remote.url, tags)
    before = remote.show(PATH)
    tags.move("team/app", "env-dev", "1.1.0")
    run(remote.url, tags)
    remote.commit({PATH: before}, "No")
    with mirror_of(remote.url) as mirror:
        recall = context(mirror, tags).recall
        holding.commit(mirror, lambda tree, _: release(tree, "app", recall, now=NOW), AUTHOR, NOW)
    allowed = remote.show(HOLD)
    assert run(remote.url, tags, now=later).commits
    remote.commit({PATH: before, HOLD: allowed}, "Revert it again")
    assert run(remote.url, tags, now=later).commits == ()


def test_an_end_that_is_over_is_refused():
    with pytest.raises(ConfigError, match="would have ended"):
        hold(tree(app()), HoldRequest("app", until="2020-01-01"), NOW)
