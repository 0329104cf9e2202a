"""A `git` that goes wrong at a chosen step, and what a killed run may leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.support.repos import Bare
from tests.support.scenes import Tags
from tests.support.zygote import Finished, Running, Zygote

_WRAPPER = """\
#!/bin/sh
echo "$1" >> {log}
steps=0; while read -r _; do steps=$((steps + 1)); done < {log}
[ $steps = {step} ] || exec {git} "$@"
case {when} in
before) echo >{sent}; kill -{signal} $PPID; [ {signal} = KILL ] && exit 1; exec {git} "$@" ;;
after) {git} "$@"; status=$?; echo >{sent}; kill -{signal} $PPID; exit $status ;;
late) echo >{sent}; kill -{signal} $PPID; sleep 0.2; exec {git} "$@" ;;
esac
"""


@dataclass
class Place:
    """Where runs happen: their own folder for temporary files, and (unless cold) for the cache."""

    root: Path
    environment: Mapping[str, str]
    warm: bool = False
    _runs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for folder in (self.temp, self.cache):
            folder.mkdir(parents=True)

    @property
    def temp(self) -> Path:
        return self.root / "temp"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def log(self) -> Path:
        return self.root / "steps"

    def env(self, bin_folder: Path | None = None) -> dict[str, str]:
        """The environment of a run; without a home there is no cache either."""
        env = {name: value for name, value in self.environment.items() if name not in {"HOME", "XDG_CACHE_HOME"}}
        env |= {"TMPDIR": str(self.temp)} | ({"GITCD_CACHE_DIR": str(self.cache)} if self.warm else {})
        if bin_folder:
            env["PATH"] = f"{bin_folder}:{env['PATH']}"
        return env

    def next_folder(self) -> Path:
        self._runs += 1
        return self.root / f"run{self._runs}"

    def wrapper(self, step: int, when: str = "before", number: int = signal.SIGKILL) -> Path:
        """A folder with a `git` that sends its caller a signal at one step; step 0: never, it only counts."""
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        self.log.write_text("")
        real = shutil.which("git")
        name = signal.Signals(number).name.removeprefix("SIG")
        script = folder / "git"
        self._sent.unlink(missing_ok=True)
        script.write_text(_WRAPPER.format(log=self.log, step=step, git=real, when=when, signal=name, sent=self._sent))
        script.chmod(0o755)
        return folder

    @property
    def _sent(self) -> Path:
        return self.root / "sent"

    @property
    def struck(self) -> bool:
        """Whether the signal was sent: a `git` that is stopped early, when it has said enough, never gets to `after`."""
        return self._sent.exists()

    @property
    def steps(self) -> list[str]:
        """The git commands that were started so far, by their names."""
        return self.log.read_text().split()

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.temp.iterdir())


def processes_of(root: Path) -> list[str]:
    """Command lines of the processes that work in or on a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(root) in words or where.startswith(str(root))):
            found.append(f"{process.name} {words}")
    return found


def await_no_processes(root: Path, seconds: float = 30) -> list[str]:
    """What still runs on a folder after a while; nothing should."""
    deadline = time.monotonic() + seconds
    while (alive := processes_of(root)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


@dataclass(frozen=True)
class Branch:
    """What is on a branch: the tree of every commit, newest first."""

    trees: tuple[str, ...]

    @classmethod
    def of(cls, remote: Bare) -> Branch:
        return cls(tuple(remote.git("log", "--format=%T", remote.branch).split()))

    @property
    def empty_commits(self) -> int:
        return sum(tree == parent for tree, parent in pairwise(self.trees))


@dataclass
class World:
    """One remote that is set back before every round, and the end that every round must reach."""

    zygote: Zygote
    remote: Bare
    place: Place
    tags: Tags
    begin: str = ""
    primed: Path | None = None
    end: Branch | None = None
    steps: tuple[str, ...] = ()

    def start(self, bin_folder: Path | None = None) -> Running:
        return self.zygote.start(
            ["reconcile", self.remote.url], self.place.env(bin_folder), self.place.next_folder(), self.tags
        )

    def run(self, *, bin_folder: Path | None = None) -> Finished:
        return self.start(bin_folder).finish()

    def unlock(self) -> None:
        """Take away the locks of a receiving end that died with us, as only that of a local remote does."""
        for lock in self.remote.path.rglob("*.lock"):
            lock.unlink(missing_ok=True)

    def rewind(self, *, keep_cache: bool = False) -> None:
        self.remote.git("update-ref", f"refs/heads/{self.remote.branch}", self.begin)
        if keep_cache:
            return
        shutil.rmtree(self.place.cache)
        if self.primed:
            shutil.copytree(self.primed, self.place.cache)
        else:
            self.place.cache.mkdir()


def kill_all_of(pid: int, root: Path) -> None:
    """End gitcd and the git that it waits for at once, as the end of a container does."""
    for each in {pid, *(int(each.split()[0]) for each in processes_of(root))}:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
