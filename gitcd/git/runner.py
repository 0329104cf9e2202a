"""Runs git: a scrubbed environment, a deadline for the whole process group, errors turned into ours once.

GitPython starts the processes. It copies the environment of this process and can only add to it, so git is started
through `env -u`, which takes away every variable that is not on a short list; no value is ever on a command line.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EACCES, EISDIR, ENOENT, ENOTDIR, EPERM, EROFS
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from gitcd import redact
from gitcd.errors import ConfigError, GitcdError, TransientError
from gitcd.git.child import Child, Listener

if TYPE_CHECKING:
    from git.cmd import Git as Runner

MINIMUM = (2, 39)
LOCAL_TIMEOUT = 900.0  # seconds; a bound against hanging, not a budget
_KEPT = frozenset({"PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"}) | {
    name
    for scheme in ("http", "https", "all", "no")
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    if name != "HTTP_PROXY"  # git does not read it either: a CGI server would set it from a request header
}
_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.bigFileThreshold": "16m",  # a larger file is written as it comes, and never held whole
    "core.excludesFile": os.devnull,
    "core.quotePath": "false",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "safe.directory": "*",  # only plumbing that starts no program of the repository's choosing is used
}
_DISK = re.compile(
    r"^(?!remote:).*(no space left on device|read-only file system|disk quota exceeded|file too large|"
    r"input/output error|died of signal 25|unable to write|write error)",
    re.IGNORECASE | re.MULTILINE,
)
_LASTING = frozenset({EACCES, EPERM, EROFS, ENOENT, ENOTDIR, EISDIR})
# git's guess at why it could not read, which pushes out what ssh or the remote gave as the reason
_SAID_ALWAYS = frozenset({"Please make sure you have the correct access rights", "and the repository exists."})
ANY = range(-64, 256)  # every exit status is an answer


class CorruptError(TransientError):
    """A local repository does not hold what it must; a kept mirror is discarded, so that the next run starts anew."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished git left: exit status (negative: the signal that ended it), bytes, and cleaned words."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def last_words(self) -> str:
        """The part of stderr that says what went wrong: its last lines, on one line."""
        return one_line(self.stderr) or f"git ended with status {self.status} and said nothing"


@dataclass(frozen=True, slots=True)
class Means:
    """What single commands are given beside what all are: variables, and configuration, which stands in variables too.

    Either may hold secrets; neither is ever on a command line.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    config: Mapping[str, str] = field(default_factory=dict, repr=False)


class Git:
    """Git on one repository: `git_dir` a bare one, or `work_tree` a folder inside a work tree; on none without them."""

    def __init__(
        self,
        git_dir: Path | None = None,
        *,
        work_tree: Path | None = None,
        means: Means | None = None,
        timeout: float = LOCAL_TIMEOUT,
    ) -> None:
        self.git_dir = git_dir
        self.work_tree = work_tree
        self._timeout = timeout
        self._means = means or Means()

    def with_means(self, means: Means, *, timeout: float) -> Git:
        """The same repository, for commands that need more: those that talk to a remote, or sign."""
        return Git(self.git_dir, work_tree=self.work_tree, means=means, timeout=timeout)

    def with_more(self, environment: Mapping[str, str]) -> Git:
        """The same, with more variables."""
        means = Means({**self._means.environment, **environment}, self._means.config)
        return self.with_means(means, timeout=self._timeout)

    def run(self, *args: str, stdin: bytes = b"", ok: Collection[int] = (0,)) -> Result:
        """Run one git command to its end.

        `args` are the command and its operands, without `git`; a status that is not among `ok` raises.

        Raises:
            ConfigError: git is missing.
            TransientError: it took too long, or the disk is full.
            CorruptError: any other status.
        """
        with _opened(stdin, self.git_dir) as opened, self._start(args, opened) as child:
            result = _result(*child.finish(Listener(child.stdout)))
        if result.status not in ok:
            raise self.failure(args, result)
        return result

    @contextmanager
    def stream(self, *args: str, stdin: bytes = b"") -> Iterator[IO[bytes]]:
        """Start one git command and give its stdout; at the end its status is checked as `run` does.

        Leaving early, by an exception, kills it.
        """
        with _opened(stdin, self.git_dir) as opened, self._start(args, opened) as child:
            yield child.reader()
            result = _result(*child.finish())
        if result.status:
            raise self.failure(args, result)

    def failure(self, args: tuple[str, ...], result: Result) -> GitcdError:
        """Our error for a git command that failed and talked to nobody."""
        what = f"git {args[0]} in {self._where}: {result.last_words}"
        if disk_trouble(result):
            return TransientError(what, remedy=f"make room for {self._where}, then run again")
        return CorruptError(what, remedy="run again; a kept mirror is cloned anew")

    @property
    def _where(self) -> Path:
        return self.git_dir or self.work_tree or Path("/")

    @contextmanager
    def _start(self, args: tuple[str, ...], stdin: BinaryIO | None) -> Iterator[Child]:
        environment = self._environment()
        process = _runner(self._where).execute(
            [*_scrubbing(environment), "git", *args],
            istream=stdin,
            as_process=True,
            env=environment,
            shell=False,
            start_new_session=True,
        )
        child = Child(process, args[0], self._timeout)
        try:
            yield child
        finally:
            child.end()

    def _environment(self) -> dict[str, str]:
        config = dict(_CONFIG)
        if ca := os.environ.get("SSL_CERT_FILE"):
            config["http.sslCAInfo"] = ca
        config |= self._means.config
        numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(config)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(config.values())}
        located = {} if self.work_tree else {"GIT_DIR": str(self.git_dir or os.devnull)}
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.devnull,  # cannot be created by anybody
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": str(len(config)),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_FLUSH": "0",
            **numbered,
            **located,
            **self._means.environment,
        }


def _result(status: int, stdout: bytes, stderr: bytes) -> Result:
    return Result(status, stdout, clean(stderr))


def disk_trouble(result: Result) -> bool:
    return result.status in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or bool(_DISK.search(result.stderr))


@cache
def version() -> tuple[int, ...]:
    """The version of the installed git.

    Raises:
        ConfigError: there is none, or it is too old.
    """
    text = Git().run("version").stdout.decode(errors="replace")
    found = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if found < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise ConfigError(f"{text.strip()} is too old", remedy=f"install git {wanted} or newer")
    return found


@contextmanager
def _opened(data: bytes, folder: Path | None) -> Iterator[BinaryIO | None]:
    """Stdin as a file: a writer that is a file cannot deadlock with a reader that is us."""
    if not data:
        yield None
        return
    with no_room(folder or Path(tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)
        file.seek(0)
        yield cast("BinaryIO", file)


@contextmanager
def no_room(place: Path, another: str = "name another place") -> Iterator[None]:
    """Turn the operating system's refusal to write into our error, which names the place.

    `another` says how to give another place. Where no later run would be let in either, the error is a ConfigError.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot write to {place}: {error.strerror}"
        if error.errno in _LASTING:
            raise ConfigError(message, remedy=f"let this user write there, or {another}") from error
        raise TransientError(message, remedy=f"make room for it, or {another}") from error


def _scrubbing(wanted: Container[str]) -> list[str]:
    """The words before `git` that take away every inherited variable which is neither wanted nor harmless."""
    unwanted = sorted(name for name in os.environ if name not in _KEPT and name not in wanted)
    return ["env", *(word for name in unwanted for word in ("-u", name))]


def _runner(cwd: Path) -> Runner:
    for program in ("env", "git"):
        if not shutil.which(program):
            raise ConfigError(f"{program} is not installed, or not on PATH", remedy="install git 2.39 and coreutils")
    try:
        from git.cmd import Git as Runner
    except ImportError as error:  # it tries git when it is imported
        raise ConfigError(f"GitPython cannot run git: {error}", remedy="unset GIT_PYTHON_GIT_EXECUTABLE") from error
    return Runner(str(cwd))


def one_line(said: str) -> str:
    """The last lines of what a program said, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and line.strip() not in _SAID_ALWAYS]
    return "; ".join(lines[-4:])


def clean(said: bytes) -> str:
    """What git or a remote said, as text that is safe to show."""
    return redact.clean(said.decode(errors="replace"))
