"""What a work tree's own history tells, the remote's default branch, and the question whether a push is let in."""

import shutil

import pytest

from gitcd.errors import ConfigError
from gitcd.git.history import History, MissingHistory, local_history
from gitcd.git.mirror import open_mirror
from gitcd.git.origin import Origin
from gitcd.git.probe import push_permission
from gitcd.git.remote import Remote
from gitcd.model.declaration import Identity
from gitcd.model.trailers import Move, render
from tests.support.repos import git, make_bare, make_worktree

MOVE = Move(Identity("dev", "team", "app"), "sha256:" + "1" * 64)


def committed(path, name, content, message):
    (path / name).write_bytes(content)
    git(path, "add", "-A")
    git(path, "commit", "--quiet", "-m", message)


def test_a_work_tree_knows_its_moves(tmp_path):
    tree = make_worktree(tmp_path / "tree", {"sub/a.yaml": b"old\n", "b.yaml": b"b\n"})
    committed(tree, "sub/a.yaml", b"new\n", f"Move\n\n{render([MOVE])}\n")
    history = local_history(tree / "sub")
    assert isinstance(history, History)
    (commit,) = history.past_moves(["a.yaml"])
    assert commit.moves == (MOVE,)
    assert history.files_at({commit.oid: ["a.yaml"]}) == {commit.oid: {"a.yaml": b"new\n"}}
    assert local_history(tree).past_moves(["b.yaml"]) == []


def test_a_shallow_work_tree_says_what_is_missing(tmp_path):
    bare = make_bare(tmp_path / "bare", {"a": b"1"})
    bare.commit({"a": b"2"})
    git(tmp_path, "clone", "--quiet", "--depth=1", bare.url, "tree")
    missing = local_history(tmp_path / "tree")
    assert isinstance(missing, MissingHistory)
    assert missing.lasting
    assert "unshallow" in missing.remedy


def test_a_plain_folder_and_an_unborn_branch_have_no_history(tmp_path):
    assert local_history(tmp_path) is None
    git(tmp_path, "init", "--quiet", "new")
    assert local_history(tmp_path / "new") is None


def test_without_a_branch_the_remote_s_own_is_used(tmp_path):
    bare = make_bare(tmp_path / "bare", {"a": b"1"}, branch="trunk")
    with open_mirror(Remote.parse(bare.url), "") as mirror:
        assert (mirror.branch, mirror.fetch()) == ("trunk", bare.tip)


def test_the_default_branch_and_its_tip_are_asked_for_at_once(tmp_path, monkeypatch):
    bare, asked, ask = make_bare(tmp_path / "bare", {"a": b"1"}), [], Origin._ask
    monkeypatch.setattr(Origin, "_ask", lambda self, *words: asked.append(words[0]) or ask(self, *words))
    with open_mirror(Remote.parse(bare.url), "", cache_dir=tmp_path) as mirror:
        assert (mirror.fetch(), asked) == (bare.tip, ["ls-remote"])
        bare.commit({"a": b"2"})
        assert (mirror.fetch(), asked) == (bare.tip, ["ls-remote"] * 2)


def test_F12_a_remote_without_a_default_branch_asks_for_one(tmp_path):
    bare = make_bare(tmp_path / "bare", {"a": b"1"})
    bare.git("update-ref", "refs/heads/develop", "main")
    bare.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(ConfigError, match="default") as caught, open_mirror(Remote.parse(bare.url), ""):
        pass
    assert caught.value.remedy == "Name one with --branch: develop, main"


def test_F12_an_empty_repository_is_named_where_no_branch_is(tmp_path):
    bare = make_bare(tmp_path / "bare")
    with pytest.raises(ConfigError, match="is empty") as caught, open_mirror(Remote.parse(bare.url), ""):
        pass
    assert str(bare.path) in caught.value.message
    assert caught.value.remedy == "Push a first commit to it"


def test_push_permission_is_asked_without_changing_anything(tmp_path):
    bare = make_bare(tmp_path / "bare", {"a": b"1"})
    with open_mirror(Remote.parse(bare.url), "main") as mirror:
        tip = mirror.fetch()
        assert push_permission(mirror, tip) == ""
        shutil.rmtree(bare.path)
        assert push_permission(mirror, tip)
