"""Kustomizations, built by kustomize or kubectl from a throw-away copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gitcd import redact
from gitcd.errors import ConfigError, TransientError
from gitcd.git.runner import no_room
from gitcd.manifests.objects import read_objects
from gitcd.model.live import Manifest
from gitcd.model.site import Refusal
from gitcd.model.tree import Mode, Tree
from gitcd.planning.scopes import is_safe

_SECONDS = 60.0
_SHOWN = 512
_PROGRAMS = (("kustomize", "build"), ("kubectl", "kustomize"))
_FILES = frozenset({Mode.FILE, Mode.EXECUTABLE})
# What a kustomization names stands in the repository: nothing is fetched for it, by http or by git.
_NOWHERE = "http://127.0.0.1:9"
_ENVIRONMENT = {"HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE, "NO_PROXY": "", "GIT_ALLOW_PROTOCOL": "none"}

Built = list[tuple[str, list[Manifest | Refusal]]]


def build(tree: Tree, kustomizations: Sequence[str]) -> Built:
    """The objects of each kustomization, by the path of its file; or why it cannot be built.

    Raises:
        ConfigError: there is neither kustomize nor kubectl.
        TransientError: the disk is full.
    """
    command = _command(kustomizations[0])
    with _exported(tree) as folder:
        return [(path, _built(command, folder, path)) for path in kustomizations]


def _command(example: str) -> tuple[str, ...]:
    for name, verb in _PROGRAMS:
        if program := shutil.which(name):
            return program, verb
    raise ConfigError(
        f"{example} has to be built, and there is neither kustomize nor kubectl",
        remedy="Install one of them where gitcd finds it (PATH).",
    )


@contextmanager
def _exported(tree: Tree) -> Iterator[Path]:
    """The regular files of a tree in a folder of their own, gone afterwards. Links are left out: none leads outside."""
    root = Path(tempfile.gettempdir())
    with no_room(root), tempfile.TemporaryDirectory(prefix="gitcd-build-", dir=root) as name:
        folder = Path(name)
        for entry, data in tree.read([each for each in tree.entries() if each.mode in _FILES and is_safe(each.path)]):
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield folder


def _built(command: tuple[str, ...], folder: Path, path: str) -> list[Manifest | Refusal]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), **_ENVIRONMENT}
    try:
        done = subprocess.run(
            [*command, str((folder / path).parent)],
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"{path} was not built within {_SECONDS:.0f} seconds", remedy="Run again.") from error
    if done.returncode:
        words = redact.clean(done.stderr.decode(errors="replace")).replace(f"{folder}/", "").replace(str(folder), ".")
        return [Refusal(path, 0, f"it cannot be built: {' '.join(words.split())[:_SHOWN]}")]
    return read_objects(path, done.stdout)
