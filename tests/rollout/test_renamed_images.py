"""Images that run under another name than git's: of a mirror, by what admission made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitcd.model.declaration import Identity, Origin, Spec
from gitcd.model.live import Manifest, Ref
from gitcd.rollout.facts import Facts, Release, is_alike

ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
REF = Ref("Deployment", "atlas", "web", "apps")
WEB, MIRROR = "registry.example.com/team/web", "mirror.example.net/team/web"


def _workload(image: str) -> dict[str, object]:
    pod = {"containers": [{"name": "web", "image": image}]}
    metadata = {"name": "web", "namespace": "atlas"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": pod}}}


def _facts(image: str, there: str, renamed: str = "", *, external: bool = False) -> Facts:
    manifest = Manifest(REF, "v1", _workload(image), Origin("envs/prod/app.yaml", 1))
    spec = Spec(WEB, tag="env-prod")
    release = Release(Identity("prod", "atlas", "web"), spec, "", ONE, "c" * 40, (manifest,), external=external)
    facts = Facts(release, datetime(2026, 1, 1, tzinfo=UTC), {REF: _workload(there)})
    return replace(facts, renamed={(REF, image): renamed}) if renamed else facts


@pytest.mark.parametrize(
    ("image", "there", "same"),
    [
        (f"{WEB}:1.0.0", f"{MIRROR}:1.0.0", True),
        (f"{WEB}:1.0.0@{ONE}", f"{MIRROR}@{ONE}", True),
        (f"{WEB}:1.0.0", f"{WEB}@{ONE}", True),  # a policy that resolves tags
        (f"{WEB}:1.0.0", f"{MIRROR}:1.0.1", False),
        (f"{WEB}:1.0.0@{ONE}", f"{WEB}:1.0.0@{OTHER}", False),
    ],
)
def test_a_new_name_counts_only_where_nothing_in_it_says_otherwise(image, there, same):
    assert is_alike(image, there) is same
    assert bool(_facts(image, there, renamed=there).pending) is not same


def test_a_workload_of_which_only_some_images_are_those_of_the_commit_does_not_run_it():
    facts = _facts(f"{WEB}:1.0.0", f"{WEB}:1.0.0")
    (wanted, there) = (
        each["spec"]["template"]["spec"]["containers"]
        for each in (
            facts.release.workloads[0].value,
            facts.live[REF],
        )
    )
    assert not facts.pending
    wanted.append({"name": "side", "image": "side:2"})
    there.append({"name": "side", "image": "side:1"})
    assert facts.pending
    there[1]["image"] = "side:2"
    assert not facts.pending
    there[0]["image"] = f"{WEB}:0.9.0"
    assert facts.pending


def test_a_name_that_nobody_has_explained_does_not_run_the_commit():
    """It may be the registry that the commit moves away from."""
    image, there = f"{WEB}:1.0.0@{ONE}", f"{MIRROR}:1.0.0@{ONE}"
    assert _facts(image, there).pending
    assert not _facts(image, there, external=True).pending
    assert _facts(image, there.replace("1" * 64, "2" * 64), external=True).pending
    assert _facts(f"{WEB}:1.0.0", f"{MIRROR}:1.0.0", external=True).pending
