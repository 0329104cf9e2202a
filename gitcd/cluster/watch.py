"""Hear of ContainerVersions that change. What is heard only says when to look: what is there is always listed anew.

So nothing hangs on an event: where some may have been missed, all are looked at.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus

from gitcd.cluster.api import Api, DeclinedError, Json, Query
from gitcd.errors import GitcdError, TransientError
from gitcd.model.declaration import API_VERSION, PLURAL

_SECONDS = 240  # after which the server ends a watch by itself
_SILENCE = 270.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

# Namespace and name of one that changed; None: any may have.
Notice = Callable[[tuple[str, str] | None], None]

_log = logging.getLogger(__name__)


def places(api: Api, namespaces: Iterable[str]) -> list[str]:
    """What to watch to hear of all: everything at once (the empty name), or, where that is forbidden, each of these."""
    try:
        api.get(f"/apis/{API_VERSION}/{PLURAL}", {"limit": 1})
    except DeclinedError as answer:
        return sorted(set(namespaces)) if answer.status == HTTPStatus.FORBIDDEN else [""]
    except TransientError:
        return [""]
    return [""]


class ExpiredError(Exception):
    """The server no longer knows what happened since the version that was asked for."""


class Watch:
    """Watches the ContainerVersions of a namespace, or of all where it is empty, until it is stopped."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        notice: Notice,
        tell: Callable[[GitcdError], None],
        *,
        pause: float = _FIRST_PAUSE,
    ) -> None:
        scope = f"/namespaces/{namespace}" if namespace else ""
        self._path = f"/apis/{API_VERSION}{scope}/{PLURAL}"
        self._api = api
        self._notice = notice
        self._tell = tell
        self._pause = pause
        self._stopped = threading.Event()
        self._version = ""

    def start(self) -> None:
        """Watch in a thread that keeps no process from ending."""
        threading.Thread(target=self._follow, name=f"watch {self._path}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _follow(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                self._once()
                failures = 0
            except ExpiredError:
                _log.info("%s: the watch has expired, listing anew", self._path)
                self._version = ""
            except GitcdError as error:
                failures += 1
                if failures == 1:
                    self._tell(error)
                if isinstance(error, DeclinedError) and error.status == HTTPStatus.GONE:
                    self._version = ""
            longest = min(self._pause * 2**failures, _LONGEST_PAUSE)
            self._stopped.wait(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret

    def _once(self) -> None:
        """One watch, from where the last one ended."""
        if not self._version:
            self._version = self._api.get(self._path, {"limit": 1})["metadata"]["resourceVersion"]
            self._notice(None)
        query: Query = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": _SECONDS,
        }
        for event in self._api.stream(self._path, query, _SILENCE):
            if self._stopped.is_set():
                return
            self._heard(event)

    def _heard(self, event: Json) -> None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            if item.get("code") == HTTPStatus.GONE:
                raise ExpiredError
            raise DeclinedError(int(item.get("code") or 0), str(item.get("reason", "")), str(item.get("message", "")))
        metadata = item.get("metadata") or {}
        self._version = metadata.get("resourceVersion") or self._version
        if kind == "DELETED" or (kind in {"ADDED", "MODIFIED"} and not _is_answered(item)):
            self._notice((str(metadata.get("namespace")), str(metadata.get("name"))))


def _is_answered(item: Json) -> bool:
    """Whether its status is about the present generation: then only the status, or a label, has changed."""
    generation = (item.get("metadata") or {}).get("generation")
    return generation is not None and (item.get("status") or {}).get("observedGeneration") == generation
