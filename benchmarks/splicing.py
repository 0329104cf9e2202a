"""Find, splice and re-parse a thousand deployments; or, as the baseline, let PyYAML's C parser compose each once."""

from __future__ import annotations

import sys
import time

import yaml
from yaml import CSafeLoader

from benchmarks.fleet import App, Fleet, files
from gitcd import manifests
from gitcd.model.site import SiteEdit

APPS = 1_000


def ours(deployments: list[tuple[App, bytes]]) -> None:
    for app, data in deployments:
        found = manifests.find("deployment.yaml", data, [app.repository.encode()])
        edits = [
            SiteEdit(site, tag=app.version(1), digest=app.digest(1))
            for site in found.sites
            if str(site.repository) == app.image_repo
        ]
        new = manifests.write("deployment.yaml", data, edits)
        if new != data.replace(app.reference(0).encode(), app.reference(1).encode()):
            raise SystemExit("the edit went wrong")


def compose(deployments: list[tuple[App, bytes]]) -> None:
    for _, data in deployments:
        yaml.compose(data, Loader=CSafeLoader)


def main() -> None:
    chosen = [app for app in Fleet(2 * APPS) if app.flavour == "plain"][:APPS]
    deployments = [(app, files(app)[f"{app.folder}/deployment.yaml"].encode()) for app in chosen]
    work = {"ours": ours, "compose": compose}[sys.argv[1]]
    start = time.perf_counter()
    work(deployments)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
