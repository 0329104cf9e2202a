"""Promotion and rollback by pull request, over real git and a forge in memory; merged in every way that there is."""

from datetime import timedelta
from functools import partial

import pytest

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.history import ensure_history
from gitcd.model.plan import OutcomeKind, PullAct
from gitcd.model.pull import PullState
from gitcd.usecases.promote import Pen, Promotion, preview_promotion, promote, replay_promotion
from gitcd.usecases.pulls import proposals
from gitcd.usecases.rollback import RollbackRequest, Sources, rollback
from tests.support.memoryforge import MemoryForge
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, NOW, Tags, app_files, context, digest, mirror_of, reference
from tests.usecases.test_pull_delivery import acts, desk
from tests.usecases.test_pull_delivery import run as reconciled
from tests.usecases.test_status import history

LAYOUT = """\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, promoteFrom: dev, delivery: {mode: %s, group: env}}
"""
PROD = "envs/prod/app/deployment.yaml"
HOLD = ".gitcd/holds/prod/team.app.yaml"
BRANCH = "gitcd/prod/env"
BACK = "gitcd/rollback/prod/team.app"


def make_remote(path, mode="PullRequest"):
    files = {"gitcd.yaml": (LAYOUT % mode).encode()}
    for name in ("app", "other"):
        files |= app_files(name, "1.1.0") | app_files(name, environment="prod")
    return make_bare(path, files)


@pytest.fixture
def remote(tmp_path):
    return make_remote(tmp_path / "remote.git")


@pytest.fixture
def tags() -> Tags:
    tags = Tags()
    for name in ("team/app", "team/other"):
        tags.move(name, "env-prod", "1.0.0")
        tags.move(name, "env-dev", "1.1.0")
    return tags


@pytest.fixture
def forge(remote) -> MemoryForge:
    return MemoryForge(remote)


def promoted(remote, tags, forge, *apps, source="dev", by="", now=NOW, work=promote):
    with mirror_of(remote.url) as mirror:
        request = Promotion(source, "prod", frozenset(apps), by)
        pen = Pen(AUTHOR, desk=desk(forge))
        return work(mirror, context(mirror, tags, now), request, lambda: ensure_history(mirror, mirror.tip), pen)


def back(remote, tags, forge, now=NOW, **more):
    with mirror_of(remote.url) as mirror:
        sources = Sources(lambda: ensure_history(mirror, mirror.tip), lambda *_: {})
        request = RollbackRequest("prod/team/app", **more)
        return rollback(mirror, context(mirror, tags, now), request, sources, Pen(AUTHOR, desk=desk(forge)))


def outcome(published, name="prod/team/app"):
    return next(each for each in published.work.plan.outcomes if str(each.identity) == name)


class TestPromotion:
    def test_opens_one_pull_request_and_commits_nothing(self, remote, tags, forge):
        tip = remote.tip
        published = promoted(remote, tags, forge)
        assert (remote.tip, published.commits) == (tip, ())
        (pull,) = forge.pulls
        assert (pull.branch, pull.title) == (BRANCH, "prod: promote app, other 1.0.0 -> 1.1.0")
        assert reference("app", "1.1.0") in remote.show(PROD, BRANCH)
        assert "Promoted from dev." in remote.git("log", "-1", "--format=%B", BRANCH)
        assert (outcome(published).kind, outcome(published).pull) == (OutcomeKind.PROPOSED, pull.url)

    def test_again_and_reconciles_between_write_nothing(self, remote, tags, forge):
        reconciled(remote, tags, forge)
        promoted(remote, tags, forge)
        head, writes = forge.head(BRANCH), forge.writes
        reconciled(remote, tags, forge, now=NOW + timedelta(hours=1))
        assert acts(promoted(remote, tags, forge, now=NOW + timedelta(hours=2))) == {BRANCH: PullAct.UNCHANGED}
        assert (forge.head(BRANCH), forge.writes) == (head, writes)
        assert forge.pulls[0].state is PullState.OPEN

    def test_when_the_source_moves_on_the_pull_request_follows(self, remote, tags, forge):
        promoted(remote, tags, forge)
        tags.move("team/app", "env-dev", "1.2.0")
        reconciled(remote, tags, forge)
        assert acts(promoted(remote, tags, forge)) == {BRANCH: PullAct.UPDATED}
        assert reference("app", "1.2.0") in remote.show(PROD, BRANCH)
        assert len(forge.pulls) == 1

    @pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
    def test_after_the_merge_three_reconciles_with_the_old_tag_change_nothing(self, remote, tags, forge, method):
        promoted(remote, tags, forge)
        forge.merged(forge.pulls[0], method)
        assert reference("app", "1.1.0") in remote.show(PROD)
        reconciled(remote, tags, forge)  # pins dev
        tip = remote.tip
        for _ in range(3):
            found = outcome(reconciled(remote, tags, forge))
            assert (found.kind, found.reason) == (OutcomeKind.PROMOTED, "TagDrift")
        assert remote.tip == tip
        assert BRANCH not in remote.git("branch"), "a reconcile clears what was merged"
        assert outcome(promoted(remote, tags, forge)).kind is OutcomeKind.CURRENT
        assert remote.tip == tip
        assert history(remote, "prod/team/app")[0].act == "promoted"

    def test_what_changes_the_spelling_alone_stays_open(self, remote, tags, forge):
        """Its digest is deployed before the merge as after it."""
        promoted(remote, tags, forge)
        forge.merged(forge.pulls[0])
        reconciled(remote, tags, forge)
        older = remote.show(PROD).replace(b":1.1.0@", b":1.1.0-rc@")
        remote.commit({PROD: older})
        assert acts(promoted(remote, tags, forge)) == {BRANCH: PullAct.OPENED}
        head, writes = forge.head(BRANCH), forge.writes
        for _ in range(2):
            assert acts(reconciled(remote, tags, forge)) == {BRANCH: PullAct.LEFT}
        assert (forge.head(BRANCH), forge.writes) == (head, writes)

    def test_two_hundred_apps_take_few_requests(self, tmp_path, tags):
        """In the last of three environments."""
        staging = "  - {name: staging, path: envs/staging, promoteFrom: dev}\n"
        files = {"gitcd.yaml": (LAYOUT % "PullRequest").replace("promoteFrom: dev", "promoteFrom: staging").encode()}
        files["gitcd.yaml"] += staging.encode()
        for number in range(200):
            name = f"app{number}"
            for environment, version in {"dev": "1.2.0", "staging": "1.1.0", "prod": "1.0.0"}.items():
                files |= app_files(name, version, environment)
            tags.move(f"team/{name}", "env-prod", "1.0.0")
            tags.move(f"team/{name}", "env-dev", "1.1.0")
        remote = make_bare(tmp_path / "many.git", files)
        forge = MemoryForge(remote)
        assert len(promoted(remote, tags, forge, source="staging").work.plan.outcomes) == 200
        assert forge.requests <= 10
        assert reference("app199", "1.1.0") in remote.show("envs/prod/app199/deployment.yaml", BRANCH)
        writes = forge.writes
        promoted(remote, tags, forge, source="staging")
        assert forge.writes == writes

    def test_proposed_where_it_would_be_committed(self, tmp_path, tags):
        remote = make_remote(tmp_path / "commits.git", "Commit")
        forge, tip = MemoryForge(remote), remote.tip
        assert outcome(promoted(remote, tags, forge, by="pull")).kind is OutcomeKind.PROPOSED
        assert (remote.tip, len(forge.pulls)) == (tip, 1)
        assert promoted(remote, tags, forge, by="commit").commits

    def test_never_committed_where_it_is_to_be_proposed(self, remote, tags, forge):
        with pytest.raises(ConfigError, match="--commit would pass by its reviewers"):
            promoted(remote, tags, forge, by="commit")

    def test_without_a_forge_nothing_moves_and_the_remedy_is_named(self, remote, tags):
        tip = remote.tip
        found = outcome(promoted(remote, tags, None))
        assert (found.kind, found.reason, remote.tip) == (OutcomeKind.FAILED, "NoForge", tip)

    def test_a_rehearsal_asks_no_forge_and_writes_nothing(self, remote, tags, forge):
        planned = promoted(remote, tags, forge, work=preview_promotion)
        assert [pull.branch for pull in planned.plan.pulls] == [BRANCH]
        assert (forge.pulls, forge.writes) == ([], 0)

    @pytest.mark.parametrize("by", ["", "pull"])
    def test_a_plan_that_was_reviewed_is_proposed_as_it_is(self, tmp_path, tags, by):
        """Also where the environment is delivered by commits, and the plan alone says that it is to be proposed."""
        remote = make_remote(tmp_path / "reviewed.git", "Commit" if by else "PullRequest")
        forge, tip = MemoryForge(remote), remote.tip
        reviewed = promoted(remote, tags, forge, by=by, work=preview_promotion).plan
        for act in (PullAct.OPENED, PullAct.UNCHANGED):
            assert acts(promoted(remote, tags, forge, work=partial(replay_promotion, reviewed=reviewed))) == {
                BRANCH: act
            }
        assert remote.tip == tip
        tags.move("team/app", "env-dev", "1.2.0")
        reconciled(remote, tags, forge)
        with pytest.raises(RefusedError, match="out of date"):
            promoted(remote, tags, forge, work=partial(replay_promotion, reviewed=reviewed))


class TestRollback:
    @pytest.fixture(autouse=True)
    def moved(self, remote, tags, forge):
        """prod has had 1.1.0, by a pull request that was merged."""
        promoted(remote, tags, forge)
        forge.merged(forge.pulls[0])
        reconciled(remote, tags, forge)

    def test_is_a_pull_request_of_its_own_with_the_hold_in_it(self, remote, tags, forge):
        tip = remote.tip
        published = back(remote, tags, forge, reason="slow", by="dana")
        assert remote.tip == tip
        assert forge.pulls[-1].branch == BACK
        assert forge.pulls[-1].title == "prod: roll back app 1.1.0 -> 1.0.0"
        changed = remote.git("diff", "--name-only", "main", BACK).split()
        assert sorted(changed) == [HOLD, PROD]
        assert digest("team/app:1.1.0").encode() in remote.show(HOLD, BACK)
        assert outcome(published).proposal == BACK

    def test_after_the_merge_it_stays_back(self, remote, tags, forge):
        back(remote, tags, forge, reason="slow")
        forge.merged(forge.pulls[-1], "squash")
        tip = remote.tip
        for _ in range(3):
            reconciled(remote, tags, forge)
            assert outcome(promoted(remote, tags, forge)).kind is OutcomeKind.HELD
        assert remote.tip == tip

    def test_asked_for_again_it_is_brought_up_to_date(self, remote, tags, forge):
        back(remote, tags, forge, reason="slow")
        number = len(forge.pulls)
        remote.commit({"x.txt": b"x"})
        later = back(remote, tags, forge, reason="very slow", now=NOW + timedelta(minutes=5))
        assert acts(later)[BACK] is PullAct.UPDATED
        assert len(forge.pulls) == number
        assert b"very slow" in remote.show(HOLD, BACK)

    def test_asked_for_again_in_the_same_words_nothing_is_written(self, remote, tags, forge):
        back(remote, tags, forge, reason="slow", by="dana", until="2026-12-24")
        head, writes = forge.head(BACK), forge.writes
        for minutes in (5, 10):
            now = NOW + timedelta(minutes=minutes)
            again = back(remote, tags, forge, reason="slow", by="dana", until="2026-12-24", now=now)
            assert acts(again)[BACK] is PullAct.UNCHANGED
        assert (forge.head(BACK), forge.writes) == (head, writes)

    @pytest.mark.parametrize("reason", ["slow", "really"])
    def test_asked_for_again_after_a_no_it_is_opened_anew(self, remote, tags, forge, reason):
        back(remote, tags, forge, reason="slow")
        number = len(forge.pulls)
        forge.close(forge.pulls[-1])
        back(remote, tags, forge, reason=reason, now=NOW + timedelta(minutes=5))
        assert forge.pulls[-1].state is PullState.OPEN
        assert len(forge.pulls) == number + 1

    @pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
    def test_once_merged_its_branch_is_cleared(self, remote, tags, forge, method):
        back(remote, tags, forge, reason="slow")
        forge.merged(forge.pulls[-1], method)
        assert acts(reconciled(remote, tags, forge))[BACK] is PullAct.CLEARED
        assert BACK not in remote.git("branch")
        with mirror_of(remote.url) as mirror:
            assert proposals(mirror) == ()

    def test_two_bases_have_a_way_back_each(self, remote, tags, forge):
        remote.git("branch", "live", "main")
        back(remote, tags, forge, reason="slow")
        with mirror_of(remote.url, branch="live") as mirror:
            sources = Sources(lambda: ensure_history(mirror, mirror.tip), lambda *_: {})
            request = RollbackRequest("prod/team/app", reason="slow")
            rollback(mirror, context(mirror, tags), request, sources, Pen(AUTHOR, desk=desk(forge)))
            assert [each.name for each in proposals(mirror)] == [f"{BACK}@live"]
        assert [(pull.branch, pull.base) for pull in forge.pulls[-2:]] == [(BACK, "main"), (f"{BACK}@live", "live")]

    def test_a_reconcile_leaves_it_alone(self, remote, tags, forge):
        back(remote, tags, forge, reason="slow")
        head = forge.head(BACK)
        reconciled(remote, tags, forge, now=NOW + timedelta(hours=1))
        assert (forge.head(BACK), forge.pulls[-1].state) == (head, PullState.OPEN)
