"""The baseline of the main job: the same bumps by git's plumbing and byte searches alone, with no care at all.

It knows beforehand what every application wants, parses no YAML, reads no declaration, asks no history and checks
nothing. Like gitcd it scans every manifest of the tip, commits once and pushes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.fleet import HOST, App, Fleet
from benchmarks.generate import QUIET

MENTION = re.compile(HOST.replace(".", r"\.").encode() + rb"/([a-z0-9/-]+)(?::([\w.-]+)@(sha256:[0-9a-f]{64}))?")


def git(mirror: Path, *args: str, stdin: bytes = b"") -> bytes:
    command = ["git", "-C", str(mirror), *args]
    return subprocess.run(command, input=stdin, check=True, capture_output=True, env=os.environ | QUIET).stdout


def fetch(mirror: Path, remote: Path) -> str:
    """The remote's tip, brought here unless it is here already."""
    tip = git(remote, "ls-remote", str(remote), "refs/heads/main").split()[0].decode()
    if not (mirror / "HEAD").exists():
        subprocess.run(["git", "init", "-q", "--bare", str(mirror)], check=True, env=os.environ | QUIET)
    held = git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heads/main").decode().strip()
    if held != tip:
        refspec = "+refs/heads/main:refs/heads/main"
        git(mirror, "fetch", "-q", "--depth=1", "--no-tags", str(remote), refspec)
    return tip


def scan(mirror: Path, tip: str, wanted: dict[bytes, App]) -> list[bytes]:
    """The modifications for fast-import, from one pass over all manifests."""
    listing = git(mirror, "ls-tree", "-r", "-z", tip).split(b"\0")
    entries = [(line[12:52], line[53:]) for line in listing if line.endswith((b".yaml", b".yml"))]
    modifications = []
    with tempfile.TemporaryFile() as names:
        names.write(b"\n".join(oid for oid, _ in entries) + b"\n")
        names.seek(0)
        command = ["git", "-C", str(mirror), "cat-file", "--batch", "--buffer"]
        with subprocess.Popen(command, stdin=names, stdout=subprocess.PIPE, env=os.environ | QUIET) as reader:
            assert reader.stdout
            for _, path in entries:
                size = int(reader.stdout.readline().split()[2])
                data = reader.stdout.read(size)
                reader.stdout.read(1)
                new = edit(data, wanted)
                if new != data:
                    modifications.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(new), new))
    return modifications


def edit(data: bytes, wanted: dict[bytes, App]) -> bytes:
    for match in MENTION.finditer(data):
        app = wanted.get(match[1])
        if app and match[2]:
            data = data.replace(match[0], app.reference(1).encode())
        elif app and app.version(0).encode() in data:
            data = data.replace(app.version(0).encode(), app.version(1).encode())
            data = data.replace(app.digest(0).encode(), app.digest(1).encode())
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("remote", type=Path)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--behind", type=int, default=0)
    options = parser.parse_args()
    wanted = {app.repository.encode(): app for app in Fleet(options.apps, options.behind) if app.behind}
    tip = fetch(options.mirror, options.remote)
    modifications = scan(options.mirror, tip, wanted)
    if modifications:
        head = f"commit refs/heads/main\ncommitter Bot <bot@example.com> 1767225600 +0000\ndata 4\nBumpfrom {tip}\n"
        git(options.mirror, "fast-import", "--quiet", stdin=head.encode() + b"".join(modifications))
        git(options.mirror, "push", "-q", str(options.remote), "refs/heads/main:refs/heads/main")
    print(f"{len(modifications)} files")


if __name__ == "__main__":
    main()
