"""The main job over real git: what lands, what is refused, and that repeated runs come to rest."""

import multiprocessing
import random
import subprocess
from dataclasses import replace

import pytest

from gitcd.errors import ExitCode, RefusedError
from gitcd.model.plan import OutcomeKind, plan_exit_code
from gitcd.usecases.reconcile import preview
from gitcd.usecases.reviewed import replay
from tests.support.repos import git, make_bare
from tests.support.scenes import AUTHOR, LAYOUT, NOW, app_files, context, digest, mirror_of, reference, run

PATH = "envs/dev/app/deployment.yaml"


def settled(remote, tags):
    """Bring the pins in, so that only bumps are left."""
    run(remote.url, tags)
    return remote


class TestRuns:
    def test_a_bump_lands_byte_exactly_with_trailers(self, remote, tags):
        settled(remote, tags)
        before = remote.show(PATH)
        tags.move("team/app", "env-dev", "1.1.0")
        published = run(remote.url, tags)
        assert published.commits == (remote.tip,)
        assert remote.show(PATH) == before.replace(reference("app", "1.0.0"), reference("app", "1.1.0"))
        trailers = remote.git("log", "-1", "--format=%(trailers:only)")
        assert trailers.splitlines()[:3] == [
            "Gitcd-Environment: dev",
            "Gitcd-App: team/app",
            f"Gitcd-Digest: {digest('team/app:1.1.0')}",
        ]
        assert remote.git("diff-tree", "-r", "--name-only", "HEAD~1", "HEAD").split() == [PATH]

    def test_F32_a_second_run_makes_no_commit(self, remote, tags):
        settled(remote, tags)
        tip = remote.tip
        again = run(remote.url, tags)
        assert (again.commits, remote.tip) == ((), tip)
        assert {outcome.kind for outcome in again.work.plan.outcomes} == {OutcomeKind.CURRENT}

    def test_F38_any_number_of_runs_in_any_order_ends_alike(self, remote, tags, tmp_path):
        tags.move("team/app", "env-dev", "1.1.0")
        caches = [None, tmp_path / "cache", None, tmp_path / "cache"]
        for cache in caches:
            run(remote.url, tags, cache)
        assert remote.count() == 3  # the first, one that pins, one that bumps
        assert reference("app", "1.1.0") in remote.show(PATH)

    def test_what_the_preview_shows_is_what_lands(self, remote, tags):
        tags.move("team/app", "env-dev", "1.1.0")
        with mirror_of(remote.url) as mirror:
            shown = preview(mirror, context(mirror, tags)).plan
        run(remote.url, tags)
        for change in shown.files:
            assert remote.show(change.path) == change.after
        assert remote.git("log", "-2", "--reverse", "--format=%B").split("\n\n\n")[0].startswith("dev: ")

    def test_F18_a_declined_push_is_an_item_failed_and_not_retried(self, remote, tags):
        remote.hook("pre-receive", "echo 'GH006: Protected branch update failed' >&2; exit 1")
        tip = remote.tip
        published = run(remote.url, tags)
        assert published.failure.reason == "PushDeclined"
        assert "pull request" in published.failure.remedy
        assert (published.attempts, remote.tip) == (1, tip)
        changed = [each for each in published.work.plan.outcomes if each.changed]
        reasons = [each.reason for each in published.work.plan.outcomes]
        assert (changed, reasons) == ([], ["NotPushed", "NotPushed"])
        assert plan_exit_code(published.work.plan) is ExitCode.ITEMS_FAILED

    def test_F13_a_push_that_loses_the_race_is_recomputed(self, remote, tags, tmp_path):
        """While our push is under way somebody edits the very file that we change."""
        other = PATH.replace("app", "other", 1)
        edited = remote.show(PATH) + b"# a human's line\n"
        (tmp_path / "edited").write_bytes(edited)
        remote.hook(
            "update",
            f"""
            [ -e {tmp_path}/done ] && exit 0
            touch {tmp_path}/done
            unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
            blob=$(git hash-object -w {tmp_path}/edited)
            export GIT_INDEX_FILE={tmp_path}/index GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=a@b.c
            export GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=a@b.c
            git read-tree main && git update-index --cacheinfo 100644,$blob,{PATH}
            git update-ref refs/heads/main $(echo human | git commit-tree $(git write-tree) -p main)
            """,
        )
        tags.move("team/app", "env-dev", "1.1.0")
        published = run(remote.url, tags)
        assert published.attempts > 1
        assert remote.show(PATH).endswith(b"# a human's line\n")
        assert reference("app", "1.1.0") in remote.show(PATH)
        assert reference("other", "1.0.0") in remote.show(other)
        assert "human" in remote.git("log", "--format=%s")

    def test_F6_one_digest_for_one_tag_in_one_run(self, remote, tags):
        """The tag moves between two attempts of one run: a caller who remembers answers lands the first digest."""
        from gitcd.model.registry import Answers

        tags.move("team/app", "env-dev", "1.1.0")
        remembered = {}

        def remembering(queries):
            for key, answer in tags(queries).by_key.items():
                remembered.setdefault(key, answer)
            tags.move("team/app", "env-dev", "1.2.0")
            return Answers(remembered)

        run(remote.url, remembering)
        assert reference("app", "1.1.0") in remote.show(PATH)


class TestHumans:
    def test_a_revert_is_respected_until_the_tag_moves(self, remote, tags, tmp_path):
        settled(remote, tags)
        before = remote.show(PATH)
        tags.move("team/app", "env-dev", "1.1.0")
        run(remote.url, tags)
        remote.commit({PATH: before}, "Revert, it crashes")
        for cache in (None, tmp_path / "cache", tmp_path / "cache"):
            published = run(remote.url, tags, cache)
            assert published.commits == ()
            held = next(outcome for outcome in published.work.plan.outcomes if outcome.identity.name == "app")
            assert (held.kind, held.reason) == (OutcomeKind.HELD, "Reverted")
        tags.move("team/app", "env-dev", "1.2.0")
        assert run(remote.url, tags).commits
        assert reference("app", "1.2.0") in remote.show(PATH)

    def test_a_revert_of_a_pin_is_respected_too(self, remote, tags):
        before = remote.show(PATH)
        settled(remote, tags)
        remote.commit({PATH: before}, "Keep the plain tag")
        assert run(remote.url, tags).commits == ()
        assert remote.show(PATH) == before

    def test_a_tag_that_comes_back_later_is_no_revert(self, remote, tags):
        settled(remote, tags)
        for version in ("1.1.0", "1.2.0", "1.1.0"):
            tags.move("team/app", "env-dev", version)
            assert run(remote.url, tags).commits
            assert reference("app", version) in remote.show(PATH)

    def test_a_new_place_beside_a_bumped_one_is_no_revert(self, remote, tags):
        settled(remote, tags)
        tags.move("team/app", "env-dev", "1.1.0")
        run(remote.url, tags)
        more = app_files("app", "1.0.0")[PATH].replace(b"name: app\n", b"name: app-two\n")
        remote.commit({"envs/dev/app/two.yaml": more})
        assert run(remote.url, tags).commits
        assert reference("app", "1.1.0") in remote.show("envs/dev/app/two.yaml")

    def test_a_revert_that_repeats_our_trailers_is_a_revert(self, remote, tags):
        settled(remote, tags)
        before = remote.show(PATH)
        tags.move("team/app", "env-dev", "1.1.0")
        run(remote.url, tags)
        remote.commit({PATH: before}, f"Revert: {remote.git('log', '-1', '--format=%B')}")
        held = next(each for each in run(remote.url, tags).work.plan.outcomes if each.identity.name == "app")
        assert held.kind is OutcomeKind.HELD

    def test_a_revert_of_a_bare_version_is_respected(self, remote, tags):
        declaration = remote.show("envs/dev/app/cv.yaml")
        remote.commit({"envs/dev/app/cv.yaml": declaration + b"  pin: Version\n"})
        settled(remote, tags)
        before = remote.show(PATH)
        tags.move("team/app", "env-dev", "1.1.0")
        assert run(remote.url, tags).commits
        remote.commit({PATH: before}, "No")
        assert run(remote.url, tags).commits == ()

    def test_a_squashed_bump_is_still_known(self, remote, tags):
        """A human's revert after a squash merge that put our trailers into the middle of a message."""
        settled(remote, tags)
        before = remote.show(PATH)
        message = (
            f"Merge all\n\nGitcd-Environment: dev\nGitcd-App: team/app\nGitcd-Digest: {digest('team/app:1.1.0')}\n\n"
            "And more text, then\n\nSigned-off-by: Ada <ada@example.com>"
        )
        bumped = before.replace(reference("app", "1.0.0"), reference("app", "1.1.0"))
        remote.commit({PATH: bumped}, message)
        remote.commit({PATH: before}, "No")
        tags.move("team/app", "env-dev", "1.1.0")
        held = next(each for each in run(remote.url, tags).work.plan.outcomes if each.identity.name == "app")
        assert held.kind is OutcomeKind.HELD


class TestReplay:
    def reviewed(self, remote, tags):
        tags.move("team/app", "env-dev", "1.1.0")
        with mirror_of(remote.url) as mirror:
            return preview(mirror, context(mirror, tags)).plan

    def replayed(self, remote, tags, plan):
        with mirror_of(remote.url) as mirror:
            return replay(mirror, context(mirror, tags), AUTHOR, plan)

    def test_a_reviewed_plan_lands_byte_for_byte(self, remote, tags):
        plan = self.reviewed(remote, tags)
        remote.commit({"README.md": b"unrelated\n"})
        published = self.replayed(remote, tags, plan)
        assert len(published.commits) == len(plan.commits)
        for change in plan.files:
            assert remote.show(change.path) == change.after
        messages = remote.git("log", "-2", "--reverse", "--format=%B%x00").split("\0\n")
        assert [text.strip("\n\0") for text in messages] == [each.message.strip("\n") for each in plan.commits]

    def test_a_moved_tag_makes_it_stale(self, remote, tags):
        plan = self.reviewed(remote, tags)
        tags.move("team/app", "env-dev", "1.2.0")
        tip = remote.tip
        with pytest.raises(RefusedError, match="tag of dev/team/app moved"):
            self.replayed(remote, tags, plan)
        assert remote.tip == tip

    def test_a_touched_file_makes_it_stale(self, remote, tags):
        plan = self.reviewed(remote, tags)
        remote.commit({PATH: remote.show(PATH) + b"# new\n"})
        with pytest.raises(RefusedError, match=f"{PATH} has changed"):
            self.replayed(remote, tags, plan)

    def test_a_new_hold_makes_it_stale(self, remote, tags):
        plan = self.reviewed(remote, tags)
        remote.commit({".gitcd/holds/dev/team.app.yaml": b"freeze: true\n"})
        with pytest.raises(RefusedError, match="is Held now"):
            self.replayed(remote, tags, plan)

    def test_a_message_may_be_worded_anew(self, remote, tags):
        plan = self.reviewed(remote, tags)
        worded = tuple(
            replace(commit, message=f"As agreed on Monday\n\n{commit.message.partition(chr(10))[2].strip()}\n")
            for commit in plan.commits
        )
        self.replayed(remote, tags, replace(plan, commits=worded))
        assert remote.git("log", "-1", "--format=%s") == "As agreed on Monday"
        assert remote.git("log", "-1", "--format=%(trailers:key=Gitcd-App,valueonly)").strip() == "team/app"

    @pytest.mark.parametrize(
        "edit",
        [
            lambda text: text.partition("\n")[0],
            lambda text: text.replace("Gitcd-App: team/app", "Gitcd-App: team/other"),
            lambda text: text + "Gitcd-App: team/other\nGitcd-Digest: sha256:" + "1" * 64 + "\n",
            lambda text: text.replace("sha256:", "sha256:0"),
        ],
    )
    def test_its_trailers_say_what_the_commit_does(self, remote, tags, edit):
        plan = self.reviewed(remote, tags)
        tip = remote.tip
        forged = replace(plan, commits=tuple(replace(each, message=edit(each.message)) for each in plan.commits))
        with pytest.raises(RefusedError, match="do not say what it does"):
            self.replayed(remote, tags, forged)
        assert remote.tip == tip

    def test_a_plan_of_another_repository_is_refused(self, remote, tags, tmp_path):
        plan = self.reviewed(remote, tags)
        files = {"gitcd.yaml": LAYOUT} | app_files("stranger")
        with pytest.raises(RefusedError, match=r"for another repository: .* \(dev/team/app is not\)"):
            self.replayed(make_bare(tmp_path / "other.git", files), tags, plan)

    def test_what_is_no_longer_declared_is_named(self, remote, tags):
        tags.move("team/second", "env-dev", "1.0.0")
        remote.commit(app_files("second"))
        plan = self.reviewed(remote, tags)
        remote.commit({"envs/dev/second/cv.yaml": None})
        with pytest.raises(RefusedError, match="no longer declared: dev/team/second"):
            self.replayed(remote, tags, plan)


def _reconciler(url, tags, rounds, cache, results):
    codes = []
    for _ in range(rounds):
        published = run(url, tags, cache)
        codes.append(published.failure.reason if published.failure else "ok")
    results.put(codes)


@pytest.mark.slow
def test_F25_two_reconcilers_and_a_human_lose_nothing(remote, tags, tmp_path):
    """Fifty rounds of human pushes while two reconcilers run: no commit lost, none empty, all converge."""
    rounds = 50
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    tags.move("team/app", "env-dev", "1.1.0")
    workers = [
        spawn.Process(target=_reconciler, args=(remote.url, tags, 12, cache, results))
        for cache in (None, tmp_path / "cache")
    ]
    for worker in workers:
        worker.start()
    human, pushed = tmp_path / "human", []
    git(tmp_path, "clone", "--quiet", remote.url, str(human))
    dice = random.Random(7)
    for number in range(rounds):
        path = human / dice.choice(["notes.txt", PATH])
        path.write_bytes((path.read_bytes() if path.exists() else b"") + b"# round %d\n" % number)
        git(human, "add", "-A")
        git(human, "commit", "--quiet", "-m", f"round {number}")
        push = ["git", "push", "--quiet", "origin", "main"]
        while subprocess.run(push, cwd=human, capture_output=True, check=False).returncode:
            git(human, "pull", "--quiet", "--rebase", "origin", "main")
        pushed.append(f"round {number}")
    codes = [code for _ in workers for code in results.get(timeout=120)]
    for worker in workers:
        worker.join()
    run(remote.url, tags)
    assert set(codes) <= {"ok", "PushRaceLost"}
    subjects = remote.git("log", "--format=%s").splitlines()
    assert [each for each in reversed(subjects) if each.startswith("round")] == pushed
    assert remote.git("rev-list", "--merges", "main") == ""
    for commit in remote.git("rev-list", "main", "--max-parents=1", "--min-parents=1").split():
        assert remote.git("diff-tree", "--no-commit-id", "--name-only", "-r", commit), f"{commit} is empty"
    ours = [each for each in subjects if not each.startswith(("round", "First"))]
    assert len(ours) == 2  # one that pins, one that bumps
    assert reference("app", "1.1.0") in remote.show(PATH)
    assert remote.show(PATH).count(b"# round") == len([e for e in pushed if e]) - remote.show("notes.txt").count(
        b"# round"
    )


def test_dates_are_fixed_in_a_run(remote, tags):
    run(remote.url, tags)
    assert remote.git("log", "-1", "--format=%at %ct") == f"{int(NOW.timestamp())} {int(NOW.timestamp())}"


def test_the_message_is_part_of_the_plan(remote, tags):
    with mirror_of(remote.url) as mirror:
        plan = preview(mirror, context(mirror, tags)).plan
    assert all(commit.message for commit in plan.commits)
    assert replace(plan.commits[0], message="") != plan.commits[0]
