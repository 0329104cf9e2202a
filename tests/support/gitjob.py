"""One run of the git floor: clone, read, commit, push. As a program it can end itself before its n-th process."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import open_mirror
from gitcd.git.push import push
from gitcd.git.remote import Remote
from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode

PATH, OLD, NEW = "prod/app.yaml", b"image: a:1\n", b"image: a:2\n"


def job(url: str, cache: Path | None = None) -> None:
    """Write NEW into PATH, where it is not there yet."""
    with open_mirror(Remote.parse(url), "main", cache_dir=cache) as mirror:
        tip = mirror.fetch()
        tree = CommitTree(mirror.git, tip)
        old = {entry.path: data for entry, data in tree.read(tree.entries())}
        commit = NewCommit("Bump", [FileChange(PATH, Mode.FILE, old[PATH], NEW)])
        when = datetime(2026, 3, 1, tzinfo=UTC)
        written = write_commits(mirror.git, tip, [commit], author=Author("a", "a@example.com"), when=when)
        if written:
            push(mirror.origin, written[-1], "main", expected=tip)
            mirror.landed(written[-1])


def end_before(step: int, signum: int) -> None:
    """Have this process signalled when it is about to start its `step`-th process."""
    started = 0

    def count(event: str, _: object) -> None:
        nonlocal started
        if event == "subprocess.Popen":
            started += 1
            if started == step:
                os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.addaudithook(count)


if __name__ == "__main__":
    end_before(int(sys.argv[3]), int(sys.argv[4]))
    job(sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None)
