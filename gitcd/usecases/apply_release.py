"""By what means releases are taken live in a run of apply, and whether there is anything to take."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitcd.cluster.objects import Objects
from gitcd.cluster.progress import progress_of
from gitcd.git.mirror import Mirror
from gitcd.model.declaration import API_VERSION, KIND, Identity
from gitcd.model.live import Json, Ref
from gitcd.model.reference import Repository, is_digest
from gitcd.model.registry import Answer, Answers, Failure, Query
from gitcd.model.settings import Settings
from gitcd.rollout.book import Page
from gitcd.rollout.facts import Facts, Release, Renamed
from gitcd.rollout.strategies import table_of
from gitcd.rollout.table import Trouble
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.credentials import prometheus_token
from gitcd.usecases.rollout_means import Means, TakeBack, TakenBack

if TYPE_CHECKING:
    from gitcd.cluster.prometheus import Prometheus
    from gitcd.usecases.workspace import Workspace

_GONE = frozenset({"ImageNotFound", "RepositoryNotFound"})
_ELSEWHERE = Failure(
    "NotTakenBack", "the branch does not want it, and `gitcd apply` without --revision leads back there"
)
_RESTORE = "Restore the image, or let git name another one."
_GROUP = API_VERSION.partition("/")[0]

Ask = Callable[[Sequence[Query]], Answers]
Say = Callable[[Release, str], None]


def declaration_ref(identity: Identity) -> Ref:
    """The declaration as an object of the cluster."""
    return Ref(KIND, identity.namespace, identity.name, _GROUP)


def is_due(release: Release, live: Mapping[Ref, Json], declaration: Json | None, renamed: Renamed) -> bool:
    """Whether the cluster runs something else, or it was never found good there, or is on its way or stuck there."""
    facts = Facts(release, datetime.now(UTC), live, renamed=renamed)
    if facts.pending or table_of(release).due(facts) or declaration is None:
        return True
    progress = progress_of(dict(declaration))
    page = Page(progress.fields, progress.conditions)
    return bool(page.record.new_digest) or page.is_stuck or page.good != release.digest


def is_settled(release: Release, live: Mapping[Ref, Json], renamed: Renamed) -> bool:
    """Whether there will be nothing to do about it as long as nothing changes."""
    return not table_of(release).expects(Facts(release, datetime.now(UTC), live, renamed=renamed))


def absent(ask: Ask, releases: Iterable[Release]) -> dict[Identity, Failure]:
    """The releases whose image the registry has no more, or has put away: no pod of it would start.

    A registry that cannot be asked is no reason: what pulls the image may be let in where this is not.
    """
    wanted = {each.identity: each for each in releases if is_digest(each.digest)}
    digests: defaultdict[Repository, set[str]] = defaultdict(set)
    for each in wanted.values():
        digests[each.spec.repository].add(each.digest)
    if not digests:
        return {}
    answers = ask([Query(repository, digests=frozenset(each)) for repository, each in sorted(digests.items())])
    found = {key: _lost(each, answers.get(each.spec.repository, each.digest)) for key, each in wanted.items()}
    return {key: failure for key, failure in found.items() if failure}


def _lost(release: Release, answer: Answer) -> Failure | None:
    if isinstance(answer, Failure):
        return answer if answer.reason in _GONE else None
    if not answer.archived:
        return None
    image = f"{release.spec.image_repo}@{release.digest}"
    return Failure("ImageArchived", f"{image} is archived in the registry and cannot be pulled", _RESTORE)


def means(
    run: Workspace, mirror: Mirror, objects: Objects, writer: Writer, say: Say, *, until: float, tip: str
) -> Means:
    """What rollouts need: the cluster, somebody who measures, and the branch.

    `tip` is the branch's, where that is what is applied, so that a newer commit puts an end to it; else empty.
    """
    from gitcd.usecases.rollout_git import with_git
    from gitcd.usecases.rollout_measure import Measuring, by_digest

    measuring = Measuring(objects, prometheus(run.settings), by_digest(run.ask))
    made = with_git(
        Means(objects, writer.carry, measuring.answer, tell=say, until=until, run=run.run, renamed=writer.renamed),
        run,
        mirror,
        tip,
    )
    return made if tip else replace(made, superseded=lambda _: frozenset(), take_back=_for_good(made.take_back))


def _for_good(take_back: TakeBack) -> TakeBack:
    """The same for a commit that was asked for by its name: no newer one follows in this run, so it failed for good."""

    def taken_back(failed: Release, trouble: Trouble, good: str) -> TakenBack:
        found = take_back(failed, trouble, good)
        return TakenBack(refusal=_ELSEWHERE) if found.superseded else found

    return taken_back


def prometheus(settings: Settings) -> Prometheus | None:
    """The operator's; None where none is set up.

    Raises:
        ConfigError: its token is to be in a variable that is not set.
    """
    from gitcd.cluster.prometheus import Prometheus

    url = settings.prometheus.url
    return Prometheus(url, prometheus_token(settings, os.environ)) if url else None
