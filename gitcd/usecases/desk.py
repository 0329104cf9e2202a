"""With what pull requests are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitcd.model.registry import Failure

if TYPE_CHECKING:  # most runs have nothing to propose
    from gitcd.forge.protocol import Forge
    from gitcd.git.commit import Author
    from gitcd.model.plan import PlannedPull
    from gitcd.model.pull import Limits, PullContent
    from gitcd.usecases.context import Planned

Write = Callable[["PlannedPull", "Limits", "Planned"], "PullContent"]
NO_FORGE = Failure(
    "NoForge",
    "no pull request can be opened: no forge is named",
    "Set GITCD_FORGE_KIND and GITCD_FORGE_TOKEN; docs/pull-requests.md says more.",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """With what pull requests are made: the forge (or why there is none), their author, and what they are given.

    `write` says what one shall say; `quote` makes text from outside fit for a comment. A desk that `watches` looks for
    what is to be closed also where nothing in the repository asks for pull requests. With `api_commits` the forge makes
    the commits, and signs them.
    """

    forge: Forge | Failure
    write: Write
    quote: Callable[[str], str]
    author: Author
    labels: Sequence[str] = ()
    reviewers: Sequence[str] = ()
    watches: bool = True
    api_commits: bool = False
    sleep: Callable[[float], None] = time.sleep

    def is_needed(self, planned: Planned) -> bool:
        """Whether there may be something to open, to update or to close."""
        if planned.plan.pulls or (self.watches and not isinstance(self.forge, Failure)):
            return True
        layouts = planned.inputs.scopes.environments.values()
        own = (each.declaration.spec.delivery for each in planned.inputs.declared)
        modes = [each.delivery.mode for each in layouts] + [each.mode for each in own if each]
        return "PullRequest" in modes and not isinstance(self.forge, Failure)
