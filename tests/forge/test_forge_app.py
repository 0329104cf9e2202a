"""Tokens of a GitHub App: minted for the run, anew when they end before it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd import redact
from gitcd.errors import ConfigError, TransientError
from gitcd.forge.opening import app_token, open_forge
from gitcd.forge.protocol import Forge
from gitcd.git.mirror import Mirror
from gitcd.model import settings
from gitcd.model.pull import CommitStatus, ForgeFailure, PullContent, PullRequest, StatusState, Trouble
from gitcd.usecases.workspace import Workspace
from tests.support import openapi
from tests.support.fakes_github import FakeGitHub
from tests.support.fakes_hub import serving
from tests.support.forges import Waits
from tests.support.githttp import serve
from tests.support.repos import make_bare

REMOTE = "https://github.example/atlas/config.git"
BRANCH = "gitcd/prod/env"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("app") / "app.pem"
    plain = (serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path.write_bytes(made.private_bytes(serialization.Encoding.PEM, *plain))
    return path, made.public_key()


@pytest.fixture
def server(key: tuple[Path, object]) -> Iterator[FakeGitHub]:
    fake = FakeGitHub()
    fake.app_key = key[1]
    with serving(fake):
        fake.hub.commit(BRANCH)
        yield fake


@pytest.fixture
def forge(server: FakeGitHub, key: tuple[Path, object]) -> Forge:
    return opened(server, key)


def opened(server: FakeGitHub, key: tuple[Path, object], *, app: str = "17", installation: str = "") -> Forge:
    wanted = settings.Forge(kind="github", url=server.url, app=settings.GitHubApp(app, str(key[0]), installation))
    return open_forge(REMOTE, wanted, "", clock=Waits().clock)


def minted(server: FakeGitHub) -> int:
    return sum(request.path.endswith("/access_tokens") for request in server.requests)


def create(forge: Forge) -> PullRequest | ForgeFailure:
    return forge.create(BRANCH, "main", PullContent("prod: tiles", "body"))


def test_one_token_for_the_whole_run(forge: Forge, server: FakeGitHub) -> None:
    pull = create(forge)
    assert isinstance(pull, PullRequest), pull
    assert forge.comment(pull, "hello") is None
    assert forge.find_open(BRANCH, "main") == pull or forge.find_open(BRANCH, "main")
    assert minted(server) == 1


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (StatusState.SUCCESS, ("completed", "success")),
        (StatusState.FAILURE, ("completed", "failure")),
        (StatusState.ERROR, ("completed", "timed_out")),
        (StatusState.PENDING, ("in_progress", None)),
    ],
)
def test_an_app_shows_a_check_run(forge: Forge, server: FakeGitHub, state: StatusState, shown: tuple[str, str]) -> None:
    assert forge.set_status("a" * 40, CommitStatus(state, "gitcd diff", "2 bumped", "https://ci.example/1")) is None
    (check,) = server.checks
    assert (check["status"], check.get("conclusion")) == shown
    assert (check["name"], check["head_sha"], check["details_url"]) == ("gitcd diff", "a" * 40, "https://ci.example/1")
    assert check["output"] == {"title": "2 bumped", "summary": "2 bumped"}
    assert server.hub.statuses == []
    assert [fault for each in server.requests for fault in openapi.faults(each, "/api/v3")] == []


def test_one_that_may_make_no_check_run_shows_a_status(forge: Forge, server: FakeGitHub) -> None:
    server.lets_check = False
    assert forge.set_status("a" * 40, CommitStatus(StatusState.SUCCESS, "gitcd diff", "2 bumped")) is None
    assert (server.checks, server.hub.statuses) == ([], [("a" * 40, "gitcd diff", "success")])


def test_the_token_is_for_this_repository_alone(forge: Forge, server: FakeGitHub) -> None:
    create(forge)
    (request,) = (each for each in server.requests if each.path.endswith("/access_tokens"))
    assert request.body == {"repositories": ["config"]}
    assert request.path == "/api/v3/app/installations/4711/access_tokens"


def test_an_installation_that_is_named_is_not_looked_up(server: FakeGitHub, key: tuple[Path, object]) -> None:
    create(opened(server, key, installation="4711"))
    assert not any(request.path.endswith("/installation") for request in server.requests)


def test_F35_a_token_that_ended_mid_run_is_minted_anew_once(forge: Forge, server: FakeGitHub) -> None:
    pull = create(forge)
    assert isinstance(pull, PullRequest)
    server.hub.tokens.clear()
    assert forge.comment(pull, "after an hour") is None
    assert server.hub.pulls[0].comments == ["after an hour"]
    assert minted(server) == 2


def test_F35_a_token_that_ends_at_the_last_attempt(forge: Forge, server: FakeGitHub) -> None:
    create(forge)
    server.fail("GET", "/pulls$", 502, times=3)
    server.fail("GET", "/pulls$", 401, body={"message": "Bad credentials"})
    assert isinstance(forge.find_open(BRANCH, "main"), PullRequest)


def test_F35_a_token_is_renewed_before_it_ends(server: FakeGitHub, key: tuple[Path, object]) -> None:
    server.lifetime = 60
    forge = opened(server, key)
    create(forge)
    before = minted(server)
    forge.find_open(BRANCH, "main")
    assert minted(server) == before + 1
    assert [request for request in server.requests if request.path.endswith("/pulls")][-1].headers["authorization"]


def test_F35_a_forge_that_takes_no_token_at_all_is_not_asked_for_ever(forge: Forge, server: FakeGitHub) -> None:
    server.fail("*", "/pulls", 401, times=99, body={"message": "Bad credentials"})
    answer = create(forge)
    assert isinstance(answer, ForgeFailure)
    assert (answer.trouble, minted(server)) == (Trouble.FORBIDDEN, 2)
    assert len(server.requests) <= 6


def test_an_app_whose_key_is_another_is_refused(forge: Forge, server: FakeGitHub) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    server.app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    answer = create(forge)
    assert isinstance(answer, ForgeFailure)
    assert (answer.trouble, minted(server)) == (Trouble.FORBIDDEN, 0)


def test_T10_minted_tokens_are_masked(forge: Forge, server: FakeGitHub) -> None:
    create(forge)
    (token,) = server.hub.tokens
    assert redact.clean(f"it was {token}") == "it was ***"
    assert token not in f"{forge!r} {vars(forge)!r}"


def test_an_answer_without_a_token_is_a_failure(forge: Forge, server: FakeGitHub) -> None:
    for body in ({}, [], None, {"token": "ghs_x", "expires_at": "soon"}):
        server.fail("POST", "/access_tokens", 201, body=body)
        answer = create(forge)
        assert isinstance(answer, ForgeFailure), body
        assert answer.trouble is Trouble.REFUSED


def test_minting_is_as_github_describes_it(forge: Forge, server: FakeGitHub) -> None:
    create(forge)
    assert minted(server) == 1
    assert [fault for request in server.requests for fault in openapi.faults(request, "/api/v3")] == []


def test_git_gets_in_with_a_token_of_the_app(server: FakeGitHub, key: tuple[Path, object], tmp_path: Path) -> None:
    make_bare(tmp_path / "atlas/config.git", {"gitcd.yaml": b"a: 1\n"})
    with serve(tmp_path, token=f"ghs_{1:036d}") as git:
        made = settings.Settings(
            repo=git.url(tmp_path / "atlas/config.git"),
            branch="main",
            cache_dir=str(tmp_path / "cache"),
            forge=settings.Forge(kind="github", url=server.url, app=settings.GitHubApp("17", str(key[0]))),
        )
        with Workspace(made).open() as mirror:
            assert isinstance(mirror, Mirror)
            assert mirror.fetch()
    assert minted(server) == 1


def test_an_app_that_github_does_not_know_is_a_wrong_setting(
    server: FakeGitHub, key: tuple[Path, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitcd.forge.http.ATTEMPTS", 1)
    wanted = settings.Forge(kind="github", url=server.url, app=settings.GitHubApp("17", str(key[0])))
    server.fail("*", "", 404, body={"message": "Not Found"})
    with pytest.raises(ConfigError, match="installation with 404"):
        app_token(REMOTE, wanted)
    server.fail("*", "", 500, times=99)
    with pytest.raises(TransientError):
        app_token(REMOTE, wanted)
