"""Entries of kustomize's `images:`, in kustomizations, components and Flux Kustomizations."""

from __future__ import annotations

from gitcd.manifests.collect import Collector, text_of
from gitcd.manifests.cursor import Cursor
from gitcd.manifests.kustomizations import is_kustomization
from gitcd.model.site import Form

_KEYS = ("name", "newName", "newTag", "digest")


def find(item: Cursor, collector: Collector) -> None:
    for entry in _entries(item, collector.owner.kind, collector.owner.api_version):
        parts = {key: entry.get(key) for key in _KEYS}
        name = text_of(parts["newName"]) or text_of(parts["name"])
        if parts["name"] and name:
            collector.entry(entry, Form.KUSTOMIZE, parts, name)


def _entries(item: Cursor, kind: str, api_version: str) -> list[Cursor]:
    if kind == "Kustomization" and api_version.startswith("kustomize.toolkit.fluxcd.io/"):
        images = item.at("spec", "images")
    elif kind in {"Kustomization", "Component"} or (not kind and is_kustomization(item.document.path)):
        images = item.get("images")
    else:
        images = None
    return list(images.items()) if images else []
