"""Whole runs over trees that hold what gitcd must not follow, fetch, decode or rewrite: refused by name, all else goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.chaos import Place
from tests.support.repos import Bare, git, make_bare
from tests.support.scenes import HOST, LAYOUT, Tags, app_files, reference

STRANGE = "envs/dev/other/deployment.yaml"
NORMAL = "envs/dev/app/deployment.yaml"
PLAIN = app_files("other")[STRANGE]
CANARY = "canary-content-5f2c"


@pytest.fixture
def remote(tmp_path):
    files = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other")
    return make_bare(tmp_path / "remote.git", files)


@pytest.fixture
def gitcd(zygote, remote, tmp_path):
    """One `gitcd reconcile`; what it printed has no canary in it."""
    tags = Tags()
    for name in ("team/app", "team/other"):
        tags.move(name, "env-dev", "1.0.0")
        tags.move(name, "env-dev", "1.1.0")
    place = Place(tmp_path / "place", os.environ)

    def run(*options, code=5):
        finished = zygote.run(["reconcile", *options, remote.url], place.env(), place.next_folder(), tags)
        assert finished.status == code, finished.err
        assert CANARY not in finished.out + finished.err
        assert place.leftovers() == []
        return finished

    return run


def put(remote: Bare, path: str, mode: str, oid: str) -> None:
    """Commit one entry of any mode."""
    env = {"GIT_INDEX_FILE": str(remote.path / "scratch-index")}
    git(remote.path, "read-tree", remote.branch, env=env)
    git(remote.path, "update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}", env=env)
    tree = git(remote.path, "write-tree", env=env)
    commit = git(remote.path, "commit-tree", "-p", remote.branch, "-m", f"Strange {path}", tree)
    remote.git("update-ref", f"refs/heads/{remote.branch}", commit)


def link(remote: Bare, path: str, target: str) -> None:
    put(remote, path, "120000", remote.git("hash-object", "-w", "--stdin", stdin=target.encode()))


def check_rest(remote: Bare, before: str, *changed: str) -> None:
    """The normal application was bumped, and no other file was."""
    assert remote.git("diff", "--name-only", before, remote.branch).split() == list(changed or (NORMAL,))
    assert reference("app", "1.1.0") in remote.show(NORMAL)


def error_of(finished) -> str:
    """What was said of the application with the strange file."""
    found = re.search(r"error: dev/team/other.*(?:\n  .*)*", finished.err)
    assert found, finished.err
    return found[0]


class TestLinks:
    @pytest.mark.parametrize("where", ["outside", "/absolute", "../app/deployment.yaml", "deployment.yaml"])
    def test_T5_F30_a_manifest_that_is_a_symlink_is_not_followed(self, gitcd, remote, tmp_path, where):
        """To a file of the host, to a neighbour that could be bumped, to itself: named, not read, not written."""
        host_file = tmp_path / "outside.yaml"
        host_file.write_bytes(PLAIN + f"# {CANARY}\n".encode())
        target = {"outside": os.path.relpath(host_file, remote.path), "/absolute": str(host_file)}.get(where, where)
        link(remote, STRANGE, target)
        before = remote.tip
        said = error_of(gitcd())
        assert STRANGE in said
        assert "symbolic links are not followed" in said
        check_rest(remote, before)
        assert host_file.read_bytes().startswith(PLAIN)
        assert reference("other", "1.1.0") not in host_file.read_bytes()

    def test_T5_a_declaration_behind_a_symlink_is_not_read(self, gitcd, remote, tmp_path):
        declared = tmp_path / "cv.yaml"
        declared.write_bytes(app_files("other")["envs/dev/other/cv.yaml"])
        link(remote, "envs/dev/other/cv.yaml", str(declared))
        before = remote.tip
        assert "other" not in gitcd(code=0).err
        check_rest(remote, before)

    def test_F30_a_folder_that_is_a_symlink_is_not_entered(self, gitcd, remote):
        link(remote, "envs/dev/loop", "..")
        link(remote, "envs/dev/loop.yaml", ".")
        before = remote.tip
        gitcd(code=0)
        check_rest(remote, before, NORMAL, STRANGE)

    def test_T7_a_submodule_is_not_fetched(self, gitcd, remote, tmp_path):
        trap = tmp_path / "sprung"
        config = (
            f'[submodule "x"]\n\tpath = envs/dev/sub\n\turl = ext::sh -c "touch% {trap}"\n\tupdate = !touch {trap}\n'
        )
        remote.commit({".gitmodules": config.encode()})
        put(remote, "envs/dev/sub", "160000", "1" * 40)
        before = remote.tip
        gitcd(code=0)
        check_rest(remote, before, NORMAL, STRANGE)
        assert not trap.exists()
        assert remote.git("ls-tree", remote.branch, "envs/dev/sub").startswith(f"160000 commit {'1' * 40}")

    def test_F30_a_manifest_that_is_a_submodule_is_named(self, gitcd, remote):
        put(remote, STRANGE, "160000", "1" * 40)
        before = remote.tip
        said = error_of(gitcd())
        assert STRANGE in said
        assert "submodules are not entered" in said
        check_rest(remote, before)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 411\n" % (b"4" * 64)
SOPS = PLAIN + b"sops:\n  mac: ENC[AES256_GCM,data:x,type:str]\n  version: 3.9.0\n"


class TestContent:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            pytest.param(SOPS, "SOPS", id="F30-sops"),
            pytest.param(PLAIN.decode().encode("utf-16"), "UTF-16", id="F28-utf-16"),
            pytest.param(PLAIN.replace(b"# moves", "# beweglich, für alle".encode("latin-1")), "", id="F28-latin-1"),
            pytest.param(PLAIN.replace(b"# moves", b"# \0moves"), "NUL", id="F29-nul"),
            pytest.param(PLAIN + b"# pad\n" * 350_000, "larger than", id="F29-2-MiB"),
            pytest.param(LFS, "lfs", id="F30-lfs"),
            pytest.param(PLAIN.replace(b"# other", "# \u0085".encode()), "U+0085", id="F28-next-line"),
        ],
    )
    def test_F28_F29_F30_content_that_is_refused(self, gitcd, remote, data, reason):
        remote.commit({STRANGE: data})
        before = remote.tip
        said = error_of(gitcd())
        assert STRANGE in said
        assert reason.lower() in said.lower()
        check_rest(remote, before)
        assert remote.show(STRANGE) == data

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(PLAIN.replace(b"\n", b"\r\n"), id="crlf"),
            pytest.param(b"\xef\xbb\xbf" + PLAIN, id="bom"),
            pytest.param(PLAIN.removesuffix(b"\n"), id="no-final-newline"),
            pytest.param(PLAIN.replace(b"  # moves", b""), id="bare"),
            pytest.param(PLAIN.replace(b"# other", "# größer, 世界 🚢".encode()), id="non-ascii"),
            pytest.param(PLAIN.replace(b"\n", b"\r\n", 4), id="mixed-ends"),
        ],
    )
    def test_F28_bytes_around_the_image_are_kept(self, gitcd, remote, data):
        remote.commit({STRANGE: data})
        gitcd(code=0)
        old = f"{HOST}/team/other:1.0.0".encode()
        assert remote.show(STRANGE) == data.replace(old, reference("other", "1.1.0"))

    def test_F29_a_large_file_that_is_no_manifest_costs_nothing(self, gitcd, remote):
        big = b"\0\1\2\3" * (1 << 20)
        remote.commit({"envs/dev/app/model.bin": big, "envs/dev/app/big.yaml": b"# no image here\n" * 140_000})
        before = remote.tip
        gitcd(code=0)
        check_rest(remote, before, NORMAL, STRANGE)

    def test_F30_an_executable_manifest_stays_executable(self, gitcd, remote):
        oid = remote.git("rev-parse", f"{remote.branch}:{STRANGE}")
        put(remote, STRANGE, "100755", oid)
        gitcd(code=0)
        assert remote.git("ls-tree", remote.branch, STRANGE).startswith("100755")
        assert reference("other", "1.1.0") in remote.show(STRANGE)


def test_T5_paths_that_git_forbids_are_no_way_out(gitcd, remote, tmp_path):
    """A tree made by hand with `..` in it: nothing is written outside, and the run says what is wrong."""
    blob = remote.git("hash-object", "-w", "--stdin", stdin=PLAIN)
    inner = remote.git("mktree", stdin=f"100644 blob {blob}\tdeployment.yaml\n".encode())
    root = remote.git("ls-tree", remote.branch)
    tree = remote.git("mktree", stdin=f"{root}\n040000 tree {inner}\t..\n".encode())
    commit = git(remote.path, "commit-tree", "-p", remote.branch, "-m", "Way out", tree)
    remote.git("update-ref", f"refs/heads/{remote.branch}", commit)
    listing = sorted(path for path in tmp_path.iterdir())
    gitcd(code=0)
    assert sorted(path for path in tmp_path.iterdir()) == listing
    assert reference("app", "1.1.0") in remote.show(NORMAL)
    assert not Path(tmp_path / "deployment.yaml").exists()
