"""What must not be passed over in silence, nor stop what it does not concern."""

from dataclasses import replace

import pytest

from gitcd.cli.main import run as cli
from gitcd.errors import ExitCode, RefusedError
from gitcd.git.origin import Origin
from gitcd.git.worktree import WorkTree
from gitcd.model.plan import OutcomeKind
from gitcd.usecases.planner import Context, make_plan
from gitcd.usecases.reconcile import preview, replay, write_in_place
from tests.support.repos import make_bare, make_worktree
from tests.support.scenes import AUTHOR, LAYOUT, NOW, app_files, context, mirror_of, reference, run
from tests.usecases.test_planner import APP, SELECTOR, declaration, deployment, only, plan

PATH = "envs/dev/app/deployment.yaml"


def of(planned, name):
    return next(outcome for outcome in planned.outcomes if outcome.identity.name == name)


class TestStrangePaths:
    @pytest.mark.parametrize("name", ["envs/dev/bad\\name.yaml", "envs/dev/a\tb.yaml", "envs/dev/GIT~1/a.yaml"])
    def test_one_strange_path_stops_only_who_is_mentioned_there(self, remote, tags, name):
        files = app_files("evil")
        tags.move("team/evil", "env-dev", "1.0.0")
        cv = "envs/dev/evil/cv.yaml"
        remote.commit({cv: files[cv], name: files["envs/dev/evil/deployment.yaml"]})
        tags.move("team/app", "env-dev", "1.1.0")
        published = run(remote.url, tags)
        assert published.commits[-1] == remote.tip
        outcome = of(published.work.plan, "evil")
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "ManifestRefused")
        assert repr(name) in outcome.message
        assert of(published.work.plan, "app").kind is OutcomeKind.BUMPED

    def test_a_strange_path_that_is_spelled_with_escapes_is_not_taken(self):
        strange = deployment('"' + APP.replace("team", "te\\u0061m") + ':1.0.0"')
        files = {"envs/dev/cv.yaml": declaration(**SELECTOR), "envs/dev/a\tb.yaml": strange}
        assert only(plan(files)).kind is OutcomeKind.FAILED


@pytest.fixture
def deaf(remote, monkeypatch):
    """A push that lands, whose answer is lost, and on top of which somebody pushes at once."""
    real, done = Origin.push, []

    def push(self, oid, branch, *options):
        result = real(self, oid, branch, *options)
        if done:
            return result
        done.append(oid)
        remote.commit({"readme": b"x"}, "human")
        return replace(result, status=128, stdout=b"", stderr="the remote end hung up")

    monkeypatch.setattr(Origin, "push", push)
    return done


class TestLandedUnheard:
    def test_replay_that_landed_under_a_human_commit_succeeds(self, remote, tags, deaf):
        tags.move("team/app", "env-dev", "1.1.0")
        with mirror_of(remote.url) as mirror:
            reviewed = preview(mirror, context(mirror, tags)).plan
            published = replay(mirror, context(mirror, tags), AUTHOR, reviewed)
        assert published.commits[-1:] == tuple(deaf)
        assert published.failure is None

    @pytest.mark.parametrize("kept", [False, True])
    def test_reconcile_that_landed_under_a_human_commit_says_so(self, remote, tags, deaf, tmp_path, kept):
        tags.move("team/app", "env-dev", "1.1.0")
        cache = tmp_path / "cache" if kept else None
        published = run(remote.url, tags, cache)
        assert published.commits[-1:] == tuple(deaf)
        assert reference("app", "1.1.0") in remote.show(PATH)
        again = run(remote.url, tags, cache)
        assert (again.commits, again.failure) == ((), None)


class TestInPlace:
    def test_in_place_does_not_overwrite_an_edit(self, tmp_path, tags):
        root = make_worktree(tmp_path / "w", {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other"))
        tree = WorkTree(root)
        shown = make_plan(tree, Context(tags, lambda _: {}, NOW)).plan
        assert len(shown.files) == 2
        second = root / shown.files[1].path
        second.write_bytes(second.read_bytes() + b"# saved meanwhile\n")
        before = {change.path: (root / change.path).read_bytes() for change in shown.files}
        with pytest.raises(RefusedError, match=shown.files[1].path):
            write_in_place(tree, shown)
        assert {path: (root / path).read_bytes() for path in before} == before

    def test_a_file_that_is_gone_is_not_made_again(self, tmp_path, tags):
        root = make_worktree(tmp_path / "w", {"gitcd.yaml": LAYOUT} | app_files("app"))
        shown = make_plan(WorkTree(root), Context(tags, lambda _: {}, NOW)).plan
        (root / PATH).unlink()
        with pytest.raises(RefusedError, match=PATH):
            write_in_place(WorkTree(root), shown)
        assert not (root / PATH).exists()


def test_deep_plan_is_a_usage_error(tmp_path):
    deep = tmp_path / "plan.json"
    deep.write_text("[" * 200_000)
    bare = make_bare(tmp_path / "r.git", {"a": b"x"})
    assert cli(["reconcile", "--plan", str(deep), str(bare.path)]) == ExitCode.USAGE
