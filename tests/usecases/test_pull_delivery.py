"""Delivery by pull request over real git: what is proposed, kept up to date, left alone and closed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.errors import ExitCode
from gitcd.git.commit import Author
from gitcd.model.plan import OutcomeKind, PullAct, plan_exit_code
from gitcd.model.pull import ForgeFailure, PullState, Trouble
from gitcd.rendering.pull import Details, pull_content
from gitcd.rendering.pull_markup import code
from gitcd.usecases.context import Selection
from gitcd.usecases.deliver_details import restarts
from gitcd.usecases.desk import NO_FORGE, Desk
from gitcd.usecases.reconcile import preview, reconcile
from gitcd.usecases.reviewed import replay
from tests.support.memoryforge import KilledError, MemoryForge
from tests.support.repos import Bare, git, make_bare
from tests.support.scenes import AUTHOR, NOW, Tags, app_files, context, digest, mirror_of, reference

LAYOUT = """\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, delivery: {mode: PullRequest, group: %s}%s}
"""
BRANCH = "gitcd/prod/env"
PATH = "envs/prod/app/deployment.yaml"


def layout(group: str = "env", more: str = "") -> bytes:
    return (LAYOUT % (group, more)).encode()


@pytest.fixture
def remote(tmp_path) -> Bare:
    """One app in dev, delivered by commit, and two in prod, delivered by pull request; all pinned."""
    files = {"gitcd.yaml": layout()} | app_files("app")
    for name in ("app", "other"):
        files |= app_files(name, environment="prod")
    pinned = files | {
        path: data.replace(f"{name}:1.0.0".encode(), reference(name, "1.0.0").rpartition(b"/")[2])
        for path, data in files.items()
        for name in ("app", "other")
        if f"/{name}/deployment" in path
    }
    return make_bare(tmp_path / "remote.git", pinned)


@pytest.fixture
def tags() -> Tags:
    tags = Tags()
    for name, tag in (("team/app", "env-dev"), ("team/app", "env-prod"), ("team/other", "env-prod")):
        tags.move(name, tag, "1.0.0")
    return tags


@pytest.fixture
def forge(remote) -> MemoryForge:
    return MemoryForge(remote)


def desk(forge, author=AUTHOR, **more) -> Desk:
    def write(pull, limits, planned):
        return pull_content(pull, limits, Details(restarts=restarts(planned, pull)))

    return Desk(forge or NO_FORGE, write, code, author, **more)


def run(remote, tags, forge, cache=None, now=NOW, selection=None, author=AUTHOR, **more):
    with mirror_of(remote.url, cache) as mirror:
        made = replace(context(mirror, tags, now), selection=selection or Selection())
        return reconcile(mirror, made, author, desk=desk(forge, author, **more))


def kinds(published):
    return {str(each.identity): each.kind for each in published.work.plan.outcomes}


def acts(published):
    return {each.branch: each.act for each in published.pulls}


def outcome(published, name="prod/team/app"):
    return next(each for each in published.work.plan.outcomes if str(each.identity) == name)


def show(remote, path=PATH, branch=BRANCH) -> bytes:
    return remote.show(path, branch)


def ahead(remote, branch=BRANCH) -> list[str]:
    return remote.git("rev-list", f"main..{branch}").split()


def branches(remote) -> list[str]:
    return remote.git("for-each-ref", "--format=%(refname:short)", "refs/heads/gitcd").split()


def pushed_by_a_person(remote, tmp_path, *git_args, branch=BRANCH) -> str:
    """A clone in which a person does something to the branch and pushes it."""
    folder = tmp_path / f"person{len(list(tmp_path.iterdir()))}"
    git(tmp_path, "clone", "--quiet", "-b", branch, remote.url, str(folder))
    (folder / "note.txt").write_text("mine\n")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", *git_args)
    git(folder, "push", "--quiet", "--force", "origin", branch)
    return git(folder, "rev-parse", "HEAD")


class TestOpening:
    def test_one_commit_on_the_tip_and_one_pull_request(self, remote, tags, forge):
        tip = remote.tip
        tags.move("team/app", "env-prod", "1.1.0")
        published = run(remote, tags, forge)
        assert (published.commits, remote.tip) == ((), tip)
        assert ahead(remote) == [remote.git("rev-parse", BRANCH)]
        assert show(remote) == remote.show(PATH).replace(reference("app", "1.0.0"), reference("app", "1.1.0"))
        (pull,) = forge.pulls
        assert (pull.title, pull.branch, pull.base) == ("prod: app 1.0.0 -> 1.1.0", BRANCH, "main")
        assert pull.plan == published.work.plan.pulls[0].id
        found = outcome(published)
        assert (found.kind, found.proposal, found.pull) == (OutcomeKind.PROPOSED, BRANCH, pull.url)
        assert acts(published) == {BRANCH: PullAct.OPENED}
        assert plan_exit_code(published.work.plan) is ExitCode.OK

    def test_F32_the_second_run_writes_nothing(self, remote, tags, forge, tmp_path):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge, tmp_path / "cache")
        head, writes = forge.head(BRANCH), forge.writes
        for cache in (tmp_path / "cache", None, tmp_path / "cache"):
            again = run(remote, tags, forge, cache, now=NOW + timedelta(hours=1))
            assert (forge.head(BRANCH), forge.writes) == (head, writes)
            assert acts(again) == {BRANCH: PullAct.UNCHANGED}
            assert outcome(again).pull == forge.pulls[0].url

    def test_direct_environments_of_the_same_run_are_committed(self, remote, tags, forge):
        for tag in ("env-dev", "env-prod"):
            tags.move("team/app", tag, "1.1.0")
        published = run(remote, tags, forge)
        assert published.commits == (remote.tip,)
        assert kinds(published)["dev/team/app"] is OutcomeKind.BUMPED
        assert kinds(published)["prod/team/app"] is OutcomeKind.PROPOSED
        assert remote.git("rev-parse", f"{BRANCH}^") == remote.tip
        writes = forge.writes
        run(remote, tags, forge)
        assert forge.writes == writes

    def test_every_declaration_by_itself(self, remote, tags, forge):
        remote.commit({"gitcd.yaml": layout("app")})
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        assert branches(remote) == ["gitcd/prod/team.app", "gitcd/prod/team.other"]
        assert [pull.title for pull in forge.pulls] == ["prod: app 1.0.0 -> 1.1.0", "prod: other 1.0.0 -> 1.1.0"]
        assert show(remote, "envs/prod/other/deployment.yaml", "gitcd/prod/team.app") == remote.show(
            "envs/prod/other/deployment.yaml"
        )

    def test_every_namespace_by_itself(self, remote, tags, forge):
        paths = [f"envs/prod/other/{name}.yaml" for name in ("cv", "deployment")]
        moved = {path: remote.show(path).replace(b"namespace: team", b"namespace: maps") for path in paths}
        remote.commit({"gitcd.yaml": layout("namespace"), **moved})
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        assert branches(remote) == ["gitcd/prod/maps", "gitcd/prod/team"]
        assert [pull.title for pull in forge.pulls] == ["prod: other 1.0.0 -> 1.1.0", "prod: app 1.0.0 -> 1.1.0"]

    def test_a_declaration_may_ask_for_more_and_not_for_less(self, remote, tags, forge):
        for path, mode in (("envs/dev/app/cv.yaml", "PullRequest, group: maps"), ("envs/prod/app/cv.yaml", "Commit")):
            remote.commit({path: remote.show(path) + f"  delivery: {{mode: {mode}}}\n".encode()})
        tip = remote.tip
        for tag in ("env-dev", "env-prod"):
            tags.move("team/app", tag, "1.1.0")
        run(remote, tags, forge)
        assert remote.tip == tip
        assert branches(remote) == ["gitcd/dev/maps", BRANCH]

    def test_what_moves_together_goes_the_strictest_way(self, remote, tags, forge):
        remote.commit({"gitcd.yaml": layout("app")})
        for name in ("app", "other"):
            path = f"envs/prod/{name}/cv.yaml"
            remote.commit({path: remote.show(path) + b"  strategy: {group: release}\n"})
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        assert branches(remote) == ["gitcd/prod/team.app"]
        assert len(remote.git("diff-tree", "-r", "--name-only", "main", branches(remote)[0]).split()) == 2

    def test_two_pull_requests_may_change_one_file(self, remote, tags, forge):
        both = remote.show(PATH) + b"---\n" + remote.show("envs/prod/other/deployment.yaml")
        remote.commit({"gitcd.yaml": layout("app"), PATH: both, "envs/prod/other/deployment.yaml": None})
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        published = run(remote, tags, forge)
        for name in ("app", "other"):
            before, after = reference(name, "1.0.0"), reference(name, "1.1.0")
            assert show(remote, PATH, f"gitcd/prod/team.{name}") == both.replace(before, after)
        (shown,) = published.work.plan.files
        for name in ("app", "other"):
            assert reference(name, "1.1.0") in shown.after

    def test_without_a_forge_nothing_is_pushed_and_the_rest_goes_on(self, remote, tags):
        for tag in ("env-dev", "env-prod"):
            tags.move("team/app", tag, "1.1.0")
        published = run(remote, tags, None)
        assert len(published.commits) == 1
        assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.FAILED, "NoForge")
        assert branches(remote) == []
        assert plan_exit_code(published.work.plan) is ExitCode.ITEMS_FAILED

    def test_labels_and_reviewers_are_wishes(self, remote, tags, forge):
        forge.refuses = {"request_reviews"}
        tags.move("team/app", "env-prod", "1.1.0")
        published = run(remote, tags, forge, labels=["images"], reviewers=["ada"])
        assert forge.pulls[0].labels == ("images",)
        assert ["reviewers were skipped" in each for each in published.work.plan.warnings] == [True]
        assert outcome(published).kind is OutcomeKind.PROPOSED


class TestUpdating:
    def test_F33_the_same_pull_request_follows_the_tag(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        tags.move("team/app", "env-prod", "1.2.0")
        published = run(remote, tags, forge)
        (pull,) = forge.pulls
        assert acts(published) == {BRANCH: PullAct.UPDATED}
        assert (pull.title, pull.plan) == ("prod: app 1.0.0 -> 1.2.0", published.work.plan.pulls[0].id)
        assert len(ahead(remote)) == 1
        assert reference("app", "1.2.0") in show(remote)

    def test_reviewers_are_told_of_another_digest_and_asked_again(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge, reviewers=["ada"])
        assert (forge.comments, forge.asked_again) == ([], [])
        tags.move("team/app", "env-prod", "1.2.0")
        run(remote, tags, forge, reviewers=["ada"])
        ((number, comment),) = forge.comments
        assert (number, forge.asked_again) == (forge.pulls[0].id, [["ada"]])
        assert "1.2.0 sha256:" in comment
        remote.commit({"README.md": b"new\n"})
        run(remote, tags, forge, reviewers=["ada"])
        assert len(forge.comments) == len(forge.asked_again) == 1

    def test_it_follows_the_base(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        remote.commit({"README.md": b"new\n"})
        run(remote, tags, forge)
        assert remote.git("rev-parse", f"{BRANCH}^") == remote.tip
        assert len(forge.pulls) == 1

    def test_a_hold_takes_its_declaration_out_and_a_release_brings_it_back(self, remote, tags, forge):
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        hold = ".gitcd/holds/prod/team.app.yaml"
        remote.commit({hold: f"reject: [{{digest: '{digest('team/app:1.1.0')}'}}]\n".encode()})
        run(remote, tags, forge)
        assert show(remote) == remote.show(PATH)
        assert forge.pulls[0].title == "prod: other 1.0.0 -> 1.1.0"
        remote.commit({hold: None})
        run(remote, tags, forge)
        assert reference("app", "1.1.0") in show(remote)
        assert len(forge.pulls) == 1

    def test_F33_one_that_is_open_already_is_adopted(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.pulls[0] = replace(forge.pulls[0], title="What a person called it", body="Nothing")
        run(remote, tags, forge)
        (pull,) = forge.pulls
        assert pull.title == "prod: app 1.0.0 -> 1.1.0"
        assert pull.plan

    def test_a_pushed_branch_without_a_pull_request_gets_one(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        forge.refuses = {"create"}
        failed = run(remote, tags, forge)
        assert (outcome(failed).kind, outcome(failed).reason) == (OutcomeKind.FAILED, "ForgeForbidden")
        head = forge.head(BRANCH)
        forge.refuses = set()
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}
        assert forge.head(BRANCH) == head


class TestPeople:
    @pytest.mark.parametrize(
        "doing", [["-m", "Mine"], ["--amend", "--no-edit"], ["--amend", "--no-edit", "--reset-author"]]
    )
    def test_F34_a_foreign_commit_is_never_touched(self, remote, tags, forge, tmp_path, doing):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        theirs = pushed_by_a_person(remote, tmp_path, *doing)
        writes = forge.writes
        tags.move("team/app", "env-prod", "1.2.0")
        published = run(remote, tags, forge)
        found = outcome(published)
        assert (found.kind, found.reason) == (OutcomeKind.BLOCKED, "ForeignCommit")
        assert found.message.startswith(f"blocked: foreign commit: {BRANCH} carries {theirs[:10]} by Ada")
        assert (forge.head(BRANCH), forge.writes) == (theirs, writes)
        tags.move("team/app", "env-prod", "1.0.0")
        run(remote, tags, forge)
        assert (forge.head(BRANCH), forge.writes) == (theirs, writes)

    def test_a_foreign_commit_that_was_merged_is_no_hindrance(self, remote, tags, forge, tmp_path):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        pushed_by_a_person(remote, tmp_path, "-m", "Mine")
        forge.merged(forge.pulls[0], "squash")
        tags.move("team/app", "env-prod", "1.2.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}
        assert len(ahead(remote)) == 1

    def test_F33_closed_by_a_person_it_stays_closed_until_the_content_changes(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.close(forge.pulls[0])
        writes = forge.writes
        for _ in range(2):
            published = run(remote, tags, forge)
            found = outcome(published)
            assert (found.kind, found.reason, found.pull) == (OutcomeKind.HELD, "PullRequestClosed", forge.pulls[0].url)
        assert found.message.endswith("stays out until it changes or the pull request is reopened")
        remote.commit({"README.md": b"unrelated\n"})
        assert outcome(run(remote, tags, forge)).kind is OutcomeKind.HELD
        assert (forge.writes, len(forge.pulls)) == (writes, 1)
        tags.move("team/app", "env-prod", "1.2.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}
        assert len(forge.pulls) == 2

    def test_F33_recreate_opens_another(self, remote, tags, forge):
        remote.commit(
            {"gitcd.yaml": LAYOUT.replace("group: %s", "group: env, onClosed: recreate").replace("%s", "").encode()}
        )
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.close(forge.pulls[0])
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    @pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
    def test_F33_after_a_merge_everything_is_current(self, remote, tags, forge, method):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.merged(forge.pulls[0], method)
        published = run(remote, tags, forge)
        assert set(kinds(published).values()) == {OutcomeKind.CURRENT}
        assert branches(remote) == []
        assert forge.pulls[0].state is PullState.MERGED
        writes, tip = forge.writes, remote.tip
        for _ in range(3):
            assert run(remote, tags, forge).pulls == ()
        assert (forge.writes, remote.tip) == (writes, tip)

    @pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
    def test_a_revert_of_what_was_merged_is_respected(self, remote, tags, forge, method):
        before = remote.show(PATH)
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.merged(forge.pulls[0], method)
        run(remote, tags, forge)
        remote.commit({PATH: before}, "No")
        found = outcome(run(remote, tags, forge))
        assert (found.kind, found.reason) == (OutcomeKind.HELD, "Reverted")
        assert len(forge.pulls) == 1


class TestClosing:
    def test_what_is_no_longer_wanted_is_closed_with_a_reason_and_its_branch_deleted(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        tags.move("team/app", "env-prod", "1.0.0")
        published = run(remote, tags, forge)
        assert (forge.pulls[0].state, branches(remote)) == (PullState.CLOSED, [])
        assert acts(published) == {BRANCH: PullAct.CLOSED}
        ((_, text),) = forge.comments
        assert "`prod/team/app is current`" in text

    def test_what_gitcd_closed_itself_comes_back(self, remote, tags, forge):
        for version in ("1.1.0", "1.0.0", "1.1.0"):
            tags.move("team/app", "env-prod", version)
            run(remote, tags, forge)
        assert [pull.state for pull in forge.pulls] == [PullState.CLOSED, PullState.OPEN]

    def test_another_grouping_supersedes(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        remote.commit({"gitcd.yaml": layout("app")})
        run(remote, tags, forge)
        assert branches(remote) == ["gitcd/prod/team.app"]
        assert [pull.state for pull in forge.pulls] == [PullState.CLOSED, PullState.OPEN]
        assert "is proposed by gitcd/prod/team.app now" in forge.comments[0][1]

    def test_a_branch_that_is_not_ours_is_left_alone(self, remote, tags, forge):
        remote.git("branch", "gitcd/prod/experiment", "main")
        remote.git("branch", "gitcd/rollback/prod/team.app", "main")
        published = run(remote, tags, forge)
        assert published.pulls == ()
        assert len(branches(remote)) == 2

    def test_who_reads_declarations_elsewhere_closes_nothing_of_others(self, remote, tags, forge):
        """As a cluster that declares none of what the repository proposes."""
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        with mirror_of(remote.url) as mirror:
            elsewhere = replace(context(mirror, tags), source=lambda inputs: (replace(inputs, declared=()), ()))
            published = reconcile(mirror, elsewhere, AUTHOR, desk=desk(forge))
        assert acts(published) == {BRANCH: PullAct.LEFT}

    def test_a_freeze_leaves_it_as_it_is(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        head, writes = forge.head(BRANCH), forge.writes
        remote.commit({"gitcd.yaml": layout(more=", freeze: [{reason: holidays}]")})
        tags.move("team/app", "env-prod", "1.2.0")
        published = run(remote, tags, forge)
        assert outcome(published).kind is OutcomeKind.FROZEN
        assert acts(published) == {BRANCH: PullAct.LEFT}
        assert (forge.head(BRANCH), forge.writes) == (head, writes)

    def test_a_registry_that_does_not_answer_changes_nothing(self, remote, tags, forge):
        from gitcd.model.registry import Answers, Failure

        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        head, writes = forge.head(BRANCH), forge.writes

        def throttled(queries):
            down = Failure("Throttled", "slow down", transient=True)
            answers = tags(queries).by_key
            return Answers({key: down if key[0].path == "team/app" else value for key, value in answers.items()})

        published = run(remote, throttled, forge)
        assert (forge.head(BRANCH), forge.writes) == (head, writes)
        assert kinds(published)["prod/team/other"] is OutcomeKind.PROPOSED
        assert plan_exit_code(published.work.plan) is ExitCode.TRANSIENT

    def test_a_tag_that_is_gone_does_not_stop_the_others(self, remote, tags, forge):
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        del tags.moving["team/app", "env-prod"]
        tags.move("team/other", "env-prod", "1.2.0")
        published = run(remote, tags, forge)
        assert kinds(published)["prod/team/app"] is OutcomeKind.FAILED
        assert forge.pulls[0].title == "prod: other 1.0.0 -> 1.2.0"
        del tags.moving["team/other", "env-prod"]
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.LEFT}

    def test_a_run_for_one_app_takes_nothing_from_the_others(self, remote, tags, forge):
        for name in ("app", "other"):
            tags.move(f"team/{name}", "env-prod", "1.1.0")
        run(remote, tags, forge)
        head, writes = forge.head(BRANCH), forge.writes
        tags.move("team/app", "env-prod", "1.2.0")
        published = run(remote, tags, forge, selection=Selection(apps=frozenset({"app"})))
        assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.BLOCKED, "PullRequestWaits")
        assert (forge.head(BRANCH), forge.writes) == (head, writes)
        assert run(remote, tags, forge, selection=Selection(frozenset({"dev"}))).pulls[0].act is PullAct.LEFT


class TestTrouble:
    def test_F37_a_forge_that_is_down_costs_nothing_but_a_run(self, remote, tags, forge):
        for tag in ("env-dev", "env-prod"):
            tags.move("team/app", tag, "1.1.0")
        forge.down = ForgeFailure(Trouble.TRANSIENT, "no answer")
        published = run(remote, tags, forge)
        assert len(published.commits) == 1
        assert (outcome(published).reason, outcome(published).transient) == ("ForgeTransient", True)
        assert plan_exit_code(published.work.plan) is ExitCode.TRANSIENT
        assert branches(remote) == []
        forge.down = None
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    @pytest.mark.parametrize(
        ("method", "when"),
        [("create", "before"), ("create", "after"), ("update", "before"), ("comment", "before"), ("close", "after")],
    )
    def test_F24_a_run_that_is_killed_leaves_nothing_that_the_next_one_does_not_settle(
        self, remote, tags, forge, method, when
    ):
        """Open, follow the tag, and close, each begun by a run that dies: in the end one was opened and closed."""
        for version in ("1.1.0", "1.2.0", "1.0.0"):
            tags.move("team/app", "env-prod", version)
            forge.dies = (method, when)
            with contextlib.suppress(KilledError):
                run(remote, tags, forge)
            forge.dies = ("", "")
            run(remote, tags, forge)
        assert [pull.state for pull in forge.pulls] == [PullState.CLOSED]
        assert branches(remote) == []
        tags.move("team/app", "env-prod", "1.2.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    def test_F25_a_run_that_loses_the_race_to_another_takes_over_what_that_did(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")

        class Rival(MemoryForge):
            """While we look for a pull request, another run makes it."""

            def find_closed(self, *args):
                if not self.pulls:
                    run(remote, tags, forge, now=NOW + timedelta(seconds=9))
                return super().find_closed(*args)

        ours = Rival(remote, pulls=forge.pulls)
        published = run(remote, tags, ours)
        assert outcome(published).kind is OutcomeKind.PROPOSED
        assert acts(published) == {BRANCH: PullAct.UNCHANGED}
        assert (len(forge.pulls), len(ahead(remote))) == (1, 1)

    def test_a_gate_that_closes_takes_nothing_back(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        path = "envs/prod/app/cv.yaml"
        remote.commit({path: remote.show(path) + b"  gates: {minAge: 720h}\n"})
        tags.move("team/app", "env-prod", "1.2.0")
        published = run(remote, tags, forge)
        assert (outcome(published).kind, acts(published)) == (OutcomeKind.BLOCKED, {BRANCH: PullAct.LEFT})
        assert forge.pulls[0].state is PullState.OPEN

    def test_T29_the_base_is_never_forced(self, remote, tags, forge, tmp_path):
        log = tmp_path / "pushes"
        remote.hook("update", f'echo "$1 $2 $3" >> {log}')
        remote.git("config", "receive.denyNonFastForwards", "false")
        for version in ("1.1.0", "1.2.0", "1.0.0"):
            tags.move("team/app", "env-prod", version)
            tags.move("team/app", "env-dev", version)
            run(remote, tags, forge)
        moves = [line.split() for line in log.read_text().splitlines()]
        assert {ref for ref, _, _ in moves} == {"refs/heads/main", f"refs/heads/{BRANCH}"}
        for _, old, new in (move for move in moves if move[0] == "refs/heads/main"):
            assert remote.git("merge-base", old, new) == old

    def test_a_branch_that_may_not_be_pushed_fails_by_name(self, remote, tags, forge):
        remote.hook("pre-receive", "echo 'protected branch hook declined' >&2; exit 1")
        tags.move("team/app", "env-prod", "1.1.0")
        found = outcome(run(remote, tags, forge))
        assert (found.kind, found.reason, found.transient) == (OutcomeKind.FAILED, "BranchNotPushed", False)
        assert forge.pulls == []

    def test_a_branch_that_may_not_be_deleted_is_a_warning(self, remote, tags, forge):
        remote.git("config", "receive.denyDeletes", "true")
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        tags.move("team/app", "env-prod", "1.0.0")
        published = run(remote, tags, forge)
        assert (acts(published), forge.pulls[0].state) == ({BRANCH: PullAct.CLOSED}, PullState.CLOSED)
        assert ["cannot be deleted" in each for each in published.work.plan.warnings] == [True]
        assert plan_exit_code(published.work.plan) is ExitCode.OK
        tags.move("team/app", "env-prod", "1.2.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    def test_another_author_is_a_stranger(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        tags.move("team/app", "env-prod", "1.2.0")
        found = outcome(run(remote, tags, forge, author=Author("robot", "robot@example.com")))
        assert found.reason == "ForeignCommit"


class TestShowing:
    def test_the_preview_shows_the_pull_request_and_asks_no_forge(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        with mirror_of(remote.url) as mirror:
            shown = preview(mirror, context(mirror, tags), author=AUTHOR).plan
        assert [pull.branch for pull in shown.pulls] == [BRANCH]
        assert branches(remote) == []
        assert plan_exit_code(shown, differences=True) is ExitCode.DIFFERENCES
        run(remote, tags, forge)
        assert {change.path: show(remote, change.path) for change in shown.files} == {
            change.path: change.after for change in shown.files
        }

    def test_what_waits_for_a_merge_is_no_difference(self, remote, tags, forge):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        with mirror_of(remote.url) as mirror:
            shown = preview(mirror, context(mirror, tags), author=AUTHOR).plan
        assert [pull.standing for pull in shown.pulls] == [True]
        assert plan_exit_code(shown, differences=True) is ExitCode.OK

    def test_the_preview_tells_of_a_foreign_commit(self, remote, tags, forge, tmp_path):
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        pushed_by_a_person(remote, tmp_path, "-m", "Mine")
        with mirror_of(remote.url) as mirror:
            shown = preview(mirror, context(mirror, tags), author=AUTHOR).plan
        assert [each.reason for each in shown.outcomes] == ["", "ForeignCommit", ""]
        assert shown.files == ()


class TestReplay:
    def reviewed(self, remote, tags):
        with mirror_of(remote.url) as mirror:
            return preview(mirror, context(mirror, tags), author=AUTHOR).plan

    def replayed(self, remote, tags, forge, plan):
        with mirror_of(remote.url) as mirror:
            return replay(mirror, context(mirror, tags), AUTHOR, plan, desk(forge))

    def test_a_reviewed_plan_is_committed_and_proposed_byte_for_byte(self, remote, tags, forge):
        for tag in ("env-dev", "env-prod"):
            tags.move("team/app", tag, "1.1.0")
        plan = self.reviewed(remote, tags)
        remote.commit({"README.md": b"unrelated\n"})
        published = self.replayed(remote, tags, forge, plan)
        assert len(published.commits) == 1
        assert acts(published) == {BRANCH: PullAct.OPENED}
        for change in plan.pulls[0].commit.files:
            assert show(remote, change.path) == change.after
        message = remote.git("log", "-1", "--format=%B", BRANCH)
        assert message.strip("\n") == plan.pulls[0].commit.message.strip("\n")

    def test_a_moved_tag_makes_it_stale(self, remote, tags, forge):
        from gitcd.errors import RefusedError

        tags.move("team/app", "env-prod", "1.1.0")
        plan = self.reviewed(remote, tags)
        tags.move("team/app", "env-prod", "1.2.0")
        with pytest.raises(RefusedError, match="tag of prod/team/app moved"):
            self.replayed(remote, tags, forge, plan)
        assert (branches(remote), forge.pulls) == ([], [])


class TestSquashWithoutTrailers:
    """The message of the merge was cleared, so that no commit tells of what it brought."""

    @pytest.fixture
    def before(self, remote, tags, forge):
        before = remote.show(PATH)
        tags.move("team/app", "env-prod", "1.1.0")
        run(remote, tags, forge)
        forge.merged(forge.pulls[0], "bare")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.CLEARED}
        return before

    def test_a_revert_of_it_is_respected(self, remote, tags, forge, before):
        remote.commit({PATH: before}, "Revert it")
        remote.commit({"README.md": b"unrelated\n"})
        for _ in range(2):
            published = run(remote, tags, forge)
            assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.HELD, "Reverted")
            message = outcome(published).message
            assert "merged and taken back since" in message
            assert message.endswith("stays out until it changes or a person commits it")
        assert (len(forge.pulls), branches(remote)) == (1, [])
        tags.move("team/app", "env-prod", "1.2.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    def test_a_tag_that_goes_back_and_comes_again_is_followed(self, remote, tags, forge, before):
        tags.move("team/app", "env-prod", "1.0.0")
        run(remote, tags, forge)
        forge.merged(forge.pulls[1], "bare")
        tags.move("team/app", "env-prod", "1.1.0")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    def test_a_commit_of_ours_that_went_back_is_no_persons_no(self, remote, tags, forge, before):
        moved = f"Gitcd-Environment: prod\nGitcd-App: team/app\nGitcd-Digest: {digest('team/app:1.0.0')}"
        remote.commit({PATH: before}, f"prod: back to 1.0.0\n\n{moved}")
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}

    def test_who_recreates_is_asked_again(self, remote, tags, forge, before):
        remote.commit(
            {PATH: before, "gitcd.yaml": layout(more="").replace(b"group: env", b"group: env, onClosed: recreate")}
        )
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.OPENED}


def test_what_cannot_be_closed_is_commented_on_once(remote, tags, forge):
    tags.move("team/app", "env-prod", "1.1.0")
    run(remote, tags, forge)
    tags.move("team/app", "env-prod", "1.0.0")
    forge.refuses = {"close"}
    for _ in range(3):
        assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.FAILED}
    assert forge.comments == []
    forge.refuses = set()
    assert acts(run(remote, tags, forge)) == {BRANCH: PullAct.CLOSED}
    assert len(forge.comments) == 1


def test_a_branch_that_takes_the_folder_is_named(remote, tags, forge):
    remote.git("branch", "gitcd/prod", "main")
    tags.move("team/app", "env-prod", "1.1.0")
    published = run(remote, tags, forge)
    assert acts(published) == {BRANCH: PullAct.LEFT}
    assert "the branch gitcd/prod takes its place; rename or delete that" in outcome(published).message
    assert forge.writes == 0


class TestTwoBases:
    """A second base of one repository, which has an environment of the same name."""

    def run(self, remote, tags, forge, base):
        with mirror_of(remote.url, branch=base) as mirror:
            return reconcile(mirror, context(mirror, tags), AUTHOR, desk=desk(forge))

    def test_each_has_pull_requests_of_its_own(self, remote, tags, forge):
        remote.git("branch", "release/1", "main")
        tags.move("team/app", "env-prod", "1.1.0")
        for base, name in (("main", BRANCH), ("release/1", f"{BRANCH}@release/1")):
            assert acts(self.run(remote, tags, forge, base)) == {name: PullAct.OPENED}
        for base in ("main", "release/1", ""):
            assert self.run(remote, tags, forge, base).is_idle
        assert [(pull.branch, pull.base) for pull in forge.pulls] == [
            (BRANCH, "main"),
            (f"{BRANCH}@release/1", "release/1"),
        ]

    def test_a_base_that_declares_less_leaves_the_branches_of_another(self, remote, tags, forge):
        remote.git("branch", "bare", "main")
        tags.move("team/app", "env-prod", "1.1.0")
        self.run(remote, tags, forge, "main")
        tags.move("team/app", "env-prod", "1.0.0")
        assert self.run(remote, tags, forge, "bare").is_idle
        assert branches(remote) == [BRANCH]


def test_many_pull_requests_are_looked_for_at_once(tmp_path, tags):
    """One for each of a dozen apps: a second run asks the forge once for all of them."""
    names = [f"app{number}" for number in range(12)]
    files = {"gitcd.yaml": layout("app")}
    for name in names:
        files |= app_files(name, environment="prod")
        tags.move(f"team/{name}", "env-prod", "1.1.0")
    remote = make_bare(tmp_path / "many.git", files)
    forge = MemoryForge(remote)
    assert list(acts(run(remote, tags, forge)).values()) == [PullAct.OPENED] * len(names)
    before = forge.requests, forge.writes
    assert run(remote, tags, forge).is_idle
    assert (forge.requests, forge.writes) == (before[0] + 1, before[1])
    forge.down = ForgeFailure(Trouble.TRANSIENT, "down")
    assert set(acts(run(remote, tags, forge)).values()) == {PullAct.FAILED}
    assert forge.requests == before[0] + 2
