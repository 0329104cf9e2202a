"""What must not be passed over in silence, nor stop what it does not concern."""

from dataclasses import replace

import pytest

from gitcd.cli.main import run as cli
from gitcd.errors import ExitCode, RefusedError
from gitcd.git import memory
from gitcd.git.memory import FileMemory
from gitcd.git.origin import Origin
from gitcd.git.worktree import WorkTree
from gitcd.model.plan import OutcomeKind
from gitcd.model.settings import Settings
from gitcd.planning import left_out
from gitcd.planning.holds import PastMove
from gitcd.planning.screening import MAX_FILE, Screen
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import preview, write_in_place
from gitcd.usecases.reviewed import replay
from gitcd.usecases.workspace import Workspace
from tests.support.repos import make_bare, make_worktree
from tests.support.scenes import AUTHOR, LAYOUT, NOW, app_files, context, mirror_of, reference, run
from tests.usecases.test_planner import APP, HOST, SELECTOR, app, declaration, deployment, digest, only, plan

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


_SPELLINGS = {
    "anchor": f"image:\n  registry: {HOST}\n  repository: &r team/app\n  tag: 1.0.0\n",
    "capitals": f"image: {APP.replace('dkr', 'DKR')}:1.0.0\n",
    "tagged": f"image: {{registry: {HOST}, 'repository': !!str team/app, tag: 1.0.0}}\n",
    "cut": f"image:\n  registry: {HOST}/team\n  repository: app\n  tag: 1.0.0\n",
    "next line": f"image:\n  registry: {HOST}\n  repository:\n    team/app\n  tag: 1.0.0\n",
    "comment": f"image:\n  registry: {HOST}\n  repository: # the image\n    team/app\n  tag: 1.0.0\n",
    "alias": f"r: &r team/app\nimage:\n  registry: {HOST}\n  repository: *r\n  tag: 1.0.0\n",
    "merge": f"b: &b\n  registry: {HOST}\nimage:\n  <<: *b\n  repository: team/app\n  tag: 1.0.0\n",
}


class TestSpellings:
    @pytest.mark.parametrize("spelling", _SPELLINGS)
    def test_what_is_found_alone_is_found_beside_another_place(self, spelling):
        values = {"envs/dev/values.yaml": _SPELLINGS[spelling]}
        alone = plan({"envs/dev/cv.yaml": declaration()} | values)
        assert only(alone).kind is OutcomeKind.BUMPED, only(alone).message
        assert [change.path for change in alone.files] == ["envs/dev/values.yaml"]
        beside = plan(app() | values)
        assert [change.path for change in beside.files] == ["envs/dev/app.yaml", "envs/dev/values.yaml"]

    def test_what_only_a_second_look_finds_is_taken(self, monkeypatch):
        monkeypatch.setattr(Screen, "needles", lambda *_: frozenset())
        assert only(plan(app())).kind is OutcomeKind.BUMPED

    def test_a_revert_is_seen_where_the_repository_is_cut(self):
        values = _SPELLINGS["cut"]
        files = {"envs/dev/cv.yaml": declaration(), "envs/dev/values.yaml": values}
        (moved,) = plan(files).files
        past = PastMove("c0ffee" * 6, digest("1.1.0"), {moved.path: moved.after})
        reverted = plan(files, recall=lambda questions: {each.identity: past for each in questions})
        assert only(reverted).kind is OutcomeKind.HELD


class TestMismatch:
    @pytest.mark.parametrize(
        "chosen", [SELECTOR, {"workload": "{kind: Deployment, name: b}"}, {"selector": "{app: app, tier: x}"}]
    )
    def test_a_selected_container_of_another_repository_fails_in_whatever_file(self, chosen):
        other = deployment(f"{HOST}/team/typo:1", name="b", labels="{app: app, tier: x}")
        files = {"envs/dev/cv.yaml": declaration(container="{name: main}", **chosen), "envs/dev/b.yaml": other}
        files["envs/dev/values.yaml"] = _SPELLINGS["anchor"]
        assert only(plan(files)).reason == "RepositoryMismatch"

    def test_other_containers_and_workloads_do_not(self):
        sidecar = deployment(f"{HOST}/team/typo:1", name="b", container="sidecar")
        stranger = deployment(f"{HOST}/team/typo:1", name="c", labels="{app: c, part-of: app}")
        files = app(container="{name: main}") | {"envs/dev/b.yaml": sidecar, "envs/dev/c.yaml": stranger}
        assert only(plan(files)).kind is OutcomeKind.BUMPED

    def test_another_container_of_the_repository_is_told_of_unless_another_declaration_owns_it(self):
        files = {
            "envs/dev/app.yaml": deployment(extra=f"      - {{name: canary, image: '{APP}:1.0.0'}}\n"),
            "envs/dev/cv.yaml": declaration(container="{name: main}", **SELECTOR),
        }
        (warning,) = only(plan(files)).warnings
        assert "container canary of Deployment/app runs the same repository" in warning
        assert warning.endswith("but spec.container.name is main; it is left alone")
        files["envs/dev/canary.yaml"] = declaration("canary", container="{name: canary}", **SELECTOR)
        assert [each.warnings for each in plan(files).outcomes] == [(), ()]


_TIED = """
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
- {name: a, paths: [envs/dev, envs/shared]}
- {name: b, paths: [envs/b, envs/shared]}
- {name: c, paths: [envs/c]}
"""


class TestLeftOut:
    def test_a_file_of_two_environments_is_told_of_to_those_it_mentions(self):
        shared = {"envs/shared/app.yaml": deployment()}
        stranger = declaration("other", repo=f"{HOST}/team/other", selector="{app: other}")
        files = app() | shared | {"envs/dev/other.yaml": stranger, "envs/c/cv.yaml": declaration("far", **SELECTOR)}
        warned = {outcome.identity.name: outcome.warnings for outcome in plan(files, layout=_TIED).outcomes}
        message = f"envs/shared/app.yaml may hold {APP}, but belongs to a and b alike and is left alone"
        assert warned == {"app": (message,), "other": (), "far": ()}

    def test_a_large_file_is_told_of_to_those_it_mentions(self):
        large = {"envs/dev/large.yaml": deployment(name="large") + "# " + "x" * MAX_FILE + "\n"}
        message = f"envs/dev/large.yaml may hold {APP}, but is larger than {MAX_FILE} bytes and was not read"
        assert only(plan(app() | large)).warnings == (message,)
        elsewhere = {path.replace("dev", "prod"): text for path, text in large.items()}
        unconcerned = {path: text.replace("team/app", "team/else") for path, text in large.items()}
        assert only(plan(app() | elsewhere)).warnings == only(plan(app() | unconcerned)).warnings == ()

    def test_a_file_that_is_too_large_to_search_is_told_of_to_all(self, monkeypatch):
        monkeypatch.setattr(left_out, "MAX_SEARCHED", MAX_FILE)
        assert only(plan(app() | {"envs/dev/large.yaml": "#" * MAX_FILE + "x"})).warnings

    @pytest.mark.parametrize("moved", [False, True])
    def test_it_is_told_again_from_memory(self, remote, tags, tmp_path, moved):
        large = b"# " + f"{HOST}/team/app ".encode() + b"x" * MAX_FILE
        remote.commit({"envs/dev/large.yaml": large})
        first = of(run(remote.url, tags, tmp_path / "cache").work.plan, "app")
        if moved:
            tags.move("team/app", "env-dev", "1.1.0")
        again = of(run(remote.url, tags, tmp_path / "cache").work.plan, "app")
        assert again.warnings == first.warnings != ()


class TestMemory:
    @pytest.fixture(autouse=True)
    def forgotten(self):
        memory.rules.cache_clear()
        yield
        memory.rules.cache_clear()

    def test_what_an_old_rule_led_to_is_not_recalled(self, tmp_path, monkeypatch):
        program = tmp_path / "program"
        (program / "rules").mkdir(parents=True)
        (program / "rules" / "one.py").write_text("LIMIT = 1")
        monkeypatch.setattr(memory, "_PACKAGE", program)

        def recalled():
            memory.rules.cache_clear()
            return FileMemory(tmp_path / "kept").recall("subject", "key")

        first = FileMemory(tmp_path / "kept")
        first.note("subject", "key", "fact")
        first.save()
        assert recalled() == "fact"
        (program / "rules" / "one.py").write_text("LIMIT = 2")
        assert recalled() is None


class TestHistory:
    def test_history_is_that_of_the_tree_that_is_planned_on(self, remote, tags):
        with mirror_of(remote.url) as mirror:
            tip = mirror.fetch()
            remote.commit({"readme": b"x"}, "human")
            workspace = Workspace(Settings(repo=remote.url), now=NOW)
            assert workspace.history(mirror).holds(tip)
            assert not workspace.history(mirror).holds(remote.tip)
            mirror.fetch()
            assert workspace.history(mirror).holds(remote.tip)


@pytest.mark.parametrize("kind", ["ContainerVersoin", "containerversion", "''"])
def test_misspelt_kind_is_reported(kind):
    files = app() | {"envs/dev/x.yaml": declaration("x").replace("ContainerVersion", kind)}
    wrong = [outcome for outcome in plan(files).outcomes if outcome.kind is OutcomeKind.FAILED]
    assert [(outcome.reason, outcome.origin.path) for outcome in wrong] == [("InvalidDeclaration", "envs/dev/x.yaml")]
    assert kind in wrong[0].message


def test_deep_plan_is_a_usage_error(tmp_path):
    deep = tmp_path / "plan.json"
    deep.write_text("[" * 200_000)
    bare = make_bare(tmp_path / "r.git", {"a": b"x"})
    assert cli(["reconcile", "--plan", str(deep), str(bare.path)]) == ExitCode.USAGE
