"""How a process of a test dies by SIGKILL at one of its writes: to the API server, or to the remote."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

# Whoever dies after one of these leaves what whoever dies before it leaves.
_BESIDES = re.compile(r"/leases|/events|authorization.k8s.io")
_HURRY = 0.05  # seconds, to which every wait of such a process is cut


def doom(number: int) -> None:
    """Have this process die at its write of that number: right after one to the API server, and around a push.

    It does not wait long for anything, as there are many of its kind.
    """
    from gitcd.cluster.api import Api
    from gitcd.git.origin import Origin

    step = _countdown(number)
    send, push = Api._send, Origin.push

    def sends(self: Api, request: Any, *words: Any, **how: Any) -> Any:
        answer = send(self, request, *words, **how)
        if request.method != "GET" and not _BESIDES.search(request.path) and "dryRun" not in request.query:
            step()
        return answer

    def pushes(self: Origin, oid: str, branch: str, *options: str) -> Any:
        if "--dry-run" in options:
            return push(self, oid, branch, *options)
        step()
        result = push(self, oid, branch, *options)
        step()
        return result

    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, _HURRY))
    Api._send = sends  # type: ignore[method-assign]
    Origin.push = pushes  # type: ignore[method-assign]


def _countdown(number: int) -> Callable[[], None]:
    left, lock = number, threading.Lock()

    def step() -> None:
        nonlocal left
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return step
