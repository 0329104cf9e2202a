"""A process that has loaded gitcd and starts command lines by forking: each is a process of its own, but quick to start.

It reads one JSON request a line (`argv`, `env`, `cwd`, `tags`, `dies`) and answers with two lines: the process id, and
the exit status (negative: the signal that ended it). `tags` is a registry table that answers in place of a registry;
`dies` is the number of the write at which SIGKILL ends the process. Run as a script, with the modules to load beforehand;
`Zygote` is the other side.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tests.support.scenes import Tags


@dataclass
class Finished:
    """What a command line left behind."""

    status: int
    out: str
    err: str


class Running:
    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self._zygote, self._folder = zygote, folder
        self.pid = zygote.answer()

    def kill(self, number: int) -> None:
        """Send a signal, unless the process is over."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def finish(self) -> Finished:
        status = self._zygote.answer()
        out, err = ((self._folder / name).read_text(errors="replace") for name in ("out", "err"))
        return Finished(status, out, err)


class Zygote:
    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], folder: Path, tags: Tags | None, dies: int = 0
    ) -> Running:
        """Start one command line in an empty folder that keeps what it prints."""
        folder.mkdir(parents=True, exist_ok=True)
        request = {"argv": list(argv), "env": dict(env), "cwd": str(folder), "dies": dies}
        if tags:
            table = [(name, tag, version) for (name, tag), version in tags.moving.items()]
            request["tags"] = {"versions": tags.versions, "moving": table}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        return Running(self, folder)

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], folder: Path, tags: Tags | None, dies: int = 0
    ) -> Finished:
        return self.start(argv, env, folder, tags, dies).finish()

    def answer(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


def _become(request: Mapping[str, Any]) -> None:
    """Be the `gitcd` process that was asked for."""
    from gitcd.cli.main import main
    from gitcd.usecases.workspace import Workspace
    from tests.support.dying import doom
    from tests.support.scenes import Tags

    if table := request.get("tags"):
        tags = Tags(table["versions"], {(name, tag): version for name, tag, version in table["moving"]})
        Workspace.ask = lambda _, queries: tags(queries)  # type: ignore[method-assign]
    if request["dies"]:
        doom(request["dies"])
    os.chdir(request["cwd"])
    for number, name in enumerate((os.devnull, "out", "err")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["gitcd", *request["argv"]]
    main()


def _serve() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import git

    import gitcd.cli.reconcile
    import gitcd.usecases.reconcile
    import gitcd.usecases.workspace
    import tests.support.scenes

    assert tests.support.scenes.NOW
    assert git.__name__
    for name in sys.argv[1:]:
        importlib.import_module(name)
    assert gitcd.cli.reconcile.command
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
