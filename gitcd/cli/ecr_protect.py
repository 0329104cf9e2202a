"""`gitcd ecr-tags protect` and `unprotect`: keep lifecycle rules from taking what a config repository deploys.

Unlike their neighbours these need git and YAML, which are loaded here only once a command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import ecr_changes, options, session
from gitcd.cli import ecr_options as flags
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.keeping import Duties, Source
    from gitcd.usecases.workspace import Workspace


@click.command("protect", short_help="Keep what a repository deploys from expiring.")
@options.repository
@options.selection
@flags.flag("--keep", metavar="N", type=click.IntRange(min=0, max=100), default=3, show_default=True,
            help="Of each declaration, also the last N images that gitcd moved it away from.")  # fmt: skip
@flags.dry_run
@flags.journal
@flags.access
@options.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def protect(console: Console, form: Any, keep: int, **arguments: Any) -> int:
    """Put keep tags on the images that REPO deploys, and on those before them.

    Every image that the manifests name now gets the tag keep-ENVIRONMENT-DIGEST, and so do the N that each declaration
    held before. Keep tags of these environments on other images are taken off. No other tag is touched, and the last
    tag of an image stays. Run it after each reconcile, or daily.

    A keep tag alone spares an image from rules for untagged images. From rules by tag it is spared by a first rule that
    selects keep- and never expires anything; `gitcd doctor` previews what the rules do and shows that rule.
    """
    from gitcd.usecases.keeping import to_protect
    from gitcd.usecases.protecting import Protect

    request = Protect(keep, arguments["dry_run"])
    chosen = session.selection(arguments)
    return _run(console, form, arguments, request, lambda source: to_protect(source, chosen, past=keep > 0))


@click.command("unprotect", short_help="Take the keep tags off again.")
@options.repository
@options.environments
@flags.dry_run
@flags.journal
@flags.access
@options.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def unprotect(console: Console, form: Any, **arguments: Any) -> int:
    """Take all keep tags of REPO's environments off again.

    No other tag is touched. Where a keep tag is the last tag of its image it stays, as ECR would delete the image.
    """
    from gitcd.usecases.context import Selection
    from gitcd.usecases.keeping import to_unprotect
    from gitcd.usecases.protecting import Protect

    chosen = Selection(frozenset(arguments["environment"]))
    return _run(console, form, arguments, Protect(0, arguments["dry_run"]), lambda source: to_unprotect(source, chosen))


def _run(
    console: Console, form: Any, arguments: Mapping[str, Any], request: Any, duties: Callable[[Source], Duties]
) -> int:
    from gitcd.usecases.keeping import source_of
    from gitcd.usecases.protecting import protect as bring_about

    ecr_changes.check_outputs(arguments, form)
    workspace = session.workspace(arguments)
    registry = _registry(workspace, arguments)
    with workspace.open() as target:
        known = duties(source_of(workspace, target))
    if not (known.duties or known.problems):
        console.warn("no ContainerVersion is declared, so no image is known to be deployed")
    for warning in known.warnings:
        console.warn(f"{warning}; so more may be deployed than is kept, and no keep tag is taken off there")
    orders = {duty.repository: partial(bring_about, request, duty, registry) for duty in known.duties}
    return ecr_changes.carry_out(console, form, arguments, registry, orders, problems=known.problems)


def _registry(workspace: Workspace, arguments: Mapping[str, Any]) -> EcrTags:
    """The registry as the operator's settings say, and the flags above them."""
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.registry_access import registry_settings

    given = {name: arguments[name] for name in ("region", "profile", "role_arn") if arguments[name]}
    return EcrTags(replace(registry_settings(workspace.settings), **given))
