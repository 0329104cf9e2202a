"""Which remote repositories gitcd will talk to, and which branch names it will say to git.

Everything here is text in, value out: a URL that is refused never reached a process.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, quote, unquote, urlsplit

from gitcd.errors import ConfigError

_UNSAFE = re.compile(r"[\x00-\x1f\x7f$]")
_NOT_IN_URL = re.compile(r"[ \\`'\"<>|;]")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>(?!/?/).+)")
_SECRET = re.compile(r"(?<=://)[^/@]*@")
_FORMS = "use https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, file:///PATH or an absolute path"


class Kind(StrEnum):
    HTTP = "http"
    SSH = "ssh"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote repository. `url` holds no secret; for a local one it is the path, and `host` is empty."""

    url: str
    kind: Kind
    host: str = ""

    def __str__(self) -> str:
        return self.url

    @classmethod
    def parse(cls, text: str, *, allowed_hosts: Collection[str] = ()) -> Remote:
        """Read an operator's URL; `allowed_hosts`, where given, are the only hosts it may name.

        Raises:
            ConfigError: it is not one of the few forms that are safe to give to git.
        """
        remote = _parse(text)
        if allowed_hosts and remote.host and remote.host not in {host.lower() for host in allowed_hosts}:
            raise _refused(text, f"host {remote.host} is not allowed", f"allowed: {', '.join(sorted(allowed_hosts))}")
        return remote

    @property
    def address(self) -> str:
        """What git is given. A local path as a URL: a partial fetch takes no remote whose name begins with `/`."""
        return f"file://{quote(self.url)}" if self.kind is Kind.LOCAL else self.url

    @property
    def protocols(self) -> str:
        """What git may use to reach it, as GIT_ALLOW_PROTOCOL has it."""
        return {Kind.HTTP: self.url.partition(":")[0], Kind.SSH: "ssh", Kind.LOCAL: "file"}[self.kind]


def check_branch(name: str) -> str:
    """The name, if git accepts `refs/heads/<name>` and it cannot be taken for an option.

    The rules are those of git-check-ref-format(1), with the further ones of `--branch`.

    Raises:
        ConfigError: it is no branch name.
    """
    parts = name.split("/")
    bad = (
        not name
        or name in {"@", "HEAD"}
        or name.startswith(("-", "refs/"))
        or name.endswith(".")
        or ".." in name
        or "@{" in name
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]", name)
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
        or not _encodable(name)
    )
    if bad:
        raise ConfigError(f"{name!r} is not a branch name", remedy="name the branch as `git branch` lists it")
    return name


def _parse(text: str) -> Remote:
    if not text or text.startswith("-") or not _encodable(text) or _UNSAFE.search(text):
        raise _refused(text, "it is empty, begins with '-' or holds a control character or '$'")
    if text.startswith("/"):
        return _local(text, text)
    if _NOT_IN_URL.search(text):
        raise _refused(text, "it holds a character that no URL has")
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _scp(text)
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if url.query or url.fragment or _UNSAFE.search(unquote(url.path)):
        raise _refused(text, "it has a query, a fragment, or an encoded control character or '$'")
    match scheme:
        case "https" | "http":
            return _http(text, url)
        case "ssh":
            return _ssh(text, url.username, url.hostname, url.path, password=url.password)
        case "file":
            return _file(text, url)
        case _:
            raise _refused(text, "its scheme is not supported")


def _http(text: str, url: SplitResult) -> Remote:
    if "@" in url.netloc:
        raise _refused(
            text,
            "a URL must not carry a user name or a token",
            "write it without them and give the token as GITCD_GIT_TOKEN",
        )
    host = _host(text, url.hostname)
    if url.scheme == "http" and not _loopback(host):
        raise _refused(text, "http:// would send code and token unencrypted", "use https://")
    if not url.path.strip("/"):
        raise _refused(text, "it names no repository")
    return Remote(text, Kind.HTTP, host)


def _ssh(text: str, user: str | None, host: str | None, path: str, *, password: str | None = None) -> Remote:
    if password is not None:
        raise _refused(text, "a URL must not carry a password", "ssh uses a key: write the URL without the password")
    if user is not None and not _USER.fullmatch(user):
        raise _refused(text, "its user name is not one")
    if not path.strip("/") or path.lstrip("/").startswith("-"):
        raise _refused(text, "it names no repository")
    return Remote(text, Kind.SSH, _host(text, host))


def _scp(text: str) -> Remote:
    form = _SCP.fullmatch(text)
    if not form or ":" in form["path"] or unquote(form["path"]) != form["path"]:
        raise _refused(text, "it is no URL")
    return _ssh(text, form["user"], form["host"], form["path"])


def _file(text: str, url: SplitResult) -> Remote:
    if url.netloc not in {"", "localhost"}:
        raise _refused(text, "a file URL names no host")
    return _local(text, unquote(url.path))


def _local(text: str, path: str) -> Remote:
    if not path.strip("/") or path.startswith("//") or ".." in path.split("/"):
        raise _refused(text, "it is not an absolute path without '..'")
    return Remote(path, Kind.LOCAL)


def _host(text: str, host: str | None) -> str:
    if not host or not (_HOST.fullmatch(host) or _loopback(host)):
        raise _refused(text, "its host is not a host name")
    return host.lower()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(text: str, reason: str, remedy: str = _FORMS) -> ConfigError:
    shown = _SECRET.sub("[…]@", text)
    return ConfigError(f"repository {shown!r} is refused: {reason}", remedy=remedy)
