"""Metrics as text, in the format that Prometheus scrapes and the textfile collector reads, and as DogStatsD takes them.

Source: "Exposition formats" of the Prometheus documentation, and "DogStatsD" of Datadog's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HOSTILE = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. Its labels come from closed sets: whoever declares something can add no series."""

    value: float
    verb: str = ""
    outcome: str = ""

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, text) for name, text in (("verb", self.verb), ("outcome", self.outcome)) if text)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples; its name ends in its unit."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[Sample, ...]


def exposition(families: Iterable[Family]) -> str:
    """The text of a scrape."""
    return "".join(line for family in families for line in _lines(family))


def statsd(families: Iterable[Family], before: Iterable[Family] = ()) -> list[bytes]:
    """One datagram for each sample; of a counter what was added since, and none where that is nothing."""
    known = {(family.name, each.labels): each.value for family in before for each in family.samples}
    datagrams = []
    for family in families:
        for each in family.samples:
            counts = family.kind == "counter"
            value = each.value - known.get((family.name, each.labels), 0) if counts else each.value
            if value or not counts:
                datagrams.append(_datagram(family, each, value))
    return datagrams


def _lines(family: Family) -> Iterator[str]:
    if not family.samples:
        return
    yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
    for each in family.samples:
        labels = ",".join(f'{name}="{text.translate(_HOSTILE)}"' for name, text in each.labels)
        yield f"{family.name}{f'{{{labels}}}' if labels else ''} {_number(each.value)}\n"


def _datagram(family: Family, sample: Sample, value: float) -> bytes:
    name = family.name.removesuffix("_total").replace("_", ".", 1)
    tags = ",".join(f"{label}:{text}" for label, text in sample.labels)
    kind = "c" if family.kind == "counter" else "g"
    return f"{name}:{_number(value)}|{kind}{f'|#{tags}' if tags else ''}".encode()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
