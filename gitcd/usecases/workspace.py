"""One run: the operator's settings turned into a repository to work on, a registry to ask, and a moment in time."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gitcd.errors import ConfigError
from gitcd.git.commit import Author
from gitcd.git.history import History, MissingHistory, ensure_history, local_history
from gitcd.git.mirror import LOCK_WAIT, Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.git.worktree import WorkTree, is_bare, is_worktree
from gitcd.model import layout
from gitcd.model.evidence import Inspected, Inspection
from gitcd.model.reference import Repository
from gitcd.model.registry import Answers, Failure, Query
from gitcd.model.settings import Settings
from gitcd.usecases import identity
from gitcd.usecases.context import EVERYTHING, Context, Selection, default_line

if TYPE_CHECKING:
    from gitcd.planning.limits import Limits
    from gitcd.registry.labels import ImageSource
    from gitcd.registry.registries import Registries

Target = WorkTree | Mirror


class Workspace:
    """All that one run shares: its settings, its name, its date, and one answer for every tag."""

    def __init__(self, settings: Settings, *, now: datetime | None = None) -> None:
        self.settings = settings
        self.now = now or datetime.now(UTC)
        self.run = f"{self.now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self._answers: Answers | None = None
        self._inspected: Inspected | None = None
        self._deadline = time.monotonic() + settings.deadlines.run.total_seconds()

    @cached_property
    def _registry(self) -> Registries:
        """All registries, once one of them is asked."""
        from gitcd.registry.label_memory import LabelMemory
        from gitcd.registry.registries import Registries
        from gitcd.usecases.registry_access import registry_settings

        kept = cache_dir(self.settings)
        return Registries(registry_settings(self.settings), LabelMemory(kept / "image-labels" if kept else None))

    @property
    def author(self) -> Author:
        """Who commits.

        Raises:
            ConfigError: commits are to be signed, and the key is not to be had.
        """
        return identity.author(self.settings)

    @property
    def deadline(self) -> float:
        """When the run has to end, as a moment of `time.monotonic()`."""
        return self._deadline

    @property
    def limits(self) -> Limits:
        """What the operator lets namespaces reach."""
        return {each.name: each for each in self.settings.namespaces}

    @property
    def templates(self) -> Path | None:
        """The operator's folder of templates.

        Raises:
            ConfigError: it is not there.
        """
        if not self.settings.templates:
            return None
        folder = Path(self.settings.templates).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"the folder of templates {folder} does not exist", remedy="Correct GITCD_TEMPLATES.")
        return folder

    @property
    def registry_calls(self) -> int:
        """How many requests the registry was sent."""
        return self._registry.calls if "_registry" in vars(self) else 0

    @contextmanager
    def open(self, *, local: bool = True) -> Iterator[Target]:
        """The configured repository: a folder as it lies, or a mirror of a remote's branch.

        `local`: whether a folder will do, and with it the current one where nothing is configured.

        Raises:
            ConfigError: the repository, the branch or the way in is wrong.
            TransientError: the remote cannot be reached.
        """
        place = locate(self.settings.repo, local=local, allowed_hosts=self.settings.git.allowed_hosts)
        if isinstance(place, WorkTree):
            yield place
            return
        with open_mirror(
            place,
            self.settings.branch,
            cache_dir=cache_dir(self.settings),
            credentials=identity.credentials(self.settings, place),
            ssh=identity.ssh(self.settings),
            https=identity.https(self.settings),
            timeout=self.settings.deadlines.git.total_seconds(),
            lock_wait=max(0.0, min(LOCK_WAIT, self._deadline - time.monotonic())),
        ) as mirror:
            yield mirror

    def context(self, target: Target, selection: Selection = EVERYTHING) -> Context:
        """What a plan for this target is made with."""
        from gitcd.usecases.history import recall_from

        recall = recall_from(lambda: self.history(target))
        line = default_line if isinstance(target, WorkTree) else target.line
        return Context(self.ask, recall, self.now, selection, self.limits, self.inspect, line=line)

    def history(self, target: Target) -> History | MissingHistory | None:
        """The history of the tip that was fetched last, which is the one planned on; None where there is none."""
        if isinstance(target, WorkTree):
            return local_history(target.root)
        return ensure_history(target, target.tip or target.fetch())

    def ask(self, queries: Sequence[Query]) -> Answers:
        """Ask what was not asked before in this run: a tag has one digest for the whole of it."""
        from gitcd.registry.resolver import resolve

        self._answers = resolve(
            queries,
            self._registry,
            workers=self.settings.ecr.workers,
            deadline=self._deadline,
            known=self._answers,
        )
        return self._answers

    def inspect(self, inspections: Sequence[Inspection]) -> Inspected:
        """Ask about the safety of images, each once in this run."""
        from gitcd.registry.evidence import inspect

        self._inspected = inspect(
            inspections,
            self._registry,
            workers=self.settings.ecr.workers,
            deadline=self._deadline,
            known=self._inspected,
        )
        return self._inspected

    def sources(self, images: Sequence[tuple[Repository, str]]) -> dict[tuple[Repository, str], ImageSource | Failure]:
        """Where images, by repository and digest, were built from; what has no answer at the deadline is left out."""
        from gitcd.registry.parallel import in_parallel

        wanted = list(dict.fromkeys(images))
        asked = in_parallel(
            lambda image: self._registry.source(*image), wanted, self.settings.ecr.workers, self._deadline
        )
        return dict(asked)


def locate(repo: str, *, local: bool = True, allowed_hosts: Sequence[str] = ()) -> WorkTree | Remote:
    """What an operand or a setting names: a folder of files, a bare repository, or a remote.

    Raises:
        ConfigError: nothing is named, or nothing that gitcd works on.
    """
    if not repo and not local:
        raise ConfigError("no config repository is named", remedy="Give it as the last operand, or set GITCD_REPO.")
    path = Path(repo or ".")
    if "://" in repo or not path.is_dir():
        if not repo or (_looks_local(repo) and not path.exists()):
            raise ConfigError(f"{repo or '.'} does not exist")
        if "://" not in repo and path.is_file():
            raise ConfigError(
                f"{repo} is no folder, and so no repository",
                remedy="Name the repository that it lies in, and narrow the run with --app.",
            )
        return Remote.parse(repo, allowed_hosts=allowed_hosts)
    if is_bare(path):
        return Remote.parse(str(path.resolve()))
    if (path / "HEAD").is_file() and (path / "objects").is_dir():
        raise ConfigError(f"{path} is the folder that git keeps beside its work tree", remedy=f"Name {path.parent}.")
    if root := _governing_root(path):
        raise ConfigError(
            f"{path} is a folder of {root}, whose {layout.FILE_NAME} says what holds there",
            remedy=f"Name {root}, and narrow the run with --environment or --app.",
        )
    return WorkTree(path)


def _governing_root(path: Path) -> Path | None:
    """The folder above, within the same git work tree, whose gitcd.yaml a run from here would not see."""
    folder = path.resolve()
    while not (folder / ".git").exists() and not (folder / layout.FILE_NAME).exists() and folder != folder.parent:
        folder = folder.parent
        if (folder / layout.FILE_NAME).exists() and is_worktree(folder):
            return folder
    return None


def cache_dir(settings: Settings) -> Path | None:
    """Where mirrors are kept: as set, else in the user's cache folder; None where that cannot be written."""
    if settings.cache_dir:
        return Path(settings.cache_dir).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if (home := os.environ.get("HOME")) else "")
    if not base:
        return None
    folder = Path(base) / "gitcd"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _looks_local(text: str) -> bool:
    return text.startswith((".", "/", "~")) or ":" not in text
