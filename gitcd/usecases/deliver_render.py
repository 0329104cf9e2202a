"""What kustomize makes of a proposal: its overlays built without and with the change, compared object by object.

`kustomize`, else `kubectl`, is run where it is installed, on a copy of the repository's regular files in a private
folder, with nothing of this process's environment: no credentials, no network, no plugins, no Helm.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join

from gitcd.git.paths import check_path
from gitcd.git.tree import CommitTree
from gitcd.manifests.kustomizations import NAMES, is_kustomization
from gitcd.model.plan import FileChange, PlannedPull
from gitcd.model.tree import Mode, upward
from gitcd.planning.screening import REGULAR
from gitcd.rendering.diff import unified
from gitcd.rendering.pull import RenderedObject
from gitcd.rendering.pull_markup import code
from gitcd.usecases.bounded import End, run
from gitcd.usecases.kustomizing import build_command, environment

_MOST_ROOTS = 20
_MOST_BYTES = 64 << 20  # of the repository, and of what is built
_TIMEOUT = 60.0  # seconds, for all builds of one pull request
_HEAD = re.compile(r"^kind: *(\S+)$.*?^metadata:\n((?: .*\n)+)", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^  name: *(\S+)$", re.MULTILINE)
_NAMESPACE = re.compile(r"^  namespace: *(\S+)$", re.MULTILINE)
_IMAGE = re.compile(r"^[-+] +-? *image: ", re.MULTILINE)
_WITH_PODS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
# Programs ask no proxy for this machine itself, so files that name an address are not even copied.
_ADDRESS = re.compile(rb"^(?![ \t]*#).*://", re.MULTILINE)
_FETCHED = re.compile(rb"""^[ \t-]*path: *["']?[a-z]+://""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was built: the objects that change, the workloads among them whose pods restart, by kustomization."""

    objects: tuple[RenderedObject, ...] = ()
    restarts: Mapping[str, tuple[str, ...]] | None = None
    note: str = ""


def render(tree: CommitTree, pull: PlannedPull) -> Rendered:
    """Build the overlays that a proposal changes; what cannot be built is said."""
    entries = tree.entries()
    known = {entry.path for entry in entries}
    roots = sorted({root for change in pull.commit.files if (root := _root(change.path, known)) is not None})
    if not roots:
        return Rendered()
    command = build_command()
    if not command:
        return Rendered(note="kustomize renders these files, and is not installed where gitcd runs.")
    regular = [entry for entry in entries if entry.mode in REGULAR]
    if sum(entry.size for entry in regular) > _MOST_BYTES or len(roots) > _MOST_ROOTS:
        return Rendered(note="What kustomize makes of these files is too much to be shown.")
    with tempfile.TemporaryDirectory(prefix="gitcd-build-") as folder:
        copy = Path(folder) / "files"
        for entry, data in tree.read(regular):
            _write(copy, entry.path, data)
        builder = _Builder(command, Path(folder), copy, time.monotonic() + _TIMEOUT)
        return _compared(builder, roots, pull.commit.files)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Runs one program on one copy, until a moment of `time.monotonic()`."""

    command: tuple[str, ...]
    folder: Path
    copy: Path
    deadline: float

    def build(self, root: str) -> dict[str, bytes] | str:
        """The objects by name, or why there are none."""
        output = self.folder / "built"
        with output.open("wb") as stdout, (self.folder / "said").open("wb") as stderr:
            words = [*self.command, f"./{root}" if root else "."]
            known = environment(self.folder)
            end = run(words, known, stdout, stderr, until=self.deadline, most=_MOST_BYTES, folder=self.copy)
        if end is End.LATE:
            return "it takes too long"
        if end is End.TOO_MUCH:
            return "it made too much"
        if end is End.FAILED:
            said = (self.folder / "said").read_bytes()[:2000].decode(errors="replace").replace(str(self.copy), "")
            return said.strip().removeprefix("error: ") or "it failed without a word"
        return dict(_objects(output.read_text(errors="replace")))


def _compared(builder: _Builder, roots: Sequence[str], files: Sequence[FileChange]) -> Rendered:
    before = {root: builder.build(root) for root in roots}
    for change in files:
        _write(builder.copy, change.path, change.after)
    objects: list[RenderedObject] = []
    restarts: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for root in roots:
        old, new = before[root], builder.build(root)
        if isinstance(old, str) or isinstance(new, str):
            why = new if isinstance(new, str) else old
            notes.append(f"kustomize did not build {code(root or '.')}: {code(str(why))}")
            continue
        changed = list(_changes(root, old, new))
        objects += changed
        restarts[root] = tuple(each.name.partition(" ")[0] for each in changed if _restarts(each))
    return Rendered(tuple(objects), restarts, " ".join(notes))


def _changes(root: str, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[RenderedObject]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            change = FileChange("object", Mode.FILE, old.get(name), new.get(name))
            lines = b"".join(unified([change])).decode().split("\n")
            start = next((number for number, line in enumerate(lines) if line.startswith("@@ ")), 0)
            yield RenderedObject(f"{name} of {root or '.'}", tuple(lines[start:-1]))


def _restarts(each: RenderedObject) -> bool:
    return each.name.partition("/")[0] in _WITH_PODS and bool(_IMAGE.search("\n".join(each.lines)))


def _objects(text: str) -> Iterator[tuple[str, bytes]]:
    """Documents by kind and name, as kustomize prints them: sorted keys, two blanks deep."""
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        if found := _HEAD.search(document):
            name, namespace = _NAME.search(found[2]), _NAMESPACE.search(found[2])
            place = f" in {namespace[1]}" if namespace else ""
            yield f"{found[1]}/{name[1] if name else '?'}{place}", document.encode()


def _root(path: str, known: set[str]) -> str | None:
    """The closest folder above with a kustomization; None where there is none."""
    for folder in upward(dirname(path)):
        if any(join(folder, name) in known for name in NAMES):
            return folder
    return None


def _write(folder: Path, path: str, data: bytes | None) -> None:
    file = folder / check_path(path)
    if data is None or _FETCHED.search(data) or (is_kustomization(path) and _ADDRESS.search(data)):
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
