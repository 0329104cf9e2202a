"""What a config repository needs kept: its manifests as they are, and its history as it went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gitcd.errors import ConfigError
from gitcd.model.declaration import Identity
from gitcd.model.settings import NamespaceScope, Settings
from gitcd.model.trailers import Move, render
from gitcd.usecases.context import EVERYTHING, Selection
from gitcd.usecases.keeping import Duties, Duty, source_of, to_protect, to_unprotect
from gitcd.usecases.workspace import Workspace
from tests.support.repos import Bare, git, make_bare, make_worktree
from tests.support.scenes import HOST, LAYOUT, app_files, digest

APP = "envs/dev/app/deployment.yaml"


def image(version: str) -> str:
    return digest(f"team/app:{version}")


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    files = app_files("app") | app_files("app", environment="prod") | app_files("other")
    return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | files)


def move(remote: Bare, version: str, environment: str = "dev", *, trailers: bool = True, name: str = "app") -> str:
    """Write a version with its digest into the Deployment, as gitcd commits it, or without trailers as a person does."""
    path = f"envs/{environment}/app/deployment.yaml"
    start, _, rest = remote.show(path).partition(b"team/app:")
    data = start + f"team/app:{version}@{image(version)}".encode() + rest[rest.index(b"  #") :]
    message = render([Move(Identity(environment, "team", name), image(version))]) if trailers else "By hand"
    return remote.commit({path: data}, f"Move app\n\n{message}\n")


def asked(
    repo: str | Path, selection: Selection = EVERYTHING, *, past: bool = True, settings: Settings | None = None
) -> Duties:
    workspace = Workspace(replace(settings or Settings(), repo=str(repo)))
    with workspace.open() as target:
        return to_protect(source_of(workspace, target), selection, past=past)


def duty(duties: Duties, name: str = "app") -> Duty:
    (found,) = [each for each in duties.duties if each.repository.path == f"team/{name}"]
    return found


def needs(duties: Duties, environment: str = "dev", name: str = "app") -> tuple[set[str], list[str]]:
    (found,) = [each for each in duty(duties, name).needs if each.identity == Identity(environment, "team", name)]
    return set(found.images), list(found.past)


class TestNow:
    def test_each_repository_is_one_duty(self, remote) -> None:
        duties = asked(remote.url)
        assert [str(each.repository) for each in duties.duties] == [f"{HOST}/team/app", f"{HOST}/team/other"]
        assert duty(duties).environments == {"dev", "prod"}
        assert duty(duties, "other").environments == {"dev"}
        assert needs(duties) == ({"1.0.0"}, [])
        assert duties.problems == ()

    def test_all_places_count(self, remote) -> None:
        remote.commit({
            "envs/dev/app/worker.yaml": remote.show(APP).replace(b"name: app\n", b"name: worker\n").replace(b":1.0.0", f"@{image('1.1.0')}".encode()),
            "envs/dev/app/kustomization.yaml": f"images:\n  - name: {HOST}/team/app\n    newTag: 1.2.0\n    digest: {image('1.2.0')}\n".encode(),
            "envs/dev/app/values.yaml": f"image:\n  repository: {HOST}/team/app\n  tag: 1.3.0@{image('1.3.0')}\n".encode(),
        })  # fmt: skip
        assert needs(asked(remote.url))[0] == {"1.0.0", image("1.1.0"), image("1.2.0"), image("1.3.0")}

    @pytest.mark.parametrize(
        ("form", "value", "expected"),
        [
            ("reference", f"{HOST}/team/app:1.4.0@{image('1.4.0')}", image("1.4.0")),
            ("reference", f"{HOST}/team/app:1.4.0", "1.4.0"),
            ("digest", image("1.4.0"), image("1.4.0")),
            ("version", "1.4.0", "1.4.0"),
            ("tag", f"1.4.0@{image('1.4.0')}", image("1.4.0")),
        ],
    )
    def test_places_of_ones_own(self, remote, form: str, value: str, expected: str) -> None:
        path = "envs/dev/app/cv.yaml"
        places = f"  places: [{{file: extra.yaml, pointer: /spec/value, format: {form}}}]\n"
        remote.commit(
            {
                path: remote.show(path) + places.encode(),
                "envs/dev/app/extra.yaml": f"spec: {{value: '{value}'}}\n".encode(),
            }
        )
        assert needs(asked(remote.url))[0] == {"1.0.0", expected}

    def test_a_version_in_a_configmap_only_repeats(self, remote) -> None:
        path = "envs/dev/app/cv.yaml"
        config = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: team}\ndata: {version: 0.0.1}\n"
        remote.commit(
            {path: remote.show(path) + b"  config: {name: app, key: version}\n", "envs/dev/app/config.yaml": config}
        )
        assert needs(asked(remote.url))[0] == {"1.0.0"}

    def test_an_image_without_tag_and_digest_is_the_latest(self, remote) -> None:
        remote.commit({APP: remote.show(APP).replace(b":1.0.0", b"")})
        assert needs(asked(remote.url))[0] == {"latest"}


class TestBefore:
    def test_each_once_the_newest_first(self, remote) -> None:
        for version in ("1.1.0", "1.2.0", "1.1.0", "1.3.0"):
            move(remote, version)
        assert needs(asked(remote.url)) == ({image("1.3.0")}, [image(each) for each in ("1.3.0", "1.1.0", "1.2.0")])

    def test_a_revert_by_a_person(self, remote, tmp_path) -> None:
        move(remote, "1.1.0")
        move(remote, "1.2.0")
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", remote.url, str(clone))
        git(clone, "revert", "--no-edit", "HEAD")
        git(clone, "push", "--quiet", "origin", "main")
        assert needs(asked(remote.url)) == ({image("1.1.0")}, [image("1.2.0"), image("1.1.0")])
        move(remote, "1.3.0")
        assert needs(asked(remote.url))[1] == [image("1.3.0"), image("1.2.0"), image("1.1.0")]

    def test_environments_have_histories_of_their_own(self, remote) -> None:
        move(remote, "1.1.0")
        move(remote, "1.2.0", "prod")
        duties = asked(remote.url)
        assert needs(duties)[1] == [image("1.1.0")]
        assert needs(duties, "prod")[1] == [image("1.2.0")]

    def test_a_move_that_nobody_noted_is_not_known(self, remote) -> None:
        move(remote, "1.1.0")
        move(remote, "1.2.0", trailers=False)
        assert needs(asked(remote.url)) == ({image("1.2.0")}, [image("1.1.0")])

    def test_without_former_versions_history_is_not_asked(self, remote, monkeypatch) -> None:
        monkeypatch.setattr(Workspace, "history", lambda *_: pytest.fail("asked"))
        move(remote, "1.1.0")
        assert needs(asked(remote.url, past=False)) == ({image("1.1.0")}, [])


class TestDoubt:
    def test_a_broken_declaration_makes_its_unknown_environment_every_one(self, remote) -> None:
        remote.commit(
            {"envs/dev/bad.yaml": b"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {name: bad}\n"}
        )
        duties = asked(remote.url)
        assert duty(duties).unsure == {"dev", "prod"}
        assert "envs/dev/bad.yaml:1) cannot be followed, so what it deploys is not known" in duties.problems[0].message

    def test_a_declaration_that_matches_nothing(self, remote) -> None:
        remote.commit({APP: remote.show(APP).replace(b"labels: {app: app}", b"labels: {app: else}")})
        duties = asked(remote.url)
        assert (duty(duties).unsure, duty(duties, "other").unsure) == ({"dev"}, set())
        assert duties.problems[0].message.startswith("dev/team/app (envs/dev/app/cv.yaml:1): ")

    def test_a_file_that_is_refused(self, remote) -> None:
        remote.commit({APP: remote.show(APP) + f"---\n- [{HOST}/team/app:1.0.0\n".encode()})
        duties = asked(remote.url)
        assert duty(duties).unsure == {"dev"}
        assert duties.problems[0].reason == "ManifestRefused"

    def test_a_place_that_leaves_the_image_to_others(self, remote) -> None:
        remote.commit(
            {
                "envs/dev/app/kustomization.yaml": f"images:\n  - name: {HOST}/team/app\n    newName: {HOST}/team/app\n".encode()
            }
        )
        duties = asked(remote.url)
        assert (duty(duties).unsure, duties.problems[0].reason) == ({"dev"}, "ImageUnclear")

    @pytest.mark.parametrize("case", ["large", "container"])
    def test_what_is_left_alone_may_deploy_more(self, remote, case: str) -> None:
        """The file is too large to be read, or a container of the same image is nobody's."""
        if case == "large":
            remote.commit({"envs/dev/app/large.yaml": f"# {HOST}/team/app\n".encode() + b"#" * (1 << 20)})
        else:
            path = "envs/dev/app/cv.yaml"
            side = f"        - name: side\n          image: {HOST}/team/app:0.9.0\n".encode()
            cv = remote.show(path) + b"  container: {name: main}\n"
            remote.commit({path: cv, APP: remote.show(APP) + side})
        duties = asked(remote.url)
        assert (duty(duties).unsure, duties.problems) == ({"dev"}, ())
        assert duties.warnings[0].startswith("dev/team/app: envs/dev/app/")

    def test_a_shallow_clone_does_not_know_the_past(self, remote, tmp_path) -> None:
        move(remote, "1.1.0")
        move(remote, "1.2.0")
        git(tmp_path, "clone", "--quiet", "--depth=1", remote.url, "shallow")
        duties = asked(tmp_path / "shallow")
        assert needs(duties) == ({image("1.2.0")}, [])
        assert duty(duties).unsure == {"dev", "prod"}
        assert (duties.problems[0].reason, "--unshallow" in duties.problems[0].remedy) == ("HistoryMissing", True)
        assert asked(tmp_path / "shallow", past=False).problems == ()

    def test_a_plain_folder_has_no_past(self, tmp_path) -> None:
        for path, data in app_files("app").items():
            (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "folder" / path).write_bytes(data)
        duties = asked(tmp_path / "folder")
        assert duty(duties).unsure == {"default"}
        assert "no git history" in duties.problems[0].message

    def test_a_work_tree_is_taken_as_it_lies(self, tmp_path) -> None:
        tree = make_worktree(tmp_path / "tree", {"gitcd.yaml": LAYOUT} | app_files("app"))
        (tree / APP).write_bytes((tree / APP).read_bytes().replace(b":1.0.0", b":1.1.0"))
        assert needs(asked(tree)) == ({"1.1.0"}, [])
        assert asked(tree).problems == ()

    def test_a_namespace_that_the_operator_does_not_let_in(self, remote) -> None:
        settings = Settings(namespaces=(NamespaceScope("team", ("prod",)),))
        duties = asked(remote.url, settings=settings)
        assert (duty(duties).environments, duty(duties).unsure) == ({"prod"}, set())
        assert {each.reason for each in duties.problems} == {"NamespaceNotAllowed"}


class TestSelection:
    def test_an_environment(self, remote) -> None:
        duties = asked(remote.url, Selection(frozenset({"prod"})))
        assert [(each.repository.path, each.environments) for each in duties.duties] == [("team/app", {"prod"})]
        assert [str(each.identity) for each in duty(duties).needs] == ["prod/team/app"]

    def test_a_mistake_elsewhere_is_no_concern(self, remote) -> None:
        remote.commit({APP: remote.show(APP).replace(b"labels: {app: app}", b"labels: {app: else}")})
        assert asked(remote.url, Selection(frozenset({"prod"}))).problems == ()

    def test_who_shares_the_repository_is_heard_too(self, remote) -> None:
        second = app_files("app")
        cv = (
            second["envs/dev/app/cv.yaml"]
            .replace(b"name: app,", b"name: second,")
            .replace(b"{app: app}", b"{app: second}")
        )
        deployment = second[APP].replace(b"{app: app}", b"{app: second}").replace(b":1.0.0", b":1.1.0")
        remote.commit({"envs/dev/second/cv.yaml": cv, "envs/dev/second/deployment.yaml": deployment})
        duties = asked(remote.url, Selection(apps=frozenset({"second"})))
        assert sorted(str(each.identity) for each in duty(duties).needs) == ["dev/team/app", "dev/team/second"]
        assert duty(duties).environments == {"dev"}

    def test_what_is_not_there(self, remote) -> None:
        with pytest.raises(ConfigError, match="nothing is selected by --environment staging"):
            asked(remote.url, Selection(frozenset({"staging"})))

    def test_unprotect_names_the_repositories_and_needs_nothing(self, remote) -> None:
        workspace = Workspace(Settings(repo=remote.url))
        with workspace.open() as target:
            duties = to_unprotect(source_of(workspace, target), EVERYTHING)
        assert [(each.repository.path, each.environments, each.needs) for each in duties.duties] == [
            ("team/app", {"dev", "prod"}, ()), ("team/other", {"dev"}, ()),
        ]  # fmt: skip
