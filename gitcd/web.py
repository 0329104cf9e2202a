"""What every client of HTTP goes by: what credentials are bound to, where a redirect leads, how long to wait, proxies.

Sources: RFC 6454 (origins), RFC 9110, 10.2.2 (Location) and 10.2.3 (Retry-After).
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urljoin, urlsplit

from gitcd import redact

_PORTS = {"http": 80, "https": 443}
_CONNECTION = re.compile(r"^HTTPS?Connection(Pool)?\([^()]*\): ")

Origin = tuple[str, str, int | None]


def origin(url: str) -> Origin | None:
    """Scheme, host and port: what credentials are bound to. None if it is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname.lower(), port) if parts.hostname else None


def joined(url: str, location: str) -> str:
    """Where a redirect leads; empty if nowhere."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def retry_after(text: str, now: float) -> float | None:
    """The seconds that a header Retry-After asks for; None if it says none. `now` is in seconds since 1970."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


def without_pool(error: Exception) -> str:
    """What an error of urllib3 says, without the connection that it is about: that would tell an address."""
    return redact.clean(_CONNECTION.sub("", str(error)))


def proxy_credentials(proxy: str) -> dict[str, str]:
    """The headers by which a proxy lets somebody in, where its address holds a user; the password is never printed."""
    import urllib3

    user = urlsplit(proxy)
    if not user.username:
        return {}
    password = unquote(user.password or "")
    redact.register(password)
    return dict(urllib3.make_headers(proxy_basic_auth=f"{unquote(user.username)}:{password}"))
