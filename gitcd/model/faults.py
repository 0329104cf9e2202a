"""How faults of documents are worded. How much is said is bounded, whatever the input."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from gitcd.model.fields import Items
from gitcd.model.problem import Problem, Steps

_SHOWN = 60  # characters of a faulty value that a message repeats

INVALID: Final = object()  # stands for a value that could not be read


def report(message: str, at: Steps, problems: list[Problem], remedy: str = "") -> object:
    problems.append(Problem(message, remedy, at))
    return INVALID


def mistyped(value: object, wanted: str, at: Steps, problems: list[Problem]) -> object:
    if value is None:
        return report(f"has no value, {wanted} is wanted", at, problems, "give a value or remove the key")
    remedy = ""
    if wanted == "text" and isinstance(value, bool | int | float):
        remedy = "put quotes around the value"
    elif wanted == "true or false" and isinstance(value, str):
        remedy = "write true or false, without quotes"
    elif wanted == "a whole number" and isinstance(value, str) and value.isdecimal():
        remedy = "write it without quotes"
    return report(f"{wanted} is wanted, not {_named(value)}", at, problems, remedy)


def count_fault(count: int, limits: Items, what: str) -> str:
    if count > limits.max:
        return f"has {count} {what}, at most {limits.max} are allowed"
    return f"has {count} {what}, at least {limits.min} must be given" if count < limits.min else ""


def shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _named(value: object) -> str:
    match value:
        case dict():
            return "a map"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {shown(value)}"
        case _:
            return f"the text {shown(value)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    if len(word) > _SHOWN:
        return ""
    folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]}?" if close else ""
