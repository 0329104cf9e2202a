"""What rollouts have to do with git: taking back what failed, and giving way to newer commits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

from gitcd.errors import ConfigError, TransientError
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.registry import Failure
from gitcd.rollout.facts import Release
from gitcd.usecases.deliver_desk import open_desk
from gitcd.usecases.promote import Pen
from gitcd.usecases.rollback import Sources
from gitcd.usecases.rollout_means import BRIEFLY, Means
from gitcd.usecases.rollout_releases import Said, releases_at
from gitcd.usecases.rollout_takeback import Reverter
from gitcd.usecases.switch import Switcher
from gitcd.usecases.switch_aims import recollected
from gitcd.usecases.workspace import Workspace

_log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Came = TypeVar("Came")


def with_git(means: Means, run: Workspace, mirror: Mirror, tip: str = "") -> Means:
    """The same means, with a branch to commit to; `tip` is what it named when the run began."""
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.registry_access import registry_settings

    registry = EcrTags(registry_settings(run.settings))
    sources = Sources(lambda: run.history(mirror), registry.manifests)
    pen = Pen(run.author, run.templates, open_desk(run, mirror), run.run)
    branch = Branch(mirror, tip)
    switcher = Switcher(mirror, run.context(mirror), pen, branch.releases, means.now)
    reverter = Reverter(mirror, run.context(mirror), sources, pen, branch.releases, means.now, switcher)
    return replace(
        means,
        take_back=_claiming(mirror, reverter.take_back),
        foresee=_claiming(mirror, reverter.foresee),
        switch=_switching(mirror, switcher.switch),
        superseded=branch.superseded,
    )


def _claiming(mirror: Mirror, work: Callable[Given, Came]) -> Callable[Given, Came]:
    """The same work, with the copy of the repository to itself: between two such others may have it."""

    def claimed(*given: Given.args, **named: Given.kwargs) -> Came:
        with mirror.claimed():
            return work(*given, **named)

    return claimed


def _switching(mirror: Mirror, work: Callable[Given, Came]) -> Callable[Given, Came | Failure]:
    """The same, where that the copy cannot be had is an answer, too."""

    def claimed(*given: Given.args, **named: Given.kwargs) -> Came | Failure:
        try:
            return _claiming(mirror, work)(*given, **named)
        except TransientError as error:
            return Failure("NotSwitched", error.message, error.remedy, transient=True)

    return claimed


class Branch:
    """The branch as rollouts look at it: what its commits say that declarations shall run."""

    def __init__(self, mirror: Mirror, tip: str = "") -> None:
        self._mirror = mirror
        self._tip = tip or mirror.tip
        self._said: Said = {}

    def releases(self, commit: str, identities: Collection[Identity]) -> list[Release]:
        """The releases of a commit, without those that it does not clearly say.

        Raises:
            ConfigError: it cannot be read.
        """
        found = self._read(commit, identities)
        return [each for each in found.values() if isinstance(each, Release)]

    def superseded(self, releases: Sequence[Release]) -> frozenset[Identity]:
        """Those that the branch wants otherwise by now. Where it cannot be asked, nothing is known to have changed."""
        try:
            return frozenset(self._superseded(releases))
        except (ConfigError, TransientError) as error:
            _log.info("whether there is a newer commit is not known: %s", error.message)
            return frozenset()

    def _superseded(self, releases: Sequence[Release]) -> Iterable[Identity]:
        tip = self._mirror.origin.tip(self._mirror.branch)
        if tip != self._tip:
            with self._mirror.claimed(BRIEFLY):
                tip = self._mirror.fetch()
                identities = [each.identity for each in releases]
                self._said, self._tip = self._read(tip, identities), tip
        return (each.identity for each in releases if not self._is_wanted(each))

    def _read(self, commit: str, identities: Collection[Identity]) -> Said:
        tree = CommitTree(self._mirror.git, commit)
        return releases_at(tree, commit, identities, recollected(self._mirror, commit))

    def _is_wanted(self, release: Release) -> bool:
        """Whether the tip says the same. What it says and a hold keeps out is on its way back."""
        if release.commit == self._tip or release.identity not in self._said:
            return True
        now = self._said[release.identity]
        if not isinstance(now, Release) or now.digest in release.rejected:
            return isinstance(now, Release)
        return (now.digest, _values(now)) == (release.digest, _values(release))


def _values(release: Release) -> list[object]:
    return [each.value for each in release.workloads]
