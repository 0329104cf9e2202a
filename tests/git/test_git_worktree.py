"""Folders as they lie, and safe writing into them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from gitcd.errors import RefusedError, TransientError
from gitcd.git.worktree import WorkTree, is_bare, is_worktree
from gitcd.model.tree import Entry, Mode, blob_id
from tests.support.repos import git, make_bare, make_worktree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {"prod/app.yaml": b"image: a:1\r\n", "run.sh": b"#!/bin/sh\n", ".gitignore": b"secret*\nbuild/\n"}
    return make_worktree(tmp_path / "tree", files)


def content(tree: WorkTree) -> dict[str, bytes]:
    return {entry.path: data for entry, data in tree.read(tree.entries())}


def test_files_are_read_as_they_lie(tree: Path) -> None:
    (tree / "prod" / "app.yaml").write_bytes(b"dirty")
    (tree / "new file.yaml").write_bytes("ü".encode())
    (tree / "secret.yaml").write_bytes(b"ignored")
    (tree / "run.sh").chmod(0o755)
    (tree / "build").mkdir()
    (tree / "build" / "x.yaml").write_bytes(b"ignored")
    read = WorkTree(tree)
    assert content(read) == {
        "prod/app.yaml": b"dirty",
        "new file.yaml": "ü".encode(),
        "run.sh": b"#!/bin/sh\n",
        ".gitignore": b"secret*\nbuild/\n",
    }
    entries = {entry.path: entry for entry in read.entries()}
    assert entries["prod/app.yaml"] == Entry("prod/app.yaml", Mode.FILE, blob_id(b"dirty"), 5)
    assert entries["run.sh"].mode is Mode.EXECUTABLE


def test_a_removed_file_is_not_there(tree: Path) -> None:
    (tree / "run.sh").unlink()
    assert "run.sh" not in content(WorkTree(tree))


def test_a_folder_inside_a_work_tree_shows_its_own_files(tree: Path) -> None:
    assert content(WorkTree(tree / "prod")) == {"app.yaml": b"image: a:1\r\n"}


def test_a_folder_without_git_is_walked(tmp_path: Path) -> None:
    (tmp_path / "plain" / "a" / ".git").mkdir(parents=True)
    (tmp_path / "plain" / "a" / ".git" / "config").touch()
    (tmp_path / "plain" / "a" / "b.yaml").write_bytes(b"1")
    (tmp_path / "plain" / "c.yaml").write_bytes(b"2")
    os.mkfifo(tmp_path / "plain" / "fifo")
    assert content(WorkTree(tmp_path / "plain")) == {"a/b.yaml": b"1", "c.yaml": b"2"}


def test_T5_F30_symlinks_are_named_and_nothing_is_read_through_them(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "app.yaml").write_bytes(b"canary")
    (tree / "link.yaml").symlink_to(outside / "app.yaml")
    (tree / "loop").symlink_to("loop")
    (tree / "folder").symlink_to(outside)
    (tree / "prod" / "app.yaml").unlink()
    (tree / "prod").rmdir()
    (tree / "prod").symlink_to(outside)
    read = WorkTree(tree)
    entries = read.entries()
    links = {entry.path for entry in entries if entry.mode is Mode.SYMLINK}
    assert links == {"link.yaml", "loop", "folder", "prod"}
    assert "prod/app.yaml" not in {entry.path for entry in entries}
    for path in ("link.yaml", "loop", "folder/app.yaml", "prod/app.yaml"):
        with pytest.raises(RefusedError):
            list(read.read([Entry(path, Mode.FILE, "")]))
        with pytest.raises(RefusedError):
            read.write(path, b"overwritten")
        with pytest.raises(RefusedError):
            read.remove(path)
    assert (outside / "app.yaml").read_bytes() == b"canary"
    assert list(outside.iterdir()) == [outside / "app.yaml"]


def test_F30_a_repository_inside_is_not_entered(tree: Path) -> None:
    make_worktree(tree / "inner", {"a.yaml": b"1"})
    git(tree, "add", "inner")
    make_worktree(tree / "untracked", {"a.yaml": b"1"})
    modes = {entry.path: entry.mode for entry in WorkTree(tree).entries()}
    assert modes["inner"] is modes["untracked"] is Mode.SUBMODULE
    assert not [path for path in modes if path.startswith(("inner/", "untracked/"))]


def test_writing_keeps_the_mode_and_is_seen_whole(tree: Path) -> None:
    path = tree / "run.sh"
    path.chmod(0o750)
    before = path.stat().st_ino
    WorkTree(tree).write("run.sh", b"#!/bin/bash\n")
    assert path.read_bytes() == b"#!/bin/bash\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert path.stat().st_ino != before
    assert sorted(item.name for item in tree.iterdir()) == [".git", ".gitignore", "prod", "run.sh"]


def test_a_new_file_gets_its_folders_and_a_plain_mode(tree: Path) -> None:
    WorkTree(tree).write(".gitcd/holds/prod/a.yaml", b"x")
    path = tree / ".gitcd" / "holds" / "prod" / "a.yaml"
    assert path.read_bytes() == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    WorkTree(tree).remove(".gitcd/holds/prod/a.yaml")
    assert not path.exists()


def test_F22_a_failed_write_leaves_the_old_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TransientError, match=r"run\.sh: No space left"):
        WorkTree(tree).write("run.sh", b"half")
    assert (tree / "run.sh").read_bytes() == b"#!/bin/sh\n"
    assert len(list(tree.iterdir())) == 4


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".git/config", "prod/../.git/hooks/x", "a\\b", ""])
def test_T6_writing_outside_is_refused(tree: Path, path: str) -> None:
    with pytest.raises(RefusedError):
        WorkTree(tree).write(path, b"x")


def test_what_a_path_is(tree: Path, tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "bare.git")
    (tmp_path / "plain").mkdir()
    assert is_worktree(tree)
    assert is_worktree(tree / "prod")
    assert is_bare(bare.path)
    assert not is_bare(tree)
    assert not is_bare(tree / ".git")
    assert not is_worktree(bare.path)
    assert not is_worktree(tmp_path / "plain")
    assert not is_worktree(tmp_path / "absent")


def test_of_a_symlink_its_target_is_read(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("../elsewhere.yaml")
    tree = WorkTree(tmp_path)
    (entry,) = tree.entries()
    assert list(tree.read([entry])) == [(entry, b"../elsewhere.yaml")]
