"""Prometheus, at the address that the operator's settings name and at no other: instant queries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from gitcd import __version__, redact
from gitcd.cluster.asking import Heard, Unheard, ask
from gitcd.model.strategy import Verify
from gitcd.rollout.looks import Look, of_samples

_SECONDS = 15.0
_MOST = 1 << 20  # bytes
_SHOWN = 256
_OK = 200

Sample = tuple[Mapping[str, str], float]


class Prometheus:
    """One server. `token` is sent as a bearer token where there is one."""

    def __init__(self, url: str, token: str = "", *, seconds: float = _SECONDS) -> None:
        import urllib3

        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._seconds = seconds
        self._headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "User-Agent": f"gitcd/{__version__}",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        self._pool = urllib3.PoolManager()

    def look(self, verify: Verify) -> Look:
        """What the query of a check results in now. Whatever keeps it from being answered is inconclusive."""
        body = urlencode({"query": verify.query, "timeout": f"{math.ceil(self._seconds)}s"})
        answer = ask(
            lambda timeout: self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            ),
            self._seconds,
            lambda *_: _MOST,
        )
        if isinstance(answer, Unheard):
            return Look.unclear(_shown(f"Prometheus {answer.why.value}: {answer.words}".removesuffix(": ")))
        result = _result(answer)
        return Look.unclear(_shown(result)) if isinstance(result, str) else of_samples(verify, result)


def _result(answer: Heard) -> list[Sample] | str:
    """The samples; or why there are none to be judged. Source: "HTTP API" of Prometheus, instant queries."""
    if answer.is_cut:
        return f"the query has more than {_MOST} bytes of results"
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("status") not in {"success", "error"}:
        return f"Prometheus answers {answer.status} with something else than a result"
    if value["status"] == "error" or answer.status != _OK:
        return f"Prometheus says {value.get('errorType', answer.status)}: {value.get('error', '')}"
    data = value.get("data") or {}
    kind, result = data.get("resultType"), data.get("result")
    if kind not in {"vector", "scalar"}:
        return f"the query results in a {kind}, where a vector or a scalar is wanted"
    try:
        return list(_samples(kind, result))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        return "Prometheus answers with samples that cannot be read"


def _samples(kind: str, result: Any) -> Iterator[Sample]:
    if kind == "scalar":
        yield {}, float(result[1])
        return
    for each in result:
        yield {str(key): str(label) for key, label in each["metric"].items()}, float(each["value"][1])


def _shown(text: str) -> str:
    return redact.clean(text)[:_SHOWN]
