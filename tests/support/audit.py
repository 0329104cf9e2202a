"""The API server's audit log: who did what, when it is all in.

mark = control_plane.audit.mark()
...
for request in control_plane.audit.since(mark, user=account.name): ...
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request of one user. `status` is the HTTP status; `resource` is `pods`, `containerversions/status`, ..."""

    user: str
    verb: str
    group: str  # API group, empty for the core
    resource: str  # empty for a path that is no resource
    namespace: str
    name: str
    path: str
    status: int
    agent: str

    @property
    def permission(self) -> tuple[str, str, str]:
        """What a rule of a role has to allow: (group, resource, verb)."""
        return self.group, self.resource, self.verb


@dataclass(frozen=True)
class AuditLog:
    path: Path

    def mark(self) -> int:
        """A place in the log: requests that begin from now on come after it."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark: int, *, user: str, agent: str = "") -> list[Request]:
        """Every request of `user` that began after `mark`; waits for those under way, but for watches not to their end.

        Controllers act as the admin too: `agent`, how the program names itself, tells them from gitcd.
        """
        end = time.monotonic() + _SECONDS
        while True:
            entries = [entry for entry in self._entries(mark) if entry["user"]["username"] == user]
            begun = {entry["auditID"] for entry in entries if entry["stage"] == "RequestReceived"}
            answered = {entry["auditID"]: entry for entry in entries if entry["stage"] != "RequestReceived"}
            if begun <= answered.keys():
                asked = [_request(answered[identity]) for identity in _ordered(entries, begun)]
                return [each for each in asked if each.agent.startswith(agent)]
            if time.monotonic() > end:
                missing = [entry["requestURI"] for entry in entries if entry["auditID"] in begun - answered.keys()]
                raise AssertionError(f"still unanswered after {_SECONDS:.0f} s: {missing}")
            time.sleep(0.02)

    def _entries(self, mark: int) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def writes(requests: Iterable[Request]) -> list[Request]:
    """Those that change something, or would."""
    return [request for request in requests if request.verb in WRITES]


def _ordered(entries: list[dict[str, Any]], wanted: set[str]) -> list[str]:
    return list(dict.fromkeys(entry["auditID"] for entry in entries if entry["auditID"] in wanted))


def _request(entry: dict[str, Any]) -> Request:
    about = entry.get("objectRef", {})
    resource = "/".join(part for part in (about.get("resource", ""), about.get("subresource", "")) if part)
    return Request(
        user=entry["user"]["username"],
        verb=entry["verb"],
        group=about.get("apiGroup", ""),
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        path=entry["requestURI"],
        status=entry.get("responseStatus", {}).get("code", 0),
        agent=entry.get("userAgent", ""),
    )
