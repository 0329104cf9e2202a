"""Tell the cluster what a run decided: statuses where they changed, and one event for each transition."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

from gitcd.cluster.api import Api, DeclinedError
from gitcd.cluster.containerversions import Live
from gitcd.cluster.status import write_event, write_status
from gitcd.errors import TransientError
from gitcd.model.plan import Outcome
from gitcd.model.registry import Failure
from gitcd.model.status_outcome import Note, Status, note_of, status_of
from gitcd.registry.parallel import in_parallel
from gitcd.usecases.cluster_source import ClusterSource
from gitcd.usecases.context import Planned
from gitcd.usecases.publish import Published

_WORKERS = 8
_MOST_TROUBLED = 3  # namespaces: what is wrong with objects of so many is wrong with the cluster
_EVENT_SECONDS = 10.0  # for one event, and then for none: nobody waits for a run because nobody takes its news

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _News:
    live: Live
    status: Status
    note: Note | None


@dataclass(frozen=True, slots=True)
class Told:
    """How many statuses were written; what could not be, and what only the events lack."""

    written: int = 0
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()


def with_statuses(
    published: Published[Planned], source: ClusterSource, now: datetime, run: str, deadline: float
) -> Published[Planned]:
    """What was published, with what came of telling the cluster."""
    plan = published.work.plan
    told = tell_cluster(source, plan.outcomes, now, run, deadline)
    _log.info("%d statuses written", told.written)
    plan = replace(plan, failures=(*plan.failures, *told.failures), warnings=(*plan.warnings, *told.warnings))
    return replace(published, work=source.noted(replace(published.work, plan=plan)))


def tell_cluster(source: ClusterSource, outcomes: Iterable[Outcome], now: datetime, run: str, deadline: float) -> Told:
    """Write what changed, and nothing where nothing did. `deadline` is a moment of `time.monotonic()`."""
    news = list(_news(source, outcomes, now))
    written, failures = _write_statuses(source.api, news, deadline)
    notes = [each for each in written if each.note]
    warnings = _write_events(source.api, notes, now, run, deadline)
    return Told(len(written), failures, warnings)


def _news(source: ClusterSource, outcomes: Iterable[Outcome], now: datetime) -> Iterator[_News]:
    for outcome in outcomes:
        live = source.listing.live.get((outcome.identity.namespace, outcome.identity.name))
        if live is None or _is_old(source, outcome):
            continue
        status = status_of(outcome, live.generation, live.status, now)
        if status is not None:
            yield _News(live, status, note_of(outcome, live.status))


def _is_old(source: ClusterSource, outcome: Outcome) -> bool:
    """Whether it is about an object of an old kind, which takes no status, though one that does has its name."""
    identity = outcome.identity
    return any(outcome.origin == kind.origin(identity.namespace, identity.name) for kind in source.listing.old)


def _write_statuses(api: Api, news: list[_News], deadline: float) -> tuple[list[_News], tuple[Failure, ...]]:
    troubled: set[str] = set()  # nobody else there need wait to learn the same, and nobody elsewhere suffers from it

    def write(each: _News) -> bool | Failure:
        if each.live.namespace in troubled or len(troubled) >= _MOST_TROUBLED:
            return _unwritten(each, "was not written: the cluster is in trouble", transient=True)
        try:
            return write_status(api, each.live, each.status)
        except DeclinedError as answer:
            return _unwritten(
                each, f"may not be written: {answer.words or answer}", forbidden=answer.status == HTTPStatus.FORBIDDEN
            )
        except TransientError as error:
            troubled.add(each.live.namespace)
            return _unwritten(each, f"could not be written: {error.message}", transient=True)

    written: list[_News] = []
    failures: dict[str, Failure] = {}
    asked = 0
    for each, result in in_parallel(write, news, _WORKERS, deadline):
        asked += 1
        if isinstance(result, Failure):
            failures.setdefault(each.live.namespace, result)
        elif result:
            written.append(each)
        else:
            _log.info("%s/%s has changed meanwhile: its status is left alone", each.live.namespace, each.live.name)
    if asked < len(news):
        message = f"{len(news) - asked} statuses were not written before the deadline"
        failures[""] = Failure("StatusNotWritten", message, "Run again.", transient=True)
    return written, tuple(failures[key] for key in sorted(failures))


def _unwritten(each: _News, what: str, *, transient: bool = False, forbidden: bool = False) -> Failure:
    allow = "Allow the verb patch on containerversions/status.gitcd.io there." if forbidden else ""
    message = f"the status of containerversions/{each.live.name} in namespace {each.live.namespace} {what}"
    return Failure("StatusNotWritten", message, "Run again." if transient else allow, transient)


def _write_events(api: Api, notes: list[_News], now: datetime, run: str, deadline: float) -> tuple[str, ...]:
    """Write events, until one cannot be: then say how many are missing."""
    hurried = api.hurried(_EVENT_SECONDS)
    down = threading.Event()

    def write(each: _News) -> str:
        if each.note is None or down.is_set():
            return "one before could not be"
        try:
            write_event(hurried, each.live, each.note, now, run)
        except DeclinedError as answer:
            return answer.message
        except TransientError as error:
            down.set()
            return error.message
        return ""

    results = [result for _, result in in_parallel(write, notes, _WORKERS, deadline)]
    missing = [result for result in results if result] + ["there was no time"] * (len(notes) - len(results))
    return (f"{len(missing)} of {len(notes)} events were not written: {missing[0]}",) if missing else ()
