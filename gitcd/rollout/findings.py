"""What one run has measured of a release, beside what its record said when the run began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gitcd.model.verdict import Measurement, Tally
from gitcd.rollout.actions import Measure
from gitcd.rollout.record import MOST_CHECKS, Record
from gitcd.rollout.verification import decides_at_once, tallied


@dataclass(slots=True)
class Findings:
    """`measured` are the run's own measurements by their keys; `earlier` is what the record said of those before."""

    measured: dict[str, tuple[Measurement, ...]] = field(default_factory=dict)
    earlier: Mapping[str, Tally] | None = None
    _tallies: dict[str, Tally] = field(default_factory=dict)

    def recall(self, record: Record) -> Mapping[str, Tally]:
        """What the record said at the first look of the run. From then on it says what the run itself has found."""
        if self.earlier is None:
            self.earlier = dict(record.checks)
        return self.earlier

    def number(self, asked: Measure) -> int:
        """How many measurements of the check there were before this one."""
        return asked.before.total + len(self._alike(asked))

    def note(self, asked: Measure, measurement: Measurement | None) -> None:
        """Remember a measurement, if it is there."""
        if measurement is None:
            return
        self.measured[asked.key] = *self._alike(asked), replace(measurement, of=asked.before.of)
        if not decides_at_once(asked.verify):
            self._tallies[asked.key] = tallied(asked.before, self.measured[asked.key])

    def _alike(self, asked: Measure) -> tuple[Measurement, ...]:
        """Those of the same; what was measured of something else counts no more."""
        return tuple(each for each in self.measured.get(asked.key, ()) if each.of == asked.before.of)

    def checks(self, noted: Mapping[str, Tally]) -> dict[str, Tally]:
        """What a record has to keep, of the verification that was measured last; `noted` is what it has."""
        step = next((_step(key) for key in reversed(self._tallies)), None)
        if step is None:
            return dict(noted)
        kept = {**noted, **self._tallies}
        return dict([(key, tally) for key, tally in kept.items() if _step(key) == step][:MOST_CHECKS])


def _step(key: str) -> str:
    return key.rpartition("/")[0]
