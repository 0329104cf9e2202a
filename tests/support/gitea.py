"""A real Gitea for tests, with users, tokens, repositories and protected branches.

A conftest.py that wants it imports the fixtures:

    from tests.support.gitea import gitea, repository  # noqa: F401 - fixtures

`gitea` (session) is a `Gitea`: `.url`, the users `.admin`, `.bot` (writes to the repositories), `.reviewer` and `.stranger`
(may do nothing), each with `.name` and `.token`; `.api(method, path, body, user=...)` the API by JSON.
`repository` (function) is a fresh `Repository` of the organisation `atlas` with one commit on `main`:
`.url` for git over http (user name and token of a user), `.commit`, `.branch`, `.protect`, `.head`, and `.full_name`.

The program is the one of `make forge`. Without it the tests are skipped, unless GITCD_REQUIRE_FORGE is set: then they fail.
It takes about a second to start, so each worker of pytest-xdist has one of its own.
"""

from __future__ import annotations

import base64
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.opening import urlopen
from tools.parts import GITEA

_BUILT = GITEA.bin()
# Read here, because every test runs in an environment that is cleared of such names.
_REQUIRED = bool(os.environ.get("GITCD_REQUIRE_FORGE"))
_SECONDS_TO_START = 60.0
_PR_SET_PDEATHSIG = 1
_PASSWORD = "a-password-of-tests"
_LIBC = ctypes.CDLL(None)
_numbers = itertools.count(1)

_CONFIGURATION = """\
APP_NAME = forge of tests
RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {folder}
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
STATIC_ROOT_PATH = {static}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
INTERNAL_TOKEN = {secret}
PASSWORD_HASH_ALGO = pbkdf2$1$10
[indexer]
ISSUE_INDEXER_TYPE = db
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[service]
DISABLE_REGISTRATION = true
[actions]
ENABLED = false
[cron]
ENABLED = false
[cron.update_checker]
ENABLED = false
[log]
MODE = file
LEVEL = Warn
ROOT_PATH = {folder}
"""


@dataclass(frozen=True)
class User:
    name: str
    token: str


@dataclass(frozen=True)
class Gitea:
    url: str
    admin: User
    bot: User
    reviewer: User
    stranger: User

    def api(self, method: str, path: str, body: object = None, *, user: User | None = None) -> Any:
        """One request below /api/v1, as admin unless told otherwise. Raises urllib.error.HTTPError."""
        return _request(self.url, method, path, body, f"token {(user or self.admin).token}")

    def status(self, method: str, path: str, body: object = None, *, user: User | None = None) -> int:
        """The HTTP status that a request gets."""
        try:
            self.api(method, path, body, user=user)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def new_repository(self) -> Repository:
        name = f"config-{next(_numbers)}"
        self.api("POST", "/orgs/atlas/repos", {"name": name, "auto_init": True, "default_branch": "main"})
        return Repository(self, f"atlas/{name}")


@dataclass(frozen=True)
class Repository:
    forge: Gitea
    full_name: str

    @property
    def url(self) -> str:
        return f"{self.forge.url}/{self.full_name}.git"

    @property
    def path(self) -> str:
        return f"/repos/{self.full_name}"

    def commit(self, branch: str, path: str, text: str, *, base: str = "", user: User | None = None) -> str:
        """One commit that writes one file; `base` names the branch that a new branch begins at."""
        where = {"branch": base or branch} | ({"new_branch": branch} if base else {})
        body = {"content": base64.b64encode(text.encode()).decode(), "message": f"Write {path}", **where}
        try:
            known = self.forge.api("GET", f"{self.path}/contents/{path}?ref={quote(base or branch, safe='')}")
        except urllib.error.HTTPError:
            done = self.forge.api("POST", f"{self.path}/contents/{path}", body, user=user)
        else:
            body["sha"] = known["sha"]
            done = self.forge.api("PUT", f"{self.path}/contents/{path}", body, user=user)
        return str(done["commit"]["sha"])

    def head(self, branch: str) -> str:
        return str(self.forge.api("GET", f"{self.path}/branches/{quote(branch, safe='')}")["commit"]["id"])

    def protect(self, branch: str, *, approvals: int = 0, pushers: tuple[str, ...] = ()) -> None:
        """Let nobody but `pushers` push, and ask for approvals before a merge."""
        rule = {
            "rule_name": branch,
            "enable_push": bool(pushers),
            "enable_push_whitelist": bool(pushers),
            "push_whitelist_usernames": list(pushers),
            "required_approvals": approvals,
            "dismiss_stale_approvals": True,
        }
        self.forge.api("POST", f"{self.path}/branch_protections", rule)


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    program = _program()
    folder = tmp_path_factory.mktemp("gitea")
    with _running(program, folder) as url:
        yield _furnished(program, folder, url)


@pytest.fixture
def repository(gitea: Gitea) -> Repository:
    return gitea.new_repository()


def _program() -> Path:
    program = _BUILT / "gitea"
    if program.is_file():
        return program
    message = f"NO FORGE: {program} is not there; run `make forge` once (it needs Go)"
    if _REQUIRED:
        pytest.fail(f"{message}. GITCD_REQUIRE_FORGE is set, so this is no reason to skip.", pytrace=False)
    pytest.skip(message)


@contextmanager
def _running(program: Path, folder: Path) -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    configuration = _CONFIGURATION.format(
        user="root" if os.getuid() == 0 else os.environ.get("USER", ""),
        folder=folder,
        port=port,
        url=url,
        static=program.parent.parent / "share",
        secret=os.urandom(32).hex(),
    )
    (folder / "app.ini").write_text(configuration)
    _run(program, folder, "migrate")
    with (folder / "web.log").open("wb") as log:
        server = subprocess.Popen(
            [*_command(program, folder), "web"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(folder),
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call of the C library, loaded beforehand
        )
        try:
            _wait(server, url, folder)
            yield url
        finally:
            server.terminate()
            server.wait()


def _furnished(program: Path, folder: Path, url: str) -> Gitea:
    flags = ("--username=admin", f"--password={_PASSWORD}", "--email=admin@example.com", "--must-change-password=false")
    _run(program, folder, "admin", "user", "create", "--admin", *flags)
    admin = _user(url, "admin")
    for name in ("bot", "reviewer", "stranger"):
        body = {
            "username": name,
            "password": _PASSWORD,
            "email": f"{name}@example.com",
            "must_change_password": False,
        }
        _request(url, "POST", "/admin/users", body, f"token {admin.token}")
    forge = Gitea(url, admin, *(_user(url, name) for name in ("bot", "reviewer", "stranger")))
    forge.api("POST", "/orgs", {"username": "atlas", "visibility": "private"})
    rights = {"permission": "write", "units_map": dict.fromkeys(("repo.code", "repo.issues", "repo.pulls"), "write")}
    team = forge.api("POST", "/orgs/atlas/teams", {"name": "writers", "includes_all_repositories": True, **rights})
    for user in (forge.bot, forge.reviewer):
        forge.api("PUT", f"/teams/{team['id']}/members/{user.name}")
    return forge


def _user(url: str, name: str) -> User:
    basic = base64.b64encode(f"{name}:{_PASSWORD}".encode()).decode()
    made = _request(url, "POST", f"/users/{name}/tokens", {"name": "tests", "scopes": ["all"]}, f"Basic {basic}")
    return User(name, made["sha1"])


def _request(url: str, method: str, path: str, body: object, authorization: str) -> Any:
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(f"{url}/api/v1{path}", data, headers, method=method)
    with urlopen(call) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _command(program: Path, folder: Path) -> list[str]:
    return [str(program), "--config", str(folder / "app.ini"), "--work-path", str(folder)]


def _run(program: Path, folder: Path, *words: str) -> None:
    command = [*_command(program, folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(folder), check=False)
    if done.returncode != 0:
        pytest.fail(f"gitea {' '.join(words[:3])} failed:\n{done.stdout}{done.stderr}", pytrace=False)


def _environment(folder: Path) -> dict[str, str]:
    """No proxy, no secret, no setting of the test that happens to be first."""
    plain = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG", "USER") if name in os.environ}
    return {**plain, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}


def _wait(server: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        try:
            with urlopen(f"{url}/api/healthz"):
                return
        except OSError:
            time.sleep(0.05)
    logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    pytest.fail(f"gitea did not start:\n{logs}", pytrace=False)


def _end_with_parent() -> None:
    """Linux: no server outlives a run that is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
