"""One question over HTTP, asked once: no redirect is followed, and no more is read than is wanted, nor for longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gitcd import redact

if TYPE_CHECKING:
    import urllib3

_CONNECT = 5.0  # seconds
_SHOWN = 256


class Why(Enum):
    """Why there is no answer. Only a server that was reached can be blamed for giving none."""

    UNREACHABLE = "cannot be reached"
    REFUSED = "refuses connections"
    SILENT = "does not answer in time"
    BROKEN = "breaks the connection off"


@dataclass(frozen=True, slots=True)
class Heard:
    """`body` is as much of it as was wanted; there is more where `is_cut`."""

    status: int
    body: bytes = b""
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Unheard:
    why: Why
    words: str = ""


def ask(
    send: Callable[[urllib3.Timeout], urllib3.BaseHTTPResponse],
    seconds: float,
    most: Callable[[int, str], int] = lambda *_: 0,
) -> Heard | Unheard:
    """The answer to one request within so many seconds.

    `send` sends it and leaves the body unread. `most` says by status and content type how many bytes of that may come;
    0 takes none.
    """
    import urllib3

    ends = time.monotonic() + seconds
    try:
        response = send(urllib3.Timeout(connect=min(_CONNECT, seconds), read=seconds))
        try:
            return _taken(response, ends, most)
        finally:
            response.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return Unheard(_why(error), redact.clean(f"{type(error).__name__}: {error}")[:_SHOWN])


def _taken(response: urllib3.BaseHTTPResponse, ends: float, most: Callable[[int, str], int]) -> Heard | Unheard:
    wanted = most(response.status, response.headers.get("Content-Type", ""))
    body = _read(response, ends, wanted) if wanted else b""
    return Unheard(Why.SILENT) if body is None else Heard(response.status, body[:wanted], len(body) > wanted)


def _read(response: urllib3.BaseHTTPResponse, ends: float, most: int) -> bytes | None:
    """The body; None where it comes too slowly."""
    body = b""
    while len(body) <= most:
        if time.monotonic() >= ends:
            return None
        piece = response.read1(most + 1 - len(body))
        if not piece:
            break
        body += piece
    return body


def _why(error: Exception) -> Why:
    from urllib3 import exceptions

    cause = error.__cause__ or error.__context__
    if isinstance(cause, ConnectionRefusedError):
        return Why.REFUSED
    if isinstance(error, exceptions.ReadTimeoutError):
        return Why.SILENT
    unreached = (
        exceptions.NewConnectionError,
        exceptions.ConnectTimeoutError,
        exceptions.SSLError,
        exceptions.ProxyError,
    )
    return Why.UNREACHABLE if isinstance(error, unreached) else Why.BROKEN
