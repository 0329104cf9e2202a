"""Work that is begun now and asked for later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Found = TypeVar("Found")


def begin(work: Callable[[], Found]) -> Future[Found]:
    """Do this beside what follows; its result raises what it raises.

    Nobody waits for it at the end of the process: it may hang, as a plugin for credentials does that asks somebody.
    """
    future: Future[Found] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future
