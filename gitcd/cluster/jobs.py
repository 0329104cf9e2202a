"""Jobs that check a version: made once under a name that follows from what is checked, and read until they are done."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from gitcd import redact
from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import MANAGER, Objects
from gitcd.errors import GitcdError
from gitcd.model.declaration import API_VERSION, KIND
from gitcd.model.live import Ref
from gitcd.rollout.looks import Look, of_job, of_late_job

CONTAINER = "verify"
KEPT = timedelta(hours=1)  # how long a finished Job stays, for whoever wants to look at it, and for a run that goes on
LABEL = "gitcd.io/verifies"
_GRACE = timedelta(seconds=30)  # after which the cluster itself ends what gitcd did not live to see
_LINES, _LINE = 10, 256
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Owner:
    """The ContainerVersion that a Job belongs to: it goes with it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Check:
    """A Job as it is wanted. `key` tells this look from all others; asked for again, it is the same Job.

    `environment` are the variables of its container, and `deadline` is how long it may run.
    """

    namespace: str
    app: str
    key: str
    image: str
    environment: Mapping[str, str]
    annotations: Mapping[str, str]
    deadline: timedelta
    owner: Owner | None = None

    @property
    def name(self) -> str:
        mark = f"-verify-{hashlib.sha256(self.key.encode()).hexdigest()[:10]}"
        return self.app[: _LONGEST_NAME - len(mark)].rstrip("-.") + mark

    @property
    def ref(self) -> Ref:
        return Ref("Job", self.namespace, self.name, "batch")

    def manifest(self) -> dict[str, Any]:
        """One pod, tried once, with no token and no privileges, as the restricted pod security standard asks.

        A pod that the cluster itself takes away is no failure: another one takes its place.
        """
        labels = {"app.kubernetes.io/managed-by": "gitcd", LABEL: self.app[:_LONGEST_NAME].rstrip("-.")}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels, **self._owned()},
            "spec": {
                "backoffLimit": 0,
                "podFailurePolicy": {
                    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
                },
                "activeDeadlineSeconds": math.ceil((max(self.deadline, timedelta()) + _GRACE).total_seconds()),
                "ttlSecondsAfterFinished": math.ceil(KEPT.total_seconds()),
                "template": {
                    "metadata": {"labels": labels, "annotations": dict(self.annotations)},
                    "spec": self._pod(),
                },
            },
        }

    def _pod(self) -> dict[str, Any]:
        return {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": CONTAINER,
                    "image": self.image,
                    "env": [{"name": name, "value": value} for name, value in self.environment.items()],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        }

    def _owned(self) -> dict[str, Any]:
        if self.owner is None:
            return {}
        owner = {"apiVersion": API_VERSION, "kind": KIND, "name": self.owner.name, "uid": self.owner.uid}
        return {"ownerReferences": [owner]}


class Jobs:
    """The Jobs of a cluster that check versions."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def start(self, check: Check) -> Json | Look:
        """The Job, made where it is not there yet; a Look where there can be none.

        Raises:
            TransientError: the cluster is in trouble.
        """
        path = self._objects.discovery.find("batch", "Job").collection(check.namespace)
        try:
            return self._objects.api.create(path, check.manifest(), {"fieldManager": MANAGER})
        except DeclinedError as answer:
            if answer.status != HTTPStatus.CONFLICT:
                return Look.unclear(f"Job {check.name} cannot be made: {answer.words}")
        found = self._objects.get(check.ref)
        if found is None:
            return Look.unclear(f"Job {check.name} vanished")
        return found if _is_the_same(check, found) else Look.unclear(f"another Job has the name {check.name}")

    def look(self, check: Check, uid: str, *, late: bool) -> Look | None:
        """What the Job of that uid says by now; None while it goes on. `late`: it has no more time.

        Raises:
            TransientError: the cluster is in trouble.
        """
        job = self._objects.get(check.ref)
        if job is None or job["metadata"].get("uid") != uid:
            return Look.unclear(f"Job {check.name} vanished before it was done")
        pods = self._pods(check, uid)
        found = of_job(job, pods)
        if found is None and late:
            found = of_late_job(f"Job {check.name}", job, pods, self._events(check, uid))
        return found

    def log(self, check: Check, look: Look) -> tuple[str, ...]:
        """The last lines that its container wrote, as far as the cluster gives them, and without secrets."""
        if not look.pod:
            return ()
        try:
            lines = self._objects.log_tail(check.namespace, look.pod, look.container, _LINES)
        except GitcdError:
            return ()  # evidence is welcome, and its absence changes no verdict
        return tuple(redact.clean(line)[:_LINE] for line in redact.clean("\n".join(lines)).splitlines())

    def _pods(self, check: Check, uid: str) -> Sequence[Json]:
        # The label is set by the Job's own controller. Source: the labels reference of Kubernetes.
        labels = f"batch.kubernetes.io/controller-uid={uid}"
        return self._objects.list_kind("", "Pod", namespace=check.namespace, labels=labels)

    def _events(self, check: Check, uid: str) -> Sequence[str]:
        try:
            events = self._objects.list_kind("", "Event", namespace=check.namespace, fields=f"involvedObject.uid={uid}")
        except DeclinedError:
            return ()
        return [redact.clean(f"{each.get('reason')}: {each.get('message')}") for each in events]


def _is_the_same(check: Check, found: Json) -> bool:
    """Whether a Job that is there already runs what this one would: its verdict is believed only then."""
    wanted = check.manifest()
    owners = [each.get("uid") for each in found["metadata"].get("ownerReferences") or ()]
    (container, *others) = found["spec"]["template"]["spec"].get("containers") or [{}]
    mine = wanted["spec"]["template"]["spec"]["containers"][0]
    return (
        not others
        and all(container.get(key) == mine[key] for key in ("name", "image"))
        and not (container.keys() & {"command", "args"})
        and (check.owner is None or check.owner.uid in owners)
    )
