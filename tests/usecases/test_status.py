"""Status and history from git alone: values, ages, states, and who did what."""

from datetime import timedelta

import pytest

from gitcd.errors import ConfigError
from gitcd.git.history import ensure_history, local_history
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.usecases.context import Selection
from gitcd.usecases.keeping import Source
from gitcd.usecases.promote import Promotion
from gitcd.usecases.pulls import proposals
from gitcd.usecases.settle_tags import settle
from gitcd.usecases.status import Beside, overview
from gitcd.usecases.status_history import events
from tests.support.repos import git, make_bare, make_worktree
from tests.support.scenes import HOST, NOW, app_files, digest, mirror_of, run
from tests.usecases.test_promote import LAYOUT, fleet, in_own_namespaces, promoted
from tests.usecases.test_rollback import back

PATH = "envs/dev/app/deployment.yaml"


@pytest.fixture
def remote(tmp_path, tags):
    """dev went from 1.0.0 to 1.1.0 five hours ago; prod, promoted from dev, is at 1.0.0."""
    remote = make_bare(tmp_path / "remote.git", fleet("app"))
    tags.move("team/app", "env-prod", "1.0.0")
    run(remote.url, tags, now=NOW - timedelta(days=3))
    tags.move("team/app", "env-dev", "1.1.0")
    run(remote.url, tags, now=NOW - timedelta(hours=5))
    return remote


def source(mirror) -> Source:
    tip = mirror.fetch()
    return Source(CommitTree(mirror.git, tip), lambda: ensure_history(mirror, tip), {})


def status(remote, *, resolve=None, now=NOW, **selection):
    with mirror_of(remote.url) as mirror:
        made = source(mirror)
        return overview(made, Selection(**selection), now, beside=Beside(proposals(mirror), resolve))


def items(remote, **more):
    return {str(item.identity): item for item in status(remote, **more).items}


def history(remote, app="", limit=0):
    with mirror_of(remote.url) as mirror:
        return events(source(mirror), Selection(apps=frozenset({app} - {""})), limit)


def states(item):
    return [(state.kind, state.text) for state in item.states]


class TestValues:
    def test_version_digest_and_the_commit_that_brought_it(self, remote):
        item = items(remote)["dev/team/app"]
        assert (item.version, item.digest, item.repository) == ("1.1.0", digest("team/app:1.1.0"), f"{HOST}/team/app")
        assert (item.since.commit, item.since.when, item.since.act) == (remote.tip, NOW - timedelta(hours=5), "bumped")

    def test_a_change_beside_the_image_leaves_the_age(self, remote):
        remote.commit({PATH: remote.show(PATH) + b"# more\n"}, "Touch")
        assert items(remote)["dev/team/app"].since.when == NOW - timedelta(hours=5)

    def test_what_nobody_has_moved_is_as_old_as_its_file(self, tmp_path):
        remote = make_bare(tmp_path / "old.git", fleet("app"))
        item = items(remote)["dev/team/app"]
        assert (item.version, item.digest, item.since.act, item.since.by) == ("1.0.0", "", "added", "Ada")

    def test_items_stand_by_app_and_by_the_order_of_environments(self, remote, tags):
        remote.commit(app_files("aaa", environment="prod") | app_files("aaa"))
        assert list(items(remote)) == ["dev/team/aaa", "prod/team/aaa", "dev/team/app", "prod/team/app"]

    def test_a_tag_and_a_digest_in_two_places_are_one_image(self, remote):
        second = app_files("app", "1.1.0")[PATH].replace(b"name: app\n", b"name: two\n")
        remote.commit({"envs/dev/app/two.yaml": second})
        item = items(remote)["dev/team/app"]
        assert (item.version, item.digest, item.states) == ("1.1.0", digest("team/app:1.1.0"), ())

    def test_a_selection_still_compares_with_what_is_not_selected(self, remote):
        found = items(remote, environments=frozenset({"prod"}))
        assert list(found) == ["prod/team/app"]
        assert [kind for kind, _ in states(found["prod/team/app"])] == ["Behind"]

    def test_of_a_work_tree_what_is_not_committed_has_no_age(self, tmp_path):
        folder = make_worktree(tmp_path / "tree", fleet("app"))
        (folder / PATH).write_bytes((folder / PATH).read_bytes().replace(b"1.0.0", b"1.0.9"))
        found = overview(Source(WorkTree(folder), lambda: local_history(folder), {}), Selection(), NOW)
        by_name = {str(item.identity): item for item in found.items}
        assert (by_name["dev/team/app"].version, by_name["dev/team/app"].since) == ("1.0.9", None)
        assert by_name["prod/team/app"].since.commit == git(folder, "rev-parse", "HEAD")
        assert list(found.warnings) == ["some ages are not known: it is not committed"]

    def test_without_history_everything_but_ages_is_told(self, remote):
        with mirror_of(remote.url) as mirror:
            tree = CommitTree(mirror.git, mirror.fetch())
            found = overview(Source(tree, lambda: None, {}), Selection(), NOW)
        assert [item.version for item in found.items] == ["1.1.0", "1.0.0"]
        assert list(found.warnings) == ["ages are not known: there is no git history"]

    def test_of_a_folder_without_history_no_further_run_tells_more(self, remote):
        with mirror_of(remote.url) as mirror:
            source = Source(CommitTree(mirror.git, mirror.fetch()), lambda: None, {})
            with pytest.raises(ConfigError, match="this folder has no git history"):
                events(source, Selection(), 0)


class TestStates:
    def test_an_environment_that_is_promoted_to_may_be_behind(self, remote, tags):
        item = items(remote)["prod/team/app"]
        assert states(item) == [("Behind", f"dev deploys 1.1.0 ({digest('team/app:1.1.0')[7:19]})")]
        promoted(remote, tags)
        item = items(remote)["prod/team/app"]
        assert (states(item), item.since.act) == ([], "promoted")

    def test_also_where_namespaces_bear_the_name_of_the_environment(self, tmp_path, tags):
        remote = make_bare(tmp_path / "own.git", in_own_namespaces(fleet()))
        tags.move("team/app", "env-dev", "1.1.0")
        run(remote.url, tags)
        found = status(remote, apps=frozenset({"prod/team-prod/app"}))
        assert states(found.items[0])[-1] == ("Behind", f"dev deploys 1.1.0 ({digest('team/app:1.1.0')[7:19]})")
        assert status(remote).differing() == ["team-*/app"]
        shown = [str(item.identity) for item in status(remote).items]
        assert shown == ["dev/team-dev/app", "prod/team-prod/app", "dev/team-dev/other", "prod/team-prod/other"]

    def test_a_version_with_and_without_its_digest_is_the_same(self, remote, tags):
        second = app_files("app", "1.1.0", "prod")["envs/prod/app/deployment.yaml"]
        remote.commit({"envs/prod/app/deployment.yaml": second})
        found = status(remote)
        assert [item.states for item in found.items] == [(), ()]
        assert found.differing() == []

    def test_a_rollback_shows_as_held_with_who_and_why(self, remote, tags):
        back(remote, tags, "dev/team/app", reason="slow", by="dana", until="2026-12-24")
        item = items(remote)["dev/team/app"]
        assert (item.version, item.since.act, item.since.by) == ("1.0.0", "rolled back", "dana")
        assert states(item) == [("Held", "1.1.0 is rejected until 2026-12-24 by dana: slow")]
        assert states(items(remote, now=NOW + timedelta(days=99))["dev/team/app"]) == []

    def test_frozen_suspended_mixed_and_broken(self, remote):
        declared = remote.show("envs/dev/app/cv.yaml")
        second = app_files("app")[PATH].replace(b"name: app\n", b"name: two\n")
        remote.commit(
            {
                "gitcd.yaml": (LAYOUT % ", freeze: [{until: 2027-01-03, reason: holidays}]").encode(),
                "envs/dev/app/cv.yaml": declared + b"  suspend: true\n",
                "envs/dev/app/two.yaml": second,
                ".gitcd/holds/prod/team.app.yaml": b"freeze: true\nreason: audit\n",
                "envs/dev/x.yaml": declared.replace(b"name: app", b"name: bad").replace(b"tag:", b"tga:"),
            }
        )
        found = status(remote)
        assert [each.frozen for each in found.environments if each.name == "prod"] == [
            "frozen until 2027-01-03: holidays"
        ]
        by_name = {item.identity.name + item.identity.environment: item for item in found.items}
        assert [kind for kind, _ in states(by_name["appdev"])] == ["Mixed", "Suspended"]
        assert ("Held", "frozen: audit") in states(by_name["appprod"])
        assert [kind for kind, _ in states(by_name["baddev"])] == ["Broken"]
        assert {each.name for each in found.environments} == {"dev", "prod"}

    def test_what_waits_in_a_branch_is_pending_until_it_is_merged(self, remote):
        new = digest("team/app:1.1.0")
        message = f"Propose\n\nGitcd-Environment: prod\nGitcd-App: team/app\nGitcd-Digest: {new}"
        text = remote.show("envs/prod/app/deployment.yaml").replace(b"1.0.0", f"1.1.0@{new}".encode())
        tip = remote.tip
        proposed = remote.commit({"envs/prod/app/deployment.yaml": text}, message)
        remote.git("branch", "gitcd/prod/env", proposed)
        remote.git("update-ref", "refs/heads/main", tip)
        pending = ("Pending", f"gitcd/prod/env proposes {new[7:19]}")
        assert pending in states(items(remote)["prod/team/app"])
        remote.git("update-ref", "refs/heads/main", proposed)
        assert states(items(remote)["prod/team/app"]) == []

    def test_tags_are_compared_only_when_asked(self, remote, tags):
        tags.move("team/app", "env-dev", "1.2.0")
        assert states(items(remote)["dev/team/app"]) == []
        new = digest("team/app:1.2.0")[7:19]
        assert states(items(remote, resolve=tags)["dev/team/app"]) == [
            ("TagDrift", f"the tag env-dev names 1.2.0 ({new})")
        ]
        del tags.moving["team/app", "env-dev"]
        assert [kind for kind, _ in states(items(remote, resolve=tags)["dev/team/app"])] == ["TagUnknown"]


class TestHistory:
    def test_tells_what_gitcd_and_what_people_did(self, remote, tags):
        before = remote.show(PATH, "main~1")
        remote.commit({PATH: before}, 'Revert "dev: app 1.0.0 -> 1.1.0"')
        remote.commit({PATH: before + b"# nothing\n"}, "Beside the image")
        remote.commit({PATH: before.split(b"@")[0].replace(b"1.0.0", b"9.9.9") + b"\n"}, "By hand")
        told = [(event.act, event.old, event.new) for event in history(remote, "dev/team/app")]
        assert told == [
            ("edited", "1.0.0", "9.9.9"),
            ("reverted", "1.1.0", "1.0.0"),
            ("bumped", "1.0.0", "1.1.0"),
            ("pinned", "1.0.0", "1.0.0"),
            ("added", "", "1.0.0"),
        ]

    def test_names_the_person_who_asked_for_a_rollback(self, remote, tags):
        promoted(remote, tags)
        back(remote, tags, "prod/team/app", by="dana le Roux", reason="slow")
        newest, older, *_ = history(remote, "prod/team/app")
        assert (newest.act, newest.by, newest.old, newest.new) == ("rolled back", "dana le Roux", "1.1.0", "1.0.0")
        assert (older.act, older.by) == ("promoted", "gitcd")

    def test_a_merge_counts_when_it_came(self, remote, tmp_path):
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", remote.url, "clone")
        git(clone, "checkout", "-q", "-b", "side", "main~1")
        (clone / PATH).write_bytes((clone / PATH).read_bytes().replace(b"1.0.0", b"1.0.7"))
        git(clone, "commit", "-qam", "On the side")
        git(clone, "checkout", "-q", "main")
        late = {"GIT_COMMITTER_DATE": "2026-11-22T11:00:00+0000"}
        git(clone, "merge", "-q", "-s", "ours", "--no-commit", "side")
        git(clone, "checkout", "side", "--", PATH)
        git(clone, "commit", "-q", "-m", "Merge it", env=late)
        git(clone, "push", "-q", "origin", "main")
        newest = history(remote, "dev/team/app")[0]
        assert (newest.new, newest.subject, newest.when) == ("1.0.7", "Merge it", NOW - timedelta(hours=1))

    def test_what_owns_nothing_and_what_nobody_has_committed_have_none(self, remote, tmp_path):
        nothing = app_files("gone")["envs/dev/gone/cv.yaml"]
        remote.commit({"envs/dev/gone/cv.yaml": nothing})
        assert {event.identity.name for event in history(remote)} == {"app"}
        folder = make_worktree(tmp_path / "work", fleet("app"))
        for path, data in app_files("new").items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        found = events(Source(WorkTree(folder), lambda: local_history(folder), {}), Selection(), 0)
        assert {event.identity.name for event in found} == {"app"}

    def test_at_most_so_many_newest_first(self, remote):
        everything = history(remote)
        assert history(remote, limit=2) == everything[:2]
        assert [event.when for event in everything] == sorted((event.when for event in everything), reverse=True)


class TestSettling:
    def settled(self, remote, *apps):
        with mirror_of(remote.url) as mirror:
            return settle(source(mirror), Promotion("dev", "prod", frozenset(apps)))

    def test_every_tag_shall_name_what_git_deploys(self, remote, tags):
        for image in ("1.0.0", digest("team/app:1.1.0")):
            found = self.settled(remote)
            assert {str(each): dict(wish) for each, wish in found.tags.items()} == {
                f"{HOST}/team/app": {"env-prod": image}
            }
            assert found.problems == ()
            promoted(remote, tags)

    def test_a_tag_that_somebody_follows_is_left_alone(self, remote):
        declared = app_files("app", environment="lab")["envs/lab/app/cv.yaml"].replace(b"env-lab", b"env-prod")
        remote.commit(app_files("app", environment="lab") | {"envs/lab/app/cv.yaml": declared})
        found = self.settled(remote)
        assert (found.tags, [each.reason for each in found.problems]) == ({}, ["TagFollowed"])
        assert "lab/team/app follows it" in found.problems[0].message

    def test_what_names_no_tag_is_said_and_asked_of_nobody(self, remote, tags):
        path = "envs/prod/app/cv.yaml"
        remote.commit({path: remote.show(path).replace(b"tag: env-prod", b"follow: {semver: '>=1'}")})
        found = self.settled(remote)
        assert (found.tags, found.warnings) == ({}, ("prod/team/app names no tag, so none is moved",))
        item = items(remote, resolve=tags)["prod/team/app"]
        assert "TagUnknown" not in [kind for kind, _ in states(item)]
        assert item.tag == max(tags.versions["team/app"])

    def test_a_tag_of_two_images_is_left_alone(self, remote):
        files = app_files("app", "1.0.7", environment="prod")
        second = {
            path.replace("/app/", "/two/"): data.replace(b"name: app,", b"name: two,") for path, data in files.items()
        }
        second = {path: data.replace(b"app: app", b"app: two") for path, data in second.items()}
        remote.commit(second)
        assert [each.reason for each in self.settled(remote).problems] == ["TagShared"]
