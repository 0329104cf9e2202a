"""`gitcd apply`: take commits to the cluster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.model.applied import Applied
    from gitcd.rollout.facts import Release
    from gitcd.usecases.apply_report import Report
    from gitcd.usecases.apply_wish import Wish
    from gitcd.usecases.controller_schedule import Schedule
    from gitcd.usecases.rollout_end import Rolled
    from gitcd.usecases.workspace import Workspace

_HEADER = ("OBJECT", "RESULT", "WHERE", "WHY")
_SHOWN = 3  # fields of a change in a line
_A_MINUTE = timedelta(minutes=1)


class _Duration(click.ParamType[timedelta]):
    """`90s`, `4m`, `1h30m`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from gitcd.model.duration import parse_duration

        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration such as 90s or 4m", param, ctx)


@click.command(
    "apply",
    epilog=options.examples(
        "apply --dry-run=client -e prod REPO",
        "apply -e prod REPO",
        "apply -e prod --all --prune REPO",
    ),
)
@options.bare_repository
@click.option("--revision", metavar="COMMIT", default="", help="A commit of the branch; default: its tip.")
@options.selection
@click.option("--all", "everything", is_flag=True, help="Every manifest of the environment, not only those that stand "
              "beside a declaration's image.")  # fmt: skip
@click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none", show_default=True,
              help="Show what would be written, and write nothing; client only reads, server lets the API server "
              "judge.")  # fmt: skip
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Wait until what was written is healthy; what was begun goes on with the next run.")  # fmt: skip
@click.option("--budget", type=_Duration(), metavar="TIME", help="How long the run waits at most, such as 4m; the "
              "next one goes on from there.")  # fmt: skip
@click.option("--prune", is_flag=True, help="Delete what apply wrote once and git no longer has.")
@click.option("--yes-prune", "prune_many", is_flag=True, help="With --prune: delete even more than 10 objects, or "
              "more than 20% of those on record.")  # fmt: skip
@options.kubernetes
@click.option("--namespace", "-n", envvar="GITCD_APPLY_NAMESPACE", show_envvar=True, default="gitcd", show_default=True,
              metavar="NAME", help="Where the record of what was applied is kept, and the Lease.")  # fmt: skip
@options.registry
@options.access
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Take what the branch says to the cluster of its environment.

    What differs is written by server-side apply, in order: definitions and namespaces, configuration, Services,
    workloads, and what leads to them. An image moves by the strategy of its declaration and is waited for. Fields that
    somebody else owns are left to them and reported. Nothing is deleted without --prune.
    """
    from gitcd.cluster.access import load
    from gitcd.model.plan import exit_code
    from gitcd.usecases.apply_verb import apply
    from gitcd.usecases.aside import begin

    if arguments["prune"] and arguments["app"]:
        raise click.UsageError("--prune looks at a whole environment, and does not go with --app")
    run = session.workspace(arguments)
    begin(load)  # git is waited for meanwhile
    reports = []
    is_rehearsal = arguments["dry_run"] != "none"
    with run.open(local=False) as target:
        heard = _Listener(console, is_rehearsal=is_rehearsal)
        for report in apply(run, session.mirror(target, in_place=False), _wish(arguments), heard.note, heard.say):
            reports.append(report)
            _summarise(console, report, is_rehearsal=is_rehearsal)
    _show(console, form, reports, is_rehearsal=is_rehearsal)
    return exit_code(report.code for report in reports)


class Follower:
    """Applies what `gitcd run` has committed, for a minute at a time, and tells it once as long as nothing changes."""

    def __init__(self, console: Console, arguments: dict[str, Any]) -> None:
        self._console, self._arguments = console, arguments
        self._told: dict[str, object] = {}

    def follow(self, run: Workspace, mirror: Mirror, code: ExitCode, schedule: Schedule) -> ExitCode:
        """Apply the branch's tip; the exit code, that of the look included. What is under way is looked at soon."""
        from gitcd.model.plan import exit_code
        from gitcd.usecases.apply_report import as_data
        from gitcd.usecases.apply_verb import apply
        from gitcd.usecases.apply_wish import Wish
        from gitcd.usecases.rollout_end import End

        arguments, heard, reports = self._arguments, _Listener(self._console), []
        wish = Wish(
            session.selection(arguments),
            arguments["kubeconfig"],
            arguments["context"],
            arguments["apply_namespace"],
            everything=arguments["apply"] == "all",
            budget=_A_MINUTE,
        )
        for report in apply(run, mirror, wish, heard.note, heard.say):
            reports.append(report)
            seen = as_data(report) | {"commit": ""}
            if report.results or report.rolled or self._told.get(report.environment, seen) != seen:
                _summarise(self._console, report)
            self._told[report.environment] = seen
        if any(each.end is End.PROGRESSING for report in reports for each in report.rolled):
            schedule.hear(None, time.monotonic())
        return exit_code([code, *(report.code for report in reports)])


class _Listener:
    """Tells what goes on: a line for each object that is written or cannot be, and on a terminal what is waited for."""

    def __init__(self, console: Console, *, is_rehearsal: bool = False) -> None:
        self._console = console
        self._would = "would be " if is_rehearsal else ""

    def note(self, applied: Applied) -> None:
        from gitcd.model.applied import BROKEN, Fate

        if applied.fate in BROKEN:
            return  # told at the end, with the remedy
        if applied.fate is Fate.UNCHANGED:
            self._console.err.show_status(f"{applied.ref}: unchanged")
            return
        self._console.say(f"{applied.ref}: {self._would}{applied.fate.value.lower()}")

    def say(self, release: Release, text: str) -> None:
        way = " (back)" if release.back else ""
        line = f"{release.identity} {release.version}{way}: {text}"
        if self._console.err.is_terminal:
            self._console.err.show_status(line)
        else:
            self._console.say(line)


def _wish(arguments: dict[str, Any]) -> Wish:
    from gitcd.usecases.apply_wish import DryRun, Wish

    names = ("kubeconfig", "context", "namespace", "revision", "everything", "wait", "prune", "prune_many", "budget")
    return Wish(
        session.selection(arguments),
        dry_run=DryRun(arguments["dry_run"]),
        **{name: arguments[name] for name in names},
    )


def _summarise(console: Console, report: Report, *, is_rehearsal: bool = False) -> None:
    """What went wrong in one environment, and how many things did not."""
    from gitcd.usecases.apply_report import problems

    for line in problems(report):
        console.error(line)
    for applied in (*report.results, *report.want.barred):
        _tell_applied(console, applied)
    for health in report.unhealthy:
        named = health.message if health.message.startswith(str(health.ref)) else f"{health.ref}: {health.message}"
        console.error(named, report="".join(f"  {line}\n" for line in health.log))
    for ref in report.overtaken:
        console.say(f"{ref} is waited for no longer: a newer commit changes it")
    for rolled in report.rolled:
        _tell_rolled(console, rolled)
    _tell_left(console, report)
    rehearsed = "dry run, nothing was written: " if is_rehearsal else ""
    console.say(f"{report.environment} at {report.commit[:12]}: {rehearsed}{_counts(report)}")


def _tell_applied(console: Console, applied: Applied) -> None:
    from gitcd.model.applied import BROKEN, Fate

    where = f"{applied.origin}: " if applied.origin.path else ""
    if applied.fate in BROKEN:
        console.error(f"{where}{applied.ref}: {applied.message}", applied.remedy)
    elif applied.fate is Fate.SKIPPED:
        console.say(f"{where}{applied.ref} is left out: {applied.message}")


def _tell_left(console: Console, report: Report) -> None:
    """What was not touched."""
    for folder in report.want.charts:
        console.warn(f"{folder or 'the root'} is a Helm chart, and charts are not applied")
    for ref, why in report.kept:
        console.warn(f"{ref} is no longer in git, and is kept: {why}")
    left = set(report.left_over) - {ref for ref, _ in report.kept}
    if left and not report.refusal and report.want.is_whole:  # else it may be among what could not be read
        console.warn(f"{output.counted(len(left), 'object')} no longer in git: --prune deletes them")
    if passed := report.want.passed:
        console.say(f"{output.counted(passed, 'manifest')} beside no declaration's image; --all applies them")


def _tell_rolled(console: Console, rolled: Rolled) -> None:
    from gitcd.usecases.rollout_end import End

    line = (
        f"{rolled.release.identity} {rolled.release.version}: {rolled.end}{f': {rolled.text}' if rolled.text else ''}"
    )
    if rolled.end not in {End.FAILED, End.ROLLED_BACK, End.REFUSED, End.HINDERED}:
        console.say(line)
        return
    trouble, back = rolled.trouble, rolled.back
    log = "".join(f"  {each}\n" for each in trouble.log) if trouble else ""
    remedy = back.refusal.message if back and back.refusal else ""
    console.error(f"{line}{f' ({trouble.message})' if trouble else ''}", remedy, report=log)


def _counts(report: Report) -> str:
    counts = Counter(each.fate.value.lower() for each in report.results if each.fate.value != "Unchanged")
    told = [f"{number} {name}" for name, number in sorted(counts.items())]
    same = report.unchanged + sum(each.fate.value == "Unchanged" for each in report.results)
    if report.error:
        return ", ".join([*told, "the rest is not known"]) if told else "not applied"
    return ", ".join([*told, f"{same} unchanged"])


def _show(console: Console, form: Any, reports: Sequence[Report], *, is_rehearsal: bool) -> None:
    from gitcd.usecases.apply_report import as_data

    shown = [each for report in reports for each in (*report.results, *report.want.barred)]
    results = [each for each in shown if each.fate.value != "Unchanged"]
    match form:
        case "table":
            console.out.write(output.table(_HEADER, (_row(each, is_rehearsal=is_rehearsal) for each in results)))
        case "name":
            output.write_names(console.out, (str(each.ref) for each in results))
        case _:
            items = [as_data(each) for each in reports]
            document = output.document("ApplyReport", dryRun=is_rehearsal, environments=items)
            output.write_document(console.out, document, form)


def _row(applied: Applied, *, is_rehearsal: bool) -> tuple[str, ...]:
    from gitcd.model.applied import Fate

    fields = [each.path for each in applied.differences[:_SHOWN]]
    more = len(applied.differences) - len(fields)
    why = applied.message or ", ".join([*fields, *([f"{more} more"] if more else [])])
    would = is_rehearsal and applied.fate in {Fate.CREATED, Fate.CHANGED, Fate.PRUNED}
    result = f"would be {applied.fate.value.lower()}" if would else applied.fate.value
    return str(applied.ref), result, str(applied.origin) or "-", why or "-"
