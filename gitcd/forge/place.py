"""Which forge a repository is on, and what it is called there: read from the remote's address and the settings."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from gitcd.errors import ConfigError
from gitcd.model.settings import Forge

_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>(?!/?/).+)")
_CODECOMMIT = re.compile(r"git-codecommit(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|api\.aws)")
_WELL_KNOWN = {
    "github.com": "github",
    "ssh.github.com": "github",
    "gitlab.com": "gitlab",
    "altssh.gitlab.com": "gitlab",
    "bitbucket.org": "bitbucket",
    "altssh.bitbucket.org": "bitbucket",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
_SUFFIXES = {".ghe.com": "github"}
_WEB = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com", "altssh.bitbucket.org": "bitbucket.org"}
_REMEDY = "set GITCD_FORGE_KIND to github, gitlab, gitea, bitbucket or codecommit"


@dataclass(frozen=True, slots=True)
class Place:
    """`url` is the forge's own address, `repository` the path there; `region` only AWS has."""

    kind: str
    url: str
    repository: str
    region: str = ""


def locate(remote: str, forge: Forge) -> Place:
    """Where the repository of a remote's address is.

    Raises:
        ConfigError: the address or the settings do not say it.
    """
    host, port, path = _parts(remote)
    kind = forge.kind or _kind(host)
    if not kind:
        where = f"the host {host}" if host else "a local repository"
        raise ConfigError(f"{where} is not known to be a forge", remedy=_REMEDY)
    if kind == "codecommit":
        return _codecommit(remote, host, path, forge)
    url = forge.url or (f"{remote.partition(':')[0]}://{port}" if port else f"https://{_WEB.get(host, host)}")
    if not host and not forge.url:
        raise ConfigError(f"the forge of {remote} has no address", remedy="set GITCD_FORGE_URL")
    _refuse_plain_http(url)
    return Place(kind, url.rstrip("/"), _repository(remote, kind, _below(url, path)))


def _parts(remote: str) -> tuple[str, str, str]:
    """Host; host with port where http or https names them; path without leading and closing slashes."""
    if "://" in remote:
        url = _split(remote)
        authority = url.netloc if url.scheme in {"http", "https"} else ""
        return (url.hostname or "").lower(), authority, unquote(url.path).strip("/")
    scp = _SCP.fullmatch(remote)
    return (scp["host"].lower(), "", scp["path"].strip("/")) if scp else ("", "", remote.strip("/"))


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise ConfigError(f"{address} is not an address", remedy="write it as https://HOST/OWNER/NAME") from error


def _kind(host: str) -> str:
    if _CODECOMMIT.fullmatch(host):
        return "codecommit"
    return _WELL_KNOWN.get(host) or next((kind for end, kind in _SUFFIXES.items() if host.endswith(end)), "")


def _below(url: str, path: str) -> str:
    """A forge may live below a path of its host, which http remotes then begin with."""
    root = _split(url).path.strip("/")
    return path.removeprefix(f"{root}/") if root else path


def _repository(remote: str, kind: str, path: str) -> str:
    name = path.removesuffix(".git").strip("/")
    parts = name.split("/")
    if len(parts) < 2 or (len(parts) > 2 and kind != "gitlab") or not all(parts) or {".", ".."} & set(parts):  # noqa: PLR2004 - owner/name
        raise ConfigError(f"{remote} does not name a repository as {kind} has them", remedy="write it as OWNER/NAME")
    return name


def _codecommit(remote: str, host: str, path: str, forge: Forge) -> Place:
    match = _CODECOMMIT.fullmatch(host)
    name = path.rpartition("/")[2]
    if not match and not forge.url:
        raise ConfigError(f"{remote} is no repository of CodeCommit", remedy=_REMEDY)
    return Place("codecommit", forge.url, name, match["region"] if match else "")


def _refuse_plain_http(url: str) -> None:
    parts = _split(url)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if parts.scheme != "https" and not loopback:
        raise ConfigError(f"{url} would get the forge's token unencrypted", remedy="use https://")
