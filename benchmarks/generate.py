"""Write a config repository of many applications into a bare repository, by one fast-import.

    python -m benchmarks.generate DIRECTORY --apps 10000 --behind 300

The branch `main` ends in a second commit that touches a few files, as people do between two runs; the ref
`refs/heads/before` names the first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.fleet import LAYOUT, Fleet, files

TOUCHED = 20  # files of the second commit
QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def generate(folder: Path, fleet: Fleet) -> Path:
    """A bare repository that holds the fleet; one that is there already is kept."""
    if (folder / "complete").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | QUIET
    command = ["git", "-C", str(folder)]
    subprocess.run([*command, "init", "--bare", "-q", "--initial-branch=main"], check=True, env=environment)
    subprocess.run([*command, "config", "uploadpack.allowFilter", "true"], check=True, env=environment)
    with subprocess.Popen(
        [*command, "fast-import", "--quiet", "--done"], stdin=subprocess.PIPE, env=environment
    ) as importer:
        assert importer.stdin
        for piece in _stream(fleet):
            importer.stdin.write(piece)
    if importer.returncode:
        raise SystemExit("git fast-import failed")
    (folder / "complete").touch()
    return folder


def _stream(fleet: Fleet) -> Iterator[bytes]:
    yield from _commit("before", "All applications", {"gitcd.yaml": LAYOUT})
    for app in fleet:
        yield from _modifications(files(app))
    apps = [fleet.app(number) for number in range(1, fleet.size, max(fleet.size // TOUCHED, 1))][:TOUCHED]
    readmes = {f"{app.folder}/service.yaml": f"# reviewed\n{files(app)[f'{app.folder}/service.yaml']}" for app in apps}
    yield from _commit("main", "What people did meanwhile", readmes, parent="refs/heads/before")
    yield b"done\n"


def _commit(branch: str, message: str, changed: Mapping[str, str], parent: str = "") -> Iterator[bytes]:
    yield f"commit refs/heads/{branch}\ncommitter Ada <ada@example.com> 1767225600 +0000\n".encode()
    yield _data(message)
    if parent:
        yield f"from {parent}\n".encode()
    yield from _modifications(changed)


def _modifications(changed: Mapping[str, str]) -> Iterator[bytes]:
    for path, text in changed.items():
        yield f"M 100644 inline {path}\n".encode()
        yield _data(text)


def _data(text: str) -> bytes:
    raw = text.encode()
    return b"data %d\n%s\n" % (len(raw), raw)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--behind", type=int, default=300, help="applications whose tag has moved")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(generate(options.folder, Fleet(options.apps, options.behind, options.seed)))


if __name__ == "__main__":
    main()
