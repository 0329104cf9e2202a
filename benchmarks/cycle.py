"""One whole reconcile in a process of its own, with the registry left out: a table answers for it.

What is measured is gitcd's own use case, started as the command line starts it.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.fleet import Fleet
from gitcd.git.commit import Author
from gitcd.git.history import ensure_history
from gitcd.git.mirror import open_mirror
from gitcd.git.remote import Remote
from gitcd.model.reference import Repository
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.usecases.history import recall_from
from gitcd.usecases.planner import Context
from gitcd.usecases.reconcile import reconcile

PUSHED = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


class Table:
    """Answers as the registry of a fleet would; `moved`: whether the tags of those behind have moved already."""

    def __init__(self, fleet: Fleet, *, moved: bool) -> None:
        self._fleet = fleet
        self._moved = moved

    def __call__(self, queries: Sequence[Query]) -> Answers:
        return Answers(
            {
                (query.repository, name): self._answer(query.repository, name)
                for query in queries
                for name in query.tags | query.digests
            }
        )

    def _answer(self, repository: Repository, name: str) -> Image | Failure:
        app = self._fleet.app(int(repository.path[-5:]))
        current = int(app.behind and self._moved)
        for generation in (current, 0):
            tags = (app.version(generation), app.tag) if generation == current else (app.version(generation),)
            if name in tags or name == app.digest(generation):
                return Image(app.digest(generation), tags, PUSHED[generation])
        return Failure("TagNotFound", f"{app.image_repo} has no {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("remote", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--behind", type=int, default=0)
    parser.add_argument("--still", action="store_true", help="no tag has moved yet")
    options = parser.parse_args()
    resolve = Table(Fleet(options.apps, options.behind), moved=not options.still)
    with open_mirror(Remote.parse(str(options.remote)), "main", cache_dir=options.cache) as mirror:
        recall = recall_from(lambda: ensure_history(mirror, mirror.origin.tip("main")))
        context = Context(resolve, recall, datetime.now(UTC))
        done = reconcile(mirror, context, Author("gitcd", "gitcd@example.com"))
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(done.work.plan.counts.items()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{counts}; commits {len(done.commits)}; failure {done.failure}; peak {peak} MiB")


if __name__ == "__main__":
    main()
