"""Which URLs and branch names are accepted at all."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.git.remote import Kind, Remote, check_branch
from tests.conftest import CANARIES, leaks

BAD_URLS = [
    "",
    " ",
    "-",
    "--upload-pack=touch /tmp/owned",
    "-oProxyCommand=touch /tmp/owned",
    "ext::sh -c touch% /tmp/owned",
    "ext::git-upload-pack /srv/r.git",
    "ext://sh",
    "fd::17",
    "fd::17,18/x",
    "::x",
    "https::https://example.com/r.git",
    "git://example.com/r.git",
    "http://example.com/r.git",
    "http://127.0.0.1.example.com/r.git",
    "http://localhost.example.com/r.git",
    "ftp://example.com/r.git",
    "rsync://example.com/r.git",
    "javascript://example.com/r.git",
    "https://",
    "https:///r.git",
    "https://example.com",
    "https://example.com/",
    "https://user:secret@example.com/r.git",
    "https://token@example.com/r.git",
    "https://-oProxyCommand=x/r.git",
    "https://example.com:port/r.git",
    "https://example.com/r.git\n--upload-pack=x",
    "https://example.com/r.git\rx",
    "https://example.com/r.git\0x",
    "https://example.com/%0a--upload-pack=x",
    "https://example.com/%0D%0Ax",
    "https://example.com/%00",
    "https://example.com/$HOME/r.git",
    "https://example.com/${AWS_SECRET_ACCESS_KEY}.git",
    "https://example.com/r.git?x=1",
    "https://example.com/r.git#x",
    "https://exa mple.com/r.git",
    "https://example.com/`id`",
    "ssh://-oProxyCommand=touch/r.git",
    "ssh://-x@example.com/r.git",
    "ssh://git:secret@example.com/r.git",
    "ssh://example.com",
    "ssh://example.com/-x",
    "-git@example.com:r.git",
    "git@-example.com:r.git",
    "git@example.com:-x",
    "git@example.com:ext::x",
    "git@example.com:r%0a.git",
    "a@b@example.com:r.git",
    "example.com",
    "relative/path",
    "./r.git",
    "../r.git",
    "C:\\r.git",
    "file://example.com/r.git",
    "file://",
    "file:///srv/../etc",
    "/",
    "//srv/r.git",
    "/srv/../etc",
    "/srv/r.git\n",
    "/srv/$HOME",
    "https://example.com/\udcff",
]

GOOD_URLS = [
    ("https://github.com/org/repo.git", Kind.HTTP, "github.com"),
    ("https://Git.Example.com:8443/a/b", Kind.HTTP, "git.example.com"),
    (
        "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/config",
        Kind.HTTP,
        "git-codecommit.eu-west-1.amazonaws.com",
    ),
    ("https://dev.azure.com/org/My%20Project/_git/config", Kind.HTTP, "dev.azure.com"),
    ("http://localhost:3000/r.git", Kind.HTTP, "localhost"),
    ("http://127.0.0.1:8080/r.git", Kind.HTTP, "127.0.0.1"),
    ("http://[::1]:8080/r.git", Kind.HTTP, "::1"),
    ("ssh://git@github.com/org/repo.git", Kind.SSH, "github.com"),
    ("ssh://git@example.com:2222/org/repo.git", Kind.SSH, "example.com"),
    ("git@github.com:org/repo.git", Kind.SSH, "github.com"),
    ("github.com:org/repo.git", Kind.SSH, "github.com"),
    ("file:///srv/git/config.git", Kind.LOCAL, ""),
    ("/srv/git/config.git", Kind.LOCAL, ""),
    ("/srv/my 'own' repositories/config.git", Kind.LOCAL, ""),
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_T1_a_bad_url_is_refused_and_starts_no_process(url: str, processes: list[list[str]]) -> None:
    with pytest.raises(ConfigError):
        Remote.parse(url)
    assert processes == []


def test_T1_the_recorder_would_see_a_process(processes: list[list[str]]) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert len(processes) == 1


@pytest.mark.parametrize(("url", "kind", "host"), GOOD_URLS)
def test_a_good_url_is_read(url: str, kind: Kind, host: str) -> None:
    remote = Remote.parse(url)
    assert (remote.kind, remote.host) == (kind, host)
    assert remote.url == url.removeprefix("file://")


def test_T1_only_allowed_hosts() -> None:
    assert Remote.parse("https://github.com/a/b", allowed_hosts=["GitHub.com"]).host == "github.com"
    with pytest.raises(ConfigError, match=r"host example\.com is not allowed"):
        Remote.parse("https://example.com/a/b", allowed_hosts=["github.com"])
    with pytest.raises(ConfigError, match=r"host 127\.0\.0\.1 is not allowed"):
        Remote.parse("http://127.0.0.1/a/b", allowed_hosts=["github.com"])


def test_T4_a_variable_in_a_url_is_not_expanded(processes: list[list[str]]) -> None:
    with pytest.raises(ConfigError) as caught:
        Remote.parse("https://example.com/$AWS_SECRET_ACCESS_KEY/r.git")
    assert not leaks(str(caught.value))
    assert processes == []


def test_T10_a_token_in_a_url_is_not_repeated() -> None:
    token = CANARIES["GITCD_GIT_TOKEN"].replace("/", "_")
    with pytest.raises(ConfigError) as caught:
        Remote.parse(f"https://x-access-token:{token}@example.com/r.git")
    assert token not in str(caught.value)
    assert "GITCD_GIT_TOKEN" in caught.value.remedy


@given(st.text())
def test_T1_any_text_is_a_safe_url_or_refused(text: str) -> None:
    try:
        url = Remote.parse(text).url
    except ConfigError:
        return
    assert not url.startswith("-")
    assert "::" not in url.partition("[")[0]
    assert not any(character in url for character in "\0\r\n$")


BAD_BRANCHES = [
    "", "-", "-x", "--force", "@", "HEAD", "a..b", "a@{1}", "a b", "a~1", "a^", "a:b", "a?", "a*", "[a", "a\\b", "a\0",
    "a\r", "a\n", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "/a", "a/", "a//b", "refs/heads/main", "\x7f", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_BRANCHES)
def test_T2_a_bad_branch_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_branch(name)


@pytest.mark.parametrize("name", ["main", "release/1.2", "gitcd/bump/prod", "ümlaut", "a@b", "x-y_z", "+x"])
def test_a_good_branch_is_accepted(name: str) -> None:
    assert check_branch(name) == name


_REFLIKE = st.text(st.sampled_from("ab-./@{}~^:?*[\\ \t\n\0\x7fülock"), max_size=8)


@given(_REFLIKE | st.text(max_size=20))
def test_T2_what_is_accepted_git_accepts_too(name: str) -> None:
    try:
        check_branch(name)
    except ConfigError:
        return
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
