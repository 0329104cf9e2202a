"""Whether a newer commit changes what is being waited for: then the run for that commit is not to be kept waiting."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from gitcd.errors import ConfigError, TransientError
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.manifests.kustomizations import NAMES
from gitcd.usecases.rollout_means import BRIEFLY, TIP_EVERY

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Newer:
    """The branch since a run began, which is of the commit `commit`."""

    mirror: Mirror
    commit: str
    _tip: str = ""  # which `_changed` is about; empty: `commit`
    _asked: float = field(default_factory=time.monotonic)
    _changed: frozenset[str] = frozenset()

    def changes(self, path: str) -> bool:
        """Whether a file, or anything beside or below a kustomization, is another one at the branch's tip by now.

        The branch is asked now and then. While it cannot be asked, nothing is known to have changed.
        """
        if time.monotonic() >= self._asked + TIP_EVERY.total_seconds():
            self._asked = time.monotonic()
            try:
                self._ask()
            except (ConfigError, TransientError) as error:
                _log.info("whether there is a newer commit is not known: %s", error.message)
        folder, _, name = path.rpartition("/")
        if name in NAMES:
            return any(each.startswith(f"{folder}/" if folder else "") for each in self._changed)
        return path in self._changed

    def _ask(self) -> None:
        mirror = self.mirror
        if mirror.origin.tip(mirror.branch) == (self._tip or self.commit):
            return
        with mirror.claimed(BRIEFLY):
            self._tip = mirror.fetch()
            changed = CommitTree(mirror.git, self._tip).changes_since(self.commit)
        self._changed = frozenset(each.path for each in changed or ())
