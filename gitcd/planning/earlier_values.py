"""Which values a declaration can be taken back to: those that it held before, as far as nobody went back past them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)


def earlier(values: Sequence[Value]) -> list[int]:
    """Where the values below the present one were held last, the nearest first.

    `values` are all that were held, newest first. A value that comes again takes back whatever came after it, so what
    was tried and given up is no step on the way back.
    """
    stack: list[tuple[Value, int]] = []
    for number in reversed(range(len(values))):
        kept = next((depth for depth, (value, _) in enumerate(stack) if value == values[number]), len(stack))
        stack[kept:] = [(values[number], number)]
    return [number for _, number in reversed(stack[:-1])]
