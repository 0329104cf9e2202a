"""Many ContainerVersions at once. GITCD_FLEET=10000 makes it ten thousand, which takes some minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitcd.cluster.api import PAGE
from gitcd.model.settings import NamespaceScope
from tests.support.containerversions import BASE, definition, deployment, manifest, scene, settings_file
from tests.support.controlplane_files import ADMIN
from tests.support.ecr import StandIn
from tests.support.repos import make_bare

__all__ = ["definition", "scene"]

COUNT = int(os.environ.get("GITCD_FLEET", "600"))
SHARING = 100  # so many follow one image
MEBIBYTES = 300
WATCH = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as peak:
    peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""


@pytest.fixture
def fleet(scene, tmp_path):
    """The scene with so many applications in a remote of its own, all of them in the cluster."""
    names = [f"app-{number}" for number in range(COUNT)]
    images = {name: f"team/image-{number // SHARING}" for number, name in enumerate(names)}
    files = {"gitcd.yaml": scene.remote.show("gitcd.yaml")}
    for name in names:
        for path, data in deployment(name, scene.namespace).items():
            files[path] = data.replace(f"team/{name}:".encode(), f"{images[name]}:".encode())
    scene.remote = make_bare(tmp_path / "fleet.git", files)
    scene.scopes[:] = [NamespaceScope(scene.namespace, ("dev",))]

    def declare(name: str) -> None:
        made = manifest(name, scene.namespace)
        made["spec"]["imageRepo"] = made["spec"]["imageRepo"].replace(f"team/{name}", images[name])
        scene.plane.request("POST", f"{BASE}/namespaces/{scene.namespace}/containerversions", made)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(declare, names))
    with StandIn() as ecr:
        for image in set(images.values()):
            ecr.put(image, tags=["1.0.0"])
            ecr.put(image, tags=["1.1.0", "env-dev"])
        yield scene, ecr


def reconcile(scene, ecr, config: Path) -> tuple[dict, float]:
    """The report of one run, and the most memory that it used, in MiB.

    A small process starts it: what the kernel counts for a child begins with the size of who started it.
    """
    command = [str(Path(sys.executable).with_name("gitcd")), "reconcile", "--from", "cluster", "-n", scene.namespace]
    command += ["--kubeconfig", scene.asked.kubeconfig, "--config", str(config), "-o", "json", "-q", scene.remote.url]
    out, peak = config.with_suffix(".out"), config.with_suffix(".peak")
    with out.open("wb") as stream:
        subprocess.run(
            [sys.executable, "-c", WATCH, str(peak), *command],
            stdout=stream,
            env={**os.environ, "GITCD_ECR_ENDPOINT_URL": ecr.url},
            check=True,
        )
    return json.loads(out.read_bytes()), int(peak.read_text()) / 1024


def test_nothing_new_is_a_few_pages_and_no_write(fleet, tmp_path):
    scene, ecr = fleet
    config = settings_file(scene, tmp_path)
    report, peak = reconcile(scene, ecr, config)
    assert report["counts"]["bumped"] == COUNT
    assert peak < MEBIBYTES
    assert len(scene.plane.get(f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")["items"]) == COUNT
    mark, tip = scene.plane.audit.mark(), scene.remote.tip
    report, peak = reconcile(scene, ecr, config)
    assert report["counts"]["current"] == COUNT
    assert peak < MEBIBYTES
    own = scene.plane.audit.since(mark, user=ADMIN, agent="gitcd/")
    asked = Counter((each.verb, each.resource) for each in own if each.resource)
    assert asked.keys() == {("list", "containerversions")}
    assert asked.total() >= COUNT / PAGE
    assert scene.remote.tip == tip
