"""One rollout, turn by turn: look, decide, write down which step has begun, act."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from gitcd import redact
from gitcd.cluster.api import DeclinedError
from gitcd.cluster.progress import Progress, read_progress, write_progress
from gitcd.cluster.status import write_event
from gitcd.errors import TransientError
from gitcd.model import times
from gitcd.model.live import Ref
from gitcd.model.status_outcome import Note
from gitcd.rollout import book
from gitcd.rollout.actions import Action, Apply, CommitSwitch, Measure
from gitcd.rollout.book import Page, Result
from gitcd.rollout.facts import Facts, Release, running_digest
from gitcd.rollout.findings import Findings
from gitcd.rollout.orders import read_orders
from gitcd.rollout.record import Record, render
from gitcd.rollout.strategies import table_of
from gitcd.rollout.table import RETREAT, Decision, Do, Failed, Finished, Trouble, Wait, advance, retreat
from gitcd.rollout.templates import seal
from gitcd.usecases.evidence import Onlooker, with_log
from gitcd.usecases.rollout_acts import Meeting, act
from gitcd.usecases.rollout_means import Means, Question

_FRESH = timedelta(seconds=10)
_MAX_NOTE = 1024  # bytes, as the API server counts them

_log = logging.getLogger(__name__)


class Run:
    """The rollout of one release in this process. Nothing that it remembers is needed by a run that goes on with it."""

    def __init__(self, release: Release, means: Means) -> None:
        self.release = release
        self.said = ""
        self._means = means
        self._table = table_of(release)
        self._eye = Onlooker(means.objects, release.spec.timeouts.unschedulable)
        self._findings = Findings()
        self._applied: set[Ref] = set()  # since the last look
        self._written: dict[Ref, str] = {}
        self._progress: Progress | None = None
        self._kept = Page()  # what was to be written last, for as long as there is no object that would hold it
        self._given_up = False
        self.meeting: Meeting | None = None
        self._has_joined = False
        self._seen: Facts | None = None  # what was seen when it was asked whether it is due

    def is_due(self) -> bool:
        """Whether there is anything to do: it does not run, was never found good, or is on its way or stuck there."""
        facts = self._seen = self._look()
        page = self._page
        if facts.pending or page.record.new_digest or page.is_stuck or self._table.due(facts):
            return True
        return self._progress is not None and page.good != self.release.digest

    def warn(self) -> None:
        """Say before it begins that there would be no way back, or that nobody can tell."""
        if self._page.record.new_digest:
            return
        try:
            why = self._means.foresee(self.release, self.good)
        except TransientError as error:
            why = error.message
        if why:
            self.say(f"could not be taken back: {why}")

    def turn(self) -> Decision:
        """Look, and do what is to be done now; the answer says what that was, or how it ended.

        What all of a group do at a time is left to `wait` and `join`.
        """
        self.meeting = None
        facts = self._first_look() or self._look()
        self._given_up = self._page.is_given_up(self.release, facts.orders.retry)
        if self._given_up:
            return self._still_failed(facts)
        if self._is_retreating(facts):
            return Failed(RETREAT, book.why(self._page, self.release))
        self._has_joined = self._table.joined(facts)
        return self._carried_out(advance(self._table, facts), facts)

    def is_through(self, decision: Decision) -> bool:
        """Whether the others of its group need not wait for it any more, as it was in the last turn."""
        return self.meeting is not None or self._has_joined or isinstance(decision, Finished)

    def wait(self) -> None:
        """Stay where the others of the group are waited for; no time counts meanwhile."""
        if self.meeting:
            step = self.meeting.do.step
            self._enter(step, self.meeting.facts, is_held=True)
            self.say(f"{step}: waits for the others of group {self.release.spec.strategy.group}")

    def join(self) -> None:
        """Write down that the joint step begins, and do what is to be done in it, but for the commit of a switch."""
        if self.meeting:
            self._enter(self.meeting.do.step, self.meeting.facts)
            for action in self.meeting.do.actions:
                if isinstance(action, CommitSwitch):
                    self.say(str(action))
                else:
                    self._act(action, self.meeting.facts)

    def follow(self, release: Release) -> None:
        """Go on with what the commit of the switch says."""
        self.release, self._table = release, table_of(release)

    def undo(self, failed: str, trouble: Trouble) -> bool:
        """Take out of the way what the rollout had put there, once it is written down why; False: nothing is left."""
        facts = self._look()
        actions = retreat(self._table, facts, failed)
        if actions:
            self._write(book.retreating(self._page, self.release, trouble, self._means.now()))
        for action in actions:
            self._act(action, facts)
        return bool(actions)

    def stand(self) -> None:
        """Let no time count until the next look."""
        facts = self._look()
        if facts.record.is_of(*self._key):
            self._enter(facts.record.step, facts, is_held=True)

    def succeed(self) -> None:
        """Write down that it runs and is good."""
        self._write(book.succeeded(self._page, self.release, self._means.now()))
        self.tell("Normal", str(Result.SUCCEEDED), f"{self.release.version or self.release.digest} runs and is healthy")

    def fail(self, trouble: Trouble) -> None:
        """Write down that it failed, and stays as it is."""
        if not self._given_up:
            self._write(book.failed(self._page, self.release, trouble, self._means.now()))

    def sweep(self) -> None:
        """Clear away what nobody has to see any more, once it has failed for good."""
        facts = self._look()
        for action in self._table.sweep(facts):
            self._act(action, facts)

    def tell(self, kind: Literal["Normal", "Warning"], reason: str, text: str) -> None:
        """An event; nothing hangs on it."""
        if self._progress is None or self._given_up:
            return
        note = Note(kind, reason, redact.clean(text).encode()[:_MAX_NOTE].decode(errors="ignore"))
        try:
            write_event(self._means.objects.api, self._progress.live, note, self._means.now(), self._means.run)
        except (DeclinedError, TransientError) as error:
            _log.info("an event about %s could not be written: %s", self.release.identity, error)

    def say(self, text: str) -> None:
        """Tell whoever listens what it is at, once."""
        if text != self.said:
            self.said = text
            self._means.tell(self.release, text)

    @property
    def good(self) -> str:
        """The digest that was found healthy last, where that is known."""
        return self._page.good

    @property
    def _key(self) -> tuple[str, str]:
        """What a record is of: how it is rolled out, and which digest."""
        return self._table.strategy, self.release.digest

    @property
    def _page(self) -> Page:
        return Page(self._progress.fields, self._progress.conditions) if self._progress else self._kept

    def _carried_out(self, decision: Decision, facts: Facts) -> Decision:
        match decision:
            case Do(joint=True):
                self.meeting = Meeting(decision, facts)
            case Do(step, actions):
                self._enter(step, facts)
                for action in actions:
                    self._act(action, facts)
                if any(isinstance(action, Measure) for action in actions):
                    self._enter(step, replace(facts, record=self._page.record))
            case Wait(step, why, deadline):
                self._enter(step, facts, is_held=deadline is None)
                self.say(f"{step}: {why}" if why else step)
            case Failed(step, trouble):
                if trouble.blames and not facts.record.is_of(*self._key):
                    self._enter(step, facts)  # it was so from the start: what goes back has to be on record
                return Failed(step, self._with_log(trouble))
            case Finished() if self.release.spec.strategy.group and facts.record.is_of(*self._key):
                self._enter(facts.record.step, facts, is_held=True)  # no time counts while it waits for the others
        return decision

    def _first_look(self) -> Facts | None:
        """What was seen before the first turn, once, and while it can be as it was."""
        seen, self._seen = self._seen, None
        return seen if seen and self._means.now() - seen.now <= _FRESH else None

    def _look(self) -> Facts:
        """Everything as it is now."""
        release, now = self.release, self._means.now()
        self._progress = read_progress(self._means.objects.api, release.identity.namespace, release.identity.name)
        named = (*release.workloads, *release.others)
        refs = (*(each.ref for each in named), *self._table.watched)
        seen = {ref: found for ref in refs if (found := self._eye.sight(ref, now))}
        live = {ref: each.value for ref, each in seen.items()}
        self._written |= {ref: seal(live.get(ref)) for ref in self._applied}
        self._applied.clear()
        return Facts(
            release,
            now,
            live,
            {ref: each.health for ref, each in seen.items()},
            {ref: each.around for ref, each in seen.items()},
            dict(self._findings.measured),
            self._page.record,
            read_orders(self._progress.annotations if self._progress else {}, self._page.record.started_at),
            self._page.good,
            self._findings.recall(self._page.record),
            dict(self._means.renamed),
            dict(self._written),
            self._page.stalled,
        )

    def _enter(self, step: str, facts: Facts, *, is_held: bool = False) -> None:
        """Write down that a step has begun, or that its time stands still, before anything is done in it."""
        before = facts.record if facts.record.is_of(*self._key) else Record()
        since = None if is_held else facts.since(step) if before.step == step and before.since else facts.now
        record = Record(
            self._table.strategy,
            step,
            before.started_at or facts.now,
            since,
            before.attempt or self._page.attempts(self.release.digest) + 1,
            before.old_digest or running_digest(self.release, facts.live),
            self.release.digest,
            self.release.commit,
            self._findings.checks(before.checks),
            self.release.version,
        )
        is_same = render(replace(record, since=None)) == render(replace(before, since=None))
        if is_same and (before.since is None) == is_held and not self._is_in_future(before, facts):
            return
        page = book.begun(self._page, record, self.release, facts.now)
        self._write(page if facts.pending else book.arrived(page, self.release, facts.now))

    def _is_in_future(self, record: Record, facts: Facts) -> bool:
        return record.since is not None and record.since > facts.now

    def _act(self, action: Action, facts: Facts) -> None:
        self.say(str(action))
        if isinstance(action, Measure):
            self._findings.note(action, self._means.check(self._question(action, facts.now)))
        else:
            act(action, self._means)
        if isinstance(action, Apply):
            self._applied.add(action.manifest.ref)

    def _question(self, asked: Measure, now: datetime) -> Question:
        begun = self._page.record
        owner = self._progress.live.uid if self._progress else ""
        mark = f"{times.shown(begun.started_at)}/{begun.attempt}/{asked.before.of}"
        return Question(self.release, asked.key, asked.verify, self._findings.number(asked), now, mark, owner)

    def _is_retreating(self, facts: Facts) -> bool:
        """Whether a run before this one was about to take it back: as the record and the cluster say alike."""
        is_noted = facts.record.step == RETREAT and facts.record.is_of(*self._key)
        return is_noted and not self.release.back and self._table.retreating(facts)

    def _still_failed(self, facts: Facts) -> Decision:
        """What was given up is looked at, and left alone; it may have become well by itself."""
        decision = advance(self._table, facts)
        if isinstance(decision, Finished | Failed):
            return decision
        text = "it failed before, and waits for another image, or for `gitcd rollout retry`"
        return Failed(decision.step, Trouble("GivenUp", text, blames=False))  # nothing that is seen speaks against it

    def _with_log(self, trouble: Trouble) -> Trouble:
        """The same with the last lines of the container that is to blame."""
        if trouble.health is None or trouble.log:
            return trouble
        health = with_log(self._means.objects, trouble.health)
        return replace(trouble, health=health, log=health.log)

    def _write(self, page: Page) -> None:
        if page == self._page:
            return
        self._kept = page
        if self._progress:
            self._progress = write_progress(self._means.objects.api, self._progress, page.fields, page.conditions)
