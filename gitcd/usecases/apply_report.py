"""What came of an apply, for people and as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitcd.errors import ExitCode, GitcdError
from gitcd.model.applied import BROKEN, Applied
from gitcd.model.health import Health
from gitcd.model.live import Ref
from gitcd.model.plan import exit_code
from gitcd.model.site import Refusal
from gitcd.usecases.apply_wanted import Want
from gitcd.usecases.rollout_end import End, Rolled


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one environment. `left_over` are objects that git no longer has, and that are still there.

    `error` is what put an end to it before its end, `overtaken` what a newer commit changes while it was waited for.
    """

    environment: str
    commit: str
    want: Want
    results: tuple[Applied, ...] = ()
    rolled: tuple[Rolled, ...] = ()
    unhealthy: tuple[Health, ...] = ()
    left_over: tuple[Ref, ...] = ()
    kept: tuple[tuple[Ref, str], ...] = ()
    unchanged: int = 0
    refusal: str = ""  # why nothing is pruned, although that was asked for
    error: GitcdError | None = None
    overtaken: tuple[Ref, ...] = ()

    @property
    def code(self) -> ExitCode:
        return exit_code([self._code, *([self.error.exit_code] if self.error else [])])

    @property
    def _code(self) -> ExitCode:
        if self.unhealthy or any(each.end in {End.FAILED, End.ROLLED_BACK} for each in self.rolled):
            return ExitCode.ROLLOUT_FAILED
        broken = [each for each in (*self.results, *self.want.barred) if each.fate in BROKEN]
        refused = any(each.end is End.REFUSED for each in self.rolled)
        unread = self.want.refusals or self.want.broken or self.want.unclear
        if self.refusal or refused or unread or any(not each.transient for each in broken):
            return ExitCode.ITEMS_FAILED
        hindered = any(each.end is End.HINDERED for each in self.rolled)
        return ExitCode.TRANSIENT if broken or hindered else ExitCode.OK


def as_data(report: Report) -> dict[str, Any]:
    """One environment: keys in camel case, empty texts left out."""
    want = report.want
    return {
        "environment": report.environment,
        "commit": report.commit,
        "objects": [_applied(each) for each in (*report.results, *want.barred)],
        "unchanged": report.unchanged,
        "rollouts": [_rolled(each) for each in report.rolled],
        "unhealthy": [_health(each) for each in report.unhealthy],
        "overtaken": [_ref(each) for each in report.overtaken],
        "leftOver": [_ref(each) for each in report.left_over],
        "kept": [{**_ref(ref), "message": why} for ref, why in report.kept],
        "problems": problems(report),
    }


def problems(report: Report) -> list[str]:
    """What of the environment's files could not be read or followed."""
    want = report.want
    return [
        *(f"{each.where}: {each.reason}" if isinstance(each, Refusal) else str(each) for each in want.refusals),
        *(f"{each.origin}: {each.identity}: {each.message}" for each in want.broken),
        *(f"{identity}: {failure.message}" for identity, failure in want.unclear),
        *filter(None, [report.refusal]),
        *([f"{report.environment}: {report.error}"] if report.error else []),
    ]


def _applied(each: Applied) -> dict[str, Any]:
    told = {
        "result": each.fate.value,
        "message": each.message,
        "remedy": each.remedy,
        "path": each.origin.path,
        "line": each.origin.line,
        "differences": [{"path": one.path, "old": one.old, "new": one.new} for one in each.differences],
    }
    return {**_ref(each.ref), **{key: value for key, value in told.items() if value}}


def _rolled(each: Rolled) -> dict[str, Any]:
    release = each.release
    told = {
        "environment": release.identity.environment,
        "namespace": release.identity.namespace,
        "name": release.identity.name,
        "version": release.version,
        "digest": release.digest,
        "result": each.end.value,
        "message": each.text,
        "reason": each.trouble.reason if each.trouble else "",
        "log": list(each.trouble.log) if each.trouble else [],
        "revert": each.back.commit if each.back else "",
        "pull": each.back.pull if each.back else "",
    }
    return {key: value for key, value in told.items() if value}


def _health(each: Health) -> dict[str, Any]:
    told = {
        "state": each.state.value,
        "reason": each.reason,
        "message": each.message,
        "pod": each.pod,
        "container": each.container,
        "log": list(each.log),
    }
    return {**_ref(each.ref), **{key: value for key, value in told.items() if value}}


def _ref(ref: Ref) -> dict[str, Any]:
    told = {"group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
    return {key: value for key, value in told.items() if value}
