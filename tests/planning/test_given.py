"""Where a declaration belongs that stands in no file: one place, or none."""

from __future__ import annotations

import pytest

from gitcd.errors import ConfigError, GitcdError, RefusedError
from gitcd.model.declaration import ContainerVersion
from gitcd.model.tree import MemoryTree
from gitcd.planning.given import find_place
from gitcd.usecases.ecr_sync import Sync
from tests.support.scenes import HOST, LAYOUT, app_files

DEPLOYMENT = app_files("app")["envs/dev/app/deployment.yaml"]
KUSTOMIZATION = f"images:\n  - {{name: {HOST}/team/app, newTag: 1.0.0}}\n".encode()


def declaration(*paths: str, container: str = "", namespace: str = "team") -> ContainerVersion:
    return Sync("env-dev", f"{HOST}/team/app", "app", container, namespace, paths=paths).declaration()


def found(files: dict[str, bytes], *chosen: str, paths: tuple[str, ...] = (), **more: str) -> list[str]:
    """The identities and files that a declaration gets."""
    tree = MemoryTree(files)
    placed = find_place(tree, declaration(*paths, **more), chosen)
    for each in placed:
        assert each.declaration.spec.environment == each.identity.environment == each.reach.environment
    return [str(each.identity) for each in placed]


def refused(files: dict[str, bytes], *chosen: str, paths: tuple[str, ...] = (), **more: str) -> GitcdError:
    with pytest.raises(GitcdError) as caught:
        found(files, *chosen, paths=paths, **more)
    return caught.value


class TestEnvironments:
    def test_the_only_one_it_fits(self) -> None:
        assert found({"gitcd.yaml": LAYOUT, "envs/prod/a.yaml": DEPLOYMENT}) == ["prod/team/app"]

    @pytest.mark.parametrize("rival", [DEPLOYMENT, KUSTOMIZATION])
    def test_two_that_fit_are_not_guessed_about(self, rival: bytes) -> None:
        files = {"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT, "envs/prod/kustomization.yaml": rival}
        error = refused(files)
        assert isinstance(error, ConfigError)
        assert str(error) == "Deployment app is in the environments dev, prod\n  Choose with --environment."

    def test_one_that_cannot_be_edited_counts_as_a_fit(self) -> None:
        """Otherwise mending that file later would move an environment that nobody chose, or stop this one."""
        broken = DEPLOYMENT.replace(b"image: ", b"image: >-\n            ")
        assert b">-" in broken
        assert "dev, prod" in str(
            refused({"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT, "envs/prod/a.yaml": broken})
        )

    def test_the_chosen_ones_each_once_whether_they_fit_or_not(self) -> None:
        files = {"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT}
        assert found(files, "prod", "dev", "prod") == ["prod/team/app", "dev/team/app"]

    def test_no_such_environment(self) -> None:
        error = refused({"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT}, "dev", "stage", "test")
        assert str(error) == "gitcd.yaml has no environment stage and no test\n  It has: dev, prod."

    def test_none_that_fits_tells_what_came_near(self) -> None:
        files = {"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT, "envs/prod/a.yaml": DEPLOYMENT}
        error = refused(files, namespace="other")
        assert isinstance(error, RefusedError)
        assert error.message == f"{HOST}/team/app was found in none of the 2 environments"
        assert error.remedy.count("its namespace is team, the declaration's is other") == 2

    def test_nothing_near_is_said_too(self) -> None:
        assert refused({"gitcd.yaml": LAYOUT}).remedy == "No manifest mentions that repository."

    def test_a_container_of_another_repository_is_told_by_its_environment(self) -> None:
        """It fits by name, so the plan says what has to be mended."""
        files = {"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT.replace(b"/team/app:", b"/team/elsewhere:")}
        assert found(files, container="main") == ["dev/team/app"]

    def test_a_path_narrows(self) -> None:
        files = {"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT, "envs/prod/a.yaml": DEPLOYMENT}
        assert found(files, paths=("envs/prod",)) == ["prod/team/app"]

    def test_a_file_outside_every_environment_is_never_reached(self) -> None:
        files = {"gitcd.yaml": LAYOUT, "base/a.yaml": DEPLOYMENT}
        assert "none of the 2 environments" in str(refused(files))


class TestFolders:
    def test_one_folder(self) -> None:
        assert found({"dev/a.yaml": DEPLOYMENT, "dev/kustomization.yaml": KUSTOMIZATION}) == ["default/team/app"]
        assert found({"a.yaml": DEPLOYMENT}) == ["default/team/app"]

    @pytest.mark.parametrize("rival", ["a.yaml", "prod/a.yaml", "dev/nested/a.yaml"])
    def test_two_folders_are_not_guessed_about(self, rival: str) -> None:
        error = refused({"dev/a.yaml": DEPLOYMENT, rival: DEPLOYMENT})
        assert "is in the folders" in error.message
        assert "--path" in error.remedy
        assert found({"dev/a.yaml": DEPLOYMENT, rival: DEPLOYMENT}, paths=("dev/a.yaml",)) == ["default/team/app"]

    def test_an_environment_needs_gitcd_yaml(self) -> None:
        assert "no gitcd.yaml" in str(refused({"a.yaml": DEPLOYMENT}, "dev"))


class TestRivals:
    def test_what_is_declared_is_not_declared_twice(self) -> None:
        error = refused({"gitcd.yaml": LAYOUT} | app_files("app"))
        assert error.message == "dev/team/app is declared already, in envs/dev/app/cv.yaml:1"

    @pytest.mark.parametrize("content", [b"freeze: 7\n", b"{", b"\xff\xfe", b"a: 1\n---\nb: 2\n"])
    def test_a_hold_file_that_cannot_be_read_holds(self, content: bytes) -> None:
        path = ".gitcd/holds/dev/team.app.yaml"
        error = refused({"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT, path: content})
        assert isinstance(error, RefusedError)
        assert path in error.message

    @pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", ".git/config"])
    def test_a_path_leads_nowhere_else(self, path: str) -> None:
        with pytest.raises(ConfigError, match=r"--path|leaves the repository"):
            found({"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": DEPLOYMENT}, paths=(path,))
