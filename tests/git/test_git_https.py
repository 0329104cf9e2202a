"""Remotes over https, against git's own CGI program behind TLS: certificates, credentials, headers, helpers, proxies."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, GitcdError
from gitcd.git.access import Credentials, Https, access_to
from gitcd.git.commit import NewCommit, write_commits
from gitcd.git.mirror import open_mirror
from gitcd.git.push import Pushed, push
from gitcd.git.remote import Remote
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from gitcd.redact import redact
from tests.conftest import CANARIES
from tests.git.test_git_commit import WHEN
from tests.git.test_git_runner import AUTHOR
from tests.support.connectproxy import proxy
from tests.support.githttp import GitServer, serve
from tests.support.repos import Bare, git, make_bare
from tests.support.tls import self_signed

TOKEN = CANARIES["GITCD_GIT_TOKEN"]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def served(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "served" / "config.git", {"prod/app.yaml": b"image: a:1\n"})


@pytest.fixture
def server(served: Bare, tls: tuple[Path, Path]) -> Iterator[GitServer]:
    with serve(served.path.parent, tls=tls, token=TOKEN, username="bot") as server:
        yield server


def whole_job(url: str, https: Https, credentials: Credentials | None = None, cache: Path | None = None) -> str:
    """Clone, commit, push: the commit that landed."""
    with open_mirror(Remote.parse(url), "main", cache_dir=cache, credentials=credentials, https=https) as mirror:
        tip = mirror.fetch()
        change = FileChange("prod/app.yaml", Mode.FILE, None, b"image: a:9\n")
        (oid,) = write_commits(mirror.git, tip, [NewCommit("Bump", [change])], author=AUTHOR, when=WHEN)
        assert push(mirror.origin, oid, "main", expected=tip, attempts=1).kind is Pushed.LANDED
        return oid


def test_T10_basic_credentials_behind_a_pinned_ca(
    server: GitServer, served: Bare, tls: tuple[Path, Path], tmp_path: Path, processes: list[list[str]]
) -> None:
    https = Https(ca_bundle=tls[0])
    assert whole_job(server.url(served.path), https, Credentials(TOKEN, "bot"), tmp_path / "cache") == served.tip
    basic = base64.b64encode(f"bot:{TOKEN}".encode()).decode()
    assert f"Basic {basic}" in server.seen
    assert not [word for words in processes for word in words if TOKEN in word or basic in word]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_T10_a_token_as_every_forge_takes_it(tls: tuple[Path, Path], served: Bare) -> None:
    with serve(served.path.parent, tls=tls, token=TOKEN) as server:
        assert whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN)) == served.tip


def test_a_certificate_that_nobody_vouches_for_is_refused(server: GitServer, served: Bare, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    another, _ = self_signed(tmp_path / "other")
    for https in (Https(), Https(another)):
        with pytest.raises(ConfigError, match="certificate") as caught:
            whole_job(server.url(served.path), https, Credentials(TOKEN, "bot"))
        assert "GITCD_GIT_CA_BUNDLE" in caught.value.remedy
    assert server.seen == []
    with pytest.raises(ConfigError, match=r"the CA bundle /none/ca.pem is not a file"):
        whole_job(server.url(served.path), Https(Path("/none/ca.pem")))


def test_the_bundle_of_the_environment_counts_where_none_is_set(
    server: GitServer, served: Bare, tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    assert whole_job(server.url(served.path), Https(), Credentials(TOKEN, "bot")) == served.tip
    (tmp_path / "other").mkdir()
    another, _ = self_signed(tmp_path / "other")
    with pytest.raises(GitcdError, match="certificate"):
        whole_job(server.url(served.path), Https(another), Credentials(TOKEN, "bot"))


def test_T10_a_header_is_sent_to_this_remote_and_shown_to_nobody(
    served: Bare, tls: tuple[Path, Path], tmp_path: Path, processes: list[list[str]]
) -> None:
    bearer = f"Bearer {TOKEN}"
    with serve(served.path.parent, tls=tls, authorization=bearer) as server:
        https = Https(tls[0], f"Authorization: {bearer}")
        assert whole_job(server.url(served.path), https, cache=tmp_path / "cache") == served.tip
    assert set(server.seen) == {bearer}
    assert not [word for words in processes for word in words if TOKEN in word]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in repr(https)
    access = access_to(Remote.parse("https://example.com/a/b"), tmp_path, None, None, https)
    assert access.config["http.https://example.com/.extraHeader"] == https.header
    assert TOKEN not in repr(access)


def test_T17_a_header_does_not_follow_to_another_host(served: Bare, tls: tuple[Path, Path]) -> None:
    with serve(served.path.parent, tls=tls) as other:
        elsewhere = f"https://localhost:{other.port}"
        with serve(served.path.parent, tls=tls, redirect=elsewhere) as server, pytest.raises(GitcdError):
            whole_job(server.url(served.path), Https(tls[0], f"Authorization: Bearer {TOKEN}"))
        assert other.seen == []


def test_a_remote_that_has_moved_is_no_matter_of_another_try(served: Bare, tls: tuple[Path, Path]) -> None:
    with (
        serve(served.path.parent, tls=tls, redirect="https://127.0.0.1:1") as server,
        pytest.raises(ConfigError, match="returned error: 307") as caught,
    ):
        whole_job(server.url(served.path), Https(tls[0]))
    assert "moved" in caught.value.remedy


@pytest.mark.parametrize("header", ["X-Key: %s", "X-Key:%s", "X-Key:  %s"])
def test_T10_the_value_of_any_header_is_masked(tmp_path: Path, header: str) -> None:
    value = f"a header's value, {len(header)}"
    access_to(Remote.parse("https://example.com/a/b"), tmp_path, None, None, Https(header=header % value))
    assert value not in redact(f"said {value}")


class TestHelper:
    """gitcredentials(7): a helper is asked on its stdin for what it shall answer on its stdout."""

    @pytest.fixture
    def helper(self, tmp_path: Path) -> Path:
        """Answers as CodeCommit's does, from AWS credentials; it notes what it was asked, and what it saw."""
        program = tmp_path / "credential-helper"
        program.write_text(
            f'#!/bin/sh\n[ "$1" = get ] || exit 0\ncat > {tmp_path}/asked\nenv > {tmp_path}/saw\n'
            f'echo username=bot\necho "password=$AWS_SESSION_TOKEN"\n'
        )
        program.chmod(0o755)
        return program

    def test_T10_a_helper_is_asked_and_finds_what_it_needs(
        self, helper: Path, served: Bare, tls: tuple[Path, Path], tmp_path: Path, processes: list[list[str]]
    ) -> None:
        session = CANARIES["AWS_SESSION_TOKEN"]
        with serve(served.path.parent, tls=tls, token=session, username="bot") as server:
            for form in (f"!{helper} $@", str(helper)):
                whole_job(server.url(served.path), Https(tls[0], helper=form))
                git(served.path, "update-ref", "refs/heads/main", f"{served.tip}~1")
        asked = dict(line.split("=", 1) for line in (tmp_path / "asked").read_text().splitlines() if "=" in line)
        assert (asked["protocol"], asked["host"]) == ("https", f"127.0.0.1:{server.port}")
        assert "path" not in asked
        saw = dict(line.partition("=")[::2] for line in (tmp_path / "saw").read_text().splitlines())
        assert saw["HOME"] == os.environ["HOME"]
        assert saw["AWS_SESSION_TOKEN"] == session
        assert "GITCD_GIT_TOKEN" not in saw
        assert not [word for words in processes for word in words if session in word]

    def test_the_helper_of_codecommit_is_told_the_repository(self, tmp_path: Path) -> None:
        helper = Https(helper="!aws codecommit credential-helper $@")
        for url, told in (
            ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/config", "true"),
            ("https://git-codecommit-fips.us-east-1.amazonaws.com/v1/repos/config", "true"),
            ("https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/config", "true"),
            ("https://git-codecommit.example.com/v1/repos/config", "false"),
        ):
            access = access_to(Remote.parse(url), tmp_path, None, None, helper)
            assert access.config["credential.useHttpPath"] == told
            assert access.environment["GITCD_HELPER"] == "aws codecommit credential-helper $@"

    def test_a_named_helper_is_a_program_of_git(self, tmp_path: Path) -> None:
        remote = Remote.parse("https://example.com/a/b")
        environment = access_to(remote, tmp_path, None, None, Https(helper="cache --timeout 60")).environment
        assert environment["GITCD_HELPER"] == "git credential-cache --timeout 60"

    def test_a_helper_that_knows_nothing_leaves_a_clear_error(self, served: Bare, tls: tuple[Path, Path]) -> None:
        with serve(served.path.parent, tls=tls, token=TOKEN) as server, pytest.raises(ConfigError) as caught:
            whole_job(server.url(served.path), Https(tls[0], helper="!true"))
        assert "could not read Username" in caught.value.message

    def test_T10_what_a_helper_says_beside_its_answer_is_not_shown(
        self, served: Bare, tls: tuple[Path, Path], tmp_path: Path
    ) -> None:
        program = tmp_path / "traced"
        program.write_text("#!/bin/sh\nset -x\necho username=bot\necho password=traced-91ac-secret\n")
        program.chmod(0o755)
        with serve(served.path.parent, tls=tls, token=TOKEN) as server, pytest.raises(ConfigError) as caught:
            whole_job(server.url(served.path), Https(tls[0], helper=str(program)))
        assert "Authentication failed" in caught.value.message
        assert "traced-91ac" not in f"{caught.value}{caught.value.remedy}"

    def test_a_helper_that_fails_says_why(self, served: Bare, tls: tuple[Path, Path]) -> None:
        helper = "!echo Unable to locate credentials >&2; false"
        with serve(served.path.parent, tls=tls, token=TOKEN) as server, pytest.raises(ConfigError) as caught:
            whole_job(server.url(served.path), Https(tls[0], helper=helper))
        assert "Unable to locate credentials" in caught.value.message

    def test_T10_our_token_is_not_given_to_a_helper(
        self, server: GitServer, served: Bare, tls: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """One such as git's `store` would write it into a file."""
        program = tmp_path / "hoarder"
        program.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/asked\ncat >> {tmp_path}/given\n')
        program.chmod(0o755)
        https = Https(tls[0], helper=str(program))
        assert whole_job(server.url(served.path), https, Credentials(TOKEN, "bot")) == served.tip
        assert set((tmp_path / "asked").read_text().split()) == {"get"}
        assert TOKEN not in (tmp_path / "given").read_text()


class TestProxies:
    """The variables that curl heeds; git reads no other setting of them."""

    def test_https_goes_through_the_proxy_of_the_environment(
        self, server: GitServer, served: Bare, tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with proxy() as between:
            monkeypatch.setenv("https_proxy", between.url)
            assert whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN, "bot")) == served.tip
            assert set(between.asked) == {f"127.0.0.1:{server.port}"}

    def test_T10_a_proxy_may_ask_for_a_password(
        self, server: GitServer, served: Bare, tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
        processes: list[list[str]],
    ) -> None:  # fmt: skip
        with proxy("user:proxy-pass-71ac") as between:
            monkeypatch.setenv("HTTPS_PROXY", between.url)
            assert whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN, "bot")) == served.tip
            assert between.asked
            monkeypatch.setenv("HTTPS_PROXY", between.url.replace("71ac", "wrong"))
            with pytest.raises(ConfigError, match="407") as caught:
                whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN, "bot"))
        assert "proxy" in caught.value.remedy
        assert not [word for words in processes for word in words if "proxy-pass" in word]

    def test_no_proxy_goes_straight(
        self, server: GitServer, served: Bare, tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        with pytest.raises(GitcdError, match=r"127\.0\.0\.1 port 1|over proxy 127\.0\.0\.1 "):
            whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN, "bot"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert whole_job(server.url(served.path), Https(tls[0]), Credentials(TOKEN, "bot")) == served.tip
