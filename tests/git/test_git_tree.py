"""Reading trees of commits: exact, streaming, symlinks and submodules only named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.git.runner import CorruptError
from gitcd.git.tree import CommitTree
from gitcd.model.tree import Entry, Mode, blob_id
from tests.support.repos import Bare, git, make_bare

ODD = {
    "a b/ü.yaml": "größe\r\n".encode(),
    'quote".yaml': b"\xef\xbb\xbfbom",
    "new\nline.yaml": b"no final newline",
    "tab\t.yaml": b"",
    "back\\slash.yaml": b"\0\xff\n\n",
    "blob": b"fake header 40 blob 3\n",
    "-dash": b"x",
}


@pytest.fixture
def mirror(tmp_path: Path, remote: Bare) -> Iterator[Mirror]:
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        yield mirror


def test_every_byte_of_odd_files_is_read(tmp_path: Path) -> None:
    remote = make_bare(tmp_path / "odd.git", ODD)
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        tree = CommitTree(mirror.git, mirror.fetch())
        entries = tree.entries()
        assert {entry.path: data for entry, data in tree.read(entries)} == ODD
        assert [(entry.oid, entry.size) for entry in entries] == [
            (blob_id(ODD[entry.path]), len(ODD[entry.path])) for entry in entries
        ]


def test_a_path_that_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9.yaml".decode(errors="surrogateescape")
    remote = make_bare(tmp_path / "latin.git", {name: b"x"})
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        tree = CommitTree(mirror.git, mirror.fetch())
        assert [entry.path for entry in tree.entries()] == [name]


def test_the_tree_has_the_id_that_git_gives(mirror: Mirror, remote: Bare) -> None:
    assert CommitTree(mirror.git, mirror.fetch()).oid == remote.git("rev-parse", "main^{tree}")


def test_T5_F30_symlinks_and_submodules_are_reported_and_never_followed(
    tmp_path: Path, mirror: Mirror, remote: Bare
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("host secret")
    link = remote.git("hash-object", "-w", "--stdin", stdin=bytes(canary))
    listing = f"120000 blob {link}\tlink.yaml\n160000 commit {remote.tip}\tmodule\n"
    tree = remote.git("mktree", stdin=listing.encode())
    remote.git("update-ref", "refs/heads/main", remote.git("commit-tree", tree, "-m", "links"))
    read = CommitTree(mirror.git, mirror.fetch())
    entries = list(read.entries())
    assert [(entry.path, entry.mode) for entry in entries] == [("link.yaml", Mode.SYMLINK), ("module", Mode.SUBMODULE)]
    assert list(read.read(entries[:1])) == [(entries[0], bytes(canary))]
    with pytest.raises(ValueError, match="module is a submodule"):
        next(read.read(entries))


def test_T7_a_crafted_gitmodules_fetches_nothing(mirror: Mirror, remote: Bare, processes: list[list[str]]) -> None:
    evil = b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n\tupdate = !touch /tmp/owned\n'
    remote.commit({".gitmodules": evil, "evil": b"x"})
    gitlink = f"160000 {remote.tip} 0\tx\n".encode()
    index = {"GIT_INDEX_FILE": str(remote.path / "index")}
    git(remote.path, "read-tree", "main", env=index)
    git(remote.path, "update-index", "--index-info", stdin=gitlink, env=index)
    commit = remote.git("commit-tree", git(remote.path, "write-tree", env=index), "-p", "main", "-m", "module")
    remote.git("update-ref", "refs/heads/main", commit)
    processes.clear()
    modes = {entry.path: entry.mode for entry in CommitTree(mirror.git, mirror.fetch()).entries()}
    assert modes["x"] is Mode.SUBMODULE
    fetches = [words for words in processes if "fetch" in words]
    assert len(fetches) == 1
    assert "--recurse-submodules=no" in fetches[0]


def test_a_blob_that_is_missing_is_an_error_and_not_an_empty_file(mirror: Mirror) -> None:
    tree = CommitTree(mirror.git, mirror.fetch())
    absent = Entry("gone.yaml", Mode.FILE, "1" * 40)
    with pytest.raises(CorruptError, match=r"gone\.yaml"):
        list(tree.read([*tree.entries(), absent]))


def test_leaving_a_read_early_ends_git(mirror: Mirror, remote: Bare) -> None:
    remote.commit({f"big/{n}": bytes([n]) * 200_000 for n in range(40)})
    tree = CommitTree(mirror.git, mirror.fetch())
    reading = tree.read(tree.entries())
    next(reading)
    reading.close()
    assert len(list(tree.read(tree.entries()))) == 43


def test_many_blobs_do_not_deadlock(mirror: Mirror, remote: Bare) -> None:
    remote.commit({f"many/{n}.yaml": b"x" * (n % 5000) for n in range(3000)})
    tree = CommitTree(mirror.git, mirror.fetch())
    entries = tree.entries()
    assert sum(len(data) for _, data in tree.read(entries)) == sum(entry.size for entry in entries)
    assert sum(1 for _ in tree.read(list(entries) * 10)) == len(entries) * 10


def test_the_changes_between_two_commits_are_told_as_they_were_and_as_they_are(tmp_path: Path) -> None:
    remote = make_bare(tmp_path / "odd.git", {**ODD, "kept": b"1", "changed": b"2"})
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        before = CommitTree(mirror.git, mirror.fetch())
        remote.commit({"-dash": None, "changed": b"longer", "new\nline.yaml": b"other", "added": b"+"})
        after = CommitTree(mirror.git, mirror.fetch())
        changes = after.changes_since(before.commit)
        assert changes is not None
        assert [(each.path, data, each.size) for each, data in after.read(changes)] == [
            ("-dash", b"x", 1),
            ("added", b"+", 1),
            ("changed", b"2", 1),
            ("changed", b"longer", 6),
            ("new\nline.yaml", b"no final newline", 16),
            ("new\nline.yaml", b"other", 5),
        ]
        assert (after.changes_since(after.commit), after.changes_since("1" * 40)) == ([], None)


@pytest.mark.parametrize("limit", [1000, 1])
def test_an_excerpt_has_the_named_files_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("gitcd.git.tree._MAX_OPERANDS", limit)
    remote = make_bare(tmp_path / "odd.git", ODD)
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        whole = CommitTree(mirror.git, mirror.fetch())
        excerpt = whole.excerpt({"-dash", "tab\t.yaml", "new\nline.yaml", "a b", "*"})
        assert [entry.path for entry in excerpt.entries()] == ["-dash", "new\nline.yaml", "tab\t.yaml"]
        assert [entry for entry in whole.entries() if entry in excerpt.entries()] == excerpt.entries()
