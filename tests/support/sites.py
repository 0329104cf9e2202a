"""Short hands for tests that find sites and write them."""

from __future__ import annotations

import copy
import io
from typing import Any

import ruamel.yaml
import yaml

from gitcd import manifests
from gitcd.model.reference import suffix
from gitcd.model.site import Form, Site, SiteEdit

D = "sha256:" + "d" * 64
E = "sha256:" + "e" * 64
REPO = "r.example/a/b"


def found(text: str | bytes, path: str = "app.yaml") -> list[Site]:
    """The sites of a file that must hold nothing refused."""
    result = manifests.find(path, text.encode() if isinstance(text, str) else text)
    assert result.refusals == ()
    return list(result.sites)


def reasons(text: str | bytes, path: str = "app.yaml") -> list[tuple[int, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [(refusal.line, refusal.reason) for refusal in manifests.find(path, data).refusals]


def images(sites: list[Site]) -> list[Site]:
    return [site for site in sites if site.repository is not None and str(site.repository) == REPO]


def rewrite(text: str, tag: str = "v2", digest: str = D, path: str = "app.yaml") -> str:
    """Every site of `REPO` in the text moved."""
    return rewrite_bytes(text.encode(), tag, digest, path).decode()


def rewrite_bytes(data: bytes, tag: str = "v2", digest: str = D, path: str = "app.yaml") -> bytes:
    sites = [site for site in manifests.find(path, data).sites if str(site.repository) == REPO]
    assert sites
    return manifests.write(path, data, [edit(site, tag, digest) for site in sites])


def edit(site: Site, tag: str = "v2", digest: str = D) -> SiteEdit:
    return SiteEdit(site, tag=tag, digest=digest)


def config(sites: list[Site], pointer: str) -> Site:
    return next(site for site in sites if site.form is Form.CONFIG and site.pointer == pointer)


def load11(text: str) -> list[Any]:
    return list(yaml.load_all(text, Loader=yaml.SafeLoader))


def load12(text: str) -> list[Any]:
    return list(ruamel.yaml.YAML(typ="safe", pure=True).load_all(io.StringIO(text)))


def set_images(documents: list[Any], wanted: list[SiteEdit]) -> list[Any]:
    """What the edits mean, on plain data."""
    documents = copy.deepcopy(documents)
    for edit in wanted:
        site = edit.site
        parent, key = documents, str(site.document)
        for step in site.pointer.split("/")[1:]:
            parent, key = parent[int(key) if isinstance(parent, list) else key], step
        here = parent[int(key) if isinstance(parent, list) else key]
        if site.form is Form.IMAGE:
            parent[key] = site.spans["image"].value.removesuffix(suffix(site.tag, site.digest)) + suffix(
                edit.tag, edit.digest
            )
        elif site.form is Form.KUSTOMIZE:
            for name, text in (("newTag", edit.tag), ("digest", edit.digest)):
                here.pop(name, None)
                if text:
                    here[name] = text
        elif "digest" in here:
            joined = "@" in str(here["tag"])
            here["tag"] = edit.tag or (site.tag if joined else here["tag"])
            here["digest"] = edit.digest or (here["digest"] and "")
        else:
            here["tag"] = "@".join(each for each in (edit.tag, edit.digest) if each)
    return documents
