"""The tree of a commit, read from the object database: one process lists it, one streams the blobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import IO

from gitcd.git.runner import ANY, CorruptError, Git
from gitcd.model.tree import Entry, Mode

_MODES = {mode.value: mode for mode in Mode}
_ABSENT = "000000"
_MAX_OPERANDS = 1_000  # paths on one command line; more are picked from the whole list
_PIECE = 1 << 18
_READABLE = frozenset({Mode.FILE, Mode.EXECUTABLE, Mode.SYMLINK})


class CommitTree:
    """A commit's files; implements `gitcd.model.tree.Tree`. Symlinks are entries and are never followed."""

    def __init__(self, git: Git, commit: str, *, paths: Collection[str] = ()) -> None:
        """`paths` narrows the tree to these files, as far as it has them; empty: all."""
        self._git = git
        self.commit = commit
        self._paths = paths
        self._entries: list[Entry] | None = None

    @property
    def oid(self) -> str:
        """The object id of the tree: equal for commits of equal content."""
        return self._git.run("rev-parse", "--verify", f"{self.commit}^{{tree}}").stdout.decode().strip()

    def entries(self) -> Sequence[Entry]:
        """Every file, in git's order; `size` is the blob's. Listed once."""
        if self._entries is None:
            self._entries = self._listed()
        return self._entries

    def excerpt(self, paths: Collection[str]) -> CommitTree:
        """The same tree, narrowed to these files."""
        return CommitTree(self._git, self.commit, paths=paths)

    def changes_since(self, commit: str) -> list[Entry] | None:
        """The files that differ from another commit's, as they were there and as they are here; None: not to be told.

        A shallow repository may no longer hold the other commit.
        """
        if commit == self.commit:
            return []
        result = self._git.run("diff-tree", "-r", "-z", "--no-renames", commit, self.commit, ok=ANY)
        if result.status:
            return None
        return self._sized([each for _, *sides in changes(result.stdout) for each in sides if each])

    def _sized(self, entries: Sequence[Entry]) -> list[Entry]:
        names = "".join(f"{entry.oid}\n" for entry in entries if entry.mode in _READABLE).encode()
        told = self._git.run("cat-file", "--batch-check=%(objectsize)", stdin=names).stdout.split() if names else []
        sizes = map(int, told)
        return [replace(each, size=next(sizes)) if each.mode in _READABLE else each for each in entries]

    def _listed(self) -> list[Entry]:
        few = sorted(self._paths) if len(self._paths) <= _MAX_OPERANDS else []
        with self._git.stream("ls-tree", "-r", "-z", "-l", "--full-tree", self.commit, "--", *few) as stream:
            sizes: dict[str, int] = {"-": -1}  # a few thousand sizes are those of all files
            entries = [_entry(line, sizes) for line in _lines(stream)]
        wanted = set(self._paths)
        return [entry for entry in entries if entry.path in wanted] if wanted else entries

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        """The bytes of the entries, in their order; of a symlink, where it points. One blob is held at a time.

        Raises:
            ValueError: an entry is a submodule: its content is in another repository.
            CorruptError: the repository does not hold a blob that its tree names.
        """
        wanted = list(entries)
        if not wanted:
            return
        if strange := next((entry for entry in wanted if entry.mode not in _READABLE), None):
            raise ValueError(f"{strange.path} is a submodule and holds no bytes")
        names = "".join(f"{entry.oid}\n" for entry in wanted).encode()
        with self._git.stream("cat-file", "--batch", "--buffer", stdin=names) as stream:
            for entry in wanted:
                yield entry, _blob(stream, entry)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """The texts that end in NUL each."""
    rest = b""
    while piece := stream.read(_PIECE):
        whole, _, rest = (rest + piece).rpartition(b"\0")
        if whole:
            yield from whole.decode(errors="surrogateescape").split("\0")


def _entry(line: str, sizes: dict[str, int]) -> Entry:
    words, _, path = line.partition("\t")
    mode, _, oid, size = words.split()
    if size not in sizes:
        sizes[size] = int(size)
    return Entry(path, _MODES.get(mode) or _mode(mode), oid, sizes[size])


def changes(told: bytes) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    """What `diff-tree -r -z --no-renames` tells: each path, the file as it was there, and as it is.

    Its lines are `:100644 100755 OID OID M`; where there is no file the mode is 0.
    """
    words = iter(told.decode(errors="surrogateescape").split("\0")[:-1])
    for line, path in zip(words, words, strict=True):
        old_mode, new_mode, old, new, _ = line[1:].split()
        yield path, _side(path, old_mode, old), _side(path, new_mode, new)


def _side(path: str, mode: str, oid: str) -> Entry | None:
    return None if mode == _ABSENT else Entry(path, _MODES.get(mode) or _mode(mode), oid)


def _mode(text: str) -> Mode:
    """Git itself reads the modes of old and sloppy writers (100664) as one of these."""
    return Mode.EXECUTABLE if int(text, 8) & 0o100 else Mode.FILE


def _blob(stream: IO[bytes], entry: Entry) -> bytes:
    words = stream.readline().split()
    if len(words) == 3 and words[1] == b"blob":  # noqa: PLR2004 - oid, type, size
        size = int(words[2])
        data = stream.read(size + 1)
        if len(data) == size + 1 and data.endswith(b"\n"):
            return data[:-1]
    raise CorruptError(
        f"blob {entry.oid} of {entry.path} cannot be read", remedy="run again; the mirror is cloned anew"
    )
