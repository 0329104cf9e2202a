"""From the remote's address and the operator's settings to a forge that can be asked."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from gitcd import redact
from gitcd.errors import ConfigError, TransientError
from gitcd.forge.adapter import Adapter
from gitcd.forge.careful import Careful
from gitcd.forge.failures import ForgeError
from gitcd.forge.http import Client, Clock
from gitcd.forge.place import Place, locate
from gitcd.forge.protocol import Forge
from gitcd.forge.tokens import GivenToken, Tokens
from gitcd.model import settings

_TOKEN = re.compile(r"[\x21-\x7e]*")


def open_forge(
    remote: str, wanted: settings.Forge, token: str, *, deadline: float | None = None, clock: Clock | None = None
) -> Forge:
    """The forge of a remote repository; nothing is asked yet.

    `token` is the one to use where no GitHub App is set up. `deadline`, in seconds since 1970, ends every wait that a
    forge asks for.

    Raises:
        ConfigError: it is not known which forge that is, or there are no credentials for it.
    """
    place = locate(remote, wanted)
    clock = clock or Clock()
    redact.register(token)
    if not _TOKEN.fullmatch(token):
        raise ConfigError("the forge's token holds a blank, a line end or the like", remedy="set it to the token alone")
    return Careful(_adapter(place, wanted, token, deadline, clock), clock=clock)


def app_token(remote: str, wanted: settings.Forge) -> str:
    """A token of the GitHub App, by which git may read the repository and push to it over https.

    Raises:
        ConfigError: the App is not set up as GitHub knows it.
        TransientError: GitHub cannot be asked.
    """
    place = locate(remote, wanted)
    try:
        _, value = _app_tokens(place, wanted, None, Clock()).header()
    except ForgeError as error:
        kind = TransientError if error.failure.transient else ConfigError
        raise kind(error.failure.message, remedy=error.failure.remedy) from None
    return value.removeprefix("Bearer ")


def _adapter(place: Place, wanted: settings.Forge, token: str, deadline: float | None, clock: Clock) -> Adapter:
    """Every forge's module is loaded only where it is the one."""
    if place.kind == "codecommit":
        from gitcd.forge.codecommit import CodeCommit

        return CodeCommit(place.repository, place.region, place.url)
    if place.kind == "github":
        return _github(place, wanted, token, deadline, clock)
    if not token:
        raise _no_token(place)

    def client(name: str, base: str, tokens: Tokens) -> Client:
        return Client(name, base, tokens, deadline=deadline, clock=clock)

    match place.kind:
        case "gitlab":
            from gitcd.forge.gitlab import GitLab

            return GitLab(client("GitLab", f"{place.url}/api/v4", GivenToken(token)), place.repository)
        case "bitbucket":
            from gitcd.forge.bitbucket import Bitbucket

            base = "https://api.bitbucket.org/2.0" if place.url == "https://bitbucket.org" else place.url
            return Bitbucket(client("Bitbucket", base, GivenToken(token)), place.repository)
        case _:
            from gitcd.forge.gitea import Gitea

            tokens = GivenToken(token, scheme="token")
            return Gitea(client("Gitea", f"{place.url}/api/v1", tokens), place.repository)


def _github(place: Place, wanted: settings.Forge, token: str, deadline: float | None, clock: Clock) -> Adapter:
    from gitcd.forge.github import HEADERS, GitHub

    rest, graphql = _github_apis(place.url)
    tokens: Tokens
    if wanted.app.id:
        tokens = _app_tokens(place, wanted, deadline, clock)
    elif token:
        tokens = GivenToken(token)
    else:
        raise _no_token(place)
    return GitHub(
        Client("GitHub", rest, tokens, HEADERS, deadline=deadline, clock=clock),
        Client("GitHub", graphql, tokens, HEADERS, deadline=deadline, clock=clock),
        place.repository,
        is_app=bool(wanted.app.id),
    )


def _app_tokens(place: Place, wanted: settings.Forge, deadline: float | None, clock: Clock) -> Tokens:
    from gitcd.forge.app import AppTokens, Signed, signer
    from gitcd.forge.github import HEADERS

    app, (rest, _) = wanted.app, _github_apis(place.url)
    own = Signed(app.id, signer(Path(app.key_file).expanduser()))
    client = Client("GitHub", rest, own, HEADERS, deadline=deadline, clock=clock)
    return AppTokens(app, client, place.repository)


def _github_apis(url: str) -> tuple[str, str]:
    """REST and GraphQL have hosts of their own at github.com and ghe.com, and paths on an Enterprise Server."""
    host = urlsplit(url).hostname or ""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}", f"https://api.{host}"
    return f"{url}/api/v3", f"{url}/api"


def _no_token(place: Place) -> ConfigError:
    return ConfigError(
        f"there is no token for pull requests in {place.repository} at {place.url}",
        remedy="set GITCD_FORGE_TOKEN, or GITCD_FORGE_TOKEN_ENV to the name of the variable that holds it",
    )
