"""What the verbs that plan print in the end: a plan that is rehearsed, or what was published of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitcd.cli import output
from gitcd.cli.terminal import Console, write_diff

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.model.plan import Plan
    from gitcd.usecases.context import Planned
    from gitcd.usecases.publish import Published


def show(console: Console, plan: Plan, form: Any, code: int) -> None:
    """Print a plan: as a patch, as the report that programs read, or as the names of what changes."""
    from gitcd.cli import report
    from gitcd.model import document
    from gitcd.rendering.diff import unified

    if form in {"json", "yaml"}:
        output.write_document(console.out, document.report(plan, exit_code=code), form)
    elif form == "name":
        output.write_names(console.out, report.changed_names(plan))
    elif write_diff(console.out, unified(plan.files)):
        console.warn("something that looks like a secret is masked in this patch, so it does not apply")
    report.tell(console, plan)
    report.tell_pulls(console, plan.rehearsed)


def rehearsed(console: Console, form: Any, plan: Plan, *, check: bool) -> int:
    """Show a plan that is not committed, as `gitcd diff` does. `check`: whether changes make the exit code 1."""
    from gitcd.model.plan import plan_exit_code

    code = plan_exit_code(plan, differences=check)
    show(console, plan, form, code)
    return code


def tell_published(console: Console, form: Any, mirror: Mirror, published: Published[Planned]) -> int:
    """Print the commits that landed, and tell about everything else; answer the exit code."""
    from gitcd.cli import report
    from gitcd.model import document
    from gitcd.model.plan import BROKEN, plan_exit_code

    plan, commits = published.work.plan, published.commits
    code = plan_exit_code(plan)
    if form in {"json", "yaml"}:
        said = document.report(plan, commits=commits, pulls=published.pulls, exit_code=code)
        output.write_document(console.out, said, form)
    elif form == "name":
        output.write_names(console.out, report.changed_names(plan) if commits or published.pulls else ())
    else:
        subjects = [commit.message.partition("\n")[0] for commit in plan.commits]
        console.out.write("".join(f"{oid} {subject}\n" for oid, subject in zip(commits, subjects, strict=False)))
    if published.work.part and not (plan.outcomes or plan.failures or plan.warnings):
        console.say("no declaration is of this part")
    else:
        report.tell(console, plan)
    report.tell_pulls(console, published.pulls)
    if commits:
        console.say(f"pushed {output.counted(len(commits), 'commit')} to {mirror.branch} of {mirror.remote}")
    elif published.is_idle and not any(outcome.kind in BROKEN for outcome in plan.outcomes):
        console.say("nothing to do")
    return code
