"""Which environment a path belongs to, and which files a declaration may look at."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gitcd.model.declaration import ContainerVersion
from gitcd.model.layout import FILE_NAME, ConfigRepository, Environment
from gitcd.model.tree import YAML_ENDINGS

DEFAULT_ENVIRONMENT = "default"  # what a repository without gitcd.yaml is
LAYOUTS = (FILE_NAME, FILE_NAME.replace(".yaml", ".yml"))  # the second is refused by name
_WILD = re.compile(r"[*?\[]")
_CROSSING = re.compile(r"(?:^|/)\*\*(?=/|$)")
# Never edited, whatever a declaration says: they steer the forge's own automation, or gitcd itself.
_DENIED = re.compile(
    r"(^|/)(\.git|\.github|\.gitea|\.forgejo|\.circleci|\.gitcd)(/|$)|(^|/)\.gitlab-ci\.ya?ml$|^gitcd\.yaml$"
)
_STRANGE = re.compile(r"[\\\x00-\x1f\x7f]")
_DOUBTFUL = re.compile(rf"{_STRANGE.pattern}|(?:^|/)(?:[./]|git~|$)", re.IGNORECASE)  # settles nearly all, and quickly
_GIT = re.compile(r"\.git|git~\d+", re.IGNORECASE)  # the second is what Windows makes of the first
_NOWHERE = frozenset({"", ".", ".."})
_KUSTOMIZATION = "Kustomization"  # the one name that kustomize takes without an ending


def is_manifest(path: str) -> bool:
    """Whether gitcd looks for images in this file at all."""
    if not path.endswith(YAML_ENDINGS) and path.rpartition("/")[2] != _KUSTOMIZATION:
        return False
    may_be_denied = "/." in path or path.startswith((".", "gitcd.yaml"))  # settles nearly all, and quickly
    return not (may_be_denied and _DENIED.search(path))


def is_safe(path: str) -> bool:
    """Whether a path is relative, normal and stays inside the repository, so that a commit may write it."""
    if not _DOUBTFUL.search(path):
        return True
    parts = path.split("/")
    return not (_STRANGE.search(path) or any(part in _NOWHERE or _GIT.fullmatch(part.rstrip(" .")) for part in parts))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A folder or a glob. `*` and `?` stay inside one path segment, `**` crosses segments; `.` is the whole tree.

    Tenants write globs, so each path is matched in time proportional to its length and the glob's, whatever they say.
    """

    text: str
    # Of a glob the segments, in runs between which `**` stands; empty: it is none.
    runs: tuple[tuple[re.Pattern[str], ...], ...] = field(default=(), compare=False)

    @classmethod
    @lru_cache(maxsize=4096)
    def compile(cls, text: str) -> Pattern:
        clean = text.rstrip("/").removeprefix("./")
        if not _WILD.search(clean):
            return cls("" if clean == "." else clean)
        runs = (run.strip("/") for run in _CROSSING.split(clean))
        return cls(clean, tuple(tuple(map(_segment, run.split("/"))) if run else () for run in runs))

    def covers(self, path: str) -> int:
        """How many characters of the path the pattern accounts for; -1: it does not cover it."""
        if not self.runs:
            inside = not self.text or path == self.text or path.startswith(f"{self.text}/")
            return len(self.text) if inside else -1
        segments, end = path.split("/"), 0
        for number, run in enumerate(self.runs):
            end = _end(run, segments, range(end, len(segments) + 1) if number else (0,))
            if end < 0:
                return -1
        return len("/".join(segments[:end]))

    @property
    def literal(self) -> int:
        """How many of its characters are no wildcard."""
        return len(_WILD.sub("", self.text))


def _segment(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))


def _end(run: Sequence[re.Pattern[str]], segments: Sequence[str], starts: Iterable[int]) -> int:
    """Where the run ends from the first start that fits, which leaves most to what follows; -1: none fits."""
    for start in starts:
        end = start + len(run)
        if end <= len(segments) and all(map(re.Pattern.match, run, segments[start:end])):
            return end
    return -1


@dataclass(frozen=True, slots=True)
class Tie:
    """Two environments claim one path with equal right."""

    path: str
    environments: tuple[str, ...]


class Scopes:
    """The environments of a repository as a map from paths."""

    def __init__(self, layout: ConfigRepository | None) -> None:
        environments = layout.environments if layout else ()
        self.environments: Mapping[str, Environment] = {each.name: each for each in environments}
        self._without_layout = layout is None
        self._folders: dict[str, list[str]] = {}
        self._globs: list[tuple[Pattern, str]] = []
        self._by_folder: dict[str, str | Tie | None] = {}  # what files without globs to mind have in common
        for environment in environments:
            for text in environment.scopes:
                self._add(Pattern.compile(text), environment.name)

    def _add(self, pattern: Pattern, name: str) -> None:
        if not pattern.runs:
            self._folders.setdefault(pattern.text, []).append(name)
        else:
            self._globs.append((pattern, name))

    def environment_of(self, path: str) -> str | Tie | None:
        """The environment whose scope covers the path most specifically; None when none does."""
        if self._globs or path in self._folders:
            return self._most_specific(path)
        folder = path.rpartition("/")[0]
        if folder not in self._by_folder:
            self._by_folder[folder] = self._most_specific(folder)
        found = self._by_folder[folder]
        return Tie(path, found.environments) if isinstance(found, Tie) else found

    def _most_specific(self, path: str) -> str | Tie | None:
        best: list[tuple[tuple[int, int], str]] = []
        folder = path
        while True:
            if folder in self._folders:
                best = [((len(folder), len(folder)), name) for name in self._folders[folder]]
                break
            if not folder:
                break
            folder = folder.rpartition("/")[0]
        for pattern, name in self._globs:
            if (covered := pattern.covers(path)) >= 0:
                best.append(((covered, pattern.literal), name))
        if not best:
            return None
        top = max(rank for rank, _ in best)
        names = sorted({name for rank, name in best if rank == top})
        return names[0] if len(names) == 1 else Tie(path, tuple(names))

    def ties(self, paths: Iterable[str]) -> list[Tie]:
        """The paths that two environments claim with equal right."""
        return [owner for path in paths if isinstance(owner := self.environment_of(path), Tie)]

    def environment_for(self, declaration: ContainerVersion) -> str | ScopeError:
        """The environment a declaration from the repository belongs to."""
        named = declaration.spec.environment
        if self._without_layout:
            return named or DEFAULT_ENVIRONMENT
        found = self.environment_of(declaration.origin.path)
        if isinstance(found, Tie):
            return ScopeError(
                f"its file belongs to {' and '.join(found.environments)} alike", "Make the paths in gitcd.yaml differ."
            )
        if found and named and named != found:
            return ScopeError(
                f"its file belongs to environment {found}, but spec.environment says {named}",
                "Remove spec.environment, or move the file.",
            )
        name = found or named
        if not name:
            return ScopeError(
                "its file lies outside every environment of gitcd.yaml",
                "Move it into an environment's folder, or name one in spec.environment.",
            )
        if name not in self.environments:
            return ScopeError(
                f"spec.environment names {name}, which gitcd.yaml does not have", _known(self.environments)
            )
        return name

    def reach(self, declaration: ContainerVersion, environment: str) -> Reach | ScopeError:
        """The files a declaration may look at and change."""
        paths = declaration.spec.paths
        for path in (*paths, *(place.file for place in declaration.spec.places)):
            if not is_safe(path.rstrip("/")):
                return ScopeError(
                    f"the path {path!r} leaves the repository", "Write a plain path relative to its root."
                )
        folder = declaration.origin.path.rpartition("/")[0] if self._without_layout else None
        patterns = tuple(Pattern.compile(path) for path in paths)
        return Reach(environment, folder, patterns, markers=self.layout_of(environment).markers)

    def layout_of(self, environment: str) -> Environment:
        """The environment's settings; defaults where there is no gitcd.yaml."""
        return self.environments.get(environment) or Environment(name=environment, path=".")


@dataclass(frozen=True, slots=True)
class ScopeError:
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """The files of an environment, or, without gitcd.yaml, a folder and all below it.

    `paths` is what the declaration narrows that to, `bounds` what the operator does; empty: neither does. `markers` is
    whether what stands beside a setter comment of Flux may be changed there.
    """

    environment: str
    folder: str | None
    paths: tuple[Pattern, ...]
    bounds: tuple[Pattern, ...] = ()
    markers: bool = False

    def holds(self, path: str, environment: str | None) -> bool:
        """Whether a file (which `environment` owns) is within reach."""
        if self.folder is None:
            if environment != self.environment:
                return False
        elif self.folder and not path.startswith(f"{self.folder}/"):
            return False
        return all(
            not patterns or any(pattern.covers(path) >= 0 for pattern in patterns)
            for patterns in (self.paths, self.bounds)
        )


def _known(environments: Mapping[str, Environment]) -> str:
    return f"It has: {', '.join(sorted(environments))}."
