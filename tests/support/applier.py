"""Somebody else who applies a branch, as Flux would: again and again, under a name of its own."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.model.live import Manifest
from tests.support.controlplane import ControlPlane
from tests.support.gitrollouts import GitRollouts
from tests.support.repos import Bare
from tests.support.rollouts import as_manifest

MANAGER = "kustomize-controller"
WORKLOAD = "envs/dev/app/workload.yaml"
FLUX = "flux"
LAYOUT_OF_OTHERS = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev, applier: external}
"""
_APPLIER = """\
repository=$1 kubectl=$2 config=$3
shift 3
while sleep 0.2; do
  tip=$(git -C "$repository" rev-parse main)
  if [ "$tip" != "$done" ] || [ $((turn += 1)) -ge 10 ]; then
    for path; do echo ---; git -C "$repository" show "$tip:$path"; echo; done |
      "$kubectl" --kubeconfig="$config" apply --server-side --force-conflicts --field-manager=flux -f - &&
      done=$tip turn=0
  fi
done
"""


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


def hand_over(git: GitRollouts, *paths: str) -> None:
    """From now on somebody else applies, and has done so once."""
    git.remote.commit({"gitcd.yaml": LAYOUT_OF_OTHERS}, "Somebody else applies")
    flags = ("apply", "--server-side", f"--field-manager={FLUX}", "-f", "-")
    git.cluster.plane.kubectl(
        *flags, stdin="\n---\n".join(git.remote.show(each).decode() for each in paths or (WORKLOAD,))
    )


@contextmanager
def second_process(git: GitRollouts, *paths: str) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else applies the branch: whenever it has moved, and now and then besides."""
    plane, remote = git.cluster.plane, git.remote.path
    words = ["bash", "-c", _APPLIER, "applier", str(remote), str(plane.binaries / "kubectl")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(remote.parent)}
    with (remote.parent / "applier.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, str(plane.admin.kubeconfig), *(paths or (WORKLOAD,))], env=environment, stdout=log, stderr=log
        )
        try:
            yield process
            assert process.poll() is None, (remote.parent / "applier.log").read_text()
        finally:
            process.terminate()
            process.wait()


def nobody(manifest: Manifest) -> None:
    """Where somebody else applies, gitcd does not."""
    pytest.fail(f"{manifest.ref} is not gitcd's to write")
