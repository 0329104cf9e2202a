"""Reverts: what a person takes back stays out, however history was squashed and whatever was renamed since."""

import pytest

from gitcd.model.plan import OutcomeKind
from gitcd.planning.holds import PastMove
from tests.support.repos import git
from tests.support.scenes import app_files, digest, reference, run
from tests.usecases import test_planner as plans
from tests.usecases.test_planner import APP, deployment, only, plan

PATH = "envs/dev/app/deployment.yaml"
NEW = plans.digest("1.1.0")


def bump(remote, tags, *versions):
    """Let gitcd write these versions, each in a commit of its own; the file as it was before the last."""
    for version in versions:
        before = remote.show(PATH)
        tags.move("team/app", "env-dev", version)
        assert run(remote.url, tags).commits
    return before


def outcome(remote, tags, name="app"):
    return next(each for each in run(remote.url, tags).work.plan.outcomes if each.identity.name == name)


def told(*versions):
    """The ends of the messages of some bumps, as a squash gathers them."""
    told = [
        f"Gitcd-Environment: dev\nGitcd-App: team/app\nGitcd-Digest: {digest(f'team/app:{each}')}" for each in versions
    ]
    return "\n\n".join(["", *told])


@pytest.fixture
def settled(remote, tags):
    run(remote.url, tags)
    return remote


@pytest.mark.parametrize("pin", ["VersionAndDigest", "Digest", "Version", "TagAndDigest"])
def test_a_revert_counts_whatever_the_pin(remote, tags, pin):
    declared = "envs/dev/app/cv.yaml"
    remote.commit({declared: remote.show(declared).rstrip() + f"\n  pin: {pin}\n".encode()})
    run(remote.url, tags)
    before = bump(remote, tags, "1.1.0")
    remote.commit({PATH: before}, "Take it back")
    assert outcome(remote, tags).reason == "Reverted"
    assert remote.show(PATH) == before


class TestSquashes:
    def test_of_several_bumps_oldest_first(self, settled, tags):
        before = settled.show(PATH)
        after = before.replace(reference("app", "1.0.0"), reference("app", "1.2.0"))
        tags.move("team/app", "env-dev", "1.2.0")
        settled.commit({PATH: after}, "Release (#7)" + told("1.1.0", "1.2.0"))
        settled.commit({PATH: before}, 'Revert "Release (#7)"')
        assert outcome(settled, tags).reason == "Reverted"

    def test_with_the_message_that_git_writes(self, settled, tags, tmp_path):
        base = settled.tip
        before = bump(settled, tags, "1.1.0")
        git(tmp_path, "clone", "-q", settled.url, "clone")
        clone = tmp_path / "clone"
        git(clone, "checkout", "-q", "-b", "release", base)
        git(clone, "merge", "--squash", "-q", "origin/main")
        git(clone, "commit", "-q", "--no-edit")
        git(clone, "revert", "--no-edit", "HEAD")
        git(clone, "push", "-q", "-f", "origin", "release:main")
        assert settled.show(PATH) == before
        assert outcome(settled, tags).reason == "Reverted"

    def test_of_a_bump_that_was_taken_back_for_one_of_two(self, remote, tags):
        files = app_files("app")
        second = files[PATH].replace(b"name: app\n", b"name: two\n").replace(b"app: app}", b"app: two}")
        declared = files["envs/dev/app/cv.yaml"].replace(b"{name: app,", b"{name: two,")
        declared = declared.replace(b"{app: app}", b"{app: two}")
        remote.commit({PATH: files[PATH] + b"---\n" + second, "envs/dev/app/cv2.yaml": declared})
        run(remote.url, tags)
        before = bump(remote, tags, "1.1.0")
        message, bumped = remote.git("log", "-1", "--format=%B"), remote.show(PATH)
        remote.commit({PATH: before}, "Take both back")
        half = before.split(b"---\n")[0] + b"---\n" + bumped.split(b"---\n")[1]
        remote.commit({PATH: half}, f"Take `two` again\n\n{message}")
        assert outcome(remote, tags).reason == "Reverted"
        assert outcome(remote, tags, "two").kind is OutcomeKind.CURRENT

    def test_an_older_bump_that_is_committed_again_takes_back_the_newer(self, settled, tags):
        bump(settled, tags, "1.0.1")
        message = settled.git("log", "-1", "--format=%B")
        before = bump(settled, tags, "1.1.0")
        settled.commit({PATH: before}, message)
        assert outcome(settled, tags).reason == "Reverted"

    def test_a_tag_that_comes_and_goes_is_no_revert(self, settled, tags):
        bump(settled, tags, "1.1.0", "1.2.0", "1.1.0", "1.2.0", "1.1.0")
        assert reference("app", "1.1.0") in settled.show(PATH)


class TestRenames:
    @pytest.mark.parametrize("path", ["envs/dev/app/web.yaml", "envs/dev/web/deployment.yaml"])
    def test_of_a_file_or_folder_keeps_the_revert(self, settled, tags, path):
        before = bump(settled, tags, "1.1.0")
        settled.commit({PATH: before}, "Revert")
        settled.commit({PATH: None, path: before}, "Rename")
        assert outcome(settled, tags).reason == "Reverted"
        tags.move("team/app", "env-dev", "1.2.0")
        assert outcome(settled, tags).kind is OutcomeKind.BUMPED

    @pytest.mark.parametrize("old", [b"- name: main", b"  name: app\n"])
    def test_of_a_container_or_workload_keeps_the_revert(self, settled, tags, old):
        before = bump(settled, tags, "1.1.0")
        settled.commit({PATH: before}, "Revert")
        settled.commit({PATH: before.replace(old, old.replace(b"name: ", b"name: my-"))}, "Rename")
        assert outcome(settled, tags).reason == "Reverted"

    def test_without_a_revert_the_renamed_is_left_alone(self, settled, tags):
        bump(settled, tags, "1.1.0")
        settled.commit({PATH: None, "envs/dev/web.yaml": settled.show(PATH)}, "Rename")
        assert outcome(settled, tags).kind is OutcomeKind.CURRENT

    def test_a_new_place_in_a_file_of_its_own_is_no_revert(self, settled, tags):
        bump(settled, tags, "1.1.0")
        more = app_files("app")[PATH].replace(b"name: app\n", b"name: app-two\n")
        settled.commit({"envs/dev/app/two.yaml": more})
        assert outcome(settled, tags).kind is OutcomeKind.BUMPED


def held(files, before):
    """Whether a plan holds back what a commit of gitcd had left in these files."""
    past = PastMove("c0ffee" * 6, NEW, {path: text.encode() for path, text in before.items()})
    return only(plan(files, recall=lambda asked: {each.identity: past for each in asked})).reason == "Reverted"


class TestNames:
    IMAGES = "kind: Kustomization\nimages:\n%s- name: " + APP + "\n  newTag: %s\n"

    @pytest.mark.parametrize("above", ["", "- name: redis\n  newTag: '7'\n"])
    def test_kustomize_entries_are_known_by_name(self, above):
        past = self.IMAGES % ("", f"1.1.0\n  digest: {NEW}")
        files = {"envs/dev/cv.yaml": plans.declaration(), "envs/dev/kustomization.yaml": self.IMAGES % (above, "1.0.0")}
        assert held(files, {"envs/dev/kustomization.yaml": past})

    @pytest.mark.parametrize("namespace", ["namespace: other", "x: y"])
    def test_objects_of_one_kind_and_name_are_told_apart(self, namespace):
        def both(image):
            other = deployment(f"{APP.replace('team/', 'other/')}:1", extra="").replace("namespace: team", namespace)
            return deployment(image) + "---" + other.replace("other/app:1", "team/app:0.1.0")

        past = both(f"{APP}:1.1.0@{NEW}")
        assert held(plans.app() | {"envs/dev/app.yaml": both(f"{APP}:1.0.0")}, {"envs/dev/app.yaml": past})


class TestValues:
    MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\ndata:\n  %s\n"

    @pytest.mark.parametrize("now", ["v: 1.0.0", "w: x"])
    def test_a_key_of_a_config_map_that_was_taken_back_stays(self, now):
        files = plans.app(f"{APP}:1.1.0@{NEW}", config="{name: c, key: v}")
        assert held(files | {"envs/dev/cm.yaml": self.MAP % now}, {"envs/dev/cm.yaml": self.MAP % "v: 1.1.0"})

    def test_a_place_that_was_taken_back_stays(self):
        declared = plans.declaration(places="[{file: v.yaml, pointer: /x, format: tag}]")
        files = {"envs/dev/cv.yaml": declared, "envs/dev/v.yaml": "x: 1.0.0\n"}
        assert held(files, {"envs/dev/v.yaml": "x: 1.1.0\n"})
        assert not held(files, {"envs/dev/v.yaml": "x: 1.0.0\n"})
