"""Kustomizations, built by kustomize or kubectl from a throw-away copy of their folders."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.git.runner import no_room
from gitcd.manifests import kustomizations
from gitcd.manifests.kustomizations import Kustomization, is_kustomization
from gitcd.manifests.objects import read_objects
from gitcd.model.live import Manifest
from gitcd.model.site import Refusal
from gitcd.model.tree import Entry, Tree, lies_in
from gitcd.planning.scopes import is_safe
from gitcd.planning.screening import REGULAR
from gitcd.usecases.bounded import End, run
from gitcd.usecases.kustomizing import build_command, environment

_SECONDS = 60.0
_MOST, _MOST_WORDS = 1 << 24, 1 << 16  # bytes
_SHOWN = 512
_ABSENT = "no such file or directory"
_REACH = "a kustomization reaches files of its own folder and below, and of those that it names"

Built = list[tuple[str, list[Manifest | Refusal]]]


def build(tree: Tree, roots: Sequence[str], read: Sequence[Kustomization] = ()) -> Built:
    """The objects of each kustomization, by the path of its file; or why it cannot be built.

    `read` are those of the tree that have been read already.

    Raises:
        ConfigError: there is neither kustomize nor kubectl.
        TransientError: the disk is full.
    """
    command = _command(roots[0])
    files = {each.path: each for each in tree.entries() if each.mode in REGULAR and is_safe(each.path)}
    given = {each.path for each in read}
    more = tree.read([each for path, each in files.items() if is_kustomization(path) and path not in given])
    known = {each.folder: each for each in (*read, *(kustomizations.read(entry.path, data) for entry, data in more))}
    needed = {root: kustomizations.needed(root, known, files) for root in roots}
    places = {place for each in needed.values() if not isinstance(each, Refusal) for place in each}
    with _exported(tree, [each for path, each in files.items() if lies_in(path, places)]) as folder:
        return [
            (root, [each] if isinstance(each, Refusal) else _built(command, folder, root))
            for root, each in needed.items()
        ]


def _command(example: str) -> tuple[str, ...]:
    if command := build_command():
        return command
    raise ConfigError(
        f"{example} has to be built, and there is neither kustomize nor kubectl",
        remedy="Install one of them where gitcd finds it (PATH).",
    )


@contextmanager
def _exported(tree: Tree, entries: Sequence[Entry]) -> Iterator[Path]:
    """These files in a folder of their own, gone afterwards."""
    root = Path(tempfile.gettempdir())
    with no_room(root), tempfile.TemporaryDirectory(prefix="gitcd-build-", dir=root) as name:
        folder = Path(name)
        for entry, data in tree.read(entries):
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield folder


def _built(command: tuple[str, ...], folder: Path, path: str) -> list[Manifest | Refusal]:
    words = [*command, str((folder / path).parent)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        end = run(words, environment(folder), out, talk, until=time.monotonic() + _SECONDS, most=_MOST)
        if end is End.WELL:
            out.seek(0)
            return read_objects(path, out.read())
        return [Refusal(path, 0, _told(end, talk, folder))]


def _told(end: End, talk: IO[bytes], folder: Path) -> str:
    """Why it cannot be built; where the program failed, in its words."""
    if end is End.LATE:
        return f"it was not built within {_SECONDS:.0f} seconds"
    if end is End.TOO_MUCH:
        return f"what it builds has more than {_MOST >> 20} MiB"
    talk.seek(0)
    said = talk.read(_MOST_WORDS).decode(errors="replace").replace(f"{folder}/", "").replace(str(folder), ".")
    words = " ".join(redact.clean(said).split())
    hint = f" ({_REACH})" if _ABSENT in words else ""
    return f"it cannot be built: {words.removeprefix('error: ').removeprefix('Error: ')[:_SHOWN]}{hint}"
