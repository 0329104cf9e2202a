"""A Lease: one of several equal processes works, the others stand by.

It spares work, and is not what keeps a branch whole: two that both believe to hold it push as any two runs do, and lose
nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json

DURATION = 15  # seconds after which whoever does not renew has lost it
LONGEST = 2 * DURATION  # seconds; as much of what another's Lease says is believed: a day would stop everybody for one
_PATH = "/apis/coordination.k8s.io/v1/namespaces"


@dataclass(frozen=True, slots=True)
class Place:
    """Which Lease it is."""

    namespace: str
    name: str

    @property
    def collection(self) -> str:
        return f"{_PATH}/{self.namespace}/leases"

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"


class Lease:
    """One contender's view of a Lease.

    Clocks of other machines are not trusted: another's Lease has run out when it was seen unchanged for as long as it
    says that it lasts, or for `LONGEST`. Whoever lives renews it far more often.
    """

    def __init__(
        self,
        api: Api,
        place: Place,
        holder: str,
        *,
        duration: int = DURATION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.holder = holder
        self.duration = duration
        self.seen_holder = ""
        self._api = api
        self._clock = clock
        self._seen = ""
        self._seen_at = -math.inf
        self._held: Json | None = None  # as this contender has written it, while nobody is known to have changed it

    def hold(self) -> bool:
        """Take the Lease, or keep it; False where somebody else has it.

        Raises:
            DeclinedError: it may not be read or written.
            TransientError: the cluster is in trouble.
        """
        if self._held and self._rewrite(self._held, self._mine(self._held["spec"])):
            return True
        lease = self._get()
        if lease is None:
            return self._write(self._api.create, self.place.collection, self._mine({}))
        spec = lease.get("spec") or {}
        self.seen_holder = spec.get("holderIdentity") or ""
        if self.seen_holder not in {"", self.holder} and not self._has_run_out(lease, spec):
            return False
        return self._rewrite(lease, self._mine(spec))

    def release(self) -> None:
        """Give the Lease up, so that the next one need not wait; whoever else has it keeps it."""
        if self._held and self._rewrite(self._held, _free(self._held)):
            return
        lease = self._get()
        if lease and (lease.get("spec") or {}).get("holderIdentity") == self.holder:
            self._rewrite(lease, _free(lease))

    def _get(self) -> Json | None:
        try:
            return self._api.get(self.place.path)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _rewrite(self, lease: Json, spec: Json) -> bool:
        """Write another content into the Lease as it was last seen; False where it is not that any more."""
        try:
            return self._write(self._api.replace, self.place.path, {**lease, "spec": spec})
        except DeclinedError as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return False
            raise

    def _write(self, write: Callable[[str, Json], Json], path: str, lease: Json) -> bool:
        """Write what was read before, unless somebody has been quicker."""
        metadata = {"name": self.place.name, "namespace": self.place.namespace} | lease.get("metadata", {})
        spec = lease.get("spec", lease)
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._held = None
        try:
            written = write(path, body)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.CONFLICT:
                return False
            raise
        self.seen_holder = spec["holderIdentity"]
        self._held = written if self.seen_holder == self.holder else None
        return True

    def _has_run_out(self, lease: Json, spec: Json) -> bool:
        version = str(lease["metadata"].get("resourceVersion"))
        if version != self._seen:
            self._seen, self._seen_at = version, self._clock()
        return self._clock() >= self._seen_at + min(spec.get("leaseDurationSeconds") or self.duration, LONGEST)

    def _mine(self, spec: Json) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") == self.holder:
            return {**spec, "leaseDurationSeconds": self.duration, "renewTime": now}
        return {
            **spec,
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if spec else 0),
        }


def _free(lease: Json) -> Json:
    """The content of a Lease that nobody holds any more."""
    return {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
