"""What git is run with: nothing of the caller's environment, no secret in sight, nobody's programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, GitcdError, TransientError
from gitcd.git import runner
from gitcd.git.access import Credentials, Ssh, access_to
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import open_mirror
from gitcd.git.push import Pushed, push
from gitcd.git.remote import Remote
from gitcd.git.runner import CorruptError, Git
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from tests.conftest import CANARIES
from tests.git.test_git_commit import WHEN
from tests.support.githttp import GitServer, serve
from tests.support.repos import Bare, git, make_bare, make_worktree

TOKEN = CANARIES["GITCD_GIT_TOKEN"]
AUTHOR = Author("gitcd", "gitcd@example.com")


def whole_job(
    url: str, cache: Path | None = None, credentials: Credentials | None = None, ssh: Ssh | None = None
) -> str:
    """Clone, read, commit, push: the commit that landed."""
    with open_mirror(Remote.parse(url), "main", cache_dir=cache, credentials=credentials, ssh=ssh) as mirror:
        tip = mirror.fetch()
        tree = CommitTree(mirror.git, tip)
        assert len(list(tree.read(tree.entries()))) >= 1
        change = FileChange("prod/app.yaml", Mode.FILE, None, b"image: a:9\n")
        (oid,) = write_commits(mirror.git, tip, [NewCommit("Bump", [change])], author=AUTHOR, when=WHEN)
        assert push(mirror.origin, oid, "main", expected=tip, attempts=2).kind is Pushed.LANDED
        return oid


def planted(tmp_path: Path) -> Path:
    """A program that leaves a trace when it runs."""
    program = tmp_path / "planted"
    program.write_text(f"#!/bin/sh\necho ran: $0 >> {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    return program


def test_T8_nothing_planted_runs(tmp_path: Path, remote: Bare) -> None:
    program, home = planted(tmp_path), Path(os.environ["HOME"])
    hooks = tmp_path / "templates" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-push", "post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (hooks / name).symlink_to(program)
    settings = (
        f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = {program}\n\tsshCommand = {program}\n\taskPass = {program}\n"
        f'[init]\n\ttemplateDir = {hooks.parent}\n[filter "x"]\n\tclean = {program}\n\tsmudge = {program}\n'
        f"[credential]\n\thelper = {program}\n[uploadpack]\n\tpackObjectsHook = {program}\n"
        f"[core]\n\tattributesFile = {tmp_path}/attributes\n"
    )
    (tmp_path / "attributes").write_text("* filter=x\n")
    (home / ".gitconfig").write_text(settings)
    remote.commit({".gitattributes": b"* filter=x\n"})
    whole_job(remote.url, tmp_path / "cache")
    kept = next((tmp_path / "cache").glob("*/*.git"))
    (kept / "hooks").mkdir()
    for name in ("pre-push", "reference-transaction"):
        (kept / "hooks" / name).symlink_to(program)
    remote.commit({"prod/app.yaml": b"image: a:3\n"})
    whole_job(remote.url, tmp_path / "cache")
    tree = make_worktree(tmp_path / "tree", {".gitattributes": b"* filter=x\n", "a.yaml": b"x"})
    with (tree / ".git" / "config").open("a") as config:
        config.write(settings)
    assert [entry.path for entry in WorkTree(tree).entries()] == [".gitattributes", "a.yaml"]
    assert not (tmp_path / "ran").exists()


def test_T9_poisoned_variables_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, poisoned = (make_bare(tmp_path / f"{name}.git", {"prod/app.yaml": b"image: a:1\n"}) for name in "ab")
    wanted = whole_job(clean.url)
    program = planted(tmp_path)
    for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "NAMESPACE", "EXEC_PATH", "CEILING",
                 "ALTERNATE_OBJECT_DIRECTORIES", "SHALLOW_FILE", "GRAFT_FILE", "CONFIG", "CONFIG_SYSTEM", "TEMPLATE_DIR",
                 "DEFAULT_HASH", "REPLACE_REF_BASE", "QUARANTINE_PATH", "TRACE", "TRACE2_EVENT"):  # fmt: skip
        monkeypatch.setenv(f"GIT_{name}", str(tmp_path / "poison"))
    for name in ("SSH", "SSH_COMMAND", "ASKPASS", "EDITOR", "PAGER", "PROXY_COMMAND", "EXTERNAL_DIFF"):
        monkeypatch.setenv(f"GIT_{name}", str(program))
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.fsmonitor'='evil'")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    assert whole_job(poisoned.url) == wanted
    monkeypatch.undo()
    assert git(poisoned.path, "rev-parse", "main") == wanted
    assert not (tmp_path / "poison").exists()
    assert not (tmp_path / "ran").exists()


_RECEIVE = """
import resource, sys
from pathlib import Path
from gitcd.git.runner import Git
Git(Path(sys.argv[1])).run("index-pack", "--stdin", stdin=Path(sys.argv[2]).read_bytes())
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_T18_a_huge_blob_is_received_without_holding_it(tmp_path: Path) -> None:
    size = 64 << 20
    remote = make_bare(tmp_path / "remote.git", {"model.bin": bytes(size)})
    objects = remote.git("rev-list", "--objects", "main").encode()
    pack = subprocess.run(
        ["git", "pack-objects", "--stdout"], cwd=remote.path, input=objects, capture_output=True, check=True
    )
    (tmp_path / "pack").write_bytes(pack.stdout)
    mirror = make_bare(tmp_path / "mirror.git")
    words = [sys.executable, "-c", _RECEIVE, str(mirror.path), str(tmp_path / "pack")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < size * 3 // 4


def test_T9_git_sees_only_listed_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, remote: Bare) -> None:
    monkeypatch.setenv("SOMEBODYS_SETTING", "x")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    tongues = ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES")  # git's words are read, so they have to be English
    for name in tongues:
        monkeypatch.setenv(name, "de_DE.UTF-8")
    remote.hook("pre-receive", f"env > {tmp_path}/seen")
    whole_job(remote.url)
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["https_proxy"] == "http://127.0.0.1:9"
    assert seen["HOME"] == os.devnull
    assert {seen.get(name, "C") for name in tongues} == {"C"}
    assert not {"SOMEBODYS_SETTING", "AWS_ACCESS_KEY_ID", "GITCD_GIT_TOKEN", "GIT_ASKPASS"} & set(seen)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    make_bare(tmp_path / "served" / "config.git", {"prod/app.yaml": b"image: a:1\n"})
    with serve(tmp_path / "served", token=TOKEN) as server:
        yield server


def test_T10_the_token_reaches_the_server_and_nothing_else(
    server: GitServer, tmp_path: Path, temporary_folder: Path, processes: list[list[str]]
) -> None:
    url = server.url(tmp_path / "served" / "config.git")
    oid = whole_job(url, tmp_path / "cache", Credentials(TOKEN))
    assert git(tmp_path / "served" / "config.git", "rev-parse", "main") == oid
    assert any(header.startswith("Basic ") for header in server.seen)
    for folder in (tmp_path, temporary_folder):
        for path in folder.rglob("*"):
            assert not (path.is_file() and TOKEN.encode() in path.read_bytes()), path
    assert processes
    assert not [word for words in processes for word in words if TOKEN in word]
    assert TOKEN not in repr(Credentials(TOKEN))


def test_T10_the_token_is_not_in_the_askpass_program(server: GitServer, tmp_path: Path, temporary_folder: Path) -> None:
    remote = Remote.parse(server.url(tmp_path / "served" / "config.git"))
    with open_mirror(remote, "main", credentials=Credentials(TOKEN)) as mirror:
        mirror.fetch()
        (program,) = temporary_folder.rglob("askpass")
        assert TOKEN not in program.read_text()
        assert program.stat().st_mode & 0o077 == 0


def test_T10_a_wrong_token_is_an_error_that_does_not_show_it(server: GitServer, tmp_path: Path) -> None:
    url = server.url(tmp_path / "served" / "config.git")
    wrong = "wrong-token-5a1f"
    for credentials in (Credentials(wrong), None):
        with pytest.raises(ConfigError) as caught:
            whole_job(url, credentials=credentials)
        assert wrong not in str(caught.value)
        assert "GITCD_GIT_TOKEN" in caught.value.remedy


def test_T10_askpass_answers_its_own_remote_only(tmp_path: Path) -> None:
    added = access_to(Remote.parse("https://example.com/a/b"), tmp_path, Credentials(TOKEN, "bot"), None).environment

    def ask(prompt: str) -> str:
        return subprocess.run(
            [added["GIT_ASKPASS"], prompt], capture_output=True, text=True, env={**os.environ, **added}, check=False
        ).stdout

    assert ask("Username for 'https://example.com': ") == "bot\n"
    assert ask("Password for 'https://bot@example.com': ") == f"{TOKEN}\n"
    for host in ("evil.com", "example.com.evil.com", "evil.com/example.com", "notexample.com", "example.com:1"):
        assert ask(f"Password for 'https://bot@{host}': ") == ""


def test_T17_a_redirect_to_another_host_gets_nothing(server: GitServer, tmp_path: Path) -> None:
    path = tmp_path / "served" / "config.git"
    with serve(tmp_path / "served", redirect=f"http://localhost:{server.port}") as front, pytest.raises(GitcdError):
        whole_job(front.url(path), credentials=Credentials(TOKEN))
    assert server.seen == []


def test_ssh_needs_known_hosts(tmp_path: Path, processes: list[list[str]]) -> None:
    for ssh in (None, Ssh(), Ssh(tmp_path / "absent")):
        with pytest.raises(ConfigError, match="known hosts") as caught:
            access_to(Remote.parse("git@example.com:a/b.git"), tmp_path, None, ssh)
        assert "ssh-keyscan example.com" in caught.value.remedy
    assert processes == []


def test_ssh_asks_nobody_and_trusts_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: Bare) -> None:
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "ssh"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/words\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    (tmp_path / "known hosts").write_text("example.com ssh-ed25519 AAAA\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "key").touch()
    ssh = Ssh(tmp_path / "known hosts", tmp_path / "key")
    assert whole_job(f"ssh://git@example.com{remote.path}", ssh=ssh) == remote.tip
    words = (tmp_path / "words").read_text()
    for wanted in ("-F none", "BatchMode=yes", "StrictHostKeyChecking=yes", f'UserKnownHostsFile="{tmp_path}/known hosts"',
                   f'IdentityFile="{tmp_path}/key"', "IdentitiesOnly=yes", "git@example.com"):  # fmt: skip
        assert wanted in words


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = Git(timeout=0.3)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    started = time.monotonic()
    with pytest.raises(TransientError, match=r"git hash-object was ended after 0\.3 seconds"):
        slow.run("hash-object", str(fifo))
    assert time.monotonic() - started < 3


def test_a_status_is_an_answer_or_an_error(remote: Bare) -> None:
    bare = Git(remote.path)
    assert bare.run("rev-parse", "--verify", "--quiet", "nothing", ok=(0, 1)).status == 1
    with pytest.raises(CorruptError, match="rev-parse"):
        bare.run("rev-parse", "--verify", "nothing")
    with pytest.raises(CorruptError), bare.stream("cat-file", "--batch-nonsense") as stream:
        stream.read()


def test_output_comes_byte_for_byte(remote: Bare) -> None:
    data = bytes(range(256)) * 3000 + b"\n\n"
    oid = Git(remote.path).run("hash-object", "-w", "--stdin", stdin=data).stdout.strip().decode()
    assert Git(remote.path).run("cat-file", "blob", oid).stdout == data


def test_much_stderr_does_not_block(remote: Bare) -> None:
    names = "".join(f"no-such-ref-{n}\n" for n in range(20_000)).encode()
    result = Git(remote.path).run("update-ref", "--stdin", stdin=b"nonsense\n", ok=runner.ANY)
    assert result.status == 128
    assert "unknown command: nonsense" in result.last_words
    assert Git(remote.path).run("cat-file", "--batch-check", stdin=names).stdout.count(b"missing") == 20_000


def test_a_missing_git_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="is not installed") as caught:
        Git().run("version")
    assert "git 2.39" in caught.value.remedy


def test_an_old_git_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.20.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    runner.version.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"git version 2\.20\.1 is too old"):
            runner.version()
    finally:
        runner.version.cache_clear()


def test_importing_the_git_floor_does_not_import_gitpython() -> None:
    modules = "mirror, tree, commit, push, history, worktree"
    code = f"import sys; from gitcd.git import {modules}; sys.exit('git.cmd' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_gitpython_starts_processes() -> None:
    for path in Path(runner.__file__).parent.glob("*.py"):
        assert not re.search(r"^\s*(import|from) (subprocess|asyncio|pty)", path.read_text(), re.MULTILINE), path
