"""What the status tells of rollouts: fields and conditions after each turn of one, from those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from gitcd import redact
from gitcd.model import times
from gitcd.model.status import MAX_MESSAGE
from gitcd.rollout import record
from gitcd.rollout.facts import Order, Release
from gitcd.rollout.record import Record
from gitcd.rollout.table import RETREAT, Trouble

Fields = Mapping[str, Any]
Condition = Mapping[str, Any]

_LONGEST_WHY = 1024  # bytes of what the history says of one rollout
VERIFIED, STALLED = "Verified", "Stalled"
DECLINED = "RollbackDeclined"


class Result(StrEnum):
    """How a rollout ended, as the history of the status says it."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"  # and it was not taken back
    ROLLED_BACK = "RolledBack"
    INCONCLUSIVE = "Inconclusive"  # nobody could tell, so nobody took it back
    SUPERSEDED = "Superseded"  # a newer commit came before its end


_ILL = frozenset({Result.FAILED, Result.INCONCLUSIVE})


@dataclass(frozen=True, slots=True)
class Page:
    """What stands in the status of one declaration."""

    fields: Fields = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    @property
    def record(self) -> Record:
        return record.read(self.fields.get("rollout"))

    @property
    def good(self) -> str:
        """The digest that was found healthy last, as the status says."""
        return _digest(self.fields.get("lastGood"))

    def is_given_up(self, release: Release, retry: Order | None = None) -> bool:
        """Whether this digest failed before, and was left as it is until somebody says otherwise, as `retry` may."""
        last = next(iter(_past(self.fields)), {})
        if (last.get("digest"), last.get("result")) != (release.digest, Result.FAILED) or not self._is_stalled:
            return False
        ended = times.parsed(last.get("finishedAt"))
        said = times.parsed(retry.time) if retry and retry.digest == release.digest else None
        return not (ended and said and said >= ended)

    @property
    def is_stuck(self) -> bool:
        """Whether it was left as it is for a reason that may be gone; whether one was declined the forge says."""
        return self._is_stalled and all(each.get("reason") != DECLINED for each in self.conditions)

    @property
    def stalled(self) -> str:
        """Why it was left as it is, in one word; empty: it was not."""
        found = (each for each in self.conditions if (each.get("type"), each.get("status")) == (STALLED, "True"))
        return next((str(each.get("reason", "")) for each in found), "")

    @property
    def _is_stalled(self) -> bool:
        return any((each.get("type"), each.get("status")) == (STALLED, "True") for each in self.conditions)

    def attempts(self, digest: str) -> int:
        """How often this digest was rolled out before, as far as the history goes."""
        return sum(each.get("digest") == digest for each in _past(self.fields))


def begun(page: Page, now_at: Record, release: Release, now: datetime) -> Page:
    """A step begins; a rollout of something else that was under way has been superseded by this one."""
    page = _given_way(page, release, now)
    text = f"{_name(release)} is rolled out, step {now_at.step}"
    conditions = (_condition(page, (VERIFIED, "Unknown"), "RollingOut", text, now),)
    return Page({**page.fields, "rollout": record.render(now_at)}, conditions)


def arrived(page: Page, release: Release, now: datetime) -> Page:
    """The cluster has been told to run it."""
    if _digest(page.fields.get("applied")) == release.digest:
        return page
    return replace(page, fields={**page.fields, "applied": _image(release, now)})


def succeeded(page: Page, release: Release, now: datetime) -> Page:
    """It runs, and was found good."""
    page = _given_way(page, release, now)
    page = _ended(arrived(page, release, now), release, now, Result.SUCCEEDED)
    good = page.fields.get("lastGood")
    if _digest(good) != release.digest:
        good = _image(release, now)
    condition = _condition(page, (VERIFIED, "True"), "Healthy", f"{_name(release)} runs and is healthy", now)
    return Page({**page.fields, "lastGood": good}, (condition,))


def failed(page: Page, release: Release, trouble: Trouble, now: datetime) -> Page:
    """It failed and stays as it is: a person has to act."""
    result = Result.FAILED if trouble.blames else Result.INCONCLUSIVE
    if not trouble.blames:  # it may have been so from the start, with the record of another one there still
        page = _given_way(page, release, now)
    text = message(release, trouble)
    page = _ended(page, release, now, result, text)
    verified = "False" if trouble.blames else "Unknown"
    conditions = [
        _condition(page, (VERIFIED, verified), trouble.reason, text, now),
        _condition(page, (STALLED, "True"), trouble.reason, text, now),
    ]
    return Page(page.fields, tuple(conditions))


def retreating(page: Page, release: Release, trouble: Trouble, now: datetime) -> Page:
    """It failed, and what it has put there is about to be taken away: why, so that another run can go on with that."""
    if page.record.new_digest != release.digest or page.record.step == RETREAT:
        return page
    at = replace(page.record, step=RETREAT, since=now)
    verified = "False" if trouble.blames else "Unknown"
    condition = _condition(page, (VERIFIED, verified), trouble.reason, message(release, trouble), now)
    return Page({**page.fields, "rollout": record.render(at)}, (condition,))


def why(page: Page, release: Release) -> Trouble:
    """Why a release is being taken back, as it was written down when that began: one line, and those of the log.

    It goes into a commit, and whoever may write a status could have written it.
    """
    noted = next((each for each in page.conditions if each.get("type") == VERIFIED), {})
    text = str(noted.get("message", "")).removeprefix(f"{_name(release)}: ")
    first, *log = (" ".join(line.split()) for line in text.split("\n  "))
    return Trouble(str(noted.get("reason", "")), first, log=tuple(log), blames=noted.get("status") == "False")


def declined(page: Page, text: str, now: datetime) -> Page:
    """A person does not want it taken back, and nobody wants it as it was: so it stays where it is."""
    conditions = [
        _condition(page, (VERIFIED, "Unknown"), DECLINED, text, now),
        _condition(page, (STALLED, "True"), DECLINED, text, now),
    ]
    return Page(page.fields, tuple(conditions))


def message(release: Release, trouble: Trouble) -> str:
    """What happened, in a sentence, with the last lines of its log."""
    log = "".join(f"\n  {line}" for line in trouble.log)
    return _cut(f"{_name(release)}: {trouble.message}{log}")


def _given_way(page: Page, release: Release, now: datetime) -> Page:
    """A rollout of something else that was under way has been superseded by this one, or was taken back."""
    before = page.record.new_digest
    if not before or before == release.digest:
        return page
    why = release.rejected.get(before)
    return _ended(page, release, now, Result.SUPERSEDED if why is None else Result.ROLLED_BACK, why or "")


def _ended(page: Page, release: Release, now: datetime, result: Result, why: str = "") -> Page:
    """The record becomes a line of history."""
    ended = page.record
    if not ended.new_digest and (result in _ILL or _runs_anew(page, release)):  # it was so from the start
        ended = Record(started_at=now, attempt=1, new_digest=release.digest, commit=release.commit)
    fields = {key: value for key, value in page.fields.items() if key != "rollout"}
    if not ended.new_digest or not release.spec.history.enabled:
        return replace(page, fields=fields)
    entry = {
        "version": release.version if ended.new_digest == release.digest else ended.version,
        "digest": ended.new_digest,
        "commit": ended.commit,
        "result": str(result),
        "message": _cut(why, _LONGEST_WHY),
        "startedAt": times.shown(ended.started_at),
        "finishedAt": times.shown(now),
    }
    latest = {key: value for key, value in entry.items() if value}
    past = _past(fields)
    if past and all(past[0].get(key) == latest.get(key) for key in ("digest", "commit", "result")):
        if not page.record.new_digest and past[0].get("message") == latest.get("message"):
            return replace(page, fields=fields)  # nothing was begun since, so nothing has ended
        past = past[1:]  # the same again, of which one line is enough
    return replace(page, fields={**fields, "history": [latest, *past][: release.spec.history.limit]})


def _runs_anew(page: Page, release: Release) -> bool:
    """Whether the latest line of history is of something else than what runs now."""
    last = next(iter(_past(page.fields)), {})
    return (last.get("digest"), last.get("result")) != (release.digest, Result.SUCCEEDED)


def _past(fields: Fields) -> list[Mapping[str, Any]]:
    past = fields.get("history")
    return [each for each in past if isinstance(each, Mapping)] if isinstance(past, list) else []


def _condition(page: Page, type_and_status: tuple[str, str], reason: str, text: str, now: datetime) -> Condition:
    kind, status = type_and_status
    before = next((each for each in page.conditions if each.get("type") == kind), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else ""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": _cut(text),
        "lastTransitionTime": since or times.shown(now),
    }


def _image(release: Release, now: datetime) -> dict[str, str]:
    values = {
        "version": release.version,
        "digest": release.digest,
        "commit": release.commit,
        "time": times.shown(now),
    }
    return {key: value for key, value in values.items() if value}


def _digest(image: object) -> str:
    digest = image.get("digest") if isinstance(image, Mapping) else ""
    return digest if isinstance(digest, str) else ""


def _name(release: Release) -> str:
    return release.version or release.digest


def _cut(text: str, longest: int = MAX_MESSAGE) -> str:
    return redact.clean(text).encode()[:longest].decode(errors="ignore")
