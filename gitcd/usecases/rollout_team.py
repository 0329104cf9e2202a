"""Releases that move together: all of them go live, or all of them go back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from gitcd.errors import HinderedError, RefusedError, TransientError
from gitcd.model.declaration import Identity
from gitcd.model.registry import Failure
from gitcd.rollout import book
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Decision, Failed, Finished, Trouble, Wait
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_means import OVERTAKEN, Means, TakenBack
from gitcd.usecases.rollout_run import Run


class Team:
    """The rollouts of one group, or of one release by itself. `ended` holds the results once there are any."""

    def __init__(self, runs: Sequence[Run], means: Means) -> None:
        self.ended: tuple[Rolled, ...] = ()
        self._means = means
        self._runs = tuple(runs)
        self._left: tuple[Run, ...] = ()  # what failed, while what ran before is taken live again
        self._failed: tuple[Run, Failed] | None = None
        self._back: TakenBack | None = None
        self._begun: set[Identity] = set()
        self._through: set[Identity] = set()  # those that the others need not wait for, as of the last turn

    @property
    def releases(self) -> tuple[Release, ...]:
        """What is being taken live now."""
        return tuple(run.release for run in self._runs)

    def turn(self) -> None:
        """One look at each, and what is to be done about it. What refuses or hinders one team stops no other.

        Raises:
            TransientError: the cluster, or the remote, is in trouble.
        """
        try:
            self._turn()
        except RefusedError as error:
            self._refuse(error)
        except HinderedError as error:
            self._hinder(error)

    def _turn(self) -> None:
        if self._failed and self._back is None:
            self._retreat(*self._failed)
            return
        early = self._early()
        decisions = [(run, _waiting(run, early[run]) if run in early else run.turn()) for run in self._runs]
        self._begun |= {run.release.identity for run in self._runs if run not in early}
        self._through = {run.release.identity for run, decision in decisions if run.is_through(decision)}
        for run, decision in decisions:
            if isinstance(decision, Failed):
                self._fail(run, decision)
                return
        if all(isinstance(decision, Finished) for _, decision in decisions):
            self._finish()
        elif all(run.is_through(decision) for run, decision in decisions):
            self._join()
        else:
            for run in self._runs:
                run.wait()

    def _early(self) -> dict[Run, Identity]:
        """Those that come after a member that is not through yet, and that one; none, where all wait for each other."""
        awaited = {run.release.identity for run in self._runs} - self._through
        found: dict[Run, Identity] = {}
        for run in self._runs:
            first = min(run.release.after & awaited, default=None)
            if first and run.release.identity not in self._begun:
                found[run] = first
        return found if any(run.release.identity in awaited for run in self._runs if run not in found) else {}

    def _join(self) -> None:
        """Do what all do at a time: the switches in one commit, and nothing else before that stands."""
        met = [(run, run.meeting) for run in self._runs if run.meeting]
        switching = [run for run, meeting in met if meeting.switches]
        for run in switching:
            run.join()
        if switching and not self._is_switched(switching):
            return
        for run, meeting in met:
            if not meeting.switches:
                run.join()

    def _is_switched(self, runs: Sequence[Run]) -> bool:
        """Commit their switches. What stands against that is nobody's failure; what may pass is waited for."""
        with self._means.committing:
            switched = self._means.switch([run.release for run in runs])
        if not isinstance(switched, Failure):
            found = {each.identity: each for each in switched}
            for run in runs:
                run.follow(found[run.release.identity])
            return True
        if switched.transient:
            for run in runs:
                run.say(f"{run.said}: {switched.message}")
        elif switched.reason == OVERTAKEN:
            self._end(End.SUPERSEDED, switched.message)
        elif first := runs[0].meeting:
            self._fail(runs[0], Failed(first.do.step, Trouble(switched.reason, switched.message, blames=False)))
        return False

    def give_way(self, superseded: Collection[Identity]) -> None:
        """End where a newer commit wants one of them otherwise: the run for that commit goes on from here."""
        if any(release.identity in superseded for release in self.releases):
            self._end(End.SUPERSEDED, "a newer commit wants it otherwise")

    def leave(self) -> None:
        """End because the run's time is over; what was begun is on record."""
        if not self.ended:
            self._end(End.PROGRESSING)

    def _finish(self) -> None:
        for run in self._runs:
            run.succeed()
        if self._back is None:
            self._end(End.DONE, "it runs and is healthy")
        else:
            self._end(End.ROLLED_BACK, _way_back(self.releases, self._back))

    def _fail(self, run: Run, failed: Failed) -> None:
        if self._back is not None:  # what ran before does not run any more either
            run.fail(failed.trouble)
            self._end(End.FAILED, f"{run.release.version} does not run any more either: {failed.trouble.message}")
            return
        self._failed = run, failed
        run.say(f"failed at {failed.step}: {failed.trouble.message}")
        run.tell("Warning", failed.trouble.reason, book.message(run.release, failed.trouble))
        self._retreat(run, failed)

    def _retreat(self, failed: Run, how: Failed) -> None:
        """Clear away what the rollout had put there; then take it back in git, and from there on in the cluster."""
        if any(run.undo(how.step if run is failed else "", how.trouble) for run in self._runs):
            return
        self._back = self._taken_back(failed, how.trouble)
        if self._back.superseded:
            self._end(End.SUPERSEDED, "a newer commit wants it otherwise")
            return
        if not self._back.releases:
            failed.fail(_with_refusal(how.trouble, self._back))
            for run in self._runs:
                run.sweep()
            self._end(End.FAILED, "it stays as it is")
            return
        self._left = self._runs
        self._runs = tuple(Run(replace(each, back=True), self._means) for each in self._back.releases)

    def _taken_back(self, failed: Run, trouble: Trouble) -> TakenBack:
        if not trouble.blames:
            return TakenBack()
        if not failed.release.spec.rollback.enabled:
            return TakenBack(refusal=Failure("RollbackDisabled", "spec.rollback.enabled is false"))
        with self._means.committing:
            return self._means.take_back(failed.release, trouble, failed.good)

    def _refuse(self, error: RefusedError) -> None:
        """End where something may not be written; that is not the version's fault, and the next run tries again."""
        trouble = Trouble("Refused", error.message, blames=False)
        with suppress(RefusedError):
            for run in self._runs:
                run.fail(trouble)
        self.ended = tuple(
            Rolled(run.release, End.REFUSED, error.remedy, trouble, self._back) for run in self._left or self._runs
        )

    def _hinder(self, error: HinderedError) -> None:
        """End where something stands in the way of it alone: the next run goes on, and no time counts until then."""
        with suppress(RefusedError, TransientError):
            for run in self._runs:
                run.stand()
        trouble = Trouble("Hindered", error.message, blames=False)
        self.ended = tuple(
            Rolled(run.release, End.HINDERED, error.remedy, trouble, self._back) for run in self._left or self._runs
        )

    def _end(self, end: End, text: str = "") -> None:
        trouble = self._failed[1].trouble if self._failed else None
        self.ended = tuple(
            Rolled(run.release, end, text or run.said, trouble, self._back) for run in self._left or self._runs
        )


def _waiting(run: Run, first: Identity) -> Decision:
    """What a member is at that has not begun."""
    run.say(f"waits for {first.app} of its group, which comes first")
    return Wait("", run.said)


def _way_back(releases: Sequence[Release], back: TakenBack) -> str:
    """What runs again, and by which commit; one that somebody has to merge yet is said so."""
    versions = " and ".join(dict.fromkeys(each.version for each in releases))
    merge = f", which is to be merged: {back.pull}" if back.pull else ""
    return f"{versions} runs again, by commit {back.commit[:12]}{merge}"


def _with_refusal(trouble: Trouble, back: TakenBack) -> Trouble:
    """The trouble with why it was not taken back."""
    if back.refusal is None:
        return trouble
    return replace(trouble, message=f"{trouble.message}; it was not taken back: {back.refusal.message}")
