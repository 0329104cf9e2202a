"""Tokens of a GitHub App: minted for this run and this repository, anew when they end before the run does.

Source: "Generating a JSON Web Token (JWT) for a GitHub App" and "Generating an installation access token", GitHub Docs.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.forge.adapter import dig, reading
from gitcd.forge.http import Client
from gitcd.model.settings import GitHubApp

_LIFETIME = 540  # seconds; GitHub takes at most ten minutes
_CLOCKS = 60  # seconds by which clocks may differ
_MARGIN = 120  # seconds before its end at which a token is renewed


@dataclass(frozen=True, slots=True)
class Signed:
    """The App's own credentials, by which it asks for a token of an installation."""

    app: str
    sign: Callable[[bytes], bytes]

    def header(self) -> tuple[str, str]:
        now = int(time.time())
        claims = {"iat": now - _CLOCKS, "exp": now + _LIFETIME, "iss": self.app}
        text = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return "Authorization", f"Bearer {text}.{_base64(self.sign(text.encode()))}"

    def renew(self) -> bool:
        return False


class AppTokens:
    """Tokens of the App's installation on one repository."""

    def __init__(self, app: GitHubApp, client: Client, repository: str) -> None:
        """`client` sends to the REST API, with the App's own credentials."""
        self._installation = app.installation
        self._repository = repository
        self._client = client
        self._token = ""
        self._until = 0.0

    def header(self) -> tuple[str, str]:
        if time.time() > self._until - _MARGIN:
            self._mint()
        return "Authorization", f"Bearer {self._token}"

    def renew(self) -> bool:
        self._mint()
        return True

    def _mint(self) -> None:
        """A token for this repository alone, with what the App may do there."""
        wanted = {"repositories": [self._repository.rpartition("/")[2]]}
        if not self._installation:
            self._installation = str(dig(self._client.get(f"repos/{quote(self._repository)}/installation"), "id"))
        path = f"app/installations/{self._installation}/access_tokens"
        made = self._client.send("POST", path, wanted, repeat=True).body
        self._token = str(dig(made, "token"))
        self._until = _moment(dig(made, "expires_at"))
        redact.register(self._token)


@reading
def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def signer(path: Path) -> Callable[[bytes], bytes]:
    """What signs with the key of a PEM file, by RS256 (RFC 7518, 3.3).

    Raises:
        ConfigError: there is no such key, or nothing that could use it.
    """
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise ConfigError(
            "a GitHub App needs the package cryptography, which is not installed",
            remedy="install gitcd with its extra github-app, or use the container image",
        ) from None
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"forge.app.keyFile {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ConfigError(f"forge.app.keyFile {path} holds no private key without a passphrase, in PEM form") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError(f"forge.app.keyFile {path} holds no RSA key", remedy="use the key that GitHub made")
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _encoded(part: dict[str, object]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
