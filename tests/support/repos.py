"""Real git repositories for tests: bare remotes with hooks, and people who push to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WHEN = "2026-03-01T12:00:00+0000"


def git(cwd: Path, *args: str, stdin: bytes = b"", check: bool = True, env: Mapping[str, str] | None = None) -> str:
    """Run git as a person would who has no settings; the answer without its last newline."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_AUTHOR_DATE": WHEN,
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
        "GIT_COMMITTER_DATE": WHEN,
        **(env or {}),
    }
    done = subprocess.run(["git", *args], cwd=cwd, input=stdin, capture_output=True, env=environment, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


@dataclass(frozen=True, slots=True)
class Bare:
    """A bare repository that plays the remote."""

    path: Path
    branch: str = "main"

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    @property
    def tip(self) -> str:
        return git(self.path, "rev-parse", f"refs/heads/{self.branch}")

    def git(self, *args: str, stdin: bytes = b"") -> str:
        return git(self.path, *args, stdin=stdin)

    def show(self, path: str, commit: str = "") -> bytes:
        """A file's bytes at a commit, or at the tip."""
        name = f"{commit or self.branch}:{path}"
        return subprocess.run(["git", "cat-file", "blob", name], cwd=self.path, capture_output=True, check=True).stdout

    def count(self) -> int:
        return int(self.git("rev-list", "--count", self.branch))

    def commit(self, files: Mapping[str, bytes | None], message: str = "A change", *, parent: str | None = None) -> str:
        """Commit as a person does who pushes from elsewhere: files by path, None removes one."""
        start = self._tip_or_none() if parent is None else parent
        script = [f"commit refs/heads/{self.branch}\ncommitter Ada <ada@example.com> 1772366400 +0000\n".encode()]
        script.append(_data(message.encode()))
        if start:
            script.append(f"from {start}\n".encode())
        for path, content in files.items():
            script.append(
                b"D %s\n" % _quoted(path)
                if content is None
                else b"M 100644 inline %s\n%s" % (_quoted(path), _data(content))
            )
        # Such paths come from elsewhere: a forge that is older than git 2.48 takes them.
        self.git("-c", "core.protectNTFS=false", "fast-import", "--quiet", "--force", stdin=b"".join(script))
        return self.tip

    def hook(self, name: str, script: str) -> None:
        """Install a server hook; the script is sh, without its first line."""
        hook = self.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)

    def unhook(self) -> None:
        for hook in (self.path / "hooks").glob("*"):
            hook.unlink()

    def _tip_or_none(self) -> str:
        return git(self.path, "rev-parse", "--verify", "--quiet", f"refs/heads/{self.branch}", check=False)


def make_bare(path: Path, files: Mapping[str, bytes] | None = None, *, branch: str = "main") -> Bare:
    """A bare repository, with one commit if there are files."""
    path.mkdir(parents=True)
    git(path, "init", "--bare", "--quiet", "--template=", f"--initial-branch={branch}")
    git(path, "config", "uploadpack.allowFilter", "true")
    bare = Bare(path, branch)
    if files:
        bare.commit(files, "First")
    return bare


def make_worktree(path: Path, files: Mapping[str, bytes], *, branch: str = "main") -> Path:
    """A checkout with one commit of these files."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--template=", f"--initial-branch={branch}")
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    git(path, "add", "-A")
    git(path, "commit", "--quiet", "-m", "First")
    return path


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    return b'"%s"' % raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
