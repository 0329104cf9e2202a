"""Somebody else who applies a branch, as Flux would: all of it, again and again, under a name of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from tests.support.controlplane import ControlPlane
from tests.support.repos import Bare
from tests.support.rollouts import as_manifest

MANAGER = "kustomize-controller"


@contextmanager
def applied_by_another(plane: ControlPlane, remote: Bare, folder: str) -> Iterator[None]:
    """Have the workloads and Services of a folder applied while the block runs."""
    over = threading.Event()
    objects = Objects(Api(find_access(str(plane.admin.kubeconfig))))

    def work() -> None:
        done = ""
        while not over.wait(0.2):
            tip = remote.tip
            if tip != done:
                for path in remote.git("ls-tree", "--name-only", "-r", tip, folder).split():
                    value = json.loads(remote.show(path, tip))
                    if value["kind"] in {"Deployment", "Service"}:
                        objects.apply(as_manifest(value), manager=MANAGER, force=True)
                done = tip

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
