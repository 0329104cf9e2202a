"""urlopen, whose errors are closed already and can still be read: Python 3.14 warns of each that nobody closed."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPResponse
from typing import Any, cast


def urlopen(call: str | urllib.request.Request, **how: Any) -> HTTPResponse:
    """As urllib.request.urlopen. Raises urllib.error.HTTPError for every status that is no success."""
    try:
        return cast("HTTPResponse", urllib.request.urlopen(call, **how))
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        error.read = lambda: body
        raise
