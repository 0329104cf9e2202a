"""`gitcd reconcile` as the command line runs it, with the registry left out: a table answers in its place.

    python -m benchmarks.cycle --apps 10000 --behind 300 -- REPO --cache-dir DIR

gitcd itself knows nothing of this: here, in a process of the benchmark's own, its resolver is replaced.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

from benchmarks.fleet import ASIDE, Fleet
from gitcd.cli.main import main as gitcd
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Failure, Image, Query
from gitcd.usecases.workspace import Workspace

PUSHED = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


class Table:
    """Answers as the registry of a fleet would; `moved`: whether the tags of those behind have moved already."""

    def __init__(self, fleet: Fleet, *, moved: bool) -> None:
        self._fleet = fleet
        self._moved = moved

    def __call__(self, queries: Sequence[Query]) -> Answers:
        start = time.perf_counter()
        answers = Answers(dict(chain.from_iterable(map(self._answers, queries))))
        print(f"{ASIDE}{time.perf_counter() - start}", file=sys.stderr)
        return answers

    def _answers(self, query: Query) -> Iterator[tuple[tuple[Repository, str], Answer]]:
        app = self._fleet.app(int(query.repository.path[-5:]))
        current = int(app.behind and self._moved)
        images: dict[str, Image] = {}
        for generation in {0, current}:
            tags = (app.version(generation), app.tag) if generation == current else (app.version(generation),)
            image = Image(app.digest(generation), tags, PUSHED[generation])
            images |= dict.fromkeys((image.digest, *tags), image)
        for name in query.tags | query.digests:
            missing = None if name in images else Failure("TagNotFound", f"{app.image_repo} has no {name}")
            yield (query.repository, name), missing or images[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--behind", type=int, default=0)
    parser.add_argument("--still", action="store_true", help="no tag has moved yet")
    parser.add_argument("--verb", default="reconcile")
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    table = Table(Fleet(options.apps, options.behind), moved=not options.still)
    Workspace.ask = lambda _self, queries: table(queries)  # type: ignore[method-assign,assignment,misc]
    sys.argv[1:] = [options.verb, *options.arguments]
    gitcd()


if __name__ == "__main__":
    main()
