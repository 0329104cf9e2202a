"""Mirrors: kept and private, found corrupt and made anew, locked, swept."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.folders import locked
from gitcd.git.history import History, ensure_history
from gitcd.git.mirror import MOST_PACKS, Mirror, open_mirror
from gitcd.git.push import push
from gitcd.git.remote import Remote
from gitcd.git.runner import CorruptError
from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from tests.support.repos import Bare, git, make_bare, make_worktree


def opened(remote: Bare, cache: Path | None = None, **settings: float) -> AbstractContextManager[Mirror]:
    return open_mirror(Remote.parse(remote.url), remote.branch, cache_dir=cache, **settings)


def content(mirror: Mirror, tip: str) -> dict[str, bytes]:
    tree = CommitTree(mirror.git, tip)
    return {entry.path: data for entry, data in tree.read(tree.entries())}


def fetches(processes: list[list[str]]) -> int:
    return sum("fetch" in words for words in processes)


def test_a_private_mirror_leaves_nothing_behind(remote: Bare, temporary_folder: Path) -> None:
    with opened(remote) as mirror:
        assert mirror.fetch() == remote.tip
        assert list(temporary_folder.iterdir())
    assert list(temporary_folder.iterdir()) == []


def test_a_kept_mirror_fetches_only_what_it_has_not(remote: Bare, tmp_path: Path, processes: list[list[str]]) -> None:
    for _ in range(2):
        with opened(remote, tmp_path / "cache") as mirror:
            mirror.fetch()
    assert fetches(processes) == 1
    remote.commit({"prod/app.yaml": b"image: a:5\n"})
    with opened(remote, tmp_path / "cache") as mirror:
        assert mirror.fetch() == remote.tip
        assert content(mirror, mirror.fetch())["prod/app.yaml"] == b"image: a:5\n"
    assert fetches(processes) == 2


def test_a_landed_commit_is_not_fetched_back(remote: Bare, tmp_path: Path, processes: list[list[str]]) -> None:
    with opened(remote, tmp_path / "cache") as mirror:
        tip = mirror.fetch()
        change = FileChange("a", Mode.FILE, None, b"1")
        author = Author("a", "a@example.com")
        (oid,) = write_commits(mirror.git, tip, [NewCommit("x", [change])], author=author, when=datetime.now(UTC))
        push(mirror.origin, oid, "main", expected=tip)
        mirror.landed(oid)
        assert mirror.fetch() == oid == remote.tip
    assert fetches(processes) == 1


def test_F12_a_missing_branch_is_named_with_those_that_exist(remote: Bare) -> None:
    remote.git("update-ref", "refs/heads/develop", "main")
    with open_mirror(Remote.parse(remote.url), "mian") as mirror, pytest.raises(ConfigError) as caught:
        mirror.fetch()
    assert "mian" in caught.value.message
    assert str(remote.path) in caught.value.message
    assert "develop, main" in caught.value.remedy


def test_F12_an_empty_repository_is_named(tmp_path: Path) -> None:
    remote = make_bare(tmp_path / "empty.git")
    with opened(remote) as mirror, pytest.raises(ConfigError, match=r"empty\.git is empty: it has no branch 'main'"):
        mirror.fetch()
    assert remote.git("for-each-ref") == ""


def test_F12_a_folder_that_is_no_bare_repository_is_refused(tmp_path: Path) -> None:
    tree = make_worktree(tmp_path / "tree", {"a": b"1"})
    for path in (tree, tree / ".git", tmp_path / "absent"):
        with pytest.raises(ConfigError, match="not a bare repository"), open_mirror(Remote.parse(str(path)), "main"):
            pass


def test_F15_a_rewritten_branch_is_followed(remote: Bare, tmp_path: Path) -> None:
    start = remote.tip
    remote.commit({"a": b"1"})
    with opened(remote, tmp_path / "cache") as mirror:
        mirror.fetch()
        remote.commit({"b": b"1"}, parent=start)
        assert mirror.fetch() == remote.tip
        assert "a" not in content(mirror, mirror.fetch())


@pytest.mark.parametrize("damage", ["pack", "head", "refs", "objects", "shallow.lock", "garbage"])
def test_F21_a_corrupt_cache_is_cloned_anew(remote: Bare, tmp_path: Path, damage: str) -> None:
    remote.commit({f"f{n}": os.urandom(500) for n in range(200)})
    cache = tmp_path / "cache"
    with opened(remote, cache) as mirror:
        mirror.fetch()
        folder = mirror.git_dir
    _damage(folder, damage)
    remote.commit({"new": b"1"})
    with opened(remote, cache) as mirror:
        tip = mirror.fetch()
        assert tip == remote.tip
        assert len(content(mirror, tip)) == 204


def _damage(folder: Path, how: str) -> None:
    match how:
        case "pack":
            pack = next((folder / "objects" / "pack").glob("*.pack"))
            pack.chmod(0o600)
            os.truncate(pack, pack.stat().st_size // 2)
        case "head":
            (folder / "HEAD").unlink()
        case "refs":
            (folder / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
        case "objects":
            for path in (folder / "objects" / "pack").iterdir():
                path.unlink()
        case "shallow.lock":
            (folder / "shallow.lock").touch()
        case "garbage":
            (folder / "config").write_text("[core\n")


def test_F21_a_truncated_pack_is_seen_where_nothing_is_fetched(remote: Bare, tmp_path: Path) -> None:
    remote.commit({f"f{n}": os.urandom(500) for n in range(200)})
    with opened(remote, tmp_path / "cache") as mirror:
        mirror.fetch()
        folder = mirror.git_dir
    _damage(folder, "pack")
    with opened(remote, tmp_path / "cache") as mirror:
        assert len(content(mirror, mirror.fetch())) == 203


def test_F21_a_blob_found_corrupt_later_costs_one_run(remote: Bare, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(CorruptError), opened(remote, cache) as mirror:  # noqa: PT012 - the context manager is tested
        entries = CommitTree(mirror.git, mirror.fetch()).entries()
        for path in [*mirror.git_dir.glob("objects/pack/*.pack"), *mirror.git_dir.glob("objects/??/*")]:
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-30] + b"\0" * 30)
        list(CommitTree(mirror.git, remote.tip).read(entries))
    with opened(remote, cache) as mirror:
        assert len(content(mirror, mirror.fetch())) == 3


def test_F21_leftovers_of_a_killed_fetch_go(remote: Bare, tmp_path: Path) -> None:
    with opened(remote, tmp_path / "cache") as mirror:
        mirror.fetch()
        leftover = mirror.git_dir / "objects" / "pack" / "tmp_pack_abc"
        leftover.write_bytes(b"half")
    with opened(remote, tmp_path / "cache") as mirror:
        mirror.fetch()
    assert not leftover.exists()


def test_a_mirror_of_many_packs_is_cloned_anew(remote: Bare, tmp_path: Path) -> None:
    with opened(remote, tmp_path / "cache") as mirror:
        for n in range(MOST_PACKS + 3):
            add_pack(mirror, n)
        mirror.fetch()
        assert len(list(mirror.git_dir.glob("objects/pack/*.pack"))) <= 1


def add_pack(mirror: Mirror, number: int) -> None:
    """One more pack, of one blob."""
    if not mirror.git_dir.exists():
        mirror.fetch()
    oid = git(mirror.git_dir, "hash-object", "-w", "--stdin", stdin=b"%d" % number)
    git(mirror.git_dir, "pack-objects", "objects/pack/pack", stdin=f"{oid}\n".encode())


def test_F22_a_full_disk_is_transient_names_the_place_and_pushes_nothing(tmp_path: Path) -> None:
    remote = make_bare(tmp_path / "big.git", {"big": os.urandom(400_000)})
    with opened(remote, tmp_path / "cache") as mirror:
        with file_size_limit(100_000), pytest.raises(TransientError) as caught:
            mirror.fetch()
        assert str(tmp_path / "cache") in str(caught.value)
        assert "Make room" in caught.value.remedy
    with opened(remote, tmp_path / "cache") as mirror:
        assert mirror.fetch() == remote.tip
        assert len(content(mirror, remote.tip)["big"]) == 400_000


def test_F22_a_folder_that_cannot_be_made_is_named(remote: Bare, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/cache"), opened(remote, tmp_path / "file" / "cache"):
        pass


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_T28_only_the_owner_can_read_a_mirror(remote: Bare, tmp_path: Path, temporary_folder: Path) -> None:
    before = os.umask(0)
    try:
        with opened(remote, tmp_path / "cache") as kept, opened(remote) as private:
            kept.fetch()
            private.fetch()
            for folder in (kept.git_dir.parent, *temporary_folder.iterdir()):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
                for path in folder.rglob("*"):
                    assert not path.stat().st_mode & 0o077, path
    finally:
        os.umask(before)


_RUN = """
import signal, sys, time
from pathlib import Path
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import open_mirror
from gitcd.git.push import push
from gitcd.git.remote import Remote
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
cache = Path(sys.argv[2]) if sys.argv[2] else None
with open_mirror(Remote.parse(sys.argv[1]), "main", cache_dir=cache) as mirror:
    mirror.fetch()
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_run(remote: Bare, cache: Path | str = "") -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-c", _RUN, remote.url, str(cache)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_F24_a_terminated_run_cleans_up(remote: Bare, temporary_folder: Path) -> None:
    with another_run(remote) as process:
        assert list(temporary_folder.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143
    assert list(temporary_folder.iterdir()) == []


def test_F24_a_terminated_run_ends_the_git_that_it_waits_for(temporary_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/never/answers.git"
        with subprocess.Popen([sys.executable, "-c", _RUN, url, ""]) as process:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                assert b"GET /never/answers.git" in connection.recv(4096)
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 143
                assert connection.recv(4096) == b""
    assert list(temporary_folder.iterdir()) == []


def test_F21_T28_what_a_killed_run_left_is_swept(remote: Bare, temporary_folder: Path) -> None:
    with another_run(remote) as process:
        process.kill()
        process.wait(5)
    (stale,) = temporary_folder.iterdir()
    with another_run(remote), opened(remote) as mirror:
        assert not stale.exists()
        assert len(list(temporary_folder.iterdir())) == 2
        mirror.fetch()


def test_F24_what_a_late_git_writes_during_a_sweep_is_left_to_the_next(
    remote: Bare, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = temporary_folder / "gitcd-stale"
    (stale / "repo.git").mkdir(parents=True)
    (stale / "lock").touch()

    real = shutil.rmtree

    def hindered(folder: Path, **options: bool) -> None:
        if stale not in folder.parents:
            real(folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", hindered)
        with opened(remote):
            pass
    assert (stale / "lock").exists()
    with opened(remote):
        pass
    assert not stale.exists()


def test_F21_what_goes_or_cannot_be_locked_during_a_sweep_ends_no_run(remote: Bare, temporary_folder: Path) -> None:
    """As the folder of another run does that comes to its end just then."""
    gone = temporary_folder / "gitcd-gone"
    gone.mkdir()
    (temporary_folder / "elsewhere").write_bytes(b"")
    (gone / "lock").symlink_to(temporary_folder / "elsewhere")
    with opened(remote) as mirror:
        assert mirror.fetch() == remote.tip
    assert gone.is_dir()


def test_T28_a_sweep_touches_nothing_that_is_not_ours(remote: Bare, temporary_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (temporary_folder / "gitcd-link").symlink_to(elsewhere)
    (temporary_folder / "gitcd-notes").mkdir()
    (temporary_folder / "gitcd-file").touch()
    with opened(remote):
        pass
    assert (elsewhere / "lock").exists()
    assert {path.name for path in temporary_folder.iterdir()} == {"gitcd-link", "gitcd-notes", "gitcd-file"}


def test_T28_a_sweep_leaves_the_folders_of_other_users(
    remote: Bare, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their owners may change them at any moment, and lead whoever removes what is in them astray."""
    (temporary_folder / "gitcd-theirs").mkdir()
    (temporary_folder / "gitcd-theirs" / "lock").touch()
    another = os.getuid() + 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: another)
        with opened(remote):
            pass
    assert (temporary_folder / "gitcd-theirs" / "lock").exists()
    with opened(remote):
        pass
    assert list(temporary_folder.iterdir()) == []


def test_a_lock_that_is_replaced_when_it_is_about_to_be_taken_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where somebody removes the cache, and another run comes and locks its own."""
    path, real = tmp_path / "lock", fcntl.flock

    def outrun(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()
        stack.enter_context(locked(path, wait=0))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", outrun)
    with ExitStack() as stack, pytest.raises(TransientError, match="another run"), locked(path, wait=0):
        pass


def test_a_kept_mirror_is_used_by_one_run_at_a_time(remote: Bare, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with another_run(remote, cache) as process:
        with pytest.raises(TransientError, match="another run"), opened(remote, cache, lock_wait=0.3):
            pass
        threading.Timer(0.5, process.kill).start()
        with opened(remote, cache, lock_wait=10) as mirror:
            assert mirror.fetch() == remote.tip


def test_a_kept_mirror_that_is_given_back_is_anybodys_and_claimed_for_a_while(remote: Bare, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(remote, cache) as mirror:
        mirror.fetch()
        mirror.give_back()
        refused = pytest.raises(TransientError, match="another run")
        with another_run(remote, cache), refused, mirror.claimed(wait=0.3):
            pass
        for _ in range(2):
            with mirror.claimed(), mirror.claimed(), refused, opened(remote, cache, lock_wait=0.1):
                pass
            with opened(remote, cache, lock_wait=0):
                pass


def test_what_others_throw_away_meanwhile_is_there_again_once_it_is_fetched(remote: Bare, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(remote, cache) as mirror:
        mirror.fetch()
        mirror.give_back()
        with opened(remote, cache, lock_wait=0) as other:
            other.discard()
        with mirror.claimed():
            assert content(mirror, mirror.fetch()) == {
                path: remote.show(path) for path in remote.git("ls-tree", "-r", "--name-only", "main").split()
            }


@pytest.mark.parametrize("is_in_use", [True, False])
def test_what_is_corrupt_and_given_back_stays_where_others_have_it(
    remote: Bare, tmp_path: Path, *, is_in_use: bool
) -> None:
    cache = tmp_path / "cache"
    with ExitStack() as others, suppress(CorruptError), opened(remote, cache) as mirror:
        mirror.fetch()
        mirror.give_back()
        if is_in_use:
            others.enter_context(opened(remote, cache, lock_wait=0))
        raise CorruptError("x")
    assert mirror.git_dir.exists() == is_in_use


def test_a_lock_whose_file_was_replaced_is_taken_again(remote: Bare, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(remote, cache) as mirror:
        lock = mirror.git_dir.parent / "lock"
        lock.unlink()
        with opened(remote, cache, lock_wait=1) as other:
            assert lock.exists()
            assert other.git_dir == mirror.git_dir


def test_two_branches_are_kept_apart(remote: Bare, tmp_path: Path) -> None:
    remote.git("update-ref", "refs/heads/other", "main")
    other = Bare(remote.path, "other")
    other.commit({"b": b"2"})
    for each in (remote, other, remote):
        with opened(each, tmp_path / "cache") as mirror:
            assert mirror.fetch() == each.tip


@pytest.mark.parametrize("formats", [("sha1", "sha256"), ("sha256", "sha1")])
def test_F21_a_remote_that_was_made_anew_in_another_format_is_cloned_anew(
    tmp_path: Path, formats: tuple[str, str]
) -> None:
    path = tmp_path / "remote.git"
    for number, objects in enumerate(formats):
        shutil.rmtree(path, ignore_errors=True)
        git(tmp_path, "init", "--bare", "--quiet", "--template=", f"--object-format={objects}", "-b", "main", str(path))
        remote = Bare(path)
        remote.commit({"a": b"%d" % number})
        with opened(remote, tmp_path / "cache") as mirror:
            assert content(mirror, mirror.fetch()) == {"a": b"%d" % number}
            assert isinstance(ensure_history(mirror, remote.tip), History)


def test_a_repository_of_sha256_objects_works(tmp_path: Path) -> None:
    path = tmp_path / "sha256.git"
    git(tmp_path, "init", "--bare", "--quiet", "--template=", "--object-format=sha256", "-b", "main", str(path))
    remote = Bare(path)
    remote.commit({f"f{n}": os.urandom(100) for n in range(150)})
    for _ in range(2):
        with opened(remote, tmp_path / "cache") as mirror:
            assert len(content(mirror, mirror.fetch())) == 150
