"""Many requests at once, up to a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], workers: int, deadline: float
) -> Iterator[tuple[_Item, _Result]]:
    """Yield each item with its result, as they come, until the deadline (a moment of `time.monotonic()`).

    The pool's threads are daemons, which those of `concurrent.futures` are not: a request that hangs can keep neither
    the run past its deadline nor the process from ending.
    """
    from multiprocessing import TimeoutError as NotYet
    from multiprocessing.pool import ThreadPool

    if not items:
        return

    def answer(item: _Item) -> tuple[_Item, _Result]:
        return item, work(item)

    with ThreadPool(min(workers, len(items))) as pool:
        results = pool.imap_unordered(answer, items)
        for _ in items:
            try:
                yield results.next(_remaining(deadline))
            except NotYet:
                return


def _remaining(deadline: float) -> float | None:
    return None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
