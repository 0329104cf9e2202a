"""What runs leave for those who watch over them: counted here, written as a file or sent as datagrams."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gitcd.errors import ConfigError, ExitCode, GitcdError
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Delivered, OutcomeKind, PullAct, plan_exit_code
from gitcd.rendering.metrics import Family, Sample, exposition, statsd
from gitcd.usecases.context import Planned
from gitcd.usecases.publish import Published

STATSD_PORT = 8125
_PATIENCE = 2.0  # seconds: nobody waits for a run because nobody takes its numbers
_LAST_PORT = 65535
# The second alternative is an IPv6 address as it stands, which takes no port.
_ADDRESS = re.compile(
    r"(?:\[(?P<six>[^\]]+)\]|(?P<bare>[^:\[\]]*(?::[^:\[\]]*){2,})|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?"
)
_FILE_MODE = 0o644  # the collector that reads it is somebody else
_OUTCOMES = {
    ExitCode.OK: "done",
    ExitCode.USAGE: "misconfigured",
    ExitCode.TRANSIENT: "transient",
    ExitCode.ITEMS_FAILED: "items_failed",
}


@dataclass(frozen=True, slots=True)
class Done:
    """One run as it ended. `work` is absent where it came to no plan; times are in seconds."""

    verb: str
    code: ExitCode
    at: float
    seconds: float
    requests: int = 0
    work: Published[Planned] | None = None

    @property
    def outcome(self) -> str:
        """What the run came to, in one word of few."""
        return _OUTCOMES.get(self.code, "failed")


class Meter:
    """Counts runs, from several threads. The outcome of each declaration is that of the last run that was about it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: Counter[tuple[str, str]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._commits: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._pulls: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, Done] = {}
        self._succeeded: dict[str, float] = {}
        self._kinds: dict[tuple[Identity, Origin], OutcomeKind] = {}

    def note(self, done: Done) -> None:
        """Count a run."""
        with self._lock:
            self._runs[done.verb, done.outcome] += 1
            self._seconds[done.verb] += round(done.seconds, 3)
            self._requests[done.verb] += done.requests
            self._last[done.verb] = done
            if done.code is ExitCode.OK:
                self._succeeded[done.verb] = round(done.at, 3)
            if done.work:
                self._commits[done.verb] += len(done.work.commits)
                self._pulls.update((done.verb, act.value) for act in _acts(done.work.pulls))
                self._note_kinds(done.work.work)

    def _note_kinds(self, planned: Planned) -> None:
        now = {(each.identity, each.origin): each.kind for each in planned.plan.outcomes}
        if planned.part is None:
            self._kinds = now
            return
        there = {(each.identity, each.declaration.origin) for each in planned.inputs.declared}
        there |= {(each.identity, each.origin) for each in planned.inputs.broken}
        self._kinds = {key: kind for key, kind in (self._kinds | now).items() if key in there}

    def totals(self) -> list[Family]:
        """What adds up while a process lives."""
        with self._lock:
            return [
                Family("gitcd_runs_total", "counter", "Runs that ended.", _by_both(self._runs)),
                Family("gitcd_run_seconds_total", "counter", "Time that runs took.", _by_verb(self._seconds)),
                Family("gitcd_commits_total", "counter", "Commits that landed.", _by_verb(self._commits)),
                Family("gitcd_registry_requests_total", "counter", "Requests to registries.", _by_verb(self._requests)),
                Family("gitcd_pull_requests_total", "counter", "Pull requests acted on.", _by_both(self._pulls)),
            ]

    def state(self) -> list[Family]:
        """How things stand after the last run."""
        with self._lock:
            last = sorted(self._last.items())
            kinds = Counter(self._kinds.values())
            return [
                Family(
                    "gitcd_declarations",
                    "gauge",
                    "Declarations by what became of them.",
                    tuple(Sample(kinds[kind], outcome=kind.value) for kind in OutcomeKind),
                ),
                Family(
                    "gitcd_last_run_timestamp_seconds",
                    "gauge",
                    "When the last run ended.",
                    tuple(Sample(round(done.at, 3), verb) for verb, done in last),
                ),
                Family(
                    "gitcd_last_run_duration_seconds",
                    "gauge",
                    "How long the last run took.",
                    tuple(Sample(round(done.seconds, 3), verb) for verb, done in last),
                ),
                Family(
                    "gitcd_last_run_exit_code",
                    "gauge",
                    "The exit code of the last run.",
                    tuple(Sample(int(done.code), verb) for verb, done in last),
                ),
                Family(
                    "gitcd_last_run_commits",
                    "gauge",
                    "Commits that the last run pushed.",
                    tuple(Sample(len(done.work.commits) if done.work else 0, verb) for verb, done in last),
                ),
                Family(
                    "gitcd_last_success_timestamp_seconds",
                    "gauge",
                    "When the last run with exit code 0 ended.",
                    _by_verb(self._succeeded),
                ),
            ]


@contextmanager
def measured(
    path: Path, verb: str, requests: Callable[[], int], warn: Callable[[str], None]
) -> Iterator[Callable[[Published[Planned]], None]]:
    """Leave a file about one run, done or failed. That it cannot be written is worth a warning, and no more."""
    found: list[Published[Planned]] = []
    began = time.monotonic()

    def leave(code: ExitCode) -> None:
        meter = Meter()
        work = found[0] if found else None
        meter.note(Done(verb, code, time.time(), time.monotonic() - began, requests(), work))
        if unwritten := write_textfile(path, meter):
            warn(unwritten)

    try:
        yield found.append
    except GitcdError as error:
        leave(error.exit_code)
        raise
    leave(plan_exit_code(found[0].work.plan) if found else ExitCode.OK)


def write_textfile(path: Path, meter: Meter) -> str:
    """Write how things stand for the textfile collector, whole or not at all; why not, or nothing."""
    # The collector reads names that end in .prom, and may do so at any moment.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_text(exposition(meter.state()), encoding="utf-8")
        part.chmod(_FILE_MODE)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        return f"the metrics file {path} cannot be written: {error.strerror}"
    return ""


class StatsdSink:
    """Sends what has changed as DogStatsD datagrams. Nobody waits for it, and what cannot be sent is lost."""

    def __init__(self, address: str, meter: Meter) -> None:
        self._host, self._port = _split(address)
        self._meter = meter
        self._before: list[Family] = []
        self._busy: threading.Thread | None = None
        self._why = ""

    def send(self) -> str:
        """Send; why it could not be done, or nothing."""
        if self._busy is None or not self._busy.is_alive():
            totals = self._meter.totals()
            datagrams = statsd([*totals, *self._meter.state()], self._before)
            self._before, self._why = totals, ""
            self._busy = threading.Thread(target=self._deliver, args=(datagrams,), daemon=True)
            self._busy.start()
            self._busy.join(_PATIENCE)
        if self._busy.is_alive():
            return f"metrics are not sent: {self._host} takes longer than {_PATIENCE:.0f} seconds to be found"
        return self._why

    def _deliver(self, datagrams: Sequence[bytes]) -> None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind, protocol) as sink:
                sink.settimeout(_PATIENCE)
                sink.connect(address)
                for datagram in datagrams:
                    sink.send(datagram)
        except OSError as error:
            self._why = f"metrics cannot be sent to {self._host}:{self._port}: {error.strerror or error}"


def _split(address: str) -> tuple[str, int]:
    """Host and port of a sink.

    Raises:
        ConfigError: that is no address.
    """
    match = _ADDRESS.fullmatch(address)
    port = int(match["port"] or STATSD_PORT) if match else 0
    if not match or not 0 < port <= _LAST_PORT:
        raise ConfigError(
            f"--stats-host {address}: HOST or HOST:PORT is wanted", remedy="The port is 8125 if left out."
        )
    return match["bare"] or match["six"] or match["host"], port


def _acts(pulls: Sequence[Delivered]) -> list[PullAct]:
    return [pull.act for pull in pulls if pull.act is not PullAct.UNCHANGED]


def _by_verb(counted: Mapping[str, float]) -> tuple[Sample, ...]:
    return tuple(Sample(value, verb) for verb, value in sorted(counted.items()))


def _by_both(counted: Mapping[tuple[str, str], float]) -> tuple[Sample, ...]:
    return tuple(Sample(value, verb, outcome) for (verb, outcome), value in sorted(counted.items()))
