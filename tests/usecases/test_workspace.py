"""Which repository a run works on, and what it refuses before it begins."""

from datetime import timedelta

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.worktree import WorkTree
from gitcd.model.reference import Repository
from gitcd.model.settings import Deadlines, RegistryAccess, Settings
from gitcd.usecases.registry_access import registry_settings
from gitcd.usecases.workspace import Workspace, locate
from tests.support.repos import make_bare, make_worktree
from tests.support.scenes import LAYOUT, app_files


def test_a_folder_below_the_one_that_holds_the_layout_is_refused(tmp_path):
    """Freezes, gates and holds stand at the root: a run that does not see them must not begin."""
    root = make_worktree(tmp_path / "tree", {"gitcd.yaml": LAYOUT} | app_files("app"))
    with pytest.raises(ConfigError, match="is a folder of") as caught:
        locate(str(root / "envs" / "dev"))
    assert str(root) in caught.value.remedy
    assert isinstance(locate(str(root)), WorkTree)


def test_a_folder_with_a_layout_of_its_own_or_without_any_is_fine(tmp_path):
    root = make_worktree(tmp_path / "tree", {"inner/gitcd.yaml": LAYOUT} | app_files("app"))
    assert isinstance(locate(str(root / "inner")), WorkTree)
    assert isinstance(locate(str(root / "envs" / "dev")), WorkTree)
    plain = tmp_path / "plain" / "sub"
    plain.mkdir(parents=True)
    (tmp_path / "plain" / "gitcd.yaml").write_bytes(LAYOUT)
    assert isinstance(locate(str(plain)), WorkTree)


def test_a_file_is_told_from_a_repository(tmp_path, monkeypatch):
    (tmp_path / "app.yaml").write_bytes(b"a: 1\n")
    monkeypatch.chdir(tmp_path)
    for name in ("app.yaml", "./app.yaml", str(tmp_path / "app.yaml")):
        with pytest.raises(ConfigError, match=r"app\.yaml is no folder") as caught:
            locate(name)
        assert "--app" in caught.value.remedy


def test_a_folder_of_templates_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        assert Workspace(Settings(templates=str(tmp_path / "none"))).templates


def test_the_lock_is_waited_for_no_longer_than_the_run_may_take(tmp_path):
    remote = make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT})
    settings = Settings(repo=remote.url, cache_dir=str(tmp_path / "cache"), deadlines=Deadlines(run=timedelta(0)))
    with Workspace(settings).open(), pytest.raises(TransientError, match="for 0 seconds"), Workspace(settings).open():
        pass


@pytest.mark.parametrize(
    ("written", "host"),
    [("index.docker.io", "docker.io"), ("localhost:5000", "localhost:5000"), ("[::1]:5000", "[::1]:5000"), ("r:5000", "r:5000"),
     ("R.Example.com", "r.example.com")],
)  # fmt: skip
def test_an_entry_of_a_registry_is_found_however_its_host_is_spelled(monkeypatch, written, host):
    monkeypatch.setenv("REGISTRY_PASSWORD", "of-the-registry-7")
    entry = RegistryAccess(written, username="ann", password_env="REGISTRY_PASSWORD")
    found = registry_settings(Settings(registries=(entry,))).access[Repository.parse(f"{host}/team/app").registry]
    assert (found.username, found.password) == ("ann", "of-the-registry-7")
