"""What a branch's history tells of past moves. History lives in a repository of its own, without file contents.

The mirror stays shallow, so that reading a tip never depends on what history needed. Here commits and trees alone are
fetched, where the server can leave blobs out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from gitcd.errors import ConfigError, GitcdError
from gitcd.git.mirror import WITHOUT_FILES, Mirror
from gitcd.git.origin import Origin
from gitcd.git.runner import ANY, Git
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import is_worktree
from gitcd.model.trailers import Move, parse
from gitcd.model.tree import Entry, Mode

_FORMAT = "--format=%x00%H%x00%an%x00%ct%x00%B%x00%cn <%ce>%x00%P%x00"
_FIELDS = 7
_TWO = 2  # parents, which a merge of one branch has
_FEW = 200  # paths that git looks for by itself; among more it is quicker to look oneself
_TELLING = "--grep=^[[:blank:]]*Gitcd-App: "


@dataclass(frozen=True, slots=True)
class PastCommit:
    """A commit of the branch, and the moves that its trailers tell of (none: a person's, most often)."""

    oid: str
    author: str
    when: datetime
    message: str
    moves: tuple[Move, ...] = ()
    committer: str = ""
    parents: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Landed:
    """A commit of the branch's own line, with the paths that it changed there.

    `when` is the earliest moment at which it can have landed: its own date, or a later one of a commit below it.
    `place` counts from the newest of those that were asked for. `told` is the commit whose message tells of it: itself,
    but of a merge without trailers the one on top of what it brought.
    """

    commit: PastCommit
    when: datetime
    paths: frozenset[str]
    place: int
    told: PastCommit


@dataclass(frozen=True, slots=True)
class MissingHistory:
    """The history cannot be had now: whatever depends on it must wait, or has to be mended where that lasts."""

    reason: str
    remedy: str = ""
    lasting: bool = False


class History:
    """All commits below one tip; what they did to files is known, the files' bytes are brought when asked for."""

    def __init__(self, git: Git, tip: str, *, origin: Origin | None = None, folder: str = "") -> None:
        """`origin` is where bytes are brought from; paths are those below `folder` (empty, or ending in a slash)."""
        self._git = git
        self._tip = tip
        self._origin = origin
        self._folder = folder

    def holds(self, oid: str) -> bool:
        """Whether the commit is the tip or lies below it."""
        return self._git.run("merge-base", "--is-ancestor", oid, self._tip, ok=ANY).status == 0

    def tree_of(self, name: str) -> CommitTree | None:
        """The files of a commit that is the tip or lies below it, by its id or the beginning of it; None: none is.

        Raises:
            ConfigError: no permission.
            TransientError: the remote cannot be reached.
        """
        found = self._git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=ANY)
        commit = found.stdout.decode().strip()
        if found.status or not self.holds(commit):
            return None
        if self._origin:
            listed = self._git.run("ls-tree", "-r", "--object-only", "--full-tree", commit).stdout.decode().split()
            self._origin.fetch_objects(sorted(set(listed)))
        return CommitTree(self._git, commit)

    def past_moves(self, paths: Sequence[str]) -> list[PastCommit]:
        """Commits that touched any of the paths and carry our trailers, newest first, by one process for all paths.

        Side branches count too: a digest that a person left out while merging was moved to, and is not there.
        """
        below = [f"{self._folder}{path}" for path in paths]
        return [commit for commit in self._commits(below) if commit.moves] if below else []

    def all_moves(self) -> list[PastCommit]:
        """All commits that carry our trailers, whatever files they touched, newest first."""
        return [commit for commit in self._commits([], _TELLING) if commit.moves]

    def changed_in(self, commits: Collection[str]) -> dict[str, list[str]]:
        """The paths of the files that each commit changed, seen from any of its parents."""
        asked = "".join(f"{commit}\n" for commit in commits).encode()
        answer = self._git.run(
            "diff-tree", "--stdin", "-r", "--root", "-m", "--no-renames", "--name-only", "-z", stdin=asked
        )
        changed: dict[str, list[str]] = {commit: [] for commit in commits}
        current = ""
        for name in os.fsdecode(answer.stdout).split("\0"):
            if name in changed:
                current = name
            elif name.startswith(self._folder) and name:
                changed[current].append(name.removeprefix(self._folder))
        return changed

    def line(self, paths: Collection[str]) -> list[Landed]:
        """The commits of the branch's own line (first parents) that changed any of the paths, newest first.

        What a side branch brought counts as of its merge, which is when the branch took it.
        """
        wanted = {f"{self._folder}{path}" for path in paths}
        few = sorted(wanted) if len(wanted) <= _FEW else []
        if not wanted:
            return []
        moments = self._moments()
        commits = list(self._commits(few, "--first-parent"))
        changed = self._changed_on_line([commit.oid for commit in commits])
        found = [(place, each, changed[each.oid] & wanted) for place, each in enumerate(commits)]
        found = [(place, each, touched) for place, each, touched in found if touched]
        told = self._brought([each for _, each, _ in found])
        return [
            Landed(
                each, moments[each.oid], frozenset(path.removeprefix(self._folder) for path in touched), place,
                told.get(each.oid, each),
            )
            for place, each, touched in found
        ]  # fmt: skip

    def _brought(self, commits: Sequence[PastCommit]) -> dict[str, PastCommit]:
        """For merges whose messages tell nothing the tops of what they brought: proposals are one commit each."""
        tops = {each.oid: each.parents[1] for each in commits if len(each.parents) == _TWO and not each.moves}
        if not tops:
            return {}
        asked = "".join(f"{oid}\n" for oid in sorted(set(tops.values())))
        found = {each.oid: each for each in self._read("--no-walk", stdin=asked)}
        return {merge: found[top] for merge, top in tops.items() if top in found}

    def _moments(self) -> dict[str, datetime]:
        """When each commit of the line can have landed at the earliest."""
        answer = self._git.run("rev-list", "--first-parent", "--reverse", "--timestamp", self._tip)
        latest, moments = 0, {}
        for line in answer.stdout.decode().splitlines():
            seconds, _, oid = line.partition(" ")
            latest = max(latest, int(seconds))
            moments[oid] = datetime.fromtimestamp(latest, UTC)
        return moments

    def _changed_on_line(self, commits: Sequence[str]) -> dict[str, set[str]]:
        """The paths that each commit changed, seen from its first parent."""
        answer = self._git.run(
            "diff-tree", "--stdin", "-r", "--root", "--diff-merges=first-parent", "--no-renames", "--name-only", "-z",
            stdin="".join(f"{commit}\n" for commit in commits).encode(),
        )  # fmt: skip
        changed: dict[str, set[str]] = {commit: set() for commit in commits}
        current = ""
        for name in os.fsdecode(answer.stdout).split("\0"):
            if name in changed:
                current = name
            elif name:
                changed[current].add(name)
        return changed

    def files_at(self, wanted: Mapping[str, Collection[str]]) -> dict[str, dict[str, bytes]] | MissingHistory:
        """The bytes that files had in commits, both by name; a path that a commit did not hold is left out."""
        below = {commit: [f"{self._folder}{path}" for path in paths] for commit, paths in wanted.items()}
        found = [(commit, path, oid) for (commit, path), oid in self._blob_ids(below).items()]
        oids = sorted({oid for _, _, oid in found})
        if self._origin:
            with suppress(GitcdError):  # what matters is whether they are here then
                self._origin.fetch_objects(oids)
        entries = [Entry(oid, Mode.FILE, oid) for oid in oids]
        try:
            blobs = {entry.oid: data for entry, data in CommitTree(self._git, self._tip).read(entries)}
        except GitcdError as error:
            return MissingHistory(error.message)
        files: dict[str, dict[str, bytes]] = {commit: {} for commit in wanted}
        for commit, path, oid in found:
            files[commit][path.removeprefix(self._folder)] = blobs[oid]
        return files

    def _commits(self, paths: Sequence[str], *options: str) -> Iterator[PastCommit]:
        asked = "\n".join([self._tip, "--", *paths, ""])
        return self._read("--full-history", "--date-order", *options, stdin=asked)

    def _read(self, *options: str, stdin: str) -> Iterator[PastCommit]:
        """What git knows of the commits that it is asked for."""
        args = ("rev-list", _FORMAT, *options, "--stdin")
        fields = self._git.run(*args, stdin=stdin.encode(errors="surrogateescape")).stdout.split(b"\0")
        columns = (fields[number::_FIELDS] for number in range(1, _FIELDS))
        for oid, author, when, message, committer, parents in zip(*columns, strict=True):
            text = message.decode(errors="replace")
            moment = datetime.fromtimestamp(int(when), UTC)
            names = [each.decode(errors="replace") for each in (author, committer)]
            above = tuple(parents.decode().split())
            yield PastCommit(oid.decode(), names[0], moment, text, tuple(parse(text)), names[1], above)

    def _blob_ids(self, wanted: Mapping[str, Collection[str]]) -> dict[tuple[str, str], str]:
        """Ids of files by commit and path, from the trees of their folders: those are here, the blobs may not be."""
        folders = sorted({(commit, path.rpartition("/")[0]) for commit, paths in wanted.items() for path in paths})
        names = "".join(f"{commit}:{folder}\n" for commit, folder in folders).encode(errors="surrogateescape")
        ids = {}
        with self._git.stream("cat-file", "--batch", "--buffer", stdin=names) as stream:
            for commit, folder in folders:
                for name, oid in _tree(stream):
                    ids[commit, f"{folder}/{name}" if folder else name] = oid
        return {
            (commit, path): ids[commit, path] for commit in wanted for path in wanted[commit] if (commit, path) in ids
        }


# Brings the history where it is needed; None: there is none.
Recollect = Callable[[], History | MissingHistory | None]


def ensure_history(mirror: Mirror, tip: str) -> History | MissingHistory:
    """The whole history of `tip`, fetched as far as it is not here yet."""
    folder = mirror.git_dir.with_name(f"{mirror.git_dir.stem}-history.git")
    origin = mirror.origin.seen_from(Git(folder))
    try:
        Mirror(folder, origin, mirror.branch, extent=WITHOUT_FILES).fetch()
        origin.local.run("rev-parse", "--verify", "--quiet", f"{tip}^{{tree}}")
    except GitcdError as error:
        return MissingHistory(error.message, error.remedy, isinstance(error, ConfigError))
    return History(origin.local, tip, origin=origin)


def local_history(root: Path) -> History | MissingHistory | None:
    """The history of the work tree that holds this folder; None where there is none: no git, or no commit yet."""
    if not is_worktree(root):
        return None
    git = Git(work_tree=root)
    answer = git.run("rev-parse", "--is-shallow-repository", "--show-toplevel", "--show-prefix", ok=ANY)
    shallow, top, folder, *_ = f"{os.fsdecode(answer.stdout)}\n\n\n".split("\n")
    if shallow == "true":
        return MissingHistory("this is a shallow clone", "`git fetch --unshallow` brings the rest.", lasting=True)
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD", ok=ANY)
    if head.status:
        return None
    return History(Git(work_tree=Path(top)), head.stdout.decode().strip(), folder=folder)


def _tree(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Names and ids of the regular files of one tree, in cat-file's answer; none where there is no such tree."""
    words = stream.readline().split()
    if len(words) != 3 or words[1] != b"tree" or not words[2].isdigit():  # noqa: PLR2004 - oid, type, size
        return
    digits = len(words[0]) // 2
    data = stream.read(int(words[2]))
    stream.read(1)
    start = 0
    while start < len(data):
        end = data.index(b"\0", start)
        mode, _, name = data[start:end].partition(b" ")
        start = end + 1 + digits
        if mode.startswith(b"100"):
            yield name.decode(errors="surrogateescape"), data[end + 1 : start].hex()
