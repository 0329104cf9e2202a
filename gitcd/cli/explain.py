"""`gitcd explain`: why an image did, or did not, move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.usecases.explain import Explanation


@click.command(
    "explain",
    epilog=options.examples(
        "explain tiles .",
        "explain prod/tiles/tiles REPO",
    ),
)
@options.app
@options.repository
@options.environments
@options.either_source
@options.registry
@options.output("table", "json", "yaml")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Say why an image did, or did not, move.

    Told are where it is declared, the scope that is searched, every place and every near miss, the registry's answer,
    gates and holds, and the decision.
    """
    from gitcd.model.plan import plan_exit_code
    from gitcd.usecases.explain import explain, undeterred

    run = session.workspace(arguments)
    with run.open() as target:
        planned = session.plan(run, target, arguments, undeterred)
    explanations = explain(planned, run.now)
    if form == "table":
        console.out.write("\n".join(map(_told, explanations)))
    else:
        output.write_document(console.out, output.document("Explanation", items=list(map(_item, explanations))), form)
    return plan_exit_code(planned.plan)


def _told(explanation: Explanation) -> str:
    width = max(len(fact.topic) for fact in explanation.facts)
    lines = [f"  {fact.topic:{width}}  {fact.text}" for fact in explanation.facts]
    return "\n".join([f"{explanation.outcome.identity}: {explanation.outcome.kind}", *lines, ""])


def _item(explanation: Explanation) -> dict[str, Any]:
    identity = explanation.outcome.identity
    return {
        "identity": {"environment": identity.environment, "namespace": identity.namespace, "name": identity.name},
        "outcome": explanation.outcome.kind.value,
        "facts": [{"topic": fact.topic, "text": fact.text} for fact in explanation.facts],
    }
