"""A new bare repository with one commit, for the demo's temporary remote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gitcd.git.commit import Author, data_command
from gitcd.git.runner import Git


def seed_bare(path: Path, files: Mapping[str, bytes], *, branch: str, author: Author, when: datetime) -> None:
    """Make a bare repository in a new folder; its branch holds these files in a first commit."""
    path.mkdir(parents=True)
    git = Git(path)
    git.run("init", "--bare", "--quiet", "--template=", f"--initial-branch={branch}")
    stamp = f"{author.name} <{author.email}> {int(when.timestamp())} {when:%z}".encode()
    script = [b"commit refs/heads/%s\ncommitter %s\n%s" % (branch.encode(), stamp, data_command(b"The example\n"))]
    for name, data in sorted(files.items()):
        script.append(b'M 100644 inline "%s"\n%s' % (name.encode(), data_command(data)))
    git.run("fast-import", "--quiet", stdin=b"".join(script))
