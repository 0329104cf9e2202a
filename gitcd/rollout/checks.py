"""The step that verifies: its measurements are taken one by one, and what they add up to is judged here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from gitcd.model.duration import format_duration
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Tally, Verdict
from gitcd.rollout.actions import Measure
from gitcd.rollout.facts import Facts
from gitcd.rollout.table import Say, Step, Trouble
from gitcd.rollout.verification import Pending, Ruling, is_likely, judge, mark, overall

_SPARE = timedelta(seconds=5)  # the checks have ended by themselves when the step's own time is over


def _unsealed(_: Facts) -> str:
    return ""


class Checks:
    """The checks of one step, as questions about the facts.

    `seal` stands for the pods that are checked: once it is another one, all is measured anew.
    """

    def __init__(self, step: str, checks: Sequence[Verify], limit: timedelta, seal: Say = _unsealed) -> None:
        self._step, self._seal = step, seal
        self._checks = {f"{step}/{number}": each for number, each in enumerate(checks)}
        self._limit = limit

    def passed(self, facts: Facts) -> bool:
        """Whether all have passed; so they have where there is none."""
        ruling = overall(self._rulings(facts).values())
        return isinstance(ruling, Ruling) and ruling.verdict is Verdict.PASS

    def failed(self, facts: Facts) -> Trouble | None:
        """What speaks against the version; or that nobody could tell, which is not its fault."""
        ruling = overall(self._rulings(facts).values())
        if isinstance(ruling, Pending) or ruling.verdict is Verdict.PASS:
            return None
        return Trouble(ruling.reason, ruling.message, log=ruling.evidence, blames=ruling.verdict is Verdict.FAIL)

    def due(self, facts: Facts) -> tuple[Measure, ...]:
        """The measurements that are to be taken now."""
        return tuple(
            Measure(key, self._checks[key], self._before(facts, key))
            for key, ruling in self._rulings(facts).items()
            if isinstance(ruling, Pending) and ruling.due <= facts.now
        )

    def owe(self, facts: Facts) -> bool:
        """Whether there is a check that this run has not looked at yet: without that no time is over."""
        rulings = self._rulings(facts).items()
        return any(isinstance(ruling, Pending) and not self._measured(facts, key) for key, ruling in rulings)

    def _rulings(self, facts: Facts) -> dict[str, Ruling | Pending]:
        return {
            key: judge(check, self._measured(facts, key), facts.now, self._before(facts, key), self._limit)
            for key, check in self._checks.items()
        }

    def _measured(self, facts: Facts, key: str) -> tuple[Measurement, ...]:
        """What this run measured of what is there now."""
        found, of = facts.measured.get(key, ()), self._mark(facts, key)
        return tuple(each for each in found if each.of == of)

    def _mark(self, facts: Facts, key: str) -> str:
        return mark(key, self._checks[key], facts.release.digest, self._seal(facts))

    def _before(self, facts: Facts, key: str) -> Tally:
        """What earlier runs measured of this very check, as far as it can be so."""
        verify = self._checks[key]
        found, of = facts.earlier.get(key), self._mark(facts, key)
        is_so = found is not None and found.of == of and is_likely(found, verify, facts.changed, facts.now)
        return found if found and is_so else Tally(of)


def checking(name: str, checks: Sequence[Verify], limit: timedelta, *, waits_for: Say) -> Step:
    """A step that is done once all checks have passed. `waits_for`: what has to be so before anything is measured."""
    found = Checks(name, checks, limit)
    return Step(
        name,
        done=lambda facts: not waits_for(facts) and found.passed(facts),
        action=found.due,
        precondition=waits_for,
        failed=found.failed,
        owes=lambda facts: not waits_for(facts) and found.owe(facts),
        late=lambda _: Trouble(
            "VerificationTimedOut", f"the checks did not end within {format_duration(limit)}", blames=False
        ),
        timeout=limit + _SPARE,
    )
