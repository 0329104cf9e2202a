"""One bench for every forge: the same hands on a real Gitea and on the fakes of the others.

The fixture `bench` runs a test once for each. A bench gives `.forge` (a `gitcd.forge.protocol.Forge` as the use cases get it),
what other people and git do meanwhile (`commit`, `tip`, `close`, `merge`, `block`), what came of it (`count`, `comments`,
`labels`, `statuses`), and `fail`, which lets requests fail before or after they are carried out.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from gitcd.forge.http import Clock
from gitcd.forge.opening import open_forge
from gitcd.forge.protocol import Forge
from gitcd.model import settings
from tests.support.fakes_bitbucket import FakeBitbucket
from tests.support.fakes_codecommit import FakeCodeCommit
from tests.support.fakes_github import FakeGitHub
from tests.support.fakes_gitlab import FakeGitLab
from tests.support.fakes_hub import Fake, Request, serving
from tests.support.gitea import Repository

TOKEN = "token-of-tests"
KINDS = ("gitea", "github", "gitlab", "bitbucket", "codecommit")
_FAKES: dict[str, tuple[type[Fake], str]] = {
    "github": (FakeGitHub, "https://github.example/atlas/config.git"),
    "gitlab": (FakeGitLab, "https://gitlab.example/atlas/platform/config.git"),
    "bitbucket": (FakeBitbucket, "https://bitbucket.example/atlas/config.git"),
    "codecommit": (FakeCodeCommit, "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/config"),
}
_LONGEST_PAUSE = 2.0  # seconds that a real forge is given between two attempts


@dataclass
class Waits:
    """Time that passes only by sleeping; `really`: at least a little of it does."""

    really: bool = False
    slept: list[float] = field(default_factory=list)
    start: float = field(default_factory=time.time)

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.start + sum(self.slept), sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.really:
            time.sleep(min(seconds, _LONGEST_PAUSE))


class Bench(Protocol):
    kind: str
    forge: Forge
    server: Fake
    waits: Waits

    def commit(self, branch: str) -> str:
        """A new commit on a branch, which begins at main where it is new; returns its id."""

    def same_as_base(self, branch: str) -> None:
        """A branch that holds nothing that main lacks."""

    def tip(self, branch: str) -> str: ...
    def close(self, number: str) -> None: ...
    def merge(self, number: str) -> None: ...
    def block(self) -> None:
        """Let a rule of main stand in the way of merges."""

    def count(self) -> int: ...
    def comments(self, number: str) -> list[str]: ...
    def statuses(self, commit: str) -> list[tuple[str, str]]: ...
    def again(self, *, token: str = TOKEN, deadline: float | None = None) -> Forge:
        """Another run, which knows nothing of the first."""


@dataclass
class FakeBench:
    kind: str
    server: Fake
    remote: str
    waits: Waits = field(default_factory=Waits)

    def __post_init__(self) -> None:
        self.hub = self.server.hub
        self.forge = self.again()

    def again(self, *, token: str = TOKEN, deadline: float | None = None) -> Forge:
        wanted = settings.Forge(kind=self.kind, url=self.server.url)  # type: ignore[arg-type]
        return open_forge(self.remote, wanted, token, deadline=deadline, clock=self.waits.clock)

    def commit(self, branch: str) -> str:
        return self.hub.commit(branch)

    def same_as_base(self, branch: str) -> None:
        self.hub.branches[branch] = self.hub.branches["main"]

    def tip(self, branch: str) -> str:
        return self.hub.branches.get(branch, "")

    def close(self, number: str) -> None:
        pull = self.hub.find(number)
        assert pull
        pull.state = "closed"
        self.hub.touch(pull)

    def merge(self, number: str) -> None:
        pull = self.hub.find(number)
        assert pull
        self.hub.merge(pull)

    def block(self) -> None:
        self.hub.protected.add("main")

    def count(self) -> int:
        return len(self.hub.pulls)

    def comments(self, number: str) -> list[str]:
        pull = self.hub.find(number)
        assert pull
        return pull.comments

    def statuses(self, commit: str) -> list[tuple[str, str]]:
        return [(context, state) for oid, context, state in self.hub.statuses if oid == commit]


class Passing(Fake):
    """Stands before a real forge: hands requests through, and lets them fail where it is told to."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def carry_out(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        query = urllib.parse.urlencode(request.query)
        url = f"{self.target}{urllib.parse.quote(request.path, safe='/%:')}" + (f"?{query}" if query else "")
        data = None if request.body is None else json.dumps(request.body).encode()
        kept = {name: value for name, value in request.headers.items() if name in {"authorization", "content-type"}}
        call = urllib.request.Request(url, data, kept, method=request.method)
        try:
            with urllib.request.urlopen(call) as answer:
                return answer.status, answer.read(), self._headers(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), self._headers(error.headers)

    def _headers(self, headers: Any) -> dict[str, str]:
        return {"Link": headers["Link"].replace(self.target, self.url)} if headers["Link"] else {}


@dataclass
class GiteaBench:
    repository: Repository
    server: Fake
    kind: str = "gitea"
    waits: Waits = field(default_factory=lambda: Waits(really=True))

    def __post_init__(self) -> None:
        self._api = self.repository.forge.api
        self._count = 0
        self.forge = self.again()

    def again(self, *, token: str = TOKEN, deadline: float | None = None) -> Forge:
        own = self.repository.forge.bot.token if token == TOKEN else token
        wanted = settings.Forge(kind="gitea", url=self.server.url)
        return open_forge(self.repository.url, wanted, own, deadline=deadline, clock=self.waits.clock)

    def commit(self, branch: str) -> str:
        self._count += 1
        base = "" if self.tip(branch) else "main"
        return self.repository.commit(branch, f"{self._count}.yaml", f"n: {self._count}\n", base=base)

    def same_as_base(self, branch: str) -> None:
        wanted = {"new_branch_name": branch, "old_branch_name": "main"}
        self._api("POST", f"{self.repository.path}/branches", wanted)

    def tip(self, branch: str) -> str:
        try:
            return self.repository.head(branch)
        except urllib.error.HTTPError:
            return ""

    def close(self, number: str) -> None:
        self._api("PATCH", f"{self.repository.path}/pulls/{number}", {"state": "closed"})

    def merge(self, number: str) -> None:
        for _ in range(40):
            if (
                self.repository.forge.status("POST", f"{self.repository.path}/pulls/{number}/merge", {"Do": "merge"})
                == 200
            ):
                return
            time.sleep(0.1)
        raise AssertionError(f"pull request {number} could not be merged")

    def block(self) -> None:
        self.repository.protect("main", approvals=1)

    def review(self, number: str, event: str) -> None:
        reviewer = self.repository.forge.reviewer
        self._api("POST", f"{self.repository.path}/pulls/{number}/reviews", {"event": event}, user=reviewer)

    def reviews(self, number: str) -> list[str]:
        return [each["state"] for each in self._api("GET", f"{self.repository.path}/pulls/{number}/reviews")]

    def count(self) -> int:
        return len(self._api("GET", f"{self.repository.path}/pulls?state=all"))

    def comments(self, number: str) -> list[str]:
        found = self._api("GET", f"{self.repository.path}/issues/{number}/comments")
        return [comment["body"] for comment in found]

    def statuses(self, commit: str) -> list[tuple[str, str]]:
        found = self._api("GET", f"{self.repository.path}/commits/{commit}/statuses")
        return [(each["context"], each["status"]) for each in found]


@contextmanager
def fake_bench(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBench]:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)  # between attempts of boto3
    made, remote = _FAKES[kind]
    server = made()
    with serving(server):
        yield FakeBench(kind, server, remote)


@contextmanager
def gitea_bench(repository: Repository) -> Iterator[GiteaBench]:
    server = Passing(repository.forge.url)
    with serving(server):
        yield GiteaBench(repository, server)
