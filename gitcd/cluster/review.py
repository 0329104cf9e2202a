"""Who asks, and whether they may: the API server's own answers, for whoever serves something to its users."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gitcd.cluster.api import Api, Json

_KEPT_SECONDS = 10.0
_KEPT = 256
_LONGEST_TOKEN = 16384


class Verdict(Enum):
    ALLOWED = "allowed"
    UNKNOWN = "nobody that the cluster knows"
    FORBIDDEN = "somebody who may not"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody wants to do: read a path of ours, or list objects of a kind; `namespace` empty: of all."""

    path: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """As a SubjectAccessReview asks. Source: its reference, authorization.k8s.io/v1."""
        if self.path:
            return {"nonResourceAttributes": {"path": self.path, "verb": "get"}}
        return {
            "resourceAttributes": {
                "verb": "list",
                "group": self.group,
                "resource": self.resource,
                "namespace": self.namespace,
            }
        }


class Reviewer:
    """Asks by TokenReview and SubjectAccessReview, and remembers an answer for some seconds."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[tuple[str, Deed], tuple[float, Verdict]] = {}

    def judge(self, token: str, deed: Deed) -> Verdict:
        """Whether the bearer of a token may do it.

        Raises:
            DeclinedError: this process may not ask.
            TransientError: the cluster is in trouble.
        """
        if not token or len(token) > _LONGEST_TOKEN:
            return Verdict.UNKNOWN
        key = hashlib.sha256(token.encode()).hexdigest(), deed
        now = time.monotonic()
        with self._lock:
            until, verdict = self._known.get(key, (now, Verdict.UNKNOWN))
        if until > now:
            return verdict
        verdict = self._ask(token, deed)
        with self._lock:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[key] = now + _KEPT_SECONDS, verdict
        return verdict

    def _ask(self, token: str, deed: Deed) -> Verdict:
        review = self._review("authentication.k8s.io", "TokenReview", {"token": token})
        user = review.get("user") or {}
        if not review.get("authenticated") or not user.get("username"):
            return Verdict.UNKNOWN
        spec = {
            "user": user["username"],
            "uid": user.get("uid", ""),
            "groups": user.get("groups", []),
            "extra": user.get("extra", {}),
            **deed.attributes,
        }
        answer = self._review("authorization.k8s.io", "SubjectAccessReview", spec)
        return Verdict.ALLOWED if answer.get("allowed") is True else Verdict.FORBIDDEN

    def _review(self, group: str, kind: str, spec: Json) -> Json:
        body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {}, "spec": spec}
        status = self._api.create(f"/apis/{group}/v1/{kind.lower()}s", body).get("status")
        return status if isinstance(status, dict) else {}
