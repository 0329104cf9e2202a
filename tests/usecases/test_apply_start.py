"""Where a run of apply begins: which environments a tree has, with and without a memory."""

from __future__ import annotations

import pytest

from gitcd.errors import ConfigError
from gitcd.git.memory import FileMemory
from gitcd.git.runner import Git
from gitcd.git.tree import CommitTree
from gitcd.planning.intake import read_inputs
from gitcd.usecases.apply_start import environments
from tests.support.repos import make_bare

LAYOUT = b"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n"


def layout(*names):
    return LAYOUT + b"".join(f"  - {{name: {name}, path: envs/{name}}}\n".encode() for name in names)


class Known:
    """What is known of the trees of one repository; `read` counts how often a gitcd.yaml was read."""

    def __init__(self, folder):
        self.remote = make_bare(folder / "bare.git", {"a.yaml": b"a: 1\n"})
        self.folder, self.read = folder / "memory", 0
        self.memory = FileMemory(self.folder)

    def commit(self, files):
        tree = CommitTree(Git(self.remote.path), self.remote.commit(files))

        def scopes():
            self.read += 1
            return read_inputs(tree).scopes

        return environments(tree, self.memory, scopes)

    def forget(self):
        self.memory.save()
        self.memory = FileMemory(self.folder)


@pytest.fixture
def known(tmp_path):
    return Known(tmp_path)


def test_they_are_those_of_gitcd_yaml_which_is_read_once(known):
    assert known.commit({"gitcd.yaml": layout("prod", "dev")}) == ["dev", "prod"]
    known.forget()
    assert known.commit({"b.yaml": b"b: 1\n"}) == ["dev", "prod"]
    assert known.read == 1


def test_another_gitcd_yaml_is_read_anew(known):
    known.commit({"gitcd.yaml": layout("dev")})
    assert known.commit({"gitcd.yaml": layout("prod", "test")}) == ["prod", "test"]
    assert known.commit({"gitcd.yaml": layout("dev")}) == ["dev"]
    assert known.read == 2


def test_without_one_there_is_the_default(known):
    assert known.commit({"b.yaml": b"b: 1\n"}) == ["default"]
    assert known.commit({"b.yaml": b"b: 2\n"}) == ["default"]
    assert known.commit({"gitcd.yaml": layout("dev")}) == ["dev"]
    assert known.commit({"gitcd.yaml": None}) == ["default"]
    assert known.read == 2


def test_what_is_wrong_with_it_is_told_each_time(known):
    for files in ({"gitcd.yaml": b"kind: Nonsense\n"}, {"b.yaml": b"b: 1\n"}):
        with pytest.raises(ConfigError):
            known.commit(files)
    known.commit({"gitcd.yaml": layout("dev")})
    with pytest.raises(ConfigError, match=r"gitcd\.yml"):
        known.commit({"gitcd.yml": layout("prod")})
