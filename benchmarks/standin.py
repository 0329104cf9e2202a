"""The tests' stand-in for ECR in a process of its own, filled with the images of a fleet.

Prints its address; then, for every line on stdin, how many requests came since the last.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from benchmarks.fleet import App, Fleet
from tests.support.ecr import OCI_MANIFEST, StandIn, StoredImage, StoredRepository, single_manifest


def fill(repository: StoredRepository, app: App) -> None:
    """Both generations of an image; the followed tag stands on the newer one where the application is behind."""
    for generation in range(1 + app.behind):
        tags = {app.version(generation)} | ({app.tag} if generation == int(app.behind) else set())
        digest = app.digest(generation)
        pushed = datetime(2026, 1 + generation, 1, tzinfo=UTC)
        manifest = single_manifest(f"{app.repository} {generation}")
        repository.images[digest] = StoredImage(digest, manifest, OCI_MANIFEST, pushed, tags=tags)
        repository.tags.update(dict.fromkeys(tags, digest))


def main() -> None:
    apps, behind = map(int, sys.argv[1:])
    with StandIn() as ecr:
        for app in Fleet(apps, behind):
            fill(ecr.create(app.repository), app)
        print(ecr.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(ecr.counted()), flush=True)
            ecr.calls.clear()


if __name__ == "__main__":
    main()
