"""Which forge a repository is on, read from its address."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.forge.opening import open_forge
from gitcd.forge.place import Place, locate
from gitcd.model.settings import Forge, GitHubApp


@pytest.mark.parametrize(
    ("remote", "forge", "place"),
    [
        ("https://github.com/atlas/config.git", Forge(), Place("github", "https://github.com", "atlas/config")),
        ("https://github.com/atlas/config/", Forge(), Place("github", "https://github.com", "atlas/config")),
        ("git@github.com:atlas/config.git", Forge(), Place("github", "https://github.com", "atlas/config")),
        ("ssh://git@ssh.github.com:443/atlas/config.git", Forge(), Place("github", "https://github.com", "atlas/config")),
        ("https://octo.ghe.com/atlas/config", Forge(), Place("github", "https://octo.ghe.com", "atlas/config")),
        ("https://git.example.com/atlas/config", Forge(kind="github"), Place("github", "https://git.example.com", "atlas/config")),
        ("https://git.example.com:8443/a/b", Forge(kind="github"), Place("github", "https://git.example.com:8443", "a/b")),
        ("ssh://git@git.example.com:2222/a/b", Forge(kind="gitea"), Place("gitea", "https://git.example.com", "a/b")),
        ("https://gitlab.com/a/b/c/config.git", Forge(), Place("gitlab", "https://gitlab.com", "a/b/c/config")),
        ("https://x.example/gitlab/a/b", Forge(kind="gitlab", url="https://x.example/gitlab/"), Place("gitlab", "https://x.example/gitlab", "a/b")),
        ("https://bitbucket.org/ws/config.git", Forge(), Place("bitbucket", "https://bitbucket.org", "ws/config")),
        ("https://codeberg.org/a/b", Forge(), Place("gitea", "https://codeberg.org", "a/b")),
        ("http://127.0.0.1:3000/a/b.git", Forge(kind="gitea"), Place("gitea", "http://127.0.0.1:3000", "a/b")),
        ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/config", Forge(), Place("codecommit", "", "config", "eu-west-1")),
        ("ssh://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/c", Forge(), Place("codecommit", "", "c", "cn-north-1")),
        ("/srv/atlas/config.git", Forge(kind="gitea", url="http://localhost:3000"), None),
    ],
)  # fmt: skip
def test_addresses(remote: str, forge: Forge, place: Place | None) -> None:
    if place is None:
        with pytest.raises(ConfigError, match="OWNER/NAME"):
            locate(remote, forge)
    else:
        assert locate(remote, forge) == place


@pytest.mark.parametrize(
    ("remote", "forge", "words"),
    [
        ("https://git.example.com/a/b", Forge(), "git.example.com is not known"),
        ("https://evil-github.com/a/b", Forge(), "evil-github.com is not known"),
        ("https://github.com.evil.example/a/b", Forge(), "is not known"),
        ("/srv/config.git", Forge(), "a local repository is not known"),
        ("/srv/config.git", Forge(kind="github"), "has no address"),
        ("https://github.com/config", Forge(), "OWNER/NAME"),
        ("https://github.com/a/b/c", Forge(), "OWNER/NAME"),
        ("https://github.com/a/..", Forge(), "OWNER/NAME"),
        ("https://git.example.com/a/b", Forge(kind="gitea", url="http://git.example.com"), "unencrypted"),
        ("https://git.example.com/a/b", Forge(kind="codecommit"), "no repository of CodeCommit"),
        ("[:0", Forge(kind="github"), r"https://\[ is not an address"),
        ("https://[github.com/a/b", Forge(), "is not an address"),
        ("https://git.example.com/a/b", Forge(kind="gitea", url="https://[::1/gitea"), "is not an address"),
    ],
)
def test_addresses_that_lead_nowhere(remote: str, forge: Forge, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        locate(remote, forge)


@given(st.text(), st.sampled_from(["", "github", "gitlab", "gitea", "bitbucket", "codecommit"]))
def test_any_address_is_a_place_or_refused(remote: str, kind: str) -> None:
    try:
        place = locate(remote, Forge(kind=kind))
    except ConfigError:
        return
    assert place.kind
    assert ".." not in place.repository.split("/")


def test_no_token_is_said_before_anything_is_asked() -> None:
    for remote in ("https://github.com/a/b", "https://gitlab.com/a/b", "https://codeberg.org/a/b"):
        with pytest.raises(ConfigError, match="no token for pull requests in a/b") as caught:
            open_forge(remote, Forge(), "")
        assert "GITCD_FORGE_TOKEN" in caught.value.remedy


@pytest.mark.parametrize("token", ["two words", "line\nend", "tab\t", "\x00", "ü"])
def test_T10_a_token_that_no_header_takes_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="holds a blank") as caught:
        open_forge("https://github.com/a/b", Forge(), token)
    assert token not in str(caught.value)


def test_a_key_of_an_app_that_is_none(tmp_path) -> None:
    path = tmp_path / "key.pem"
    for text, words in ((None, "cannot be read"), ("nonsense", "no private key")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            open_forge("https://github.com/a/b", Forge(app=GitHubApp("1", str(path))), "")


def test_an_app_without_the_package_that_signs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.split(".")[0] == "cryptography":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError, match="needs the package cryptography") as caught:
        open_forge("https://github.com/a/b", Forge(app=GitHubApp("1", str(tmp_path / "key.pem"))), "")
    assert "extra github-app" in caught.value.remedy


def test_opening_one_forge_loads_nothing_of_the_others() -> None:
    code = (
        "import sys; from gitcd.forge.opening import open_forge; from gitcd.model.settings import Forge;"
        "open_forge('https://gitlab.com/a/b', Forge(), 'token-of-tests');"
        "print([name for name in sys.modules if name in {'boto3', 'urllib3', 'cryptography', 'gitcd.forge.github'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
