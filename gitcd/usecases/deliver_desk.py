"""From the operator's settings to the desk at which a run makes pull requests."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gitcd.errors import ConfigError
from gitcd.git.mirror import Mirror
from gitcd.git.remote import Kind
from gitcd.model import settings as operator
from gitcd.model.registry import Failure
from gitcd.usecases.credentials import forge_token
from gitcd.usecases.desk import NO_FORGE, Desk
from gitcd.usecases.workspace import Workspace

if TYPE_CHECKING:  # most runs have nothing to propose
    from gitcd.forge.protocol import Forge
    from gitcd.model.plan import PlannedPull
    from gitcd.model.pull import Limits, PullContent
    from gitcd.usecases.context import Planned


def open_desk(run: Workspace, mirror: Mirror, journals: Sequence[str] = ()) -> Desk:
    """The desk of this run. Where no forge can be opened it says why: that matters once something is to be proposed.

    `journals` are files that tell who moved a tag.
    """
    named = run.settings.forge != operator.Forge()
    forge = _forge(run, mirror) if named or mirror.remote.kind is not Kind.LOCAL else NO_FORGE

    def write(pull: PlannedPull, limits: Limits, planned: Planned) -> PullContent:
        from gitcd.rendering.pull import pull_content
        from gitcd.usecases.deliver_details import details

        return pull_content(pull, limits, details(run, mirror, planned, pull, journals), folder=run.templates)

    def quote(text: str) -> str:
        from gitcd.rendering.pull_markup import code

        return code(text)

    wanted = run.settings.forge
    return Desk(forge, write, quote, run.author, wanted.labels, wanted.reviewers, named, wanted.api_commits)


def _forge(run: Workspace, mirror: Mirror) -> Forge | Failure:
    from gitcd.forge.opening import open_forge

    try:
        token = forge_token(run.settings, os.environ)
        deadline = time.time() + max(0.0, run.deadline - time.monotonic())
        return open_forge(mirror.remote.url, run.settings.forge, token, deadline=deadline)
    except ConfigError as error:
        message = f"no pull request can be opened: {error.message}"
        return replace(NO_FORGE, message=message, remedy=error.remedy or NO_FORGE.remedy)
