"""A process that dies: after its write of some number has reached the API server."""

from __future__ import annotations

from functools import partial
from typing import Any

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from tests.support.rollouts import Rollouts, carry


class Killed(BaseException):
    """What SIGKILL is to a process: nothing is cleaned up after it."""


class MortalApi(Api):
    """Dies right after its write of that number has reached the server."""

    left = 0

    def _send(self, request: Any, *words: Any, **how: Any) -> Any:
        answer = super()._send(request, *words, **how)
        if request.method != "GET":
            self.left -= 1
            if self.left == 0:
                raise Killed
        return answer


def mortal(cluster: Rollouts, writes: int) -> dict[str, Any]:
    """The means of a run that dies after so many writes."""
    api = MortalApi(find_access(str(cluster.plane.admin.kubeconfig)))
    api.left = writes
    objects = Objects(api)
    return {"objects": objects, "carry": partial(carry, objects)}
