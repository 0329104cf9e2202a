"""One object to a cluster that changes in the very moment of the write."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.objects import Objects
from gitcd.model.applied import Fate
from gitcd.model.declaration import Apply as Ownership
from gitcd.model.declaration import Origin, Spec
from gitcd.model.live import Manifest, Ref
from gitcd.planning.applying_scope import Part
from gitcd.usecases.apply_write import Writer

POD = Ref("Pod", "team", "web")


def pod(image: str, **metadata: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "web", "image": image}]}
    meta = {"name": "web", "namespace": "team", **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


class Vanishing:
    """An API server whose object is deleted between the look and the write."""

    def __init__(self) -> None:
        self.sent: list[Manifest] = []

    def get(self, _: Ref) -> None:
        return None

    def apply(self, manifest: Manifest, **_: object) -> dict[str, Any]:
        self.sent.append(manifest)
        if "uid" in manifest.value["metadata"]:
            raise DeclinedError(409, "Conflict", "uid mismatch")
        return pod("made", uid="new")


def test_T24_with_ownership_image_nothing_is_made_in_place_of_what_has_just_gone() -> None:
    spec = Spec("registry.example.com/team/web", tag="prod", apply=Ownership(ownership="Image"))
    part = cast("Part", SimpleNamespace(declared=SimpleNamespace(declaration=SimpleNamespace(spec=spec))))
    there = Vanishing()
    writer = Writer(cast("Objects", there), "prod", {POD: part})
    manifest = Manifest(POD, "v1", pod("registry.example.com/team/web:2"), Origin("web.yaml"))
    applied, entry = writer.write(manifest, pod("registry.example.com/team/web:1", uid="old", resourceVersion="1"))
    assert (applied.fate, applied.transient, entry) == (Fate.FAILED, True, None)
    assert [each.value["metadata"].get("uid") for each in there.sent] == ["old"]
