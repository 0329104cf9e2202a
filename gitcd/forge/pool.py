"""Connections: certificates are checked, and the proxies of the environment are heeded as curl heeds them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gitcd.web import proxy_credentials


def open_pool(base: str, *, connect: float, read: float) -> Any:
    """A pool for the origin of `base`. Timeouts are in seconds."""
    import urllib3

    options: dict[str, Any] = {"timeout": urllib3.Timeout(connect=connect, read=read), "cert_reqs": "CERT_REQUIRED"}
    url = urlsplit(base)
    proxy = getproxies().get(url.scheme, "")
    if not proxy or proxy_bypass(url.netloc):
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(proxy, proxy_headers=proxy_credentials(proxy), **options)
