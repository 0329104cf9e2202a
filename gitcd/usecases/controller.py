"""`gitcd run`: look at what is due, again and again, as long as this process is the one that does."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from gitcd.cluster.lease import Lease
from gitcd.errors import ConfigError, ExitCode, GitcdError, TransientError
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import CHANGING, Outcome, OutcomeKind, PullAct
from gitcd.planning.inputs import Inputs
from gitcd.planning.shards import Part
from gitcd.usecases.context import Planned
from gitcd.usecases.controller_schedule import Schedule
from gitcd.usecases.metrics import Done, Meter
from gitcd.usecases.publish import Published

VERB = "run"
_TICK = 0.5  # seconds: how late a leader, or the end of a pause, may be noticed
_RETRY = 2.0  # between two tries to get or to keep the Lease
_RENEWED_WITHIN = 10.0  # whoever could not renew it for so long no longer counts on it

_log = logging.getLogger(__name__)

Choose = Callable[[Inputs], Part | None]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to: its exit code, and how many requests registries were sent."""

    published: Published[Planned]
    code: ExitCode
    requests: int


class News:
    """What was told of each declaration before, so that it is not told again and again."""

    def __init__(self) -> None:
        self._told: dict[tuple[Identity, Origin], tuple[str, ...]] = {}
        self._beside: object = ((), ())

    def hear(self, published: Published[Planned]) -> bool:
        """Whether something was done, or something is to be told that was not told the last time."""
        plan = published.work.plan
        now = {(each.identity, each.origin): _state(each) for each in plan.outcomes}
        beside = plan.failures, plan.warnings
        acted = published.commits or any(pull.act is not PullAct.UNCHANGED for pull in published.pulls)
        news = bool(acted) or beside != self._beside or any(self._told.get(key, ()) != now[key] for key in now)
        self._told |= now
        self._beside = beside
        return news


def _state(outcome: Outcome) -> tuple[str, ...]:
    """What a reader would be told of it; of one that is as it should be, nothing."""
    quiet = outcome.kind in {OutcomeKind.CURRENT, *CHANGING}
    return () if quiet else (outcome.kind.value, outcome.reason, outcome.message)


class Leader(Protocol):
    """Whether this process is the one that works."""

    @property
    def leads(self) -> bool: ...


class Alone:
    """There is no other."""

    leads = True


class Election:
    """Keeps a Lease in a thread of its own, while looks take as long as they take."""

    def __init__(self, lease: Lease, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease = lease
        self._clock = clock
        self._renewed = -math.inf
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def leads(self) -> bool:
        return not self._stopped.is_set() and self._clock() < self._renewed + _RENEWED_WITHIN

    def start(self) -> None:
        """Try once, so that somebody who never may is told so, and go on in a thread.

        Raises:
            DeclinedError: the Lease may not be read or written.
            ConfigError: the credentials are not accepted.
        """
        with suppress(TransientError):
            self._try()
        self._thread.start()

    def stop(self) -> None:
        """Give the Lease up."""
        self._stopped.set()
        self._thread.join(_RETRY)
        try:
            self.lease.release()
        except GitcdError as error:
            _log.info("the Lease %s was not released: %s", self.lease.place.name, error.message)

    def _keep(self) -> None:
        while not self._stopped.wait(_RETRY):
            try:
                self._try()
            except GitcdError as error:
                _log.warning("the Lease %s cannot be kept: %s", self.lease.place.name, error.message)

    def _try(self) -> None:
        began = self._clock()
        self._renewed = began if self.lease.hold() else -math.inf


@dataclass(slots=True)
class Health:
    """How the loop is, as probes ask for it. `longest` is how long one look may take, in seconds."""

    longest: float
    clock: Callable[[], float] = time.monotonic
    is_ready: bool = False
    leads: bool = False
    _beat: float = field(init=False)

    def __post_init__(self) -> None:
        self._beat = self.clock()

    def beat(self, *, leads: bool) -> None:
        """The loop goes on."""
        self._beat = self.clock()
        self.leads = leads
        self.is_ready |= not leads

    @property
    def is_alive(self) -> bool:
        return self.clock() - self._beat < self.longest


@dataclass(slots=True)
class Controller:
    """The loop. `look` does what `gitcd reconcile` does to what it is told to choose; `tell` hears of what went wrong.

    `after` is called after each look, for those who take its numbers.
    """

    look: Callable[[Choose], Look]
    tell: Callable[[GitcdError], None]
    schedule: Schedule
    meter: Meter
    health: Health
    leader: Leader
    after: Callable[[], None]
    sleep: Callable[[float], None]
    clock: Callable[[], float] = time.monotonic
    _led: bool = False

    def keep(self) -> None:
        """Look whenever something is due, until a signal ends it."""
        while True:
            self.step()

    def step(self) -> None:
        """Look if that is due, else wait a moment."""
        leads = self.leader.leads
        self.health.beat(leads=leads)
        if leads and not self._led:
            self.schedule.forget()
        self._led = leads
        wait = self.schedule.next() - self.clock()
        if leads and wait <= 0:
            self.once()
        else:
            self.sleep(min(max(wait, 0.0), _TICK) if leads else _TICK)

    def once(self) -> ExitCode:
        """One look, whatever comes of it."""
        began, at = self.clock(), None
        choose = self.schedule.begin(began)
        try:
            at = self.look(choose)
        except GitcdError as error:
            code = error.exit_code
            self.schedule.fail()
            self.tell(error)
        else:
            code = at.code
            self.schedule.end(at.published.work)
            self.health.is_ready = True
        seconds = self.clock() - began
        self.meter.note(Done(VERB, code, time.time(), seconds, at.requests if at else 0, at.published if at else None))
        self.after()
        return code


def check_lease(error: GitcdError, lease: Lease) -> ConfigError:
    """What to say where the Lease may not be had."""
    return ConfigError(
        f"the Lease {lease.place.name} in namespace {lease.place.namespace} cannot be held: {error.message}",
        remedy="Allow get, create and update on leases.coordination.k8s.io there, or say --no-leader-elect.",
    )
